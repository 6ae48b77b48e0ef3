"""`headstart filters`: what the filters of a network answer to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common
from headstart.errors import OptionError

EXAMPLE = "Example: headstart filters vgg16 --layer block3_conv1 --channels 0-15 -o sheet.png"


def run(
    network: Annotated[
        str, typer.Argument(help="A backbone, see: headstart backbones list; or the folder of a saved model.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A sheet (.png, .jpg) of one layer, or a page (.html) of all."),
    ],
    layer: Annotated[
        str | None, typer.Option(help='Which layer; "classes" are the answers of the head. Default: all.')
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Which channels, such as 0-15,40. Default: the first ones.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of each picture, in pixels.")] = 128,
    steps: Annotated[int, typer.Option(help="Steps for each picture.")] = 96,
    smooth: Annotated[float, typer.Option(help="Weight of the total variation.")] = 0.002,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Draw what the filters of a network look for."""
    from headstart.studio.drawing import draw_network

    made = draw_network(
        network, output, layer=layer, channels=_channels(channels), offline=offline, size=size, steps=steps,
        smooth=smooth, seed=seed, say=common.tell,
    )  # fmt: skip
    common.tell(f"wrote {output}")
    if json:
        common.show_json(made)
    return 0


def _channels(given: str | None) -> list[int] | None:
    if given is None:
        return None
    found: list[int] = []
    try:
        for part in given.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        found = []
    if not found:
        raise OptionError("channels such as 0-15,40", repr(given), "write numbers, smaller ones first")
    return found
