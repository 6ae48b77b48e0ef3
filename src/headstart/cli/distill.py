"""`headstart distill`: a small model learns what a big one answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.evaluation.distillation import Distilled

EXAMPLE = (
    "Example: headstart distill big.headstart photos/ --unlabelled more/ --student basic_cnn --size 96 "
    "-o small.headstart --report small.html"
)


def run(
    teacher: Annotated[Path, typer.Argument(help="The teacher, a saved model.")],
    data: common.DataArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the student goes, a folder.")],
    unlabelled: Annotated[
        Path | None, typer.Option(help="A folder with more items; labels are not looked at.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(help="The student's network, see: headstart backbones list. Default: the usual one."),
    ] = None,
    cut: Annotated[
        str | None, typer.Option(help="Block that the student ends with. Default: the last.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the pictures that it sees, in pixels. Default: its own."),
    ] = None,
    strategy: Annotated[
        Literal["freeze-all", "fine-tune-late", "fine-tune-all", "scratch"] | None,
        typer.Option(help="How much of it is trained. Default: what the evidence says."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Softens the teacher's answers.")] = 4.0,
    alpha: Annotated[
        float, typer.Option(help="Share of the known labels in what is learned, from 0 to 1.")
    ] = 0.1,
    epochs: Annotated[int | None, typer.Option(help="How often it sees every item.")] = None,
    minutes: Annotated[float | None, typer.Option(help="All the time there is.")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the report, one HTML page.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--run", help="Folder of checkpoints and of the training's history.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --run.")] = False,
    engine: common.EngineOption = "auto",
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Teach a small network what a big model answers, and compare both: size, speed, accuracy.

    Items without a label teach, too.
    """
    from headstart.artefact import load
    from headstart.artefact.saving import check_place
    from headstart.errors import OptionError
    from headstart.fitting import Report
    from headstart.fitting.distilling import distill

    started = time.monotonic()
    if output.resolve() == teacher.resolve():
        raise OptionError("a place of its own for the student", "the teacher's", "name another folder")
    check_place(output)
    loaded = load(teacher)
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, "label"
    )
    model = distill(
        loaded,
        dataset,
        unlabelled=unlabelled,
        student=student,
        cut=cut,
        size=size,
        strategy=strategy,
        temperature=temperature,
        alpha=alpha,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        engine=engine,
        run=folder,
        resume=resume,
        offline=offline,
        say=common.tell,
    )
    model.save(output)
    common.tell(f"saved {output}")
    found = model.report.content.distilled if isinstance(model.report, Report) else None
    if found is not None:
        _print(found, json)
    if report is not None and model.report is not None:
        common.tell(f"wrote {model.report.save(report)}")
    if json and found is not None:
        seconds = round(time.monotonic() - started, 3)
        common.show_json({"model": str(output), **found.to_json(), "plan": model.plan, "seconds": seconds})
    return 0


def _print(found: Distilled, as_json: bool) -> None:
    from rich.table import Table

    common.tell(f"teacher: {found.teacher}")
    common.tell(f"student: {found.student}")
    table = Table("", f"accuracy ({found.split})", "MB on disk", "parameters", "ms an item")
    for name, print_, accuracy in zip(
        ("teacher", "student"), found.footprints, found.comparison.accuracy, strict=True
    ):
        size, time_taken = f"{print_.megabytes:,.1f}", f"{print_.milliseconds:.2f}"
        table.add_row(name, f"{accuracy:.1%}", size, f"{print_.parameters:,}", time_taken)
    common.console(as_json).print(table)
