"""`headstart index`: make a collection searchable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = (
    "Example: headstart index letters/ -o letters.index, then: headstart search letters.index 'late parcel'"
)


def run(
    data: common.DataArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the index goes, a folder.")],
    backbone: common.BackboneOption = None,
    model: Annotated[
        Path | None, typer.Option(help="A saved model whose network describes the items, instead.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Cut off the endings of this language's words, such as english.")
    ] = None,
    email: Annotated[
        bool, typer.Option("--email", help="Take headers, quotes and signatures off e-mails first.")
    ] = False,
    engine: common.EngineOption = "auto",
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Make a collection searchable by words, by meaning, or by an example.

    Labels are not needed; where there are some, the hits show them. Exit code 1 if items could not be read.
    """
    from headstart.searching import build_index

    started = time.monotonic()
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, unlabelled=True
    )
    index = build_index(
        dataset,
        backbone=backbone,
        model=model,
        language=language,
        email=email,
        engine=engine,
        offline=offline,
        say=common.tell,
    )
    index.save(output)
    left_out = len(dataset) - len(index)
    common.tell(f"indexed {len(index):,} items, left out {left_out:,}; wrote {output}")
    if json:
        found = {"index": str(output), "items": len(index), "left_out": left_out, "by": list(index.ways)}
        common.show_json({**found, "seconds": round(time.monotonic() - started, 3)})
    return 1 if left_out else 0
