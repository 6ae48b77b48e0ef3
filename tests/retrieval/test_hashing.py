"""Semantic hashing: bits against brute force, codes that keep what is alike together, files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError
from headstart.retrieval.hash_training import fit_hasher
from headstart.retrieval.hashing import SemanticHasher, hamming, nearest_codes, pack
from headstart.retrieval.ranking import precision

numbers = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(numbers, numbers)
def test_hamming_counts_the_bits_that_differ(codes: list[int], queries: list[int]) -> None:
    found = hamming(np.array(codes, np.uint64), np.array(queries, np.uint64))
    assert found.tolist() == [[(a ^ b).bit_count() for a in codes] for b in queries]


@settings(deadline=None, max_examples=60)
@given(numbers, numbers, st.integers(1, 15))
def test_nearest_codes_are_those_of_sorting(codes: list[int], queries: list[int], n: int) -> None:
    positions, distances = nearest_codes(np.array(codes, np.uint64), np.array(queries, np.uint64), n)
    for query, line, far in zip(queries, positions.tolist(), distances.tolist(), strict=True):
        best = sorted(range(len(codes)), key=lambda k: ((codes[k] ^ query).bit_count(), k))[:n]
        assert line == best
        assert far == [(codes[k] ^ query).bit_count() for k in best]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
def test_packing_keeps_every_bit(codes: list[int]) -> None:
    bits = np.array([[code >> bit & 1 for bit in range(64)] for code in codes], bool)
    assert pack(bits).tolist() == codes


def topics(count: int, seed: int) -> tuple[NDArray[np.float32], list[str], NDArray[np.int64]]:
    """Texts about five things, with vectors that say so amid noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, count)
    vocabulary = [[f"w{topic}x{n}" for n in range(12)] for topic in range(5)]
    texts = [" ".join([*rng.choice(vocabulary[topic], 6), "common", "filler"]) for topic in y]
    centres = np.random.default_rng(99).normal(size=(5, 32))
    return (centres[y] + 1.2 * rng.normal(size=(count, 32))).astype(np.float32), texts, y


@pytest.fixture(scope="module")
def hasher() -> SemanticHasher:
    vectors, texts, _ = topics(600, 0)
    return fit_hasher(vectors, texts, epochs=10, hidden=64)


def test_codes_keep_topics_together(hasher: SemanticHasher) -> None:
    vectors, _, y = topics(600, 0)
    queries, _, truth = topics(100, 1)
    relevant = truth[:, None] == y[None]
    learned = precision(
        relevant, nearest_codes(hasher.codes(vectors), hasher.codes(queries), 50)[0], 50
    ).mean()
    planes = np.random.default_rng(2).normal(size=(32, 64))
    random = precision(
        relevant, nearest_codes(pack(vectors @ planes > 0), pack(queries @ planes > 0), 50)[0], 50
    ).mean()
    assert learned > 0.8
    assert learned > random + 0.05


def test_the_same_seed_gives_the_same_codes_and_leaves_torch_as_it_was() -> None:
    import torch

    vectors, texts, _ = topics(60, 3)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = fit_hasher(vectors, texts, epochs=1, hidden=8, seed=7)
    assert torch.equal(before, torch.random.get_rng_state())
    second = fit_hasher(vectors, texts, epochs=1, hidden=8, seed=7)
    other = fit_hasher(vectors, texts, epochs=1, hidden=8, seed=8)
    assert np.array_equal(first.codes(vectors), second.codes(vectors))
    assert not np.array_equal(first.codes(vectors), other.codes(vectors))


def test_only_the_direction_of_a_vector_counts(hasher: SemanticHasher) -> None:
    vectors, _, _ = topics(20, 4)
    assert np.array_equal(hasher.codes(vectors), hasher.codes(8 * vectors))


def test_a_hasher_without_a_hidden_layer_works() -> None:
    vectors, texts, _ = topics(60, 3)
    assert len(fit_hasher(vectors, texts, epochs=2, hidden=0).layers) == 1


def test_the_loss_of_certain_bits_has_finite_gradients() -> None:
    import torch

    from headstart.retrieval.hash_training import _loss

    logits = torch.tensor([[200.0, -200.0] * 32]).requires_grad_()
    loss = _loss(logits, torch.nn.Linear(64, 4), torch.ones(1, 4) / 4, 0.03)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    even = _loss(torch.zeros(1, 64), torch.nn.Linear(64, 4), torch.zeros(1, 4), 1.0)
    assert float(even.detach()) == pytest.approx(0, abs=1e-4)  # even from even: nothing


@pytest.mark.parametrize(
    ("vectors", "texts", "more", "match"),
    [
        (np.ones((2, 3)), ["a b"], {}, "a vector for each"),
        (np.ones((1, 3)), ["a b"], {}, "at least two"),
        (np.full((2, 3), np.nan), ["a b", "c d"], {}, "finite"),
        (np.ones((2, 3)), ["...", "!"], {}, "texts with words"),
        (np.ones((2, 3)), ["cat", "dog"], {"epochs": 0}, "epoch"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    vectors: NDArray[np.float64], texts: list[str], more: dict[str, int], match: str
) -> None:
    with pytest.raises(OptionError, match=match):
        fit_hasher(vectors, texts, **more)  # type: ignore[arg-type]


def test_wrong_questions_are_refused(hasher: SemanticHasher) -> None:
    with pytest.raises(OptionError, match="32"):
        hasher.codes(np.ones((1, 5)))
    with pytest.raises(OptionError, match="n of at least 1"):
        nearest_codes(np.zeros(1, np.uint64), np.zeros(1, np.uint64), 0)


def test_saved_and_loaded_it_gives_the_same_codes_without_torch(
    hasher: SemanticHasher, tmp_path: Path
) -> None:
    vectors, _, _ = topics(20, 4)
    place = hasher.save(tmp_path / "hasher")
    assert np.array_equal(SemanticHasher.load(place).codes(vectors), hasher.codes(vectors))
    np.save(tmp_path / "vectors.npy", vectors)
    code = (
        "import sys, numpy as np\nfrom headstart.retrieval.hashing import SemanticHasher\n"
        f"codes = SemanticHasher.load({str(place)!r}).codes(np.load({str(tmp_path / 'vectors.npy')!r}))\n"
        f"assert codes.tolist() == {hasher.codes(vectors).tolist()}\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_damaged_files_are_refused(hasher: SemanticHasher, tmp_path: Path) -> None:
    place = hasher.save(tmp_path / "hasher")
    content = bytearray((place / "hasher.safetensors").read_bytes())
    content[-1] ^= 1
    (place / "hasher.safetensors").write_bytes(content)
    with pytest.raises(ArtefactError, match="as it was written"):
        SemanticHasher.load(place)
    with pytest.raises(ArtefactError, match="folder of a hasher"):
        SemanticHasher.load(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ArtefactError, match="free place"):
        hasher.save(tmp_path / "mine")
    with pytest.raises(ArtefactError, match="64 bits"):
        SemanticHasher(((np.ones((4, 3), np.float32), np.zeros(3, np.float32)),))
