"""`headstart evaluate`: how good a saved model is on labelled items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart evaluate photos.headstart photos/ --report report.html"
_ONE_LABEL = ("items", "accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss", "brier", "ece")
_LABELS = ("mean_average_precision", "micro_f1", "subset_accuracy", "hamming_loss")
_NUMBER = ("mae", "rmse", "r2", "median_absolute_error", "interval_coverage", "interval_mean_width")
_SHOWN = (*_ONE_LABEL, *_LABELS, *_NUMBER)


def run(
    model: common.ModelArgument,
    data: common.DataArgument,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Which part. Default: test where there is one."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the report, one HTML page.")] = None,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    json: common.JsonOption = False,
) -> int:
    """Measure a model on labelled items: accuracy with its interval, F1, calibration, mistakes.

    A model for several labels or for numbers is measured by what it gives: mAP, mean error.
    """
    from headstart.artefact import load
    from headstart.fitting import evaluate_model

    loaded = load(model)
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, loaded.target
    )
    found = evaluate_model(loaded, dataset, split=split, seed=seed, say=common.tell)
    evaluation = next(iter(found.evaluations.values()))
    figures = evaluation.to_json()
    common.tell(found.headline)
    _print(figures, json)
    if report is not None:
        found.save(report)
        common.tell(f"wrote {report}")
    if json:
        why = found.to_json()["reasons"]
        left_out = len(found.content.left_out)
        common.show_json({**figures, "left_out": left_out, "split": found.content.split, "reasons": why})
    return 0


def _print(figures: dict[str, object], as_json: bool) -> None:
    from rich.table import Table

    table = Table("figure", "value")
    form = ".4g" if figures.get("target") == "number" else ".4f"
    for name in _SHOWN:
        value = figures.get(name)
        if value is not None:
            table.add_row(name, format(value, form) if isinstance(value, float) else str(value))
    common.console(as_json).print(table)
