"""`headstart style-train`: a network that paints as one picture is painted, learned from photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart style-train photos/ starry_night.jpg -o night.style --minutes 40"


def run(
    photos: Annotated[Path, typer.Argument(help="A folder of photographs; labels are not needed.")],
    style: Annotated[Path, typer.Argument(help="The picture that they shall look like.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the trained style goes, a folder.")],
    minutes: Annotated[float, typer.Option(help="Time for the training, with --resume for all of it.")] = 40,
    steps: Annotated[int, typer.Option(help="The most steps.")] = 40_000,
    size: Annotated[int, typer.Option(help="Side of the crops that it learns from, in pixels.")] = 256,
    style_size: Annotated[
        int, typer.Option(help="Longer side of the style picture: the larger, the smaller the strokes.")
    ] = 448,
    batch: Annotated[int, typer.Option(help="Photographs in a step.")] = 2,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 0.002,
    content_weight: Annotated[float, typer.Option(help="Weight of the content.")] = 1.0,
    style_weight: Annotated[float, typer.Option(help="Weight of the style.")] = 20.0,
    smooth: Annotated[float, typer.Option(help="Weight of the total variation.")] = 1e-5,
    every: Annotated[int, typer.Option(help="Steps between two previews, in OUTPUT.run.")] = 50,
    resume: common.ResumeOption = False,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Train a network that paints photographs and videos in one style, in one pass (Johnson)."""
    from headstart.errors import require

    require(["torch"], "train", "training a style")
    from headstart.studio.fast_making import make_style

    card = make_style(
        photos, style, output, minutes=minutes, resume=resume, every=every, offline=offline, say=common.tell,
        steps=steps, size=size, style_size=style_size, batch=batch, rate=rate, seed=seed,
        content_weight=content_weight, style_weight=style_weight, smooth=smooth,
    )  # fmt: skip
    common.tell(f"wrote {output}; now: headstart stylize photo.jpg {output} -o painted.png")
    if json:
        common.show_json(card)
    return 0
