"""The nearest vectors by cosine: all compared where they are few, along a graph where they are many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, require

Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.int64], NDArray[np.float32]]

EXACT_UP_TO = 100_000
"""So many vectors are all compared in less than a tenth of a second (benchmarks/retrieval.py)."""
_AT_ONCE = 1 << 26  # numbers in a block of similarities: 256 MiB
_LINKS, _BUILD_WIDTH, _SEARCH_WIDTH = 32, 80, 128


def unit(vectors: NDArray[Any]) -> Vectors:
    """Return vectors of length one, float32 [n, d]; one of length zero stays, it is near to nothing.

    Example:
        >>> unit(np.array([[3, 4], [0, 0]]))
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    wide = np.asarray(vectors, np.float32)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.ascontiguousarray(wide / np.where(length > 0, length, 1))


def exact(vectors: Vectors, queries: Vectors, n: int) -> Found:
    """Return the nearest vectors by comparing all.

    Args:
        vectors: Of unit length, float32 [items, d].
        queries: Of unit length, float32 [queries, d].
        n: How many, int.

    Returns:
        Positions, int64 [queries, min(n, items)], nearest first (of equal ones the first), and their cosines,
        float32.

    Example:
        >>> exact(np.eye(3, dtype=np.float32), np.array([[0, 1, 0]], np.float32), 1)
        (array([[1]]), array([[1.]], dtype=float32))
    """
    n = min(n, len(vectors))
    positions = np.zeros((len(queries), n), np.int64)
    cosines = np.zeros((len(queries), n), np.float32)
    rows = max(1, _AT_ONCE // max(1, len(vectors)))
    for start in range(0, len(queries), rows):
        similar = queries[start : start + rows] @ vectors.T
        for row, line in enumerate(similar, start):
            positions[row] = _best(line, n)
            cosines[row] = line[positions[row]]
    return positions, cosines


def _best(scores: Vectors, n: int) -> NDArray[np.int64]:
    """Return the positions of the n largest scores, of equal ones the first."""
    if 0 < n < len(scores):
        candidates = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
    else:
        candidates = np.arange(len(scores))
    order: NDArray[np.int64] = candidates[np.argsort(-scores[candidates], kind="stable")][:n]
    return order


class Graph:
    """A navigable graph over vectors (HNSW, by faiss): nearly all true neighbours in a fraction of the time.

    Args:
        index: The faiss index.

    References:
        Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
        Navigable Small World graphs", TPAMI 2020; Douze et al., "The Faiss library", 2024.

    Example:
        >>> graph = Graph.build(np.eye(8, dtype=np.float32))
        >>> graph.search(np.eye(8, dtype=np.float32)[:1], 1)[0]
        array([[0]])
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> Graph:
        """Link every vector with its neighbours.

        Args:
            vectors: Of unit length, float32 [items, d].

        Raises:
            MissingExtraError: faiss is not installed.
        """
        require(("faiss",), "train", "quick search among many vectors")
        import faiss

        index = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILD_WIDTH
        index.add(vectors)
        return cls(index)

    def search(self, queries: Vectors, n: int) -> Found:
        """Return about the nearest vectors; as `exact`, but a place that is not filled holds -1."""
        import faiss

        width = max(_SEARCH_WIDTH, 2 * n)
        settings = faiss.SearchParametersHNSW(efSearch=width)  # type: ignore[attr-defined]
        cosines, positions = self._index.search(queries, min(n, self._index.ntotal), params=settings)
        return positions.astype(np.int64), cosines

    def save(self, path: Path) -> None:
        """Write the links; the vectors are kept by the index that the graph belongs to."""
        import faiss

        faiss.write_index(self._index, str(path), faiss.IO_FLAG_SKIP_STORAGE)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path, vectors: Vectors) -> Graph:
        """Read the links between vectors.

        Args:
            path: What `save` wrote.
            vectors: Those that the graph was built on.

        Raises:
            ArtefactError: It cannot be read, or belongs to other vectors.
        """
        import faiss

        fix = "build the index again: headstart index"
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise ArtefactError(f"a graph in {path.name}", str(error).splitlines()[-1], fix) from error
        if not isinstance(index, faiss.IndexHNSWFlat) or (index.ntotal, index.d) != vectors.shape:
            raise ArtefactError(f"a graph over {vectors.shape} vectors", "another one", fix)
        storage = faiss.IndexFlatIP(vectors.shape[1])
        storage.add(vectors)
        index.storage, index.own_fields = storage, False
        found = cls(index)
        found._storage = storage  # faiss does not keep it alive
        return found

    _storage: Any = None
