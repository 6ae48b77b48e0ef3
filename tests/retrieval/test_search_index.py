"""The index: neighbours against brute force, what is found how, and folders that were damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError
from headstart.retrieval import index as index_room
from headstart.retrieval import neighbours
from headstart.retrieval.index import SearchIndex
from headstart.retrieval.ranking import neighbour_recall

TEXTS = ["a black cat sleeps", "two dogs bark", "a kitten and its mother", "rain in November"]
MEANINGS = {"cat": (1, 0, 0), "kitten": (0.9, 0.1, 0), "dogs": (0.3, 1, 0), "rain": (0, 0, 1)}


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """A small stand-in for a sentence encoder: the sum of what known words mean."""
    found = [sum((np.array(v) for w, v in MEANINGS.items() if w in text), np.zeros(3)) for text in texts]
    return np.array(found, np.float32)


@pytest.fixture
def index() -> SearchIndex:
    return SearchIndex.build(
        list("abcd"), encode(TEXTS), texts=TEXTS, labels=["pet", "pet", "pet", None], encode=encode
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**16))
def test_exact_neighbours_are_those_of_brute_force(count: int, width: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: many ties, and vectors of length zero.
    vectors, queries = rng.integers(-1, 2, (count, width)), rng.integers(-1, 2, (4, width))
    found, cosines = SearchIndex.build([str(k) for k in range(count)], vectors).neighbours(queries, n)
    similar = neighbours.unit(queries) @ neighbours.unit(vectors).T
    for line, positions, values in zip(similar, found, cosines, strict=True):
        best = sorted(range(count), key=lambda k: (-line[k], k))[:n]
        assert values == pytest.approx(line[best], abs=1e-6)
        assert line[positions] == pytest.approx(line[best], abs=1e-6)
        assert len(set(positions.tolist())) == min(n, count)


def test_blocks_of_queries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (neighbours.unit(rng.normal(size=(n, 8))) for n in (50, 7))
    whole = neighbours.exact(vectors, queries, 5)
    monkeypatch.setattr(neighbours, "_AT_ONCE", 100)
    parts = neighbours.exact(vectors, queries, 5)
    assert np.array_equal(whole[0], parts[0])
    assert whole[1] == pytest.approx(parts[1], abs=1e-6)


def test_the_graph_finds_nearly_all_neighbours_and_survives_saving(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 24))
    vectors = centres[rng.integers(0, 40, 3000)] + 0.5 * rng.normal(size=(3000, 24))
    made = SearchIndex.build([str(n) for n in range(3000)], vectors, approximate=True)
    queries = vectors[::60] + 0.1 * rng.normal(size=(50, 24))
    exact = made.neighbours(queries, 10, approximate=False)[0]
    assert neighbour_recall(made.neighbours(queries, 10)[0], exact) >= 0.95
    again = SearchIndex.load(made.save(tmp_path / "index"))
    assert again.graph is not None
    assert np.array_equal(again.neighbours(queries, 10)[0], made.neighbours(queries, 10)[0])
    # The links alone are written: the vectors lie there once.
    links = (tmp_path / "index" / "neighbours.faiss").stat().st_size
    assert links < 3000 * (2 * 32 + 8) * 4 + 60_000


def test_without_faiss_a_graph_is_not_needed(
    index: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SearchIndex.build(list("abcd"), encode(TEXTS), approximate=True)
    made.save(tmp_path / "index")
    monkeypatch.setattr(index_room, "find_spec", lambda _name: None)
    again = SearchIndex.load(tmp_path / "index")
    assert again.graph is None
    assert again.like(np.array([1, 0, 0]))[0].name == "a"


def test_words_meaning_and_both(index: SearchIndex) -> None:
    assert index.ways == ("both", "meaning", "words")
    assert [hit.name for hit in index.search("cat", by="words")] == ["a"]
    assert [hit.name for hit in index.search("cat", by="meaning")][:2] == ["a", "c"]
    both = index.search("cat", 3)
    assert both[0].name == "a"
    assert both[0].to_json() == {
        "name": "a", "score": pytest.approx(3 / 61), "label": "pet", "snippet": "a black cat sleeps"
    }  # fmt: skip
    assert [hit.score for hit in both] == sorted((hit.score for hit in both), reverse=True)
    assert index.like(np.array([0, 0, 2.0]), 1)[0].label is None


def test_what_cannot_be_searched_says_so(index: SearchIndex) -> None:
    pictures = SearchIndex.build(["a.jpg"], np.ones((1, 3)))
    assert pictures.ways == ()
    with pytest.raises(OptionError, match="like"):
        pictures.search("a cat")
    only_words = SearchIndex.build(["a"], texts=["a cat"])
    assert only_words.search("cat")[0].name == "a"
    with pytest.raises(OptionError, match="meaning"):
        only_words.search("cat", by="meaning")
    with pytest.raises(OptionError, match="vectors of length"):
        only_words.like(np.ones(3))
    with pytest.raises(OptionError, match="n of at least 1"):
        index.search("cat", 0)
    with pytest.raises(OptionError, match="a query"):
        index.search("  ")
    with pytest.raises(OptionError, match="vectors of length 3"):
        index.like(np.ones(4))
    with pytest.raises(OptionError, match="graph"):
        index.neighbours(np.ones((1, 3)), approximate=True)
    with pytest.raises(OptionError, match="finite"):
        index.like(np.array([np.nan, 0, 0]))


@pytest.mark.parametrize(
    ("names", "more", "match"),
    [
        ([], {"vectors": np.zeros((0, 3))}, "items"),
        (["a"], {}, "vectors or texts"),
        (["a"], {"vectors": np.ones((2, 3))}, "vectors for 1"),
        (["a"], {"texts": ["x", "y"]}, "texts for 1"),
        (["a"], {"vectors": np.full((1, 3), np.inf)}, "finite"),
        (["a"], {"vectors": np.ones(1)}, "finite"),
    ],
)
def test_bad_input_is_refused(names: list[str], more: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        SearchIndex.build(names, **more)  # type: ignore[arg-type]


def test_saved_and_loaded_it_answers_the_same(index: SearchIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    again = SearchIndex.load(tmp_path / "index", encode)
    for by in index.ways:
        assert again.search("cat and rain", by=by) == index.search("cat and rain", by=by)
    index.save(tmp_path / "index")  # an older index is replaced
    assert not [p for p in tmp_path.iterdir() if p.name != "index"]


def test_names_that_are_no_valid_unicode_survive(tmp_path: Path) -> None:
    name = b"caf\xe9.txt".decode(errors="surrogateescape")
    SearchIndex.build([name], texts=["x" * 5 + " \udce9 " + "word " * 200]).save(tmp_path / "index")
    again = SearchIndex.load(tmp_path / "index")
    assert again.names == (name,)
    assert len(again.snippets[0]) <= 200
    assert again.snippets[0].endswith("…")


def test_something_else_is_not_overwritten(index: SearchIndex, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ArtefactError, match="free place"):
        index.save(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    "name", ["vectors.safetensors", "items.json", "words.safetensors", "vocabulary.json"]
)
def test_damage_is_noticed(index: SearchIndex, tmp_path: Path, name: str) -> None:
    place = index.save(tmp_path / "index")
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=name):
        SearchIndex.load(place)
    (place / name).unlink()
    with pytest.raises(ArtefactError, match=name):
        SearchIndex.load(place)


def test_an_index_that_was_put_together_wrongly_is_refused(index: SearchIndex, tmp_path: Path) -> None:
    place = index.save(tmp_path / "index")
    head = json.loads((place / "index.json").read_text())
    for change, match in (
        ({"schema": 99}, "schema 99"),
        ({"items": 3}, "belongs"),
        ({"files": []}, "schema"),
        ({"encoder": 3}, "index in"),
    ):
        (place / "index.json").write_text(json.dumps({**head, **change}))
        with pytest.raises(ArtefactError, match=match):
            SearchIndex.load(place)
    (place / "index.json").write_text("[]")
    with pytest.raises(ArtefactError, match="index in"):
        SearchIndex.load(place)
    shutil.rmtree(place)
    with pytest.raises(ArtefactError, match="folder of an index"):
        SearchIndex.load(place)


def test_searching_needs_neither_torch_nor_faiss_nor_bm25s(index: SearchIndex, tmp_path: Path) -> None:
    place = index.save(tmp_path / "index")
    code = (
        "import sys, numpy as np\n"
        "from headstart.retrieval.index import SearchIndex\n"
        f"index = SearchIndex.load({str(place)!r})\n"
        "assert index.search('cat')[0].name == 'a' and index.like(np.array([1, 0, 0]))[0].name == 'a'\n"
        "heavy = {'torch', 'faiss', 'bm25s', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
