"""Training decoders: what they learn, and that an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from headstart.errors import OptionError
from headstart.studio.caption.decoders import Decoder
from headstart.studio.caption.decoding import greedy
from headstart.studio.caption.training import Batches, CaptionOptions, CaptionTraining, Epoch
from headstart.studio.caption.vocabulary import END, PAD, START, Vocabulary
from headstart.training.checkpoints import Checkpoints, Identity

SENTENCES = [["a", "red", "ball"], ["a", "blue", "box", "here"], ["two", "green", "cats"]]
VOCABULARY = Vocabulary.of(SENTENCES, least=1)
SMALL = {"width": 24, "embedding": 16, "seen": 16, "keys": 8, "drop": 0.1}


class Toys:
    """Photographs of three things: each has a direction of its own in the grid, and noise."""

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(0)
        self._grids = draw.normal(0, 0.1, (2, count, 4, 6)).astype(np.float32)
        for n in range(count):
            self._grids[:, n, :, n % 3] += 1

    def __len__(self) -> int:
        return self._grids.shape[1]

    def batch(self, positions: NDArray[np.int64], view: int = 0) -> Tensor:
        return torch.from_numpy(self._grids[view % 2, positions])


def training(folder: Path, *, kind: str = "attention", epochs: int = 4, **options: object) -> CaptionTraining:
    toys = Toys(12)
    captions = [[VOCABULARY.encode(SENTENCES[n % 3])] * 2 for n in range(len(toys))]
    small = SMALL if kind == "attention" else {"width": 24, "embedding": 16, "drop": 0.1}
    wanted = CaptionOptions(kind=kind, epochs=epochs, batch=4, settings=small, rate=0.02, **options)  # type: ignore[arg-type]
    checkpoints = Checkpoints(folder, Identity("", "toys", "twelve", ()))
    return CaptionTraining(VOCABULARY, toys, Batches(captions, 4, 0), wanted, checkpoints)  # type: ignore[arg-type]


def length(decoder: Decoder) -> float:
    """A score that every epoch changes."""
    return -float(sum(each.detach().abs().sum() for each in decoder.parameters()))


@pytest.mark.parametrize("kind", ["attention", "merge"])
def test_it_learns_to_say_what_it_sees(tmp_path: Path, kind: str) -> None:
    toys = Toys(6)
    grid = toys.batch(np.arange(6))

    def right(decoder: Decoder) -> float:
        said = greedy(decoder, grid)
        return sum(VOCABULARY.decode(each.words) == " ".join(SENTENCES[n % 3]) for n, each in enumerate(said))

    one = training(tmp_path, kind=kind, epochs=30, average=0.8)
    one.go(right)
    assert right(one.finished()) == 6
    assert one.history[-1][0] < one.history[0][0] / 3


def test_an_interruption_changes_nothing(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole", told=0.5)
    whole.go(length)

    class StopError(Exception):
        pass

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise StopError

    cut = training(tmp_path / "cut", told=0.5)
    with pytest.raises(StopError):
        cut.go(length, stop)
    assert Checkpoints(tmp_path / "cut", Identity("", "toys", "twelve", ())).unfinished()
    resumed = training(tmp_path / "cut", told=0.5)
    resumed.resume()
    assert resumed.epoch == 2
    resumed.go(length)
    assert resumed.history == whole.history
    assert resumed.best == whole.best
    for (name, one), other in zip(
        whole.finished().state_dict().items(), resumed.finished().state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    scores = iter([1.0, 3.0, 2.0])
    kept: dict[int, Tensor] = {}
    seen: list[Epoch] = []

    def judge(decoder: Decoder) -> float:
        kept[len(kept)] = decoder.words.weight.detach().clone()
        return next(scores)

    one = training(tmp_path, epochs=3)
    one.go(judge, seen.append)
    assert [epoch.best for epoch in seen] == [True, True, False]
    assert torch.equal(one.finished().words.weight, kept[1])
    assert not torch.equal(kept[1], kept[2])


def test_resuming_needs_the_same_options(tmp_path: Path) -> None:
    training(tmp_path, epochs=1).go(length)
    with pytest.raises(OptionError, match="another epochs"):
        training(tmp_path, epochs=2).resume()
    with pytest.raises(OptionError, match="a run to resume"):
        training(tmp_path / "nothing").resume()


def test_a_rate_far_too_high_is_said(tmp_path: Path) -> None:
    one = training(tmp_path)
    with torch.no_grad():
        one.decoder.words.weight.fill_(float("nan"))
    with pytest.raises(OptionError, match="lower rate"):
        one.go(length)


def test_word_vectors_are_where_words_begin(tmp_path: Path) -> None:
    toys = Toys(3)
    vectors = np.full((len(VOCABULARY), 8), np.nan, np.float32)
    known = [VOCABULARY.words.index(word) for word in ("red", "blue", "cats")]
    vectors[known] = np.random.default_rng(0).normal(size=(3, 8))
    vectors[known[1]] = vectors[known[0]] + 0.01  # red is like blue
    captions = [[VOCABULARY.encode(SENTENCES[n])] for n in range(3)]
    wanted = CaptionOptions(batch=3, settings=SMALL)
    checkpoints = Checkpoints(tmp_path, Identity("", "", "", ()))
    one = CaptionTraining(VOCABULARY, toys, Batches(captions, 3, 0), wanted, checkpoints, vectors)  # type: ignore[arg-type]
    red, blue, cats = (one.decoder.words.weight[number] for number in known)
    alike = torch.cosine_similarity(red, blue, 0)
    assert alike > torch.cosine_similarity(red, cats, 0)
    assert alike > 0.1


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_every_caption_is_read_once_an_epoch(lengths: list[list[int]], size: int, epoch: int) -> None:
    captions = [[[START, *[4 + n] * k, END] for k in each] for n, each in enumerate(lengths)]
    batches = Batches(captions, size, 0)
    found: list[tuple[int, list[int]]] = []
    once = list(batches.epoch(epoch))
    assert len(once) == len(batches)
    for photographs, owner, words in once:
        counts = (words != PAD).sum(1)
        assert (counts[:-1] >= counts[1:]).all()
        for place, row, count in zip(owner.tolist(), words.tolist(), counts.tolist(), strict=True):
            found.append((int(photographs[place]), row[:count]))
    wanted = [(n, each) for n, some in enumerate(captions) for each in some]
    assert sorted(found) == sorted(wanted)
    again = list(batches.epoch(epoch))
    assert all(torch.equal(one[2], other[2]) for one, other in zip(once, again, strict=True))
