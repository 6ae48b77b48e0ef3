"""Word vectors: files in every format, neighbours, analogies, unknown words, training."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import BackboneError, DataError, OptionError
from headstart.text.vectors import WordVectors, word2vec

WORDS = ("man", "woman", "king", "queen", "stone")


def royal() -> WordVectors:
    """Man and woman, king and queen are corners of a parallelogram; a stone is elsewhere."""
    rows = [[1, 0, 0.1], [0, 1, 0.1], [1, 0, 1.1], [0, 1, 1.1], [-1, -1, 0.3]]
    return WordVectors(WORDS, np.array(rows, np.float32))


def test_neighbours_are_those_of_brute_force() -> None:
    chance = np.random.default_rng(0)
    vectors = WordVectors(tuple("abcdefghij"), chance.standard_normal((10, 4)).astype(np.float32))
    unit = vectors.matrix / np.linalg.norm(vectors.matrix, axis=1, keepdims=True)
    found = vectors.nearest("c", 4)
    cosines = {word: float(unit[row] @ unit[2]) for row, word in enumerate(vectors.words) if word != "c"}
    wanted = sorted(cosines.items(), key=lambda pair: -pair[1])[:4]
    assert [word for word, _ in found] == [word for word, _ in wanted]
    assert [value for _, value in found] == pytest.approx([value for _, value in wanted], abs=1e-5)
    assert len(vectors.nearest("c", 100)) == 9


def test_analogies_leave_out_what_was_asked_with() -> None:
    assert royal().analogy("man", "king", "woman")[0][0] == "queen"
    assert {word for word, _ in royal().analogy("man", "king", "woman", 9)} == {"queen", "stone"}
    with pytest.raises(OptionError, match="'troll'"):
        royal().analogy("man", "troll", "woman")


def test_unknown_words_are_near_the_mean_each_in_its_way() -> None:
    vectors = royal()
    known, first, again, other = vectors.lookup(["king", "xyzzy", "xyzzy", "plugh"])
    np.testing.assert_array_equal(known, vectors.matrix[2])
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    mean, spread = vectors.matrix.mean(0), vectors.matrix.std(0)
    assert 0 < np.abs(first - mean).max() < 0.5 * spread.max()
    # The same in any company, and in another process: the seed is the word itself.
    np.testing.assert_array_equal(vectors.lookup(["plugh"])[0], other)


def test_noise_has_the_spread_that_it_should() -> None:
    vectors = royal()
    found = vectors.lookup([f"word{number}" for number in range(2000)])
    np.testing.assert_allclose(found.mean(0), vectors.matrix.mean(0), atol=0.02)
    np.testing.assert_allclose(found.std(0), 0.1 * vectors.matrix.std(0), rtol=0.1)


def test_restricting_and_joining() -> None:
    vectors = royal()
    few = vectors.restrict(["queen", "nothing"], frequent=1)
    assert few.words == ("man", "queen")
    np.testing.assert_array_equal(few.matrix, vectors.matrix[[0, 3]])
    other = WordVectors(("man", "elf"), np.ones((2, 3), np.float32))
    joined = few.joined(other)
    assert joined.words == ("man", "queen", "elf")
    np.testing.assert_array_equal(joined.lookup(["man"])[0], vectors.matrix[0])


_word = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=6)


@settings(deadline=None, max_examples=25)
@given(words=st.lists(_word, min_size=1, max_size=6, unique=True), d=st.integers(1, 5))
def test_saved_vectors_are_the_same(
    words: list[str], d: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    matrix = np.random.default_rng(0).standard_normal((len(words), d)).astype(np.float32)
    folder = WordVectors(tuple(words), matrix).save(tmp_path_factory.mktemp("vectors") / "v")
    found = WordVectors.load(folder)
    assert found.words == tuple(words)
    np.testing.assert_array_equal(found.matrix, matrix)


def text_lines(vectors: WordVectors) -> str:
    return "".join(
        f"{word} {' '.join(map(str, row.tolist()))}\n"
        for word, row in zip(vectors.words, vectors.matrix, strict=True)
    )


@pytest.mark.parametrize("head", ["", "5 3\n"])
@pytest.mark.parametrize("suffix", [".txt", ".vec"])
def test_text_files_with_and_without_sizes(tmp_path: Path, head: str, suffix: str) -> None:
    file = tmp_path / f"royal{suffix}"
    file.write_text(head + text_lines(royal()), encoding="utf-8")
    found = WordVectors.load(file)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.matrix, royal().matrix)


def test_words_with_spaces_repetitions_and_broken_letters(tmp_path: Path) -> None:
    file = tmp_path / "odd.txt"
    file.write_bytes("a 1 2\n. . . 3 4\na 9 9\nñ\u0085 5 6\n".encode() + b"\xff 7 8\n")
    found = WordVectors.load(file)
    assert found.words == ("a", ". . .", "ñ\u0085", "\ufffd")
    assert found.lookup(["a"]).tolist() == [[1, 2]]


def test_word2vec_binary_files(tmp_path: Path) -> None:
    file = tmp_path / "royal.bin"
    rows = zip(WORDS, royal().matrix, strict=True)
    file.write_bytes(b"5 3\n" + b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in rows))
    found = WordVectors.load(file)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.matrix, royal().matrix)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BackboneError, match="whole word vectors"):
        WordVectors.load(file)


def test_fasttext_binary_files(tmp_path: Path) -> None:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    model = FastText([["tea", "hot"], ["tea", "cold"]] * 5, vector_size=4, min_count=1, bucket=50, workers=1)
    save_facebook_model(model, str(tmp_path / "tea.bin"))
    found = WordVectors.load(tmp_path / "tea.bin")
    assert set(found.words) == {"tea", "hot", "cold"}
    np.testing.assert_allclose(found.lookup(["tea"])[0], model.wv["tea"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.txt", None),
        ("empty.txt", b""),
        ("words.txt", b"only words here\nand more of them\n"),
        ("ragged.txt", b"a 1 2 3\nb 1 2\n"),
        ("cut.vec", b"10 2\na 1 2\n"),
        ("infinite.txt", b"a inf 1\n"),
        ("huge.bin", b"999999999 300\nword "),
        ("nonsense.bin", b"\x00\x01\x02"),
        ("cut.bin", struct.pack("<ii", 793712314, 12)),
        ("pickle.pkl", b"\x80\x04."),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BackboneError, match="to fix"):
        WordVectors.load(tmp_path / name)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    folder = royal().save(tmp_path / "royal")
    (folder / "words.json").write_text(json.dumps(["one"]))
    with pytest.raises(BackboneError, match="1 words"):
        WordVectors.load(folder)
    (folder / "vectors.safetensors").write_bytes(b"nothing")
    with pytest.raises(BackboneError, match="whole word vectors"):
        WordVectors.load(folder)


@pytest.mark.parametrize(
    ("words", "matrix"),
    [
        ((), np.zeros((0, 2))),
        (("a",), np.zeros((2, 2))),
        (("a", "a"), np.zeros((2, 2))),
        (("a",), np.zeros(2)),
    ],
)
def test_words_and_vectors_must_fit(words: tuple[str, ...], matrix: np.ndarray) -> None:
    with pytest.raises(DataError):
        WordVectors(words, matrix.astype(np.float32))


def drinks(count: int = 400) -> list[list[str]]:
    """Sentences about drinks and about cars, in which words of a kind have the same neighbours."""
    chance = np.random.default_rng(0)
    kinds = (
        (("tea", "coffee", "cocoa"), ("drink", "hot", "cup")),
        (("car", "truck", "bus"), ("drive", "road", "fast")),
    )
    found = []
    for number in range(count):
        things, about = kinds[number % 2]
        found.append([str(chance.choice(things)), *map(str, chance.permutation(about))])
    return found


@pytest.mark.parametrize("kind", ["cbow", "skip-gram"])
def test_word2vec_learns_what_belongs_together(kind: str) -> None:
    vectors = word2vec(drinks(3000), kind, size=12, epochs=30)  # type: ignore[arg-type]
    assert vectors.matrix.shape == (12, 12)
    near = [word for word, _ in vectors.nearest("tea", 5)]
    assert set(near) == {"coffee", "cocoa", "drink", "hot", "cup"}


def test_word2vec_is_the_same_every_time_and_differs_with_the_seed() -> None:
    first, again, other = (word2vec(drinks(60), size=6, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.matrix, other.matrix)


def test_word2vec_says_what_is_wrong() -> None:
    with pytest.raises(DataError, match="occurs 5 times"):
        word2vec([["rare", "words"]])
    with pytest.raises(OptionError, match="iterator"):
        word2vec(iter(drinks()))
    with pytest.raises(OptionError, match="cbow"):
        word2vec(drinks(), "glove")  # type: ignore[arg-type]
