"""`headstart plan`: how much of a pretrained network would be kept, and why, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common
from headstart.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from headstart.data.items import Dataset
    from headstart.training.plan import Plan

EXAMPLE = (
    "Example: headstart plan photos/ --minutes 10 -o plan.json, then: headstart fit photos/ --plan plan.json"
)

_SCORES = {"label": "accuracy", "labels": "mistakes avoided", "number": "R²"}


def run(
    data: common.DataArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the plan to a JSON file.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="All the time that a fit may take.")] = None,
    strategy: common.StrategyOption = None,
    plan: Annotated[
        Path | None, typer.Option(help="Check and show this plan instead of making one, a JSON file.")
    ] = None,
    backbones: Annotated[
        str | None, typer.Option(help="Rank these networks (names with commas between) and make no plan.")
    ] = None,
    target: common.TargetOption = None,
    backbone: common.BackboneOption = None,
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
    """Choose how much of a pretrained network to keep, from what is measured on the data.

    Nothing is trained, and test items are never looked at.
    """
    from headstart import fitting
    from headstart.errors import OptionError
    from headstart.files import write_json
    from headstart.transfer.planner import check

    check(minutes, strategy)
    given = [name for name, value in (("--plan", plan), ("--backbones", backbones)) if value is not None]
    if len(given) > 1:
        raise OptionError("one of --plan and --backbones", " and ".join(given), "leave one out")
    shown = None if plan is None else _checked(plan, backbone, offline)
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, target
    )
    if backbones is not None:
        return _ranked(dataset, backbones.split(","), engine, seed, offline, json)
    if shown is None:
        shown = fitting.plan(
            dataset,
            backbone=backbone,
            minutes=minutes,
            strategy=strategy,
            seed=seed,
            engine=engine,
            offline=offline,
            say=common.tell,
        )
    _print(shown, common.console(json))
    if output is not None:
        write_json(output, shown.to_json())
        common.tell(f"wrote {output}")
    if json:
        common.show_json(shown.to_json())
    return 0


def _checked(path: Path, backbone: str | None, offline: bool) -> Plan:
    from headstart import backbones
    from headstart.fitting.planning import read_plan

    found = read_plan(path)
    card = backbones.card(backbone or found.backbone, offline=offline)
    found.check(card.name, card.blocks)
    return found


def _print(plan: Plan, console: Console) -> None:
    from rich.table import Table

    for sentence in plan.words().split(". "):
        console.print(sentence.removesuffix(".") + ".", soft_wrap=True)
    for reason in plan.evidence.get("reasons", ()):
        console.print(f"- {reason}", soft_wrap=True)
    if depths := plan.evidence.get("depths"):
        what = _SCORES.get(str(plan.evidence.get("target")), "accuracy")
        table = Table(
            "block",
            "width",
            f"probe: {what}",
            "LogME",
            "H-score",
            "distance",
            title="what each depth is worth",
        )
        try:
            for depth in depths:
                distance = "" if depth["distance"] is None else f"{depth['distance']:.3f}"
                accuracy = f"{depth['accuracy']:.1%} ± {depth['error']:.1%}"
                score = "" if depth.get("h_score") is None else f"{depth['h_score']:.3f}"
                table.add_row(
                    depth["block"], str(depth["width"]), accuracy, f"{depth['logme']:.3f}", score, distance
                )
        except (KeyError, TypeError, ValueError) as error:
            fix = "take the evidence out of the plan, or make a new one"
            raise OptionError(
                "what each depth is worth, as it was measured", repr(depths)[:60], fix
            ) from error
        console.print(table)


def _ranked(dataset: Dataset, names: list[str], engine: str, seed: int, offline: bool, as_json: bool) -> int:
    from rich.table import Table

    from headstart.fitting import rank_backbones

    ranked = [
        each.to_json()
        for each in rank_backbones(dataset, names, engine=engine, seed=seed, offline=offline, say=common.tell)
    ]
    table = Table("backbone", f"probe: {_SCORES[dataset.target]}", "LogME", "H-score", "LEEP", "ms an item")
    table.columns[0].overflow = "fold"
    for each in ranked:
        figures = [
            f"{each[name]:.3f}" if each[name] is not None else "" for name in ("logme", "h_score", "leep")
        ]
        accuracy = f"{each['accuracy']:.1%} ± {each['error']:.1%}"
        table.add_row(each["backbone"], accuracy, *figures, f"{each['ms_per_item']:.1f}")
    common.console(as_json).print(table)
    if as_json:
        common.show_json({"backbones": ranked})
    return 0
