"""Captions from what a decoder says: greedy, by beam search, drawn at random; against slow and plain ways."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from headstart.errors import OptionError
from headstart.studio.caption.decoders import AttentionDecoder, Decoder, Ensemble, MergeDecoder, State
from headstart.studio.caption.decoding import Decoded, beam, greedy, sample
from headstart.studio.caption.vocabulary import END, PAD, START, UNKNOWN

WORDS = 12
CHANNELS = 5


def attentive(seed: int, words: int = WORDS) -> AttentionDecoder:
    """A small decoder that attends, with opinions: its scores are far from even."""
    torch.manual_seed(seed)
    decoder = AttentionDecoder(words, CHANNELS, width=8, embedding=6, seen=7).eval()
    return opinionated(decoder)


def merging(seed: int, words: int = WORDS) -> MergeDecoder:
    torch.manual_seed(seed)
    return opinionated(MergeDecoder(words, CHANNELS, width=8, embedding=6).eval())


def opinionated(decoder):
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)
        decoder.words.weight[PAD] = 0
    return decoder


def photographs(n: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, 4, CHANNELS, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def told(decoder: Decoder, photograph: Tensor, words: tuple[int, ...]) -> tuple[list[float], Tensor | None]:
    """What a decoder says of a caption that it is told: log-probabilities up to <end>, and attention."""
    state, logs, looks = decoder.begin(photograph[None]), [], []
    for before, word in itertools.pairwise([START, *words, END]):
        said, look, state = decoder.step(state, torch.tensor([before]))
        logs.append(said[0, word].item())
        looks.append(look)
    return logs, None if looks[0] is None else torch.cat(looks)


def every_caption(words: range, longest: int):
    for length in range(1, longest + 1):
        yield from itertools.product(words, repeat=length)


def repeats(words: tuple[int, ...], size: int) -> bool:
    runs = [words[place : place + size] for place in range(len(words) - size + 1)]
    return len(set(runs)) < len(runs)


class Scripted(Decoder):
    """Says what a table says: log-probabilities by photograph and step, whatever the words were."""

    def __init__(self, shares: Tensor) -> None:
        super().__init__()
        self.table = shares.log()

    def begin(self, grid: Tensor) -> State:
        rows = grid[:, 0, 0].long()
        return rows, torch.zeros_like(rows)

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        rows, steps = state
        return self.table[rows, steps.clamp(max=self.table.shape[1] - 1)], None, (rows, steps + 1)


def scripted(*captions: list[dict[int, float]], words: int = 8) -> tuple[Scripted, Tensor]:
    """A decoder that says these shares step by step, and the photographs that it says them of."""
    longest = max(len(caption) for caption in captions)
    table = torch.full((len(captions), longest, words), 1e-6)
    for row, caption in enumerate(captions):
        for step in range(longest):
            for word, share in caption[min(step, len(caption) - 1)].items():
                table[row, step, word] = share
    return Scripted(table), torch.arange(len(captions)).float()[:, None, None]


def test_greedy_says_the_most_probable_word_and_stops_at_the_end():
    decoder, grid = scripted(
        [{5: 0.6, 6: 0.4}, {6: 0.9, END: 0.1}, {END: 0.7, 7: 0.3}],
        [{7: 1.0}, {END: 1.0}],
    )
    first, second = greedy(decoder, grid)
    assert first.words == (5, 6)
    assert second.words == (7,)
    assert np.allclose(first.log_probabilities, np.log([0.6, 0.9, 0.7]))
    assert first.log_probability == pytest.approx(math.log(0.6 * 0.9 * 0.7))
    assert first.attention is None


def test_greedy_is_misled_where_a_beam_is_not():
    # Most probable first word 5, but everything behind it is unlikely; a table cannot say that: a chain can.
    class Chain(Scripted):
        def step(self, state, words):
            return self.table[0, words], None, state

    chain = torch.full((1, 8, 8), 1e-6)
    chain[0, START, [5, 6]] = torch.tensor([0.55, 0.45])
    chain[0, 5, [4, 6, 7, END]] = torch.tensor([0.25, 0.25, 0.25, 0.25])
    chain[0, 6, END] = 1.0
    chain[0, [4, 7], END] = 1.0
    decoder, grid = Chain(chain), torch.zeros(1, 1, 1)
    assert greedy(decoder, grid)[0].words[0] == 5
    assert beam(decoder, grid, width=2, length_power=0)[0].words == (6,)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), longest=st.integers(1, 9), no_repeat=st.integers(0, 3))
def test_what_is_said_of_a_caption_is_what_the_decoder_says_of_it(seed, longest, no_repeat):
    decoder, grid = attentive(seed), photographs(5, seed)
    ways = {
        "greedy": greedy(decoder, grid, longest=longest, no_repeat=no_repeat),
        "beam": beam(decoder, grid, longest=longest, no_repeat=no_repeat, width=4),
        "sample": sample(decoder, grid, longest=longest, no_repeat=no_repeat, seed=seed),
    }
    for found in ways.values():
        for photograph, caption in zip(grid, found, strict=True):
            said, looked = told(decoder, photograph, caption.words)
            assert np.allclose(caption.log_probabilities, said, atol=1e-4)
            assert caption.attention is not None
            assert caption.attention.shape == (len(caption.words), 4)
            assert np.allclose(caption.attention, looked[:-1], atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), longest=st.integers(1, 12), no_repeat=st.integers(1, 3))
def test_captions_keep_the_rules(seed, longest, no_repeat):
    decoder, grid, once = attentive(seed), photographs(6, seed), {5, 7, 9}
    rules = {"longest": longest, "no_repeat": no_repeat, "once": once}
    found = [
        *greedy(decoder, grid, **rules),
        *beam(decoder, grid, **rules, width=3),
        *sample(decoder, grid, **rules, seed=seed, temperature=2.0, top_p=1.0),
    ]
    for caption in found:
        assert 1 <= len(caption.words) <= longest
        assert not {PAD, START, END, UNKNOWN} & set(caption.words)
        assert not repeats(caption.words, no_repeat)
        assert all(caption.words.count(word) <= 1 for word in once)
        assert len(caption.log_probabilities) == len(caption.words) + 1


def test_without_rules_words_come_again():
    decoder, grid = scripted([{5: 0.9, 6: 0.1}])
    assert greedy(decoder, grid, longest=4, no_repeat=0)[0].words == (5, 5, 5, 5)
    assert greedy(decoder, grid, longest=4, no_repeat=1)[0].words[:2] == (5, 6)
    assert greedy(decoder, grid, longest=6, no_repeat=2)[0].words[:4] == (5, 5, 6, 5)
    assert greedy(decoder, grid, longest=4, no_repeat=0, once=[5])[0].words == (5, 6, 6, 6)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    power=st.sampled_from([0.0, 0.7, 1.0, 1.5]),
    no_repeat=st.sampled_from([0, 1, 2]),
)
def test_a_beam_wide_enough_finds_the_best_of_all_captions(seed, power, no_repeat):
    decoder, grid, longest = attentive(seed, words=7), photographs(2, seed), 3
    found = beam(decoder, grid, width=100, length_power=power, longest=longest, no_repeat=no_repeat, once=[4])
    for photograph, caption in zip(grid, found, strict=True):
        best = max(
            sum(told(decoder, photograph, words)[0]) / (len(words) + 1) ** power
            for words in every_caption(range(4, 7), longest)
            if words.count(4) < 2 and not (no_repeat and repeats(words, no_repeat))
        )
        assert caption.log_probability / (len(caption.words) + 1) ** power == pytest.approx(best, abs=1e-4)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_beam_of_one_is_greedy(seed):
    decoder, grid = attentive(seed), photographs(8, seed)
    narrow = beam(decoder, grid, width=1, longest=10)
    assert [caption.words for caption in narrow] == [
        caption.words for caption in greedy(decoder, grid, longest=10)
    ]


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), make=st.sampled_from([attentive, merging]))
def test_a_caption_does_not_depend_on_the_other_photographs(seed, make):
    decoder, grid = make(seed), photographs(7, seed)
    for way in (greedy, beam):
        together = way(decoder, grid, longest=9)
        alone = [way(decoder, photograph[None], longest=9)[0] for photograph in grid]
        assert [caption.words for caption in together] == [caption.words for caption in alone]


def test_more_photographs_than_go_at_once(monkeypatch):
    decoder, grid = attentive(3), photographs(10)
    whole = [way(decoder, grid, longest=8) for way in (greedy, beam, sample)]
    monkeypatch.setattr("headstart.studio.caption.decoding._PIECE", 3)
    pieces = [way(decoder, grid, longest=8) for way in (greedy, beam, sample)]
    assert [[each.words for each in found] for found in pieces] == [
        [each.words for each in found] for found in whole
    ]


def test_an_ensemble_says_the_mean_and_looks_with_those_who_look():
    members = [attentive(1), merging(2), attentive(3)]
    grid = photographs(4)
    together = Ensemble(members).eval()
    for way in (greedy, beam):
        for photograph, caption in zip(grid, way(together, grid, longest=7), strict=True):
            each = np.array([told(member, photograph, caption.words)[0] for member in members])
            assert np.allclose(caption.log_probabilities, np.log(np.exp(each).mean(0)), atol=1e-4)
            looked = [told(member, photograph, caption.words)[1] for member in members]
            mean = torch.stack([look[:-1] for look in looked if look is not None]).mean(0)
            assert np.allclose(caption.attention, mean, atol=1e-5)


def test_a_decoder_that_does_not_attend_shows_no_attention():
    for way in (greedy, beam, sample):
        assert all(caption.attention is None for caption in way(merging(0), photographs(3), longest=5))


def test_longer_captions_win_with_a_higher_power():
    # One word of probability .5 and its end, or five words, each .85; all else is impossible.
    class Fork(Scripted):
        def step(self, state, words):
            return self.table[0, words], None, state

    chain = torch.zeros(1, 10, 10)
    chain[0, START, [4, 5]] = torch.tensor([0.5, 0.45])
    chain[0, 4, END] = 0.9
    for word in (5, 6, 7, 8):
        chain[0, word, word + 1] = 0.85
    chain[0, 9, END] = 0.85
    lengths = [
        len(beam(Fork(chain), torch.zeros(1, 1, 1), length_power=power)[0].words) for power in (0.0, 0.7, 1.0)
    ]
    assert lengths == [1, 5, 5]


def test_drawing_is_the_same_for_the_same_seed_and_varies_with_it():
    decoder, grid = attentive(5), photographs(6)
    first, again, other = (sample(decoder, grid, seed=seed, longest=8) for seed in (1, 1, 2))
    assert [each.words for each in first] == [each.words for each in again]
    assert [each.words for each in first] != [each.words for each in other]


def test_drawing_from_almost_nothing_is_greedy():
    decoder, grid = attentive(6), photographs(6)
    certain = [each.words for each in greedy(decoder, grid, longest=8)]
    assert [each.words for each in sample(decoder, grid, top_p=1e-6, longest=8)] == certain
    assert [each.words for each in sample(decoder, grid, temperature=1e-4, top_p=1.0, longest=8)] == certain


def test_drawn_words_follow_their_probabilities_inside_the_nucleus():
    shares = {4: 0.5, 5: 0.3, 6: 0.15, 7: 0.05}
    decoder, _ = scripted([shares, {END: 1.0}])
    grid = torch.zeros(4000, 1, 1)
    drawn = np.array([each.words[0] for each in sample(decoder, grid, top_p=0.9, longest=1)])
    found = {word: (drawn == word).mean() for word in shares}
    assert found[7] == 0  # .5 + .3 + .15 are .9 already
    for word in (4, 5, 6):
        assert found[word] == pytest.approx(shares[word] / 0.95, abs=0.03)


def test_temperature_flattens():
    decoder, _ = scripted([{4: 0.9, 5: 0.1}, {END: 1.0}])
    drawn = [
        np.mean([e.words[0] == 4 for e in sample(decoder, torch.zeros(2000, 1, 1), top_p=1.0, temperature=t)])
        for t in (0.5, 1.0, 4.0)
    ]
    assert drawn[0] > drawn[1] > drawn[2] > 0.4


def test_no_photographs_no_captions():
    for way in (greedy, beam, sample):
        assert way(attentive(0), photographs(0)) == []


def test_fewer_words_than_beginnings():
    found = beam(attentive(0, words=5), photographs(3), width=9, longest=4)
    assert all(isinstance(caption, Decoded) and set(caption.words) == {4} for caption in found)


@pytest.mark.parametrize(
    ("way", "given_"),
    [
        (greedy, {"longest": 0}),
        (greedy, {"no_repeat": -1}),
        (beam, {"width": 0}),
        (beam, {"length_power": -0.5}),
        (beam, {"length_power": math.nan}),
        (sample, {"top_p": 0.0}),
        (sample, {"top_p": 1.5}),
        (sample, {"temperature": 0.0}),
    ],
)
def test_numbers_outside_their_range(way, given_):
    with pytest.raises(OptionError, match="to fix"):
        way(attentive(0), photographs(1), **given_)
