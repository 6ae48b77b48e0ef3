"""`headstart monitor`: whether a served model is still asked what it was made for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common
from headstart.cli.serve import StateOption

if TYPE_CHECKING:
    from headstart.artefact import Model
    from headstart.evaluation.drift import Reference
    from headstart.serving.monitoring_page import DriftReport

EXAMPLE = "Example: headstart monitor cats.headstart -o drift.html"
EXIT_DRIFT = 1


def run(
    model: common.ModelArgument,
    data: Annotated[
        Path | None,
        typer.Argument(help="New items instead of the traffic that the server has kept; labels are welcome."),
    ] = None,
    state: StateOption = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Compare with these items, not with what the model keeps: as it should be."),
    ] = None,
    window: Annotated[int, typer.Option(min=20, help="So many of the last items are compared.")] = 200,
    level: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="How often clean traffic may raise the alarm.")
    ] = 0.05,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write a page, HTML.")] = None,
    json: common.JsonOption = False,
) -> int:
    """Compare traffic with what the model learned from: features, class mix, confidence, calibration.

    Exit code 0: nothing has changed, 1: drift, 2: it could not be told.
    """
    from headstart.artefact import load
    from headstart.artefact.versions import find

    found = find(model)
    version = found.default
    loaded = load(found.folders[version])
    reference_rows = None if reference is None else _reference(loaded, reference)
    if data is not None:
        report = _of_data(loaded, found.name, version, data, reference_rows, level)
    else:
        report = _of_store(loaded, found.name, version, state, reference_rows, window, level)
    common.tell(report.drift.headline)
    _print(report, json)
    if output is not None:
        report.save(output)
        common.tell(f"wrote {output}")
    if json:
        common.show_json(report.to_json())
    return EXIT_DRIFT if report.drift.alarm else 0


def _reference(model: Model, path: Path) -> Reference:
    from headstart import data
    from headstart.serving.monitoring import reference_from

    return reference_from(model, data.open(path, target=model.target, unlabelled=True))


def _of_data(
    model: Model, name: str, version: str, path: Path, reference: Reference | None, level: float
) -> DriftReport:
    from headstart import data
    from headstart.evaluation.drift import compare_traffic
    from headstart.modalities import modality
    from headstart.serving.monitoring import reference_of, see
    from headstart.serving.monitoring_page import DriftReport

    traffic, known = see(model, data.open(path, target=model.target, unlabelled=True))
    drift = compare_traffic(
        reference_of(model, reference),
        traffic.embeddings,
        traffic.answers,
        labels=model.labels,
        target=model.target,
        level=level,
        reliability=known,
    )
    return DriftReport(name, version, modality(model.modality).noun, drift)


def _of_store(
    model: Model,
    name: str,
    version: str,
    state: Path | None,
    reference: Reference | None,
    window: int,
    level: float,
) -> DriftReport:
    from headstart.modalities import modality
    from headstart.serving.feedback import open_store
    from headstart.serving.monitoring import drift_of, past_of
    from headstart.serving.monitoring_page import DriftReport
    from headstart.serving.settings import default_state

    store = open_store(state or default_state())
    traffic = store.traffic(name, version=version)
    about = [each for each in store.corrections(name) if each.version == version]
    drift = drift_of(model, traffic, reference=reference, corrections=about, window=window, level=level)
    past = past_of(model, traffic, reference)
    return DriftReport(name, version, modality(model.modality).noun, drift, past, store.counts(name))


def _print(report: DriftReport, as_json: bool) -> None:
    from rich.table import Table

    drift = report.drift
    table = Table("check", "distance", "p", "verdict")
    for check in drift.checks:
        differs = "differs" if check.name in drift.reasons else ""
        table.add_row(check.name, f"{check.statistic:.4f}", f"{check.p_value:.2g}", differs)
    if (known := drift.reliability) is not None:
        differs = "differs" if "calibration" in drift.reasons else ""
        table.add_row("calibration", f"{known.ece:.4f}", f"{known.p_value:.2g}", differs)
    common.console(as_json).print(table)
