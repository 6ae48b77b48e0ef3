"""`headstart colorize-train`: a network that colours grey photographs, learned from colour photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart colorize-train photos/ -o ours.colorizer --minutes 30"


def run(
    photos: Annotated[Path, typer.Argument(help="A folder of colour photographs; labels are not needed.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the trained colorizer goes, a folder.")
    ],
    kind: Annotated[
        str, typer.Option(help="unet (how likely each colour is), or classic (encoder, fusion, decoder).")
    ] = "unet",
    minutes: Annotated[float, typer.Option(help="Time for the training, with --resume for all of it.")] = 30,
    epochs: Annotated[int, typer.Option(help="The most epochs.")] = 60,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better result on photographs held out, then it ends.")
    ] = 8,
    size: Annotated[int, typer.Option(help="Side of what the network sees, in pixels.")] = 224,
    batch: Annotated[int, typer.Option(help="Photographs in a step.")] = 16,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 0.001,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 0.05,
    squares: Annotated[
        float, typer.Option(help="Weight of the squared error beside the cross entropy; for unet.")
    ] = 1.0,
    resume: common.ResumeOption = False,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Train a network that colours grey photographs; a preview is in OUTPUT.run after each epoch."""
    from headstart.errors import require

    require(["torch"], "train", "training a colorizer")
    from headstart.studio.colorize.making import make_colorizer

    card = make_colorizer(
        photos, output, kind=kind, minutes=minutes, resume=resume, offline=offline, say=common.tell,
        epochs=epochs, patience=patience, size=size, batch=batch, rate=rate,
        weight_decay=weight_decay, squares=squares, seed=seed,
    )  # fmt: skip
    common.tell(f"wrote {output}; now: headstart colorize {output} old.jpg -o coloured.jpg")
    if json:
        common.show_json(card)
    return 1 if card["photographs"]["left_out"] else 0
