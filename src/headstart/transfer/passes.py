"""Passes over a data set: read each item once, describe it, and compute the features that the store lacks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.audio.augment import LONGEST
from headstart.audio.augment import augment as augment_sound
from headstart.audio.augmentation import NONE, AudioAugmentation
from headstart.audio.decode import decode
from headstart.backbones.card import Card, Preprocess, Spec, Tokens, Waves
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item
from headstart.data.pipeline import Pipeline
from headstart.engines.choosing import Engine
from headstart.errors import DataError, DecodeError
from headstart.images.augmentation import Augmentation
from headstart.images.preprocess import Kernel, prepare_canvas
from headstart.modalities import modality
from headstart.progress import track
from headstart.text.passages import drawn
from headstart.transfer.features import Features
from headstart.transfer.shards import Kind, Writer
from headstart.transfer.store import FeatureStore

_REMEMBER_EVERY = 512


@dataclass(frozen=True)
class Output:
    """What a network is asked for, and how it is kept.

    Args:
        name: The engine's output, str, such as "features".
        width: Numbers in a row, int: the output is flattened.
        dtype: What they are stored as, "float32" or "float16". Defaults to "float32".
    """

    name: str
    width: int
    dtype: Kind = "float32"


@dataclass(frozen=True)
class View:
    """One view of each item: a distorted picture, a passage of a text, a patch of a sound, as chance has it.

    A picture or a patch is what `augment` makes of it with the key (seed, number, item), a passage what
    `drawn` chooses.
    The item's part of the key comes from its content, so a view stays what it is when items are added.

    Args:
        augmentation: How pictures or sounds are distorted; None for texts and undistorted patches.
        seed: Of the whole run, int.
        number: Which of the views it is, int.
    """

    augmentation: Augmentation | AudioAugmentation | None
    seed: int
    number: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        augmentation = None if self.augmentation is None else self.augmentation.to_json()
        return {"augmentation": augmentation, "seed": self.seed, "number": self.number}


@dataclass(frozen=True)
class Pass:
    """What a pass found out.

    Args:
        facts: One for each item of the data set, in its order.
        computed: How many rows' worth of items went through the network, int: an item counts once a view.
        spaces: The store's space that holds the rows of each view, str; none when no rows were asked for.
    """

    facts: list[Facts]
    computed: int
    spaces: tuple[str, ...]

    @property
    def space(self) -> str:
        """The space of the first view, which mostly is the only one."""
        return self.spaces[0]

    def read(self, store: FeatureStore) -> tuple[NDArray[np.float32], NDArray[np.int64], list[int]]:
        """Return the rows of all items, to which item each belongs, and the items without any."""
        return store.read(self.space, [facts.digest for facts in self.facts])

    def features(self, dataset: Dataset, store: FeatureStore) -> Features:
        """Return the features of all items, each a group of its own.

        Raises:
            DataError: An item has none, for it could not be read.
        """
        rows, item, missing = self.read(store)
        if missing:
            name = dataset.items[missing[0]].name
            raise DataError("items that can still be read", f"{name!r}, which cannot", "leave it out")
        return Features(rows, item, np.arange(len(dataset)))


@dataclass(frozen=True)
class _Key:
    """Of one network input: whose it is, for which space, and whether it is the item's last row there."""

    digest: str
    space: str
    last: bool


_Input = tuple[_Key, NDArray[Any]]


@dataclass(frozen=True)
class _Read:
    """What a worker hands back about one item."""

    position: int
    facts: Facts
    rows: dict[str, Sequence[NDArray[Any]]]
    """Network inputs, such as uint8 [rows, side, side, 3], by the space that lacks what becomes of them."""
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
    survey = _Survey(dataset, store, None, {})
    noun = modality(dataset.modality).noun
    with closing(survey.inputs(f"looking at {noun}", progress)) as inputs:
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
    output: Output | None = None,
    views: Sequence[View | None] = (None,),
    kernel: Kernel = "torch",
    progress: bool = True,
) -> Pass:
    """Make sure that the store holds what a network says about every readable item, in each view.

    An item is read and decoded once for all its views. Each view has a space of its own, so that views can
    be added later, and a batch of one view is read from one place.

    Args:
        dataset: The items.
        store: Holds the rows.
        card: The backbone's card; after `Backbone.cut` or `Backbone.at` that of what is left.
        key: What the numbers depend on beside the weights: the engine's name, version and precision.
        engine: Called only when something has to be computed.
        output: What is stored. Defaults to None, the pooled features.
        views: Which views of the items; None is the plain one. Defaults to the plain one alone.
        kernel: Which resize kernel prepares the inputs, "torch" or "pillow". Defaults to "torch".
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        What was found; read the rows with `result.read(store)`.
    """
    output = output or Output("features", card.features)
    spaces = {store.space(space_of(card, key, output, view)): view for view in views}
    survey = _Survey(dataset, store, card.preprocess, spaces, kernel)
    # Closed here, whatever happens: what was learned is then remembered while the store is still open.
    with closing(survey.inputs(f"{output.name} by {card.name}", progress)) as inputs:
        computed = _compute(inputs, store, output, engine)
    return Pass(survey.finish(), computed, tuple(spaces))


def _compute(
    inputs: Iterator[_Input], store: FeatureStore, output: Output, engine: Callable[[], Engine]
) -> int:
    """Run the network over the inputs, if there are any, and store the rows of each item."""
    first = next(inputs, None)
    if first is None:
        return 0
    computed = 0
    writers: dict[str, Writer] = {}
    with ExitStack() as stack:
        rows: list[NDArray[np.float32]] = []
        for key, outputs in engine().run(chain([first], inputs), (output.name,)):
            rows.append(outputs[output.name].ravel())
            if key.last:
                if key.space not in writers:
                    writer = store.writer(key.space, output.width, output.dtype)
                    writers[key.space] = stack.enter_context(writer)
                writers[key.space].put(key.digest, np.stack(rows))
                rows = []
                computed += 1
    store.evict()
    return computed


def space_of(
    card: Card, key: dict[str, str], output: Output | None = None, view: View | None = None
) -> dict[str, Any]:
    """Return everything that a stored row depends on beside the item's bytes.

    Args:
        card: As for `extract`.
        key: As for `extract`.
        output: Defaults to None, the pooled features.
        view: Defaults to None, the plain view.

    Returns:
        A JSON object, for `store.space`.
    """
    output = output or Output("features", card.features)
    return {
        "backbone": card.name,
        "weights": card.digest,
        "block": card.blocks[-1],
        "preprocess": card.preprocess.to_json(),
        "output": output.name,
        "dtype": output.dtype,
        "view": "plain" if view is None else view.to_json(),
        **key,
    }


class _Survey:
    """Reads the items of a data set that are not known yet, in threads, and keeps what it learns."""

    def __init__(
        self,
        dataset: Dataset,
        store: FeatureStore,
        spec: Spec | None,
        spaces: Mapping[str, View | None],
        kernel: Kernel = "pillow",
    ) -> None:
        self._dataset, self._store, self._spec, self._kernel = dataset, store, spec, kernel
        self._spaces = spaces
        self._have = {space: store.stored(space) for space in spaces}
        self._modality = modality(dataset.modality)
        self._kind = f"{self._modality.name}-{self._modality.version}"
        self._facts: dict[int, Facts] = {}
        self._remembered: dict[str, Facts] = {}
        self._new: list[_Read] = []

    def inputs(self, label: str, progress: bool) -> Generator[_Input]:
        """Yield what has to be computed; reads everything that is not known yet."""
        todo = self._recall()
        started: set[str] = set()
        with closing(iter(Pipeline(todo).map(self._read))) as reads:
            try:
                for read in track(reads, label, total=len(todo), enabled=progress):
                    self._facts[read.position] = read.facts
                    self._new.append(read)
                    if len(self._new) >= _REMEMBER_EVERY:
                        self._remember()
                    if read.rows and read.facts.digest not in started:
                        started.add(read.facts.digest)
                        for space, rows in read.rows.items():
                            for number, row in enumerate(rows):
                                yield _Key(read.facts.digest, space, number == len(rows) - 1), row
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
        self._remembered = {digest: Facts.from_json(value) for digest, value in remembered.items()}
        for position, digest in known.items():
            facts = self._remembered.get(digest)
            if facts is not None and (facts.error is not None or not self._lacking(digest)):
                self._facts[position] = facts
        return [(n, item) for n, item in enumerate(self._dataset) if n not in self._facts]

    def _read(self, entry: tuple[int, Item]) -> _Read:
        position, item = entry
        state = _state(item)
        try:
            content = self._modality.read(item.source)
        except DecodeError as error:
            return _Read(position, Facts("", None, (), "unknown", error.received), {}, None)
        digest = self._modality.digest(content)
        facts, rows = self._prepare(content, digest)
        return _Read(position, facts, rows, (*state, digest) if state else None)

    def _lacking(self, digest: str) -> list[str]:
        """Return the spaces that have no rows of an item yet."""
        return [space for space, have in self._have.items() if digest not in have]

    def _prepare(
        self, content: bytes | NDArray[np.uint8], digest: str
    ) -> tuple[Facts, dict[str, Sequence[NDArray[Any]]]]:
        """Describe an item, and make the network's inputs for the views that lack it."""
        lacking = self._lacking(digest)
        plain = [space for space in lacking if self._spaces[space] is None]
        views = {space: view for space in lacking if (view := self._spaces[space]) is not None}
        facts, rows = self._remembered.get(digest), None
        if facts is None or plain:
            facts, rows = self._modality.examine(content, digest, self._spec if plain else None, self._kernel)
        found = {space: rows for space in plain if rows is not None}
        if not views or facts.error is not None:
            return facts, found
        # Decoded again only when the item was not known, or is wanted in its plain view, too.
        if isinstance(self._spec, Preprocess):
            found |= _distorted(prepare_canvas(content, self._spec)[None], views, digest, self._spec.size)
        elif isinstance(self._spec, Tokens):
            passages = self._modality.inputs(content, self._spec)
            found |= {s: [drawn(passages, view.seed, view.number)] for s, view in views.items()}
        elif isinstance(self._spec, Waves):
            found |= _patches(content, views, digest, self._spec)
        return facts, found

    def _remember(self) -> None:
        self._store.remember_files(read.file for read in self._new if read.file is not None)
        facts = {read.facts.digest: read.facts.to_json() for read in self._new if read.facts.digest}
        self._store.remember_facts(self._kind, facts)
        self._new = []


def _distorted(
    canvases: NDArray[np.uint8], views: Mapping[str, View], digest: str, size: int
) -> dict[str, Sequence[NDArray[Any]]]:
    """Return the views of an item's rows, uint8 [rows, size, size, 3] for each space."""
    import torch

    from headstart.images.augment import augment

    item = _number(digest)
    pixels = torch.from_numpy(canvases)
    found: dict[str, Sequence[NDArray[Any]]] = {}
    for space, view in views.items():
        keys = [(view.seed, view.number, item)] * len(pixels)
        how = view.augmentation if isinstance(view.augmentation, Augmentation) else Augmentation()
        found[space] = list(augment(pixels, how, keys, size).numpy())
    return found


def _patches(
    content: bytes | NDArray[np.uint8], views: Mapping[str, View], digest: str, spec: Waves
) -> dict[str, Sequence[NDArray[Any]]]:
    """Return the patch of a sound that each view shows, float32 [size, bands] for each space."""
    wave = decode(content, spec.rate, LONGEST).wave
    found: dict[str, Sequence[NDArray[Any]]] = {}
    for space, view in views.items():
        how = view.augmentation if isinstance(view.augmentation, AudioAugmentation) else NONE
        found[space] = [augment_sound(wave, spec, how, (view.seed, view.number, _number(digest)))]
    return found


def _number(digest: str) -> int:
    """Return an item's part of the key of its views."""
    return int(digest[:15], 16)  # 60 bits: what fits a signed 64-bit integer


def _state(item: Item) -> tuple[Path, int, int] | None:
    if not isinstance(item.source, Path):
        return None
    try:
        state = item.source.stat()
    except OSError:
        return None
    return item.source, state.st_size, state.st_mtime_ns
