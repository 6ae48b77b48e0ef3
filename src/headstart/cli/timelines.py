"""`headstart predict --timeline`: what is heard from when to when."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.artefact import Model
    from headstart.audio.timeline import Timeline
    from headstart.data.items import Item, Problem
    from headstart.errors import OptionError


def run(model: Model, questions: Iterable[Item | Problem], folder: Path | None, json: bool) -> int:
    """Listen to each recording; print what is heard, or write it into a folder.

    Args:
        model: The model that is asked.
        questions: The recordings.
        folder: Where files are written. None to print alone.
        json: Whether to print a JSON object for each recording instead of a table.

    Returns:
        The exit code: 1 if some could not be read, 2 if none could.
    """
    from headstart.artefact.timeline import timeline
    from headstart.data.items import Item
    from headstart.errors import DecodeError

    done = failed = 0
    taken: set[str] = set()
    for question in questions:
        done += 1
        try:
            if not isinstance(question, Item):
                raise DecodeError("a recording", question.reason, "check the file")
            found = timeline(model, question.source)
            if folder is not None:
                _write(found, question, folder, taken)
        except DecodeError as error:
            failed += 1
            if json:
                common.show_json({"input": question.name, "error": str(error)})
            common.tell(f"error: {question.name}: {error}")
            continue
        if json:
            common.show_json(found.to_json())
        else:
            _show(found)
    return 2 if failed == done else 1 if failed else 0


def no_other_options() -> OptionError:
    """Return the error for options that timelines know nothing of."""
    from headstart.errors import OptionError

    return OptionError("--timeline alone", "also --tta or --novelty", "leave them out")


def _show(timeline: Timeline) -> None:
    """Print a line for each segment."""
    common.show(f"{timeline.name}\t{clock(timeline.seconds)}\t{len(timeline.segments)} segments")
    for each in timeline.segments:
        common.show(f"{clock(each.start)}\t{clock(each.end)}\t{each.label}\t{each.confidence:.3f}")


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss.s.

    Example:
        >>> clock(3725.04), clock(59.96)
        ('1:02:05.0', '0:01:00.0')
    """
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _write(timeline: Timeline, question: Item, folder: Path, taken: set[str]) -> None:
    """Write a recording's files; recordings of one name in several folders get numbers."""
    from headstart.audio.decode import read_bytes
    from headstart.audio.timeline_picture import draw
    from headstart.files import atomic_file

    name = stem = Path(os.fspath(question.name)).stem
    number = 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    paths = timeline.save(folder, name)
    picture = folder / f"{name}.png"
    with atomic_file(picture) as temporary:
        draw(read_bytes(question.source), timeline).save(temporary, "PNG")
    common.tell(f"wrote {', '.join(str(path) for path in (*paths, picture))}")
