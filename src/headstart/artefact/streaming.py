"""Items on their way through the networks of a model: read once, seen by every member, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import AnyEngine, Member
from headstart.artefact.schema import FrontEnd
from headstart.data.items import Source
from headstart.data.pipeline import Pipeline
from headstart.errors import DecodeError, OptionError
from headstart.modalities import modality

Rows = NDArray[np.float32]


@dataclass(eq=False)
class Asked:
    """An item that is asked about.

    Args:
        name: The path, or "input 3" for the third when it has no name, str.
        inputs: What networks see: rows, such as uint8 [h, w, 3], for each front end; empty where it cannot be
            read.
        error: Why it cannot be read. Defaults to None.
        features: What networks made of it, float32 [rows, d] by the network's file.
    """

    name: str
    inputs: dict[FrontEnd, Sequence[NDArray[Any]]]
    error: DecodeError | None = None
    features: dict[Path, Rows] = field(default_factory=dict)


def ask(
    sources: Iterable[Source],
    members: Sequence[Member],
    kind: str,
    engine: Callable[[Member], AnyEngine],
    *,
    tta: bool = False,
) -> Iterator[Asked]:
    """Yield every item with its features by every member, or with why it has none, in order.

    Items are read on threads, a few ahead of the networks, once for each distinct front end; networks that
    several members share run once.

    Args:
        sources: Paths, encoded bytes, or arrays uint8 [h, w, 3].
        members: Those whose features are wanted.
        kind: The modality, str.
        engine: What runs a member's network.
        tta: Whether networks see each picture and its mirror image: two rows, whose answers are averaged.
            Defaults to False.

    Yields:
        The items.

    Raises:
        OptionError: A single item instead of many, or `tta` where items are no pictures.
    """
    _check_many(sources)
    if tta and kind != "image":
        raise OptionError("pictures, to mirror them", f"a model for {kind}", "leave tta out")
    fronts = list(dict.fromkeys(member.front_end for member in members))
    items: Iterator[Asked] = iter(
        Pipeline(lambda: enumerate(sources, 1)).map(lambda pair: prepare(pair, fronts, kind, tta=tta))
    )
    yield from see(items, members, engine)


def see(
    items: Iterator[Asked], members: Sequence[Member], engine: Callable[[Member], AnyEngine]
) -> Iterator[Asked]:
    """Yield prepared items with their features by every member, in order; see `ask`."""
    for member in {member.network: member for member in members}.values():
        items = _seen_by(member, engine, items)
    return items


def _seen_by(
    member: Member, engine: Callable[[Member], AnyEngine], items: Iterator[Asked]
) -> Iterator[Asked]:
    """Add a member's features; items that cannot be read wait for the answers to the ones before them."""
    waiting: deque[Asked] = deque()

    def inputs() -> Iterator[tuple[bool, NDArray[Any]]]:
        for item in items:
            waiting.append(item)
            if item.error is None:
                rows = item.inputs[member.front_end]
                yield from ((number == len(rows) - 1, row) for number, row in enumerate(rows))

    rows: list[Rows] = []
    for last, outputs in engine(member).run(inputs(), ("features",)):
        while waiting[0].error is not None:
            yield waiting.popleft()
        rows.append(outputs["features"])
        if last:
            item = waiting.popleft()
            item.features[member.network] = np.stack(rows)
            rows = []
            yield item
    yield from waiting


def prepare(
    numbered: tuple[int, Source], fronts: Iterable[FrontEnd], kind: str, *, tta: bool = False
) -> Asked:
    """Read an item and make the inputs that some front ends ask for; an error is kept, not raised.

    Args:
        numbered: Its position, from 1 on, and the item.
        fronts: The front ends.
        kind: The modality, str.
        tta: Whether to add each picture's mirror image. Defaults to False.
    """
    number, source = numbered
    # A str is a path, except where it is the text itself.
    named = isinstance(source, Path) or (isinstance(source, str) and kind != "text")
    name = str(source) if named else f"input {number}"
    try:
        _check_source(source)
        reader = modality(kind)
        inputs = {front: reader.inputs(source, front.preprocess, front.kernel) for front in fronts}
        if tta:
            inputs = {front: [*rows, *(row[:, ::-1] for row in rows)] for front, rows in inputs.items()}
        return Asked(name, inputs)
    except DecodeError as error:
        return Asked(name, {}, error)


def _check_source(source: object) -> None:
    if not isinstance(source, str | Path | bytes | np.ndarray):
        kind = type(source).__name__
        raise DecodeError("a path, encoded bytes, an array or a text", kind, "convert it to one of them")


def _check_many(sources: Iterable[Source]) -> None:
    """Refuse a single item: iterating over a path or over an array's lines would give nonsense."""
    single = isinstance(sources, str | bytes | Path)
    if single or (isinstance(sources, np.ndarray) and sources.ndim != 4):
        what = f"an array {list(sources.shape)}" if isinstance(sources, np.ndarray) else repr(sources)[:60]
        raise OptionError("a list of items", f"a single one, {what}", "put it in brackets: predict([item])")
