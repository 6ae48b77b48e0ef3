"""Networks that write captions: what they are told in training is what they do word by word."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from headstart.studio.caption.decoders import (
    AttentionDecoder,
    Decoder,
    Ensemble,
    Guided,
    MergeDecoder,
    build,
    together,
)
from headstart.studio.caption.vocabulary import PAD, START

WORDS, CHANNELS, CELLS = 12, 6, 4


def decoder(kind: str, seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    if kind == "merge":
        return MergeDecoder(WORDS, CHANNELS, width=8, embedding=10).eval()
    return AttentionDecoder(WORDS, CHANNELS, width=8, embedding=10, seen=6, keys=5).eval()


@pytest.fixture
def grid() -> Tensor:
    return torch.rand(2, CELLS, CHANNELS, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def words() -> Tensor:
    """Three captions, the long ones first."""
    return torch.tensor([[START, 4, 5, 6, 7], [START, 8, 9, PAD, PAD], [START, 10, PAD, PAD, PAD]])


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_reading_a_caption_is_taking_its_steps(kind: str, grid: Tensor, words: Tensor) -> None:
    one, owner = decoder(kind), torch.tensor([1, 0, 1])
    said, looked = one(grid, owner, words)
    state = one.begin(grid[owner])
    stepped, looks = [], torch.zeros(3, CELLS)
    for place in range(words.shape[1]):
        there = words[:, place] != PAD
        log_probabilities, attention, state = one.step(state, words[:, place])
        stepped.append(log_probabilities[there])
        if attention is not None:
            looks += attention * there[:, None]
    torch.testing.assert_close(said, torch.cat(stepped))
    if kind == "attention":
        torch.testing.assert_close(looked, looks)
        torch.testing.assert_close(looks.sum(1), (words != PAD).sum(1).float())
    else:
        assert looked is None


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_words_are_probabilities(kind: str, grid: Tensor) -> None:
    one = decoder(kind)
    said, attention, _ = one.step(one.begin(grid), torch.tensor([START, START]))
    torch.testing.assert_close(said.exp().sum(1), torch.ones(2))
    assert (attention is None) == (kind == "merge")
    if attention is not None:
        torch.testing.assert_close(attention.sum(1), torch.ones(2))


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_what_is_seen_matters(kind: str, grid: Tensor) -> None:
    one = decoder(kind)
    start = torch.tensor([START, START])
    said, *_ = one.step(one.begin(grid), start)
    other, *_ = one.step(one.begin(grid.flip(0)), start)
    torch.testing.assert_close(said, other.flip(0))
    assert (said - other).abs().max() > 1e-4


def test_attention_follows_what_is_moved(grid: Tensor) -> None:
    """The places have no order of their own."""
    one = decoder("attention")
    start = torch.tensor([START, START])
    said, looked, _ = one.step(one.begin(grid), start)
    moved, elsewhere, _ = one.step(one.begin(grid[:, [2, 0, 3, 1]]), start)
    torch.testing.assert_close(said, moved)
    assert looked is not None
    assert elsewhere is not None
    torch.testing.assert_close(looked[:, [2, 0, 3, 1]], elsewhere)


def test_what_one_is_not_told_it_says_itself(grid: Tensor, words: Tensor) -> None:
    one, owner = decoder("attention"), torch.tensor([1, 0, 1])
    torch.manual_seed(0)
    alone, _ = one(grid, owner, words, 0.0)
    other = words.clone()
    other[0, 1:] = 11  # not heard: it hears what it thought itself
    torch.manual_seed(0)
    again, _ = one(grid, owner, other, 0.0)
    torch.testing.assert_close(alone, again)
    told, _ = one(grid, owner, other)
    assert (told - alone).abs().max() > 1e-4


def test_an_ensemble_is_the_mean_of_probabilities(grid: Tensor) -> None:
    members = [decoder("attention", 0), decoder("merge", 1), decoder("attention", 2)]
    both = Ensemble(members)
    start = torch.tensor([START, START])
    said, looked, state = both.step(both.begin(grid), start)
    each = [member.step(member.begin(grid), start) for member in members]
    torch.testing.assert_close(said.exp(), torch.stack([one[0].exp() for one in each]).mean(0))
    looks = [one[1] for one in each if one[1] is not None]
    assert looked is not None
    torch.testing.assert_close(looked, torch.stack(looks).mean(0))
    after, _, _ = both.step(state, torch.tensor([4, 5]))
    alone = [member.step(one[2], torch.tensor([4, 5]))[0] for member, one in zip(members, each, strict=True)]
    torch.testing.assert_close(after, torch.logsumexp(torch.stack(alone), 0) - math.log(3))


def test_one_alone_is_no_ensemble() -> None:
    one = decoder("merge")
    assert together([one]) is one


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_gradients_reach_every_weight(kind: str, grid: Tensor, words: Tensor) -> None:
    one = decoder(kind)
    said, looked = one(grid, torch.tensor([1, 0, 1]), words)
    (said.sum() + (0 if looked is None else (looked**2).sum())).backward()
    without = [name for name, each in one.named_parameters() if each.grad is None or not each.grad.any()]
    assert not without


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_guidance_takes_back_what_is_probable_anyhow(kind: str, grid: Tensor) -> None:
    one, average = decoder(kind), grid.mean(0)
    start, then = torch.tensor([START, START]), torch.tensor([4, 5])
    guided = Guided(one, average, 0.5)
    said, looked, state = guided.step(guided.begin(grid), start)
    alone, wanted, after = one.step(one.begin(grid), start)
    anyhow, _, blank = one.step(one.begin(average[None]), start[:1])
    torch.testing.assert_close(said, torch.log_softmax(alone - 0.5 * anyhow, 1))
    torch.testing.assert_close(said.exp().sum(1), torch.ones(2))
    assert (looked is None) == (wanted is None)
    second, _, _ = guided.step(state, then)
    alone, _, _ = one.step(after, then)
    blank = tuple(part.expand(2, *part.shape[1:]) for part in blank)
    anyhow, _, _ = one.step(blank, then)
    torch.testing.assert_close(second, torch.log_softmax(alone - 0.5 * anyhow, 1))


def test_of_an_average_photograph_guidance_leaves_least() -> None:
    """Fully guided, nothing is said of a photograph that is the average: all words are alike."""
    one, average = decoder("merge"), torch.rand(CELLS, CHANNELS, generator=torch.Generator().manual_seed(3))
    guided = Guided(one, average, 1.0)
    said, _, _ = guided.step(guided.begin(average[None]), torch.tensor([START]))
    torch.testing.assert_close(said, torch.full_like(said, -math.log(WORDS)))


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_settings_build_it_again(kind: str) -> None:
    one = decoder(kind)
    again = build(kind, WORDS, CHANNELS, one.settings)
    again.load_state_dict(one.state_dict())
