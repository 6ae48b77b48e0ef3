"""`headstart fit`: from a data set to a saved model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.data.items import Target

EXAMPLE = "Example: headstart fit photos/ -o photos.headstart --report report.html"


def run(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the model goes, a folder.")],
    data: common.MaybeDataArgument = None,
    report: Annotated[Path | None, typer.Option(help="Also write the report, one HTML page.")] = None,
    review: Annotated[
        Path | None, typer.Option(help="Also write the page on which likely label errors are fixed.")
    ] = None,
    target: common.TargetOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="A pretrained network, see: headstart backbones list. Several, a,b: an ensemble."),
    ] = None,
    members: Annotated[
        int | None, typer.Option(help="An ensemble of this many, by backbone, training or seed.")
    ] = None,
    head: Annotated[
        Literal["linear", "mlp", "centroid"], typer.Option(help="What is fitted on the features.")
    ] = "linear",
    folds: Annotated[
        int | None, typer.Option(help="Estimate by cross-validation with this many folds.")
    ] = None,
    class_weight: Annotated[Literal["balanced"] | None, typer.Option(help="Weigh rare classes up.")] = None,
    engine: common.EngineOption = "auto",
    precision: Annotated[
        Literal["bf16", "fp32", "int8"] | None,
        typer.Option(help="What it computes in. Default: the engine's choice."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="All the time there is: the network is trained where that fits.")
    ] = None,
    strategy: Annotated[
        Literal["freeze-all", "fine-tune-late", "cut-early", "fine-tune-all", "scratch"] | None,
        typer.Option(help="How much of the network is kept. Default: frozen, or what fits the minutes."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Follow this plan, a JSON file: headstart plan DATA -o FILE.")
    ] = None,
    lora: Annotated[
        int, typer.Option(help="Rank of LoRA adapters: a transformer's blocks learn through these alone.")
    ] = 0,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Also train from random numbers, and say which won.")
    ] = False,
    guard: Annotated[
        bool, typer.Option(help="Keep the head on the frozen network where training ends worse.")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was cut off, in OUTPUT.run.")
    ] = False,
    email: Annotated[
        bool, typer.Option("--email", help="Take headers, quotes and signatures of e-mails off texts first.")
    ] = False,
    start: Annotated[
        Path | None, typer.Option(help="A saved model of other data, whose knowledge is carried over.")
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="More items, whose labels are not looked at: known ones spread.")
    ] = None,
    zero_shot: Annotated[
        bool,
        typer.Option(
            "--zero-shot", help="Start from what the names of the classes say. DATA may be left out."
        ),
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(
            help='With --zero-shot, the classes: "dog, cat", or with descriptions "okapi: a giraffe; dog".'
        ),
    ] = None,
    modality: Annotated[
        Literal["image", "text"] | None,
        typer.Option(help="With --zero-shot and no DATA: what to answer about."),
    ] = None,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: Annotated[
        str, typer.Option(help="Manifest column with the label. Several, a,b: a model for each, in OUTPUT.")
    ] = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Learn classes, several labels or a number from a collection, check how well, and save the model.

    Files that cannot be read are listed and left out.
    """
    from headstart.artefact.saving import check_place
    from headstart.errors import OptionError
    from headstart.fitting import Report, fit, read_plan
    from headstart.fitting.ensembles import fit_ensemble

    started = time.monotonic()
    if zero_shot or labels is not None:
        from headstart.cli.zero_shot import fit_by_names

        return fit_by_names(
            data, output, labels, zero_shot, report, json,
            modality=modality, backbone=backbone, engine=engine, precision=precision,
            seed=seed, offline=offline,
            path_column=path_column, text_column=text_column, label_column=label_column,
            group_column=group_column, fold_column=fold_column,
        )  # fmt: skip
    if data is None:
        fix = 'name a folder or manifest, or only classes: --labels "dog, cat" --zero-shot'
        raise OptionError("data to learn from", "none", fix)
    columns = [name.strip() for name in label_column.split(",")]
    if len(columns) > 1:
        asked = (target, members, folds, minutes, strategy, plan, start, unlabelled, review)
        if any(each is not None for each in asked) or lora or resume or head != "linear" or scratch:
            fix = "name one label column, or leave the other options out"
            raise OptionError("several label columns, each with its own head", "an option beyond that", fix)
        return _fit_tasks(
            data, output, report, columns, json,
            backbone=backbone, class_weight=class_weight, email=email, engine=engine, precision=precision,
            offline=offline, seed=seed, say=common.tell, path_column=path_column, text_column=text_column,
            group_column=group_column, fold_column=fold_column,
        )  # fmt: skip
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, target
    )
    if review is not None and dataset.target != "label":
        fix = "leave --review out"
        raise OptionError("items with one label each, to review labels", f"the target {dataset.target}", fix)
    check_place(output)
    options: dict[str, Any] = {
        "head": head,
        "folds": folds,
        "class_weight": class_weight,
        "seed": seed,
        "engine": engine,
        "precision": precision,
        "offline": offline,
        "minutes": minutes,
        "plan": None if plan is None else read_plan(plan),
        "lora": lora,
        "scratch": scratch,
        "guard": guard,
        "run": output.with_name(f"{output.name}.run"),
        "resume": resume,
        "email": email,
        "start": start,
        "unlabelled": unlabelled,
        "say": common.tell,
    }
    backbones = [name.strip() for name in backbone.split(",")] if backbone else [None]
    if members is not None or len(backbones) > 1:
        model = fit_ensemble(dataset, backbones=backbones, strategies=[strategy], members=members, **options)
    else:
        model = fit(dataset, backbone=backbones[0], strategy=strategy, **options)
    model.save(output)
    common.tell(f"saved {output}")
    if isinstance(model.report, Report):
        if report is not None:
            common.tell(f"wrote {model.report.save(report)}")
        if review is not None:
            common.tell(f"wrote {model.report.save_review(review)}")
    if json:
        metrics = model.metrics
        checked = metrics.get("validation") or metrics.get("cross-validation") or {}
        common.show_json(
            {
                "model": str(output),
                "train_items": model.data["fitted_on"],
                **_figures(model.target, checked, metrics.get("test", {})),
                "seconds": round(time.monotonic() - started, 3),
                "backbone": model.backbone.name,
                "plan": model.plan,
            }
        )
    return 0


def _fit_tasks(
    data: Path, output: Path, report: Path | None, columns: list[str], json: bool, **options: Any
) -> int:
    """Fit a model for each label column, and say what each gained from the others."""
    from headstart.fitting.tasks import fit_tasks

    tasks = fit_tasks(data, columns, **options)
    for place in tasks.save_models(output).values():
        common.tell(f"saved {place}")
    if report is not None:
        common.tell(f"wrote {tasks.save(report)}")
    if json:
        common.show_json({"models": str(output), "tasks": tasks.to_json()})
    return 0


def _figures(target: Target, val: dict[str, Any], test: dict[str, Any]) -> dict[str, Any]:
    """Return what a program reads first: of several labels and numbers all figures."""
    if target == "label":
        return {"val_accuracy": val.get("accuracy"), "test_accuracy": test.get("accuracy")}
    return {"target": target, "val": val or None, "test": test or None}
