"""What commands share: options, and how they speak."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from headstart.progress import tell as tell

if TYPE_CHECKING:
    from rich.console import Console

    from headstart.data.items import Dataset, Target

_LISTED = 20
DataArgument = Annotated[
    Path,
    typer.Argument(
        help="A folder per class, train/val/test above it if you like, or a manifest (CSV, JSONL, Parquet)."
    ),
]
MaybeDataArgument = Annotated[
    Path | None,
    typer.Argument(
        help="A folder per class, train/val/test above it if you like, or a manifest (CSV, JSONL, Parquet)."
    ),
]
ModelArgument = Annotated[Path, typer.Argument(help="A saved model, the folder that `headstart fit` wrote.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on the last line, for machines.")
]
BackboneOption = Annotated[
    str | None, typer.Option(help="A pretrained network, see: headstart backbones list.")
]
EngineOption = Annotated[
    Literal["auto", "openvino", "torch"], typer.Option(help="What runs the frozen network.")
]
StrategyOption = Annotated[
    Literal["freeze-all", "fine-tune-late", "cut-early", "fine-tune-all", "scratch"] | None,
    typer.Option(help="How much of the network is kept. Default: what the evidence says."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the training in OUTPUT.run.")]
SeedOption = Annotated[
    int, typer.Option(help="Random numbers start here: the same seed gives the same result.")
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Stay off the network.")]
TargetOption = Annotated[
    Literal["label", "labels", "number"] | None,
    typer.Option(
        help="What the label column holds: one class, several labels (a|b, or a list), or a number. "
        "Default: one class, or several where it holds lists."
    ),
]
PathColumn = Annotated[str, typer.Option(help="Manifest column with the path.")]
TextColumn = Annotated[str, typer.Option(help="Manifest column with the text itself.")]
LabelColumn = Annotated[str, typer.Option(help="Manifest column with the label.")]
GroupColumn = Annotated[
    str, typer.Option(help="Manifest column with the group: groups never straddle a split.")
]
FoldColumn = Annotated[str, typer.Option(help="Manifest column with the cross-validation fold.")]


def show(line: str) -> None:
    """Print one line of the result."""
    sys.stdout.write(line + "\n")


def show_json(value: Mapping[str, Any]) -> None:
    """Print a JSON object on one line."""
    show(json.dumps(value, ensure_ascii=True, allow_nan=False))


def console(as_json: bool) -> Console:
    """Return where tables go: standard output, or standard error while that is kept for JSON."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False, soft_wrap=False)


def open_data(
    path: Path,
    path_column: str,
    text_column: str,
    label_column: str,
    group_column: str,
    fold_column: str,
    target: Target | None = None,
    *,
    unlabelled: bool = False,
) -> Dataset:
    """Open the data that a command names, and say what could not be opened."""
    from headstart import data

    dataset = data.open(
        path,
        target=target,
        path_column=path_column,
        text_column=text_column,
        label_column=label_column,
        group_column=group_column,
        fold_column=fold_column,
        unlabelled=unlabelled,
    )
    for problem in dataset.problems[:_LISTED]:
        tell(f"left out: {problem.name}: {problem.reason}")
    if (more := len(dataset.problems) - _LISTED) > 0:
        tell(f"left out: {more:,} more; `headstart inspect` has all of them")
    return dataset


def files_in(path: Path, modality: str) -> Iterator[Path]:
    """Yield all files of the modality in a folder, in order; raise `DataError` where there is none."""
    from headstart.data.kinds import SUFFIXES, is_clutter, suffix
    from headstart.errors import DataError

    found = False
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        for name in sorted(names):
            if suffix(name) in SUFFIXES[modality] and not is_clutter(name):
                found = True
                yield Path(folder, name)
    if not found:
        endings = ", ".join(sorted(SUFFIXES[modality]))
        raise DataError(f"files ending in {endings}", f"none in {path}", "name another folder, or the files")


def start() -> None:
    """Set what is set once for the whole process, before heavy libraries are loaded."""
    import warnings

    from headstart.process import tune_process

    tune_process()
    warnings.filterwarnings("ignore", module=r"PIL\..*")  # damaged files are reported by headstart itself


def default_command(name: str) -> type[TyperGroup]:
    """Return a group in which what is no subcommand goes to one: `serve MODEL` is `serve models MODEL`.

    Args:
        name: The subcommand, str.
    """

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if not args or args[0] not in self.commands:
                args = [name, *args]
            return super().parse_args(ctx, args)

    return Group
