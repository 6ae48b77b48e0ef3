"""`headstart stylize`: a photograph, painted as another picture is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common
from headstart.errors import OptionError
from headstart.studio.commands import weighted

EXAMPLE = "Example: headstart stylize photo.jpg starry_night.jpg -o painted.png --size 512 --steps 400"


def run(
    content: Annotated[Path, typer.Argument(help="What is painted, a picture.")],
    styles: Annotated[
        list[Path],
        typer.Argument(metavar="STYLE…", help="As what: one picture, or several, blended."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The painting, a .png or .jpg.")],
    size: Annotated[int, typer.Option(help="Longer side of the painting, in pixels.")] = 512,
    steps: Annotated[int, typer.Option(help="How often the loss is computed.")] = 400,
    weights: Annotated[
        str | None, typer.Option(help="How much each style counts, such as 2,1. Default: the same.")
    ] = None,
    content_weight: Annotated[float, typer.Option(help="Weight of the content.")] = 3000.0,
    style_weight: Annotated[float, typer.Option(help="Weight of the style.")] = 1.0,
    smooth: Annotated[float, typer.Option(help="Weight of the total variation.")] = 0.001,
    content_layer: Annotated[
        str, typer.Option(help="Layer of VGG16 at which content is compared.")
    ] = "block4_conv2",
    style_layers: Annotated[
        str | None,
        typer.Option(help="Layers of the style, such as block1_conv1=1,block4_conv1=0.5. Default: five."),
    ] = None,
    colours: Annotated[bool, typer.Option("--colours", help="Keep the content's own colours.")] = False,
    mask: Annotated[
        Path | None, typer.Option(help="A picture that is white where to paint, black where not to.")
    ] = None,
    every: Annotated[int, typer.Option(help="Also keep the picture every so many steps; 0: never.")] = 0,
    optimiser: Annotated[Literal["lbfgs", "adam"], typer.Option(help="What lowers the loss.")] = "lbfgs",
    backbone: Annotated[str, typer.Option(help="Whose layers judge, such as timm:vgg19.tv_in1k.")] = "vgg16",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was interrupted.")] = False,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Paint a photograph in the style of other pictures (Gatys)."""
    from headstart.studio.painting import paint_file

    made = paint_file(
        content, styles, output, weights=_numbers(weights), mask=mask, every=every, offline=offline,
        backbone=backbone, resume=resume,
        layers=weighted(style_layers), size=size, steps=steps, content_weight=content_weight,
        style_weight=style_weight, smooth=smooth, content_layer=content_layer, colours=colours,
        optimiser=optimiser, say=common.tell,
    )  # fmt: skip
    common.tell(f"wrote {output}, and how it went beside it (.html, .json)")
    if json:
        common.show_json(made)
    return 0


def _numbers(given: str | None) -> list[float]:
    try:
        return [float(part) for part in given.split(",")] if given else []
    except ValueError as error:
        raise OptionError("numbers with commas between them", repr(given), "such as --weights 2,1") from error
