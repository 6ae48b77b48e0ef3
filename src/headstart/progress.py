"""One progress bar for everything that takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

Say = Callable[[str], None]
"""Where a long computation tells people what it is doing: a function of one line of text."""


def quiet(_line: str) -> None:
    """A `Say` that says nothing: the default of every library function."""


def tell(line: str) -> None:
    """A `Say` for people: on standard error, so that standard output is left to results."""
    sys.stderr.write(line + "\n")


def track(items: Iterable[T], label: str, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield the items, drawing a progress bar on standard error once a second has passed.

    Nothing is drawn when standard error is not a terminal: logs and pipes stay clean.

    Args:
        items: What is worked through.
        label: What is being done, str, a few words.
        total: Number of items, int. Defaults to len(items) where that is known.
        enabled: Whether to draw at all. Defaults to True.

    Yields:
        The items, unchanged and in order.

    Example:
        >>> list(track([1, 2], "counting"))
        [1, 2]
    """
    if not (enabled and sys.stderr.isatty()):
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = total if total is not None else len(items) if isinstance(items, Sized) else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=count)
    started = time.monotonic()
    shown = False
    try:
        for item in items:
            yield item
            bar.advance(task)
            if not shown and time.monotonic() - started > 1.0:
                bar.start()
                shown = True
    finally:
        if shown:
            bar.stop()
