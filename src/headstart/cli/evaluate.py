"""`headstart evaluate`: how good a saved model is on labelled items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart evaluate photos.headstart photos/ --report report.html"


def run(
    model: common.ModelArgument,
    data: common.DataArgument,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Which part. Default: test where there is one."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the report, one HTML page.")] = None,
    path_column: common.PathColumn = "path",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    json: common.JsonOption = False,
) -> int:
    """Measure a model on labelled items: accuracy with its interval, F1, calibration, mistakes."""
    from headstart.artefact import load
    from headstart.fitting import evaluate_model

    loaded = load(model)
    dataset = common.open_data(data, path_column, label_column, group_column, fold_column)
    found = evaluate_model(loaded, dataset, split=split, seed=seed, say=common.tell)
    evaluation = next(iter(found.evaluations.values()))
    figures = evaluation.to_json()
    common.tell(found.headline)
    _print(figures, json)
    if report is not None:
        found.save(report)
        common.tell(f"wrote {report}")
    if json:
        common.show_json({**figures, "left_out": len(found.content.left_out), "split": found.content.split})
    return 0


def _print(figures: dict[str, object], as_json: bool) -> None:
    from rich.table import Table

    table = Table("figure", "value")
    for name in ("items", "accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss", "brier", "ece"):
        value = figures.get(name)
        if value is not None:
            table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    common.console(as_json).print(table)
