"""Semantic hashing: vectors become 64-bit codes, and near codes differ in few bits. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError
from headstart.files import atomic_folder, digest_file, write_json
from headstart.retrieval.neighbours import unit

BITS = 64
Codes = NDArray[np.uint64]

_SCHEMA = 1
_MAIN, _TENSORS = "hasher.json", "hasher.safetensors"
_AGAIN = "fit the hasher again"
_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False)
class SemanticHasher:
    """Turns vectors into codes of 64 bits: a small network, a sign for each bit.

    `headstart.retrieval.hash_training.fit_hasher` makes one.

    Args:
        layers: (weight [d_in, d_out], bias [d_out]) of each layer, float32, with ReLU between them; the last
            gives 64 numbers, of which the positive ones become ones.
        settings: How it was made, a JSON object. Defaults to {}.

    Example:
        >>> hasher = SemanticHasher(((np.eye(64, dtype=np.float32), np.zeros(64, np.float32)),))
        >>> hasher.codes(np.eye(64)[:2])
        array([1, 2], dtype=uint64)
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        widths = [(weight.shape, bias.shape) for weight, bias in self.layers]
        joined = all(
            weight == (below, *bias)
            for (weight, bias), below in zip(
                widths, [widths[0][0][0], *(bias[0] for _, bias in widths)], strict=False
            )
        )
        if not joined or widths[-1][1] != (BITS,):
            raise ArtefactError(f"layers that end in {BITS} bits", repr(widths), _AGAIN)

    @property
    def width(self) -> int:
        """Length of the vectors that it reads."""
        return int(self.layers[0][0].shape[0])

    def codes(self, vectors: NDArray[Any]) -> Codes:
        """Return the codes of some vectors.

        Args:
            vectors: [n, d], of any length: what counts is their direction.

        Returns:
            uint64 [n]; the first bit is the lowest.

        Raises:
            OptionError: The vectors have another number of columns.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            fix = "encode with what the hasher was fitted on"
            raise OptionError(f"vectors [n, {self.width}]", f"the shape {vectors.shape}", fix)
        values = unit(vectors)
        for weight, bias in self.layers[:-1]:
            values = np.maximum(values @ weight + bias, 0)
        weight, bias = self.layers[-1]
        return pack(values @ weight + bias > 0)

    def save(self, folder: Path | str) -> Path:
        """Write it as a folder, whole or not at all; an older one there is replaced.

        Raises:
            ArtefactError: Something else is in the way.
            StorageError: The place cannot be written.
        """
        from safetensors.numpy import save

        place = Path(folder)
        if place.exists() and not (place / _MAIN).is_file():
            raise ArtefactError("a free place, or an older hasher", str(place), "name another folder")
        tensors = {}
        for number, (weight, bias) in enumerate(self.layers):
            tensors[f"{number}.weight"], tensors[f"{number}.bias"] = weight, bias
        with atomic_folder(place) as made:
            whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
            (made / _TENSORS).write_bytes(save(whole))
            head = {"schema": _SCHEMA, "layers": len(self.layers), "settings": dict(self.settings)}
            write_json(made / _MAIN, {**head, "digest": digest_file(made / _TENSORS)})
        return place

    @classmethod
    def load(cls, folder: Path | str) -> SemanticHasher:
        """Read what `save` wrote; its digest is checked.

        Raises:
            ArtefactError: There is none, or it is damaged, changed or of an unknown schema.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        place = Path(folder)
        try:
            head = json.loads((place / _MAIN).read_text(encoding="utf-8"))
            if head["schema"] != _SCHEMA or head["digest"] != digest_file(place / _TENSORS):
                raise ArtefactError(f"a hasher of schema {_SCHEMA} as it was written", "another", _AGAIN)
            found = load((place / _TENSORS).read_bytes())
            layers = tuple((found[f"{n}.weight"], found[f"{n}.bias"]) for n in range(head["layers"]))
            return cls(layers, head["settings"])
        except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            raise ArtefactError("the folder of a hasher", f"{place.name}: {error!r}", _AGAIN) from error


def pack(bits: NDArray[np.bool_]) -> Codes:
    """Return 64 bits a row as one number each.

    Args:
        bits: bool [n, 64].

    Returns:
        uint64 [n]; the first bit is the lowest.

    Example:
        >>> pack(np.arange(64)[None] == 3)
        array([8], dtype=uint64)
    """
    octets = np.packbits(bits, axis=1, bitorder="little")
    return np.ascontiguousarray(octets).view("<u8")[:, 0].astype(np.uint64)


def hamming(codes: Codes, queries: Codes) -> NDArray[np.uint8]:
    """Return in how many bits codes differ.

    Args:
        codes: uint64 [items].
        queries: uint64 [queries].

    Returns:
        uint8 [queries, items].

    Example:
        >>> hamming(np.array([1, 7], np.uint64), np.array([0], np.uint64))
        array([[1, 3]], dtype=uint8)
    """
    differ: NDArray[np.uint8] = np.bitwise_count(queries[:, None] ^ codes[None])
    return differ


def nearest_codes(codes: Codes, queries: Codes, n: int = 10) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the codes that differ least from some queries.

    Args:
        codes: uint64 [items].
        queries: uint64 [queries].
        n: How many, int. Defaults to 10.

    Returns:
        Positions, int64 [queries, min(n, items)], nearest first (of equal ones the first), and in how many
        bits they differ, uint8.

    Raises:
        OptionError: n is less than 1.

    References:
        Salakhutdinov and Hinton, "Semantic hashing", International Journal of Approximate Reasoning 2009.

    Example:
        >>> nearest_codes(np.array([7, 1, 0], np.uint64), np.array([1], np.uint64), 2)[0]
        array([[1, 2]])
    """
    if n < 1:
        raise OptionError("n of at least 1", repr(n), "use 10")
    n = min(n, len(codes))
    positions = np.zeros((len(queries), n), np.int64)
    distances = np.zeros((len(queries), n), np.uint8)
    rows = max(1, _AT_ONCE // max(1, len(codes)))
    for start in range(0, len(queries), rows):
        block = hamming(codes, queries[start : start + rows])
        # Sorting 65 small numbers is counting, so a whole stable sort is fast.
        order = np.argsort(block, axis=1, kind="stable")[:, :n]
        positions[start : start + rows] = order
        distances[start : start + rows] = np.take_along_axis(block, order, 1)
    return positions, distances
