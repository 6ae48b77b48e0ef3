"""`headstart inspect`: what somebody should know about a data set before learning from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from rich.console import Console

    from headstart.data.audit import Audit
    from headstart.data.items import Dataset

EXAMPLE = "Example: headstart inspect photos/ --html photos.html"
_LISTED = 12


def run(
    data: common.DataArgument,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots and pictures.")] = None,
    path_column: common.PathColumn = "path",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    json: common.JsonOption = False,
) -> int:
    """Look at a collection: classes, balance, sizes, unreadable files, duplicates. Deletes nothing.

    Exit code 1 when something would hurt training.
    """
    from headstart.data.audit import audit
    from headstart.transfer.passes import examine
    from headstart.transfer.store import FeatureStore

    dataset = common.open_data(data, path_column, label_column, group_column, fold_column)
    with FeatureStore() as store:
        facts = examine(dataset, store)
    found = audit(dataset, facts)
    _print(found, common.console(json))
    if html is not None:
        _write_page(found, dataset, html)
        common.tell(f"wrote {html}")
    if json:
        common.show_json(found.to_json())
    return 1 if found.hurts else 0


def _print(found: Audit, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    splits = found.splits
    table = Table(
        "class", *splits, "all", title=f"{sum(sum(c.values()) for c in found.classes.values()):,} items"
    )
    for label, counts in found.classes.items():
        row = [str(counts.get(split, 0)) for split in splits]
        table.add_row(Text(label), *row, str(sum(counts.values())))
    console.print(table)
    sizes = found.quantiles()
    if sizes:
        measures = Table("", "smallest", "median", "largest", title="sizes")
        for name, values in sizes.items():
            measures.add_row(name, *(f"{values[key]:g}" for key in ("min", "median", "max")))
        console.print(measures)
    for problem in found.corrupt[:_LISTED]:
        console.print(Text(f"unreadable: {problem.name}: {problem.reason}"))
    for copy in found.duplicates[:_LISTED]:
        console.print(
            Text(f"{copy.kind} duplicate: {copy.first} = {copy.second} ({' / '.join(copy.splits)})")
        )
    for finding in found.findings:
        style = "bold red" if finding.severity == "hurts" else "yellow"
        console.print(Text(f"{finding.severity}: {finding.sentence}", style=style))
    if not found.findings:
        console.print(Text("nothing found that would hurt training", style="green"))


def _write_page(found: Audit, dataset: Dataset, path: Path) -> None:
    from headstart.data.audit_html import audit_html, pictured
    from headstart.files import write_text
    from headstart.fitting.reporting import thumbnails

    picture = thumbnails(dataset)
    pictures = {name: jpeg for name in pictured(found) if (jpeg := picture(name)) is not None}
    write_text(path, audit_html(found, pictures, dataset.root.name if dataset.root else "Data set"))
