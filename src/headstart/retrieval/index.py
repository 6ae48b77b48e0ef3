"""A collection that can be searched: by the words of its texts, by the meaning of its vectors, by both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError
from headstart.files import atomic_folder, digest_file, write_json, write_text
from headstart.retrieval.fusion import reciprocal_rank_fusion
from headstart.retrieval.lexical import WordIndex
from headstart.retrieval.neighbours import EXACT_UP_TO, Found, Graph, Vectors, exact, unit

By = Literal["words", "meaning", "both"]
Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Turns texts into vectors, float32 [n, d]."""

SCHEMA = 1
_MAIN, _ITEMS, _VOCABULARY = "index.json", "items.json", "vocabulary.json"
_VECTORS, _WORDS, _GRAPH = "vectors.safetensors", "words.safetensors", "neighbours.faiss"
_AGAIN = "build the index again: headstart index"
_SNIPPET = 200
_WEIGHTS = (1.0, 2.0)  # of words and meaning, chosen on the training messages of 20 newsgroups
_DEPTH = 100  # places of each ranking that are fused; what comes later could hardly reach the first ten


@dataclass(frozen=True)
class Hit:
    """Something that was found.

    Args:
        name: The item's name, str.
        score: How well it fits, float: BM25 (words), cosine (meaning), or the fused score (both).
        snippet: How its text begins, str; "" where it has none.
        label: Its label, str or None.
    """

    name: str
    score: float
    snippet: str
    label: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {"name": self.name, "score": self.score, "label": self.label, "snippet": self.snippet}


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """Items that can be found by words, by meaning (the cosine of vectors), or by both fused.

    `headstart.build_index` makes one from a data set, `headstart.open_index` reads one with its encoder.

    Args:
        names: What the items are called, str.
        snippets: How their texts begin, str; "" without a text.
        labels: Their labels, str or None.
        vectors: Their vectors, of unit length, float32 [items, d]; d is 0 where only words are searched.
        words: What their words say. Defaults to None: they are no texts.
        graph: Links between near vectors. Defaults to None: all are compared.
        encoder: What made the vectors, a JSON object. Defaults to {} (unknown).
        encode: Turns queries into vectors of the same kind. Defaults to None: only words, and `like`.

    Example:
        >>> index = SearchIndex.build(["a", "b"], np.eye(2), texts=["a black cat", "a long rain"])
        >>> index.search("cats and rain", by="words")[0].name
        'b'
        >>> index.like(np.array([1.0, 0.1]))[0].name
        'a'
    """

    names: tuple[str, ...]
    snippets: tuple[str, ...]
    labels: tuple[str | None, ...]
    vectors: Vectors
    words: WordIndex | None = None
    graph: Graph | None = None
    encoder: Mapping[str, Any] = field(default_factory=dict)
    encode: Encode | None = None

    @classmethod
    def build(
        cls,
        names: Sequence[str],
        vectors: NDArray[Any] | None = None,
        *,
        texts: Sequence[str] | None = None,
        labels: Sequence[str | None] | None = None,
        language: str | None = None,
        approximate: bool | None = None,
        encoder: Mapping[str, Any] | None = None,
        encode: Encode | None = None,
    ) -> SearchIndex:
        """Make an index.

        Args:
            names: What the items are called, str.
            vectors: A vector for each, of any length, [items, d]. Defaults to None: only words are searched.
            texts: The text of each, str. Defaults to None: they are no texts.
            labels: The label of each, str or None. Defaults to None.
            language: Cut off the endings of this language's words. Defaults to None.
            approximate: Whether to search along a graph. Defaults to None: above 100,000 items.
            encoder: What made the vectors, a JSON object. Defaults to None (unknown).
            encode: Turns queries into vectors. Defaults to None.

        Returns:
            The index.

        Raises:
            OptionError: There is nothing to search, lengths differ, or a vector holds what is no number.
            MissingExtraError: bm25s (for texts) or faiss (for a graph) is not installed.
        """
        count = len(names)
        for what, values in (("vectors", vectors), ("texts", texts), ("labels", labels)):
            if values is not None and len(values) != count:
                raise OptionError(f"{what} for {count} items", f"{len(values)}", "give one for each item")
        if not count or (vectors is None and texts is None):
            raise OptionError("items with vectors or texts", f"{count} names alone", "give one of the two")
        made = unit(np.zeros((count, 0)) if vectors is None else _checked(vectors))
        if approximate is None:
            approximate = count > EXACT_UP_TO
        return cls(
            tuple(names),
            tuple(_snippet(text) for text in texts) if texts is not None else ("",) * count,
            tuple(labels) if labels is not None else (None,) * count,
            made,
            None if texts is None else WordIndex.build(texts, language),
            Graph.build(made) if approximate and made.shape[1] else None,
            dict(encoder or {}),
            encode,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ways(self) -> tuple[By, ...]:
        """How a query can be answered, the best way first."""
        words, meaning = self.words is not None, self.encode is not None and self.vectors.shape[1] > 0
        if words and meaning:
            return "both", "meaning", "words"
        return ("words",) if words else ("meaning",) if meaning else ()

    def search(self, query: str, n: int = 10, by: By | None = None) -> list[Hit]:
        """Find what fits a query.

        Args:
            query: What is looked for, str.
            n: How many at most, int. Defaults to 10.
            by: "words", "meaning" or "both" (meaning counts twice). Defaults to None: the first of `ways`.

        Returns:
            The hits, best first. By words only those that share one with the query.

        Raises:
            OptionError: The query is empty, n is less than 1, or the index cannot be searched in this way.
        """
        positions, scores = self.rank(query, n, by)
        return self._hits(positions, scores)

    def like(self, vector: NDArray[Any], n: int = 10) -> list[Hit]:
        """Find what is near a vector.

        Args:
            vector: Made as the index's own, [d].
            n: How many at most, int. Defaults to 10.

        Returns:
            The hits, nearest first.

        Raises:
            OptionError: The vector is of another length.
        """
        positions, cosines = self.neighbours(np.asarray(vector)[None], n)
        return self._hits(positions[0], cosines[0])

    def rank(
        self, query: str, n: int = 10, by: By | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Return the positions of what fits a query, best first, and the scores; see `search`."""
        by = self._way(by)
        _check_count(n)
        if not query.strip():
            raise OptionError("a query", "an empty one", "say what is looked for")
        if self.words is not None and by == "words":
            return self.words.search(query, n)
        if self.encode is not None and by == "meaning":
            positions, cosines = self.neighbours(self.encode([query]), n)
            return positions[0], cosines[0]
        depth = max(n, _DEPTH)
        rankings = [self.rank(query, depth, way)[0] for way in ("words", "meaning")]
        positions, scores = reciprocal_rank_fusion(rankings, _WEIGHTS)
        return positions[:n], scores[:n]

    def neighbours(self, vectors: NDArray[Any], n: int = 10, *, approximate: bool | None = None) -> Found:
        """Return the items nearest to some vectors by cosine.

        Args:
            vectors: [queries, d], of any length.
            n: How many at most, int. Defaults to 10.
            approximate: Whether to go along the graph. Defaults to None: where there is one.

        Returns:
            Positions, int64 [queries, n], nearest first, and cosines, float32 [queries, n].

        Raises:
            OptionError: The vectors are of another length, or there is no graph.
        """
        _check_count(n)
        width = self.vectors.shape[1]
        queries = np.asarray(vectors)
        if not width or queries.ndim != 2 or queries.shape[1] != width:
            fix = "encode the query with what encoded the items"
            raise OptionError(f"vectors of length {width}", f"the shape {queries.shape}", fix)
        queries = unit(_checked(queries))
        if approximate and self.graph is None:
            raise OptionError("an index with a graph", "one without", "build it with approximate=True")
        if self.graph is not None and approximate is not False:
            return self.graph.search(queries, n)
        return exact(self.vectors, queries, n)

    def save(self, folder: Path | str) -> Path:
        """Write the index as a folder, whole or not at all; an older index there is replaced.

        Args:
            folder: Where.

        Returns:
            The folder.

        Raises:
            ArtefactError: Something that is no index is in the way.
            StorageError: The disk is full or the place cannot be written.
        """
        from safetensors.numpy import save

        place = Path(folder)
        if place.exists() and not (place / _MAIN).is_file():
            raise ArtefactError("a free place, or an older index", str(place), "name another folder")
        with atomic_folder(place) as made:
            (made / _VECTORS).write_bytes(save({"vectors": self.vectors}))
            columns = {"names": self.names, "snippets": self.snippets, "labels": self.labels}
            write_text(made / _ITEMS, json.dumps(columns))  # ASCII: a file name may be no valid Unicode
            if self.words is not None:
                (made / _WORDS).write_bytes(save(self.words.tensors()))
                write_text(made / _VOCABULARY, json.dumps(self.words.to_json()))
            if self.graph is not None:
                self.graph.save(made / _GRAPH)
            files = {file.name: digest_file(file) for file in sorted(made.iterdir())}
            head = {"schema": SCHEMA, "items": len(self), "features": self.vectors.shape[1]}
            write_json(made / _MAIN, {**head, "encoder": dict(self.encoder), "files": files})
        return place

    @classmethod
    def load(cls, folder: Path | str, encode: Encode | None = None) -> SearchIndex:
        """Read an index that `save` wrote; the digest of every file is checked. Needs no torch.

        Args:
            folder: Where it is.
            encode: Turns queries into vectors as the encoder did. Defaults to None: only words, and `like`.

        Returns:
            The index.

        Raises:
            ArtefactError: There is no index, or it is damaged, changed or of an unknown schema.
        """
        place = Path(folder)
        head = _read_head(place)
        try:
            items = json.loads(_bytes(place, _ITEMS, head))
            vectors = _tensors(place, _VECTORS, head)["vectors"]
            words = None
            if _WORDS in head["files"]:
                told = json.loads(_bytes(place, _VOCABULARY, head))
                words = WordIndex.read(told, _tensors(place, _WORDS, head))
            found = cls(
                tuple(items["names"]),
                tuple(items["snippets"]),
                tuple(items["labels"]),
                vectors,
                words,
                _graph(place, head, vectors),
                dict(head["encoder"]),
                encode,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactError(f"an index in {place.name}", repr(error), _AGAIN) from error
        lengths = {len(found.snippets), len(found.labels), len(vectors), head["items"]}
        lengths |= {words.size} if words is not None else set()
        if vectors.ndim != 2 or lengths != {len(found)}:
            raise ArtefactError(f"{len(found)} items with all that belongs to them", "others", _AGAIN)
        return found

    def with_encode(self, encode: Encode | None) -> SearchIndex:
        """Return the index with what turns queries into vectors."""
        return replace(self, encode=encode)

    def _way(self, by: By | None) -> By:
        ways = self.ways
        if by is None and ways:
            return ways[0]
        if by is None or by not in ways:
            able = f"an index that can be searched by {by or 'a query'}"
            received = f"one for {', '.join(ways) or 'like(vector) only'}"
            raise OptionError(able, received, "search in another way, or build the index with texts")
        return by

    def _hits(self, positions: NDArray[np.int64], scores: NDArray[np.floating]) -> list[Hit]:
        return [
            Hit(self.names[place], float(score), self.snippets[place], self.labels[place])
            for place, score in zip(positions.tolist(), scores.tolist(), strict=True)
            if place >= 0
        ]


def _checked(vectors: NDArray[Any]) -> NDArray[np.float32]:
    found = np.asarray(vectors, np.float32)
    if found.ndim != 2 or not np.isfinite(found).all():
        received = f"the shape {found.shape}" if found.ndim != 2 else "NaN or infinity"
        raise OptionError("vectors of finite numbers, [items, d]", received, "check what encodes the items")
    return found


def _check_count(n: int) -> None:
    if n < 1:
        raise OptionError("n of at least 1", repr(n), "use 10")


def _snippet(text: str) -> str:
    """Return how a text begins, on one line."""
    line = " ".join(text[: 4 * _SNIPPET].split())
    return line if len(line) <= _SNIPPET else line[: _SNIPPET - 1].rstrip() + "…"


def _read_head(place: Path) -> dict[str, Any]:
    fix = "name the folder that `headstart index` wrote"
    try:
        head = json.loads((place / _MAIN).read_text(encoding="utf-8"))
        schema, files = head["schema"], head["files"]
    except OSError as error:
        raise ArtefactError("the folder of an index", f"{str(place)!r} ({error.strerror})", fix) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"an index in {place.name}", repr(error), _AGAIN) from error
    if schema != SCHEMA or not isinstance(files, dict):
        raise ArtefactError(f"an index of schema {SCHEMA}", f"schema {schema!r}", _AGAIN)
    found: dict[str, Any] = head
    return found


def _bytes(place: Path, name: str, head: Mapping[str, Any]) -> bytes:
    """Return a file of the index, as it was written."""
    _check_file(place, name, head)
    return (place / name).read_bytes()


def _check_file(place: Path, name: str, head: Mapping[str, Any]) -> None:
    try:
        found = digest_file(place / name)
    except OSError as error:
        raise ArtefactError(f"the file {name} of the index", str(error.strerror), _AGAIN) from error
    if found != head["files"].get(name):
        raise ArtefactError(f"{name} as it was written", "a changed or damaged file", _AGAIN)


def _tensors(place: Path, name: str, head: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(_bytes(place, name, head)))
    except SafetensorError as error:
        raise ArtefactError(f"tensors in {name}", str(error), _AGAIN) from error


def _graph(place: Path, head: Mapping[str, Any], vectors: Vectors) -> Graph | None:
    """Return the graph; None without one, and where faiss is missing: then all vectors are compared."""
    if _GRAPH not in head["files"] or find_spec("faiss") is None:
        return None
    _check_file(place, _GRAPH, head)
    return Graph.load(place / _GRAPH, vectors)
