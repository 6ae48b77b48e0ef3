"""`headstart dream`: a photograph in which a network sees more and more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common
from headstart.studio.commands import weighted

EXAMPLE = "Example: headstart dream photo.jpg -o dream.png --layers block4_conv3,block5_conv1 --octaves 4"


def run(
    content: Annotated[Path, typer.Argument(help="What is dreamt on, a picture.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The dream, a .png or .jpg.")],
    layers: Annotated[
        str | None,
        typer.Option(
            help="What is raised, such as block4_conv3=1,block5_conv1=0.5. Default: these two, the same."
        ),
    ] = None,
    octaves: Annotated[int, typer.Option(help="In how many sizes, from small to whole.")] = 4,
    scale: Annotated[float, typer.Option(help="How much larger each is than the one before.")] = 1.4,
    steps: Annotated[int, typer.Option(help="Steps in each size.")] = 20,
    rate: Annotated[
        float, typer.Option(help="Grey levels by which a step changes a value on the mean.")
    ] = 1.0,
    guide: Annotated[Path | None, typer.Option(help="A picture whose features are looked for.")] = None,
    size: Annotated[
        int,
        typer.Option(help="Longer side that a larger picture is shrunk to, in pixels; 0: it stays whole."),
    ] = 0,
    tile: Annotated[int, typer.Option(help="Longest side of what is computed at once, in pixels.")] = 512,
    backbone: Annotated[str, typer.Option(help="The network, see: headstart backbones list.")] = "vgg16",
    every: Annotated[int, typer.Option(help="Also keep the picture every so many steps; 0: never.")] = 0,
    flight: Annotated[
        Path | None, typer.Option("--zoom", help="Also fly into the dream: a .mp4 or .gif.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Of how many pictures the zoom is made.")] = 60,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Let a network dream on a photograph (DeepDream)."""
    from headstart.studio.dreaming import dream_file

    made = dream_file(
        content, output, layers=weighted(layers), guide=guide, backbone=backbone, every=every,
        flight=flight, frames=frames, offline=offline, octaves=octaves, scale=scale, steps=steps, rate=rate,
        size=size, tile=tile, seed=seed, say=common.tell,
    )  # fmt: skip
    common.tell(f"wrote {output}")
    if json:
        common.show_json(made)
    return 0
