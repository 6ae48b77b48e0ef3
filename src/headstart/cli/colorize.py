"""`headstart colorize`: grey photographs, folders of them and videos, in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart colorize old.colorizer grandmother.jpg -o grandmother_in_colour.jpg"


def run(
    model: Annotated[Path, typer.Argument(help="What `headstart colorize-train` left, a folder.")],
    source: Annotated[Path, typer.Argument(help="A photograph, a folder of them, or a video.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The picture, a .png or .jpg; a folder; an .mp4 or .gif."),
    ],
    hint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="x,y,#rrggbb",
            help="The colour of one place, in pixels from the left and the top; it spreads to what is as "
            "light around it. Several times, if you like.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also write grey and coloured pictures side by side, into a .png or .jpg."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Lower is more vivid and patchier, such as 0.2. Default: as it was trained."),
    ] = None,
    expected: Annotated[
        bool,
        typer.Option(
            "--expected", help="The mean of all colours that could be: greyer, with fewer mistakes."
        ),
    ] = False,
    steady: Annotated[
        float, typer.Option(help="Of a video: what a place that is still keeps of its last colours.")
    ] = 0.8,
    json: common.JsonOption = False,
) -> int:
    """Give grey photographs colours; how light they are does not change.

    Of a photograph with colours only the lightness is used. Exit code 1: some pictures could not be read.
    """
    from headstart.studio.colorize.colorizer import open_colorizer
    from headstart.studio.colorize.colouring import colorize_files
    from headstart.studio.colorize.hints import read_hint

    hints = [read_hint(each) for each in hint or ()]
    made = colorize_files(
        source, open_colorizer(model), output, hints=hints, temperature=temperature, steady=steady,
        how="expected" if expected else "annealed", beside=sheet, say=common.tell,
    )  # fmt: skip
    for name, reason in made["failed"].items():
        common.tell(f"left out: {name}: {reason}")
    beside = f" and {sheet}" if sheet else ""
    common.tell(f"wrote {output}{beside}, {made['coloured']} coloured in {made['seconds']:.1f} s")
    if json:
        common.show_json(made)
    return 1 if made["failed"] else 0
