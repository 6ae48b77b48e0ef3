"""What `headstart fit --zero-shot` does: a model from the names of its classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from headstart.cli import common
from headstart.data.items import Dataset


def fit_by_names(
    data: Path | None,
    output: Path,
    labels: str | None,
    zero_shot: bool,
    report: Path | None,
    json: bool,
    *,
    modality: Literal["image", "text"] | None,
    path_column: str,
    text_column: str,
    label_column: str,
    group_column: str,
    fold_column: str,
    **options: Any,
) -> int:
    """Make and save a model that starts from what names say, improved by DATA where there is some."""
    from headstart import data as opening
    from headstart.artefact.saving import check_place
    from headstart.errors import OptionError
    from headstart.fitting.reporting import Report
    from headstart.fitting.zero_shot import zero_shot as make

    if not zero_shot:
        raise OptionError("--zero-shot beside --labels", "--labels alone", "add --zero-shot, or leave it out")
    started = time.monotonic()
    dataset: Dataset | None = None
    if data is not None:
        dataset = opening.open(
            data, modality=modality, path_column=path_column, text_column=text_column,
            label_column=label_column, group_column=group_column, fold_column=fold_column, unlabelled=True,
        )  # fmt: skip
    if labels is None:
        if dataset is None or not dataset.classes:
            fix = 'name the classes: --labels "dog, cat"'
            raise OptionError("names of classes", "none", fix)
        names: str | tuple[str, ...] = dataset.classes
    else:
        names = labels
    check_place(output)
    model = make(names, dataset, modality=modality, say=common.tell, **options)
    model.save(output)
    common.tell(f"saved {output}")
    if report is not None:
        if not isinstance(model.report, Report):
            raise OptionError("labelled items, to report on", "names alone", "leave --report out")
        common.tell(f"wrote {model.report.save(report)}")
    if json:
        checked = model.metrics.get("validation") or model.metrics.get("cross-validation") or {}
        common.show_json(
            {
                "model": str(output),
                "labels": list(model.labels),
                "train_items": model.data["fitted_on"],
                "val_accuracy": checked.get("accuracy"),
                "seconds": round(time.monotonic() - started, 3),
                "backbone": model.backbone.name,
                "plan": model.plan,
            }
        )
    return 0
