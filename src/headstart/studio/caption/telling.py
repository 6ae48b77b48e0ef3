"""From photographs to a page of what they show, a sentence and a picture of its words each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.data.items import Problem
from headstart.errors import DecodeError
from headstart.files import write_json, write_text
from headstart.images.decode import decode_file
from headstart.images.saving import jpeg, save_picture
from headstart.pages import Markup, Page, fragment, paragraph, sheet
from headstart.studio.caption.captioner import Captioner
from headstart.studio.caption.strip import strip, word_by_word

if TYPE_CHECKING:
    from headstart.studio.commands import Progress


def caption_files(
    captioner: Path, photos: Sequence[Path], out: Path, progress: Progress, *, how: str = "beam"
) -> None:
    """Say what photographs show, as a page, pictures and JSON.

    Args:
        captioner: What `headstart caption-train` left, a folder.
        photos: The photographs.
        out: The folder for captions.html, captions.json and 01.jpg, 02.jpg …
        progress: Told how far it is.
        how: "beam", "greedy" or "sample". Defaults to "beam".

    Raises:
        DecodeError: Not a single photograph can be read.
        ArtefactError: The folder holds no captioner, or it is damaged.
        BackboneError: The network that looks cannot be had.
    """
    progress(0.0, "opening the captioner")
    said = Captioner.open(captioner).caption(photos, how=how)
    page = Page(
        "What photographs show", lead="A sentence each, and where the captioner looked for its words."
    )
    found: list[dict[str, object]] = []
    unread: list[dict[str, object]] = []
    for number, (photo, caption) in enumerate(zip(photos, said, strict=True)):
        progress(number / len(photos), f"looking at {photo.name}")
        if isinstance(caption, Problem):
            unread.append({"input": photo.name, "error": caption.reason})
            continue
        picture = decode_file(photo)
        save_picture(out / f"{number + 1:02d}.jpg", strip(picture, caption))
        alt = f"{photo.name}, and where the captioner looked for each word"
        drawn = sheet(jpeg(word_by_word(picture, caption)), alt)
        page.section(caption.text, paragraph(photo.name, quiet=True), drawn)
        found.append({**caption.to_json(), "input": photo.name})
    if not found:
        raise DecodeError("photographs that can be read", f"{unread[0]['error']}", "send others")
    if unread:
        lines = (fragment("<li>{}: {}</li>", each["input"], each["error"]) for each in unread)
        page.section("Cannot be read", fragment("<ul>{}</ul>", Markup("").join(lines)))
    write_text(out / "captions.html", page.html())
    write_json(out / "captions.json", [*found, *unread])
