"""`headstart cluster`: put items together that are alike, and name what they have in common."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart cluster photos/ --report clusters.html"


def run(
    data: Annotated[
        Path, typer.Argument(help="A folder of pictures or texts, or a manifest; labels are not needed.")
    ],
    number: Annotated[
        int | None,
        typer.Option("-k", "--clusters", help="How many. Default: the number that parts them best."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with items of each cluster, and a map of all.")
    ] = None,
    backbone: common.BackboneOption = None,
    email: Annotated[
        bool, typer.Option("--email", help="Take headers, quotes and signatures off e-mails first.")
    ] = False,
    engine: common.EngineOption = "auto",
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Find what a collection consists of, without labels: named clusters.

    Texts are named by their characteristic words, pictures by what the network sees in them. Where there are
    labels, they play no part, but the page compares them.
    """
    from headstart.fitting.clustering import cluster

    started = time.monotonic()
    dataset = common.open_data(data, path_column, text_column, label_column, "group", "fold", unlabelled=True)
    found = cluster(
        dataset,
        number,
        backbone=backbone,
        email=email,
        engine=engine,
        offline=offline,
        seed=seed,
        say=common.tell,
    )
    for name, size in zip(found.names, found.clusters.sizes, strict=True):
        line = f"{size}\t{name}"
        common.tell(line) if json else common.show(line)
    if report is not None:
        common.tell(f"wrote {found.save(report)}")
    if json:
        common.show_json({**found.to_json(), "seconds": round(time.monotonic() - started, 3)})
    return 0
