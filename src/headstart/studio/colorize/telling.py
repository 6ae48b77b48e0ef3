"""From grey photographs to a page of what they look like in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from headstart.errors import DecodeError, OptionError
from headstart.files import write_json, write_text
from headstart.images.decode import decode
from headstart.images.saving import jpeg, save_picture
from headstart.pages import Markup, Page, fragment
from headstart.pages import sheet as shown
from headstart.studio.colorize.colorizer import How, open_colorizer
from headstart.studio.colorize.colouring import Colouring
from headstart.studio.colorize.hints import Hint
from headstart.studio.colorize.sheet import sheet

if TYPE_CHECKING:
    from headstart.studio.commands import Progress


def colour_photos(
    colorizer: Path,
    photos: Sequence[Path],
    out: Path,
    progress: Progress,
    *,
    hints: Sequence[Hint] = (),
    how: How = "annealed",
) -> None:
    """Give photographs colours, as pictures, a sheet of them side by side, a page and JSON.

    Args:
        colorizer: What `headstart colorize-train` left, a folder.
        photos: The photographs.
        out: The folder for coloured.jpg (of several coloured-01-NAME.jpg …), sheet.jpg, colours.html and
            colorize.json.
        progress: Told how far it is.
        hints: Colours that are known of a single photograph. Defaults to none.
        how: "annealed" or "expected", see `Colorizer.colorize`. Defaults to "annealed".

    Raises:
        DecodeError: Not a single photograph can be read.
        OptionError: Hints for several photographs.
        ArtefactError: The folder holds no colorizer, or it is damaged.
    """
    if hints and len(photos) > 1:
        raise OptionError("one photograph for hints", f"{len(photos)}", "send one at a time")
    progress(0.0, "opening the colorizer")
    colouring = Colouring(open_colorizer(colorizer), hints, how)
    unread: dict[str, str] = {}
    for number, photo in enumerate(photos):
        progress(number / len(photos), f"colouring {photo.name}")
        # Two photographs may have one name.
        name = "coloured.jpg" if len(photos) == 1 else f"coloured-{number + 1:02d}-{photo.stem}.jpg"
        try:
            colouring.add(photo.name, decode(photo), out / name)
        except DecodeError as error:
            unread[photo.name] = error.received
    if not colouring.count:
        name, reason = next(iter(unread.items()))
        raise DecodeError("photographs that can be read", f"{name}: {reason}", "send others")
    drawn = sheet(colouring.rows)
    save_picture(out / "sheet.jpg", drawn)
    write_text(out / "colours.html", _page(drawn, colouring, unread).html())
    told = {"coloured": colouring.count, "had_colour": colouring.had_colour, "failed": unread}
    write_json(out / "colorize.json", told)


def _page(drawn: np.ndarray, colouring: Colouring, unread: dict[str, str]) -> Page:
    page = Page("Grey photographs in colour", lead="How light every place is stays as it was.")
    page.section("Side by side", shown(jpeg(Image.fromarray(drawn)), "photographs, grey and coloured"))
    if colouring.had_colour:
        lines = (fragment("<li>{}</li>", name) for name in colouring.had_colour)
        title = "Had colours of their own: only how light they are was used"
        page.section(title, fragment("<ul>{}</ul>", Markup("").join(lines)))
    if unread:
        lines = (fragment("<li>{}: {}</li>", name, reason) for name, reason in unread.items())
        page.section("Cannot be read", fragment("<ul>{}</ul>", Markup("").join(lines)))
    return page
