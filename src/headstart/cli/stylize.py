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
    content: Annotated[
        Path, typer.Argument(help="What is painted: a picture; in one pass also a folder or a video.")
    ],
    styles: Annotated[
        list[Path],
        typer.Argument(metavar="STYLE…", help="As what: a picture, or several, blended; or a trained style."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The painting, a .png or .jpg; a folder; an .mp4 or .gif.")
    ],
    fast: Annotated[
        bool, typer.Option("--fast", help="In one pass, by a network that knows any style: seconds at most.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side of the painting, in pixels. Default: 512; in one pass what it has."),
    ] = None,
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
    steady: Annotated[
        float, typer.Option(help="Of a video: what a place that is still keeps of its last painting.")
    ] = 0.6,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was interrupted.")] = False,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Paint a photograph in the style of other pictures (Gatys).

    In place of the style pictures may be a style that `headstart style-train` trained. Then, and with --fast,
    it takes one pass, and what is painted may be a folder or a video, too. Exit code 1 if pictures of the
    folder could not be read.
    """
    if fast or any(style.is_dir() for style in styles):
        slow = {
            "--mask": mask, "--colours": colours, "--resume": resume, "--every": every,
            "--style-layers": style_layers,
        }  # fmt: skip
        if given := [name for name, value in slow.items() if value]:
            fix = "leave them out, or paint as a picture is painted, without --fast"
            raise OptionError("options that one pass has", ", ".join(given), fix)
        return _in_one_pass(content, styles, output, _numbers(weights), size, steady, offline, json)
    from headstart.studio.painting import paint_file

    made = paint_file(
        content, styles, output, weights=_numbers(weights), mask=mask, every=every, offline=offline,
        backbone=backbone, resume=resume,
        layers=weighted(style_layers), size=512 if size is None else size, steps=steps,
        content_weight=content_weight, style_weight=style_weight, smooth=smooth,
        content_layer=content_layer, colours=colours,
        optimiser=optimiser, say=common.tell,
    )  # fmt: skip
    common.tell(f"wrote {output}, and how it went beside it (.html, .json)")
    if json:
        common.show_json(made)
    return 0


def _in_one_pass(
    content: Path,
    styles: list[Path],
    output: Path,
    weights: list[float],
    size: int | None,
    steady: float,
    offline: bool,
    json: bool,
) -> int:
    from headstart.images.decode import decode_file
    from headstart.studio.any_style import any_style
    from headstart.studio.fast_painting import paint_fast
    from headstart.studio.fast_style import open_style

    trained = [style for style in styles if style.is_dir()]
    if trained and len(styles) > 1:
        raise OptionError("one trained style", f"{len(styles)} styles", "blend pictures with --fast instead")
    if trained:
        brush = open_style(trained[0])
    else:
        pictures = [decode_file(style) for style in styles]
        brush = any_style(pictures, weights, offline=offline, say=common.tell)
    made = paint_fast(content, brush, output, size=size, steady=steady, say=common.tell)
    for name, reason in made["failed"].items():
        common.tell(f"left out: {name}: {reason}")
    common.tell(f"wrote {output}, {made['painted']} painted in {made['seconds']:.1f} s")
    if json:
        common.show_json(made)
    return 1 if made["failed"] else 0


def _numbers(given: str | None) -> list[float]:
    try:
        return [float(part) for part in given.split(",")] if given else []
    except ValueError as error:
        raise OptionError("numbers with commas between them", repr(given), "such as --weights 2,1") from error
