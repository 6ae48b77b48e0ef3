"""From files to a page of why a model answers about them as it does; of sounds also what is heard when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.artefact.loading import load
from headstart.artefact.timeline import timeline
from headstart.audio.decode import read_bytes
from headstart.audio.timeline import Timeline
from headstart.audio.timeline_picture import draw
from headstart.errors import DecodeError
from headstart.explain.base import Explanation
from headstart.explain.explaining import explain
from headstart.files import write_json, write_text
from headstart.images.saving import save_picture
from headstart.pages import Markup, Page, fragment, paragraph, table

if TYPE_CHECKING:
    from headstart.studio.commands import Progress

_LISTED = 20
"""Segments of a sound that are listed on the page; the JSON file has all."""


@dataclass(frozen=True, eq=False)
class Explained:
    """A file, explained.

    Args:
        why: What counts for the answer.
        heard: Of a sound what is heard when. Defaults to None.
    """

    why: Explanation
    heard: Timeline | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        segments = {} if self.heard is None else {"segments": self.heard.to_json()["segments"]}
        return {**self.why.to_json(), **segments}


def explain_files(
    model: Path, files: Sequence[Path], out: Path, progress: Progress, *, method: str = "auto"
) -> None:
    """Explain a model's answers to some files, as pictures, a page and JSON.

    Args:
        model: A saved model.
        files: Pictures, texts or sounds.
        out: The folder for explain.html, explain.json and 01.png, 02.png …
        progress: Told how far it is.
        method: As for `explain`. Defaults to "auto".

    Raises:
        DecodeError: Not a single file can be read.
        OptionError: There is no such method for the model.
        ArtefactError, BackboneError, MissingExtraError: The method needs the network in torch, which cannot
            be had.
    """
    progress(0.0, "opening the model")
    asked = load(model)
    found: list[Explained] = []
    unread: list[dict[str, str]] = []
    for number, file in enumerate(files):
        progress(number / len(files), f"asking about {file.name}")
        try:
            why = explain(asked, file, method=method, name=file.name)
            hears = asked.modality == "audio" and asked.target != "number"
            found.append(Explained(why, timeline(asked, file) if hears else None))
        except DecodeError as error:
            unread.append({"input": file.name, "error": str(error)})
            continue
        if why.picture_ending != ".html":
            save_picture(out / f"{number + 1:02d}.png", why.shown())
            save_picture(out / "preview.jpg", why.shown())
        if (heard := found[-1].heard) is not None:
            draw(read_bytes(file), heard).save(out / f"{number + 1:02d}-heard.png")
    (out / "preview.jpg").unlink(missing_ok=True)
    if not found:
        raise DecodeError("items that can be read", unread[0]["error"], "send others")
    write_text(out / "explain.html", _page(found, unread))
    write_json(out / "explain.json", [*(each.to_json() for each in found), *unread])


def _page(found: Sequence[Explained], unread: Sequence[dict[str, str]]) -> str:
    page = Page("Why", lead="What the answers come from.")
    for each in found:
        heard = [] if each.heard is None else [_heard(each.heard)]
        page.section(f"{each.why.name}: {each.why.headline}", each.why.markup(), *heard)
    if unread:
        lines = (fragment("<li>{}: {}</li>", each["input"], each["error"]) for each in unread)
        page.section("Cannot be read", fragment("<ul>{}</ul>", Markup("").join(lines)))
    return page.html()


def _heard(heard: Timeline) -> Markup:
    """Return what is heard when as a table."""
    if not heard.segments:
        return paragraph("At no moment is anything sure enough to be named.", quiet=True)
    rows = [
        (f"{each.start:.1f} s", f"{each.end:.1f} s", each.label, f"{each.confidence:.1%}")
        for each in heard.segments[:_LISTED]
    ]
    return table(["From", "To", "What is heard", "Confidence"], rows, "What is heard when")
