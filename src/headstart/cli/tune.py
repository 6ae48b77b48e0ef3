"""`headstart tune`: look for a better plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = (
    "Example: headstart tune photos/ --minutes 10 -o photos.headstart, "
    "or only the plan, then: headstart fit photos/ --plan photos.study/best.json -o photos.headstart"
)


def run(
    data: common.DataArgument,
    study: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps the trials, the best plan and the report. Default: beside you, named "
            "after the data."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also fit the best plan and save the model here.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Where the search starts, a JSON file of `headstart plan`.")
    ] = None,
    strategy: common.StrategyOption = None,
    trials: Annotated[int, typer.Option(help="How many in all, those of earlier calls included.")] = 30,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many.")] = None,
    jobs: Annotated[int, typer.Option(help="How many processes share the work.")] = 1,
    sampler: Annotated[
        Literal["tpe", "random", "grid"], typer.Option(help="How to look: tpe is the Bayesian one.")
    ] = "tpe",
    pruner: Annotated[
        Literal["hyperband", "none"], typer.Option(help="What gives up early what does badly.")
    ] = "hyperband",
    metric: Annotated[
        Literal["accuracy", "loss"] | None,
        typer.Option(help="What to make better. Default: accuracy where items have one class."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Judge by cross-validation (plans that train no blocks).")
    ] = None,
    backbone: common.BackboneOption = None,
    backbones: Annotated[
        str, typer.Option(help="Further networks to choose from, names with commas between.")
    ] = "",
    sizes: Annotated[
        str, typer.Option(help="Further input sizes to choose from, in pixels, with commas between.")
    ] = "",
    target: common.TargetOption = None,
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
    """Try many plans on train and val, and keep the best.

    Stopped or killed, the same command goes on. Test items are never looked at.
    """
    from headstart.artefact.saving import check_place
    from headstart.fitting import fit
    from headstart.fitting.planning import read_plan
    from headstart.tuning.search import PAGE, PLAN, tune

    started = time.monotonic()
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, target
    )
    if output is not None:
        check_place(output)
    folder = study or Path(f"{data.stem or data.resolve().stem}.study")
    found = tune(
        dataset,
        study=folder,
        plan=None if plan is None else read_plan(plan),
        strategy=strategy,
        sampler=sampler,
        pruner=pruner,
        metric=metric,
        trials=trials,
        minutes=minutes,
        jobs=jobs,
        backbone=backbone,
        backbones=[name.strip() for name in backbones.split(",") if name.strip()],
        sizes=_pixels(sizes),
        folds=folds,
        seed=seed,
        engine=engine,
        offline=offline,
        say=common.tell,
    )
    common.tell(f"wrote {folder / PLAN} and {folder / PAGE}")
    console = common.console(json)
    console.print(found.plan.words(), soft_wrap=True)
    result = {**found.to_json(), "seconds": round(time.monotonic() - started, 3)}
    if output is not None:
        weighed = found.plan.settings.class_weight
        model = fit(
            dataset, plan=found.plan, class_weight=weighed, folds=folds, seed=seed, engine=engine,
            offline=offline, say=common.tell,
        )  # fmt: skip
        model.save(output)
        common.tell(f"saved {output}")
        result["model"] = str(output)
    if json:
        common.show_json(result)
    return 0


def _pixels(text: str) -> list[int]:
    from headstart.errors import OptionError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal() or int(part) < 8]:
        raise OptionError("input sizes in pixels, such as 160,224", repr(wrong[0]), "correct --sizes")
    return [int(part) for part in parts]
