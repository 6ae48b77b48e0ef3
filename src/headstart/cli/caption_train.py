"""`headstart caption-train`: what says what photographs show, learned from photographs with captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart caption-train flickr8k/ -o holidays.captioner"


def run(
    captions: Annotated[
        Path,
        typer.Argument(
            help="A table with the columns image and caption, Flickr8k's token file, or their folder."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the captioner goes, a folder.")],
    photos: Annotated[
        Path | None, typer.Option(help="The folder with the photographs.  [default: beside the captions]")
    ] = None,
    kind: Annotated[
        Literal["attention", "merge"],
        typer.Option(help="Look at a part of the photograph for each word, or the classic merge model."),
    ] = "attention",
    backbone: Annotated[str, typer.Option(help="The frozen network that looks.")] = "efficientnet_lite2",
    size: Annotated[int, typer.Option(help="Side of what it sees, in pixels.")] = 224,
    epochs: Annotated[int, typer.Option(help="Times that each caption is read.")] = 12,
    batch: Annotated[int, typer.Option(help="Photographs in a step, with all their captions.")] = 16,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 0.001,
    least_count: Annotated[int, typer.Option(help="How often a word has to occur to be learned.")] = 3,
    members: Annotated[int, typer.Option(help="Decoders that are trained, and then agree on each word.")] = 1,
    told: Annotated[
        float, typer.Option(help="Share of its words that it is told in the last epoch (teacher forcing).")
    ] = 1.0,
    resume: common.ResumeOption = False,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Train what says what photographs show (Show, Attend and Tell; or the merge model)."""
    from headstart.errors import require

    require(["torch", "sacrebleu"], "train", "training a captioner")
    from headstart.studio.caption.making import make_captioner

    card = make_captioner(
        captions, output, photos=photos, kind=kind, backbone=backbone, size=size, least_count=least_count,
        members=members, resume=resume, offline=offline, say=common.tell,
        epochs=epochs, batch=batch, rate=rate, told=told, seed=seed,
    )  # fmt: skip
    figures = " / ".join(f"{value:.3f}" for value in card["held_out"]["bleu"])
    common.tell(f"BLEU-1 to 4 on the photographs held out, by which it was chosen: {figures}")
    common.tell(f"wrote {output}; now: headstart caption {output} photo.jpg")
    if json:
        common.show_json(card)
    return 0
