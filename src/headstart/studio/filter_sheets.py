"""Filters beside each other: a sheet of one layer, and a page of a whole network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.backbones.card import Card
from headstart.images.saving import jpeg
from headstart.pages import Page, glimpses, paragraph, short
from headstart.studio.features import Filter

_MOST_COLUMNS = 8
_GAP, _TEXT = 6, 13
_QUALITY = 85
"""Quality of the JPEG pictures in a page."""


def filter_sheet(filters: Sequence[Filter], title: str, names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Return the pictures in rows, each with its channel below it.

    Args:
        filters: At least one, all of one size.
        title: What is written above, str.
        names: Of the channels, to be written in place of their numbers. Defaults to none.

    Returns:
        uint8 [h, w, 3].
    """
    side = len(filters[0].picture)
    columns = min(_MOST_COLUMNS, math.ceil(math.sqrt(len(filters))))
    rows = math.ceil(len(filters) / columns)
    across, down, top = side + _GAP, side + _TEXT + 2 * _GAP, _TEXT + 2 * _GAP
    sheet = Image.new("RGB", (_GAP + columns * across, top + rows * down), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    draw.text((_GAP, _GAP // 2), title, "black", font)
    for place, each in enumerate(filters):
        left, upper = _GAP + place % columns * across, top + place // columns * down
        sheet.paste(Image.fromarray(_shown(each)), (left, upper))
        draw.text((left, upper + side + 1), caption(each, names), "dimgray", font)
    return np.asarray(sheet)


def caption(each: Filter, names: Sequence[str] = ()) -> str:
    """Return what stands below a filter: its number or name, and whether it is dead."""
    name = short(names[each.channel].partition(",")[0], 18) if names else str(each.channel)
    return f"{name}: dead" if each.dead else name


def gallery(
    card: Card,
    layers: Iterable[tuple[str, int, Sequence[Filter]]],
    names: Mapping[str, Sequence[str]],
) -> str:
    """Return filters of many layers of a network as one self-contained page.

    Args:
        card: The network's.
        layers: Name, number of channels, and the filters of each layer.
        names: Of the channels, by layer, where they have any.

    Returns:
        The HTML, str.
    """
    lead = "Each picture was made to raise one channel: what the network looks for, from first layer to last."
    page = Page(f"What {card.name} looks for", lead=lead)
    for layer, count, filters in layers:
        strip = (
            (
                jpeg(Image.fromarray(_shown(each)), _QUALITY),
                f"Picture for channel {each.channel} of {layer}",
                caption(each, names.get(layer, ())),
            )
            for each in filters
        )
        dead = sum(each.dead for each in filters)
        told = f"{len(filters)} of {count} channels" + (f"; {dead} answer to nothing" if dead else "")
        page.section(layer, glimpses(strip), paragraph(told, quiet=True))
    about = f"{card.architecture}; {card.source}; learned from {card.training_data}; {card.licence}."
    page.section("The network", paragraph(about, quiet=True))
    return page.html()


def _shown(each: Filter) -> NDArray[np.uint8]:
    # What a dead filter was raised to in vain shows nothing but chance.
    return each.picture // 4 + np.uint8(176) if each.dead else each.picture
