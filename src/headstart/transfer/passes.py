"""Passes over a data set: read each item once, describe it, and compute the features that the store lacks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Card, Preprocess
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item
from headstart.data.pipeline import Pipeline
from headstart.engines.choosing import Engine
from headstart.errors import DecodeError
from headstart.images.preprocess import Kernel
from headstart.modalities import modality
from headstart.progress import track
from headstart.transfer.store import FeatureStore

_REMEMBER_EVERY = 512
_Input = tuple[tuple[str, bool], NDArray[np.uint8]]
"""(digest, whether it is the item's last row), network input."""


@dataclass(frozen=True)
class Pass:
    """What a pass found out.

    Args:
        facts: One for each item of the data set, in its order.
        computed: How many items went through the network, int.
        space: The store's space that holds the rows, str; "" when no features were asked for.
    """

    facts: list[Facts]
    computed: int
    space: str


@dataclass(frozen=True)
class _Read:
    """What a worker hands back about one item."""

    position: int
    facts: Facts
    rows: NDArray[np.uint8] | None
    file: tuple[Path, int, int, str] | None


def examine(dataset: Dataset, store: FeatureStore, *, progress: bool = True) -> list[Facts]:
    """Describe every item: digest, fingerprint, size, kind, or why it cannot be read.

    What the store remembers about unchanged files is not read again.

    Args:
        dataset: The items.
        store: Remembers facts between runs.
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        One Facts for each item, in order.
    """
    survey = _Survey(dataset, store, None, frozenset())
    with closing(survey.inputs("looking at pictures", progress)) as inputs:
        for _ in inputs:
            pass
    return survey.finish()


def extract(
    dataset: Dataset,
    store: FeatureStore,
    card: Card,
    key: dict[str, str],
    engine: Callable[[], Engine],
    *,
    kernel: Kernel = "torch",
    progress: bool = True,
) -> Pass:
    """Make sure that the store holds the features of every readable item.

    Args:
        dataset: The items.
        store: Holds the rows.
        card: The backbone's card.
        key: What the numbers depend on beside the weights: the engine's name, version and precision.
        engine: Called only when something has to be computed.
        kernel: Which resize kernel prepares the inputs, "torch" or "pillow". Defaults to "torch".
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        What was found; read the rows with `store.read(result.space, digests)`.
    """
    space = store.space(space_of(card, key))
    survey = _Survey(dataset, store, card.preprocess, frozenset(store.stored(space)), kernel)
    # Closed here, whatever happens: what was learned is then remembered while the store is still open.
    with closing(survey.inputs(f"features by {card.name}", progress)) as inputs:
        computed = _compute(inputs, store, space, card.features, engine)
    return Pass(survey.finish(), computed, space)


def _compute(
    inputs: Iterator[_Input], store: FeatureStore, space: str, width: int, engine: Callable[[], Engine]
) -> int:
    """Run the network over the inputs, if there are any, and store the rows of each item."""
    first = next(inputs, None)
    if first is None:
        return 0
    computed = 0
    with store.writer(space, width) as writer:
        rows: list[NDArray[np.float32]] = []
        for (digest, last), outputs in engine().run(chain([first], inputs), ("features",)):
            rows.append(outputs["features"])
            if last:
                writer.put(digest, np.stack(rows))
                rows = []
                computed += 1
    store.evict()
    return computed


def space_of(card: Card, key: dict[str, str]) -> dict[str, Any]:
    """Return everything that a pooled feature row depends on beside the item's bytes."""
    return {
        "backbone": card.name,
        "weights": card.digest,
        "preprocess": card.preprocess.to_json(),
        "output": "features",
        "view": "plain",
        **key,
    }


class _Survey:
    """Reads the items of a data set that are not known yet, in threads, and keeps what it learns."""

    def __init__(
        self,
        dataset: Dataset,
        store: FeatureStore,
        spec: Preprocess | None,
        have: frozenset[str],
        kernel: Kernel = "pillow",
    ) -> None:
        self._dataset, self._store, self._spec, self._have, self._kernel = dataset, store, spec, have, kernel
        self._modality = modality(dataset.modality)
        self._kind = f"{self._modality.name}-{self._modality.version}"
        self._facts: dict[int, Facts] = {}
        self._new: list[_Read] = []

    def inputs(self, label: str, progress: bool) -> Generator[_Input]:
        """Yield what has to be computed; reads everything that is not known yet."""
        todo = self._recall()
        started = set(self._have)
        with closing(iter(Pipeline(todo).map(self._read))) as reads:
            try:
                for read in track(reads, label, total=len(todo), enabled=progress):
                    self._facts[read.position] = read.facts
                    self._new.append(read)
                    if len(self._new) >= _REMEMBER_EVERY:
                        self._remember()
                    if read.rows is not None and read.facts.digest not in started:
                        started.add(read.facts.digest)
                        for number, row in enumerate(read.rows):
                            yield (read.facts.digest, number == len(read.rows) - 1), row
            finally:
                self._remember()

    def finish(self) -> list[Facts]:
        """Return the facts of all items, in order."""
        return [self._facts[position] for position in range(len(self._dataset))]

    def _recall(self) -> list[tuple[int, Item]]:
        """Fill in what the store knows about unchanged files; return the rest."""
        files = [(n, item) for n, item in enumerate(self._dataset) if isinstance(item.source, Path)]
        digests = self._store.known_digests(
            [item.source for _, item in files if isinstance(item.source, Path)]
        )
        known = {n: digest for (n, _), digest in zip(files, digests, strict=True) if digest is not None}
        remembered = self._store.facts(self._kind, known.values())
        for position, digest in known.items():
            if digest in remembered:
                facts = Facts.from_json(remembered[digest])
                if self._spec is None or facts.error is not None or digest in self._have:
                    self._facts[position] = facts
        return [(n, item) for n, item in enumerate(self._dataset) if n not in self._facts]

    def _read(self, entry: tuple[int, Item]) -> _Read:
        position, item = entry
        state = _state(item)
        try:
            content = self._modality.read(item.source)
        except DecodeError as error:
            return _Read(position, Facts("", None, (), "unknown", error.received), None, None)
        digest = self._modality.digest(content)
        spec = None if digest in self._have else self._spec
        facts, rows = self._modality.examine(content, digest, spec, self._kernel)
        return _Read(position, facts, rows, (*state, digest) if state else None)

    def _remember(self) -> None:
        self._store.remember_files(read.file for read in self._new if read.file is not None)
        facts = {read.facts.digest: read.facts.to_json() for read in self._new if read.facts.digest}
        self._store.remember_facts(self._kind, facts)
        self._new = []


def _state(item: Item) -> tuple[Path, int, int] | None:
    if not isinstance(item.source, Path):
        return None
    try:
        state = item.source.stat()
    except OSError:
        return None
    return item.source, state.st_size, state.st_mtime_ns
