"""`headstart compare`: which of two models is better on the same items, and whether that is chance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart compare old.headstart new.headstart photos/"


def run(
    first: Annotated[Path, typer.Argument(help="A saved model.")],
    second: Annotated[Path, typer.Argument(help="Another saved model.")],
    data: common.DataArgument,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Which part. Default: test where there is one."),
    ] = None,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    json: common.JsonOption = False,
) -> int:
    """Compare two models, paired item by item (McNemar's test)."""
    from headstart.artefact import load
    from headstart.fitting import compare_models

    dataset = common.open_data(data, path_column, text_column, label_column, group_column, fold_column)
    found = compare_models(
        load(first), load(second), dataset, names=(first.stem, second.stem), split=split, seed=seed
    )
    common.tell(found.verdict)
    if json:
        common.show_json(found.to_json())
    return 0
