"""`headstart adapt`: a model for one domain answers for another, whose labels nobody knows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.evaluation.adaptation import Adaptation

EXAMPLE = (
    "Example: headstart adapt books.headstart electronics/ --source books/ -o electronics.headstart "
    "--report adapted.html"
)


def run(
    model: common.ModelArgument,
    target: Annotated[Path, typer.Argument(help="Items of the new domain; they need no labels.")],
    source: Annotated[
        Path, typer.Option(help="Labelled items of the old domain: what the model learned from.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the adapted model goes, a folder.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the report, one HTML page.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help='What is tried, by name, with commas: "CORAL,self-training". Default: all but MCC and DANN.'
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="Learn from the target's labels, too (of its train part, if it has one)."
        ),
    ] = False,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Carry a model over to another domain, choosing the method without the target's labels.

    Labels that the target has are shown, never chosen by.
    """
    from headstart.artefact import load
    from headstart.artefact.saving import check_place
    from headstart.errors import OptionError
    from headstart.evaluation.adaptation import Adaptation
    from headstart.fitting.adapting import adapt

    started = time.monotonic()
    if output is None and report is None and not json:
        raise OptionError("a place for what comes out", "none", "name -o MODEL, --report PAGE or --json")
    if output is not None:
        if output.resolve() == model.resolve():
            raise OptionError(
                "a place of its own for the adapted model", "the old one's", "name another folder"
            )
        check_place(output)
    loaded = load(model)
    columns = path_column, text_column, label_column, group_column, fold_column
    its, asked = (common.open_data(path, *columns, "label") for path in (source, target))
    made = adapt(
        loaded,
        asked,
        its,
        methods=None if methods is None else methods.split(","),
        labels=labels,
        seed=seed,
        offline=offline,
        say=common.tell,
    )
    if output is not None:
        made.save(output)
        common.tell(f"saved {output}")
    found = made.report
    if isinstance(found, Adaptation):
        _print(found, json)
        if report is not None:
            common.tell(f"wrote {found.save(report)}")
        if json:
            place = None if output is None else str(output)
            seconds = round(time.monotonic() - started, 3)
            common.show_json({"model": place, **found.to_json(), "plan": made.plan, "seconds": seconds})
    return 0


def _print(found: Adaptation, as_json: bool) -> None:
    from rich.table import Table

    table = Table("method", "score without labels, nats", "right on the target (only shown)")
    for each in found.tried:
        name, right = f"{each.name} (kept)" if each.kept else each.name, each.accuracy
        table.add_row(name, f"{each.score:.3f}", "" if right is None else f"{right:.1%}")
    common.console(as_json).print(table)
