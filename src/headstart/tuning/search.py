"""`tune`: look for a better plan than the one at hand, without ever looking at the test split."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.backbones import card
from headstart.data.items import Dataset
from headstart.engines.precision import Precision
from headstart.errors import OptionError, require
from headstart.files import storage_errors, write_json
from headstart.fitting import planning
from headstart.fitting.gathering import open_labelled_any
from headstart.fitting.targets import describe, require_two_answers, require_variety
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.training.plan import Plan, Strategy
from headstart.transfer.store import FeatureStore
from headstart.tuning.result import Metric, Tuning, collect

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from headstart.tuning.objectives import Objective
    from headstart.tuning.searching import Pruner, Sampler, Search
    from headstart.tuning.space import Blocks

PLAN, PAGE = "best.json", "report.html"
# Where a time is given and no plan, one is made that so many trials of fit into it.
_TRIALS_IN_TIME = 10
_START = "starting plan"


def tune(
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    study: Path | str,
    plan: Plan | None = None,
    strategy: Strategy | None = None,
    sampler: Sampler = "tpe",
    pruner: Pruner = "hyperband",
    metric: Metric | None = None,
    trials: int = 30,
    minutes: float | None = None,
    jobs: int = 1,
    backbone: str | None = None,
    backbones: Sequence[str] = (),
    sizes: Sequence[int] = (),
    folds: int | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Tuning:
    """Look for a better plan: what to keep of a network, which head, which rates.

    What may be varied follows from the plan (`headstart.tuning.space`). The plan itself is tried
    first. Every trial is kept in an SQLite file, so that the same call goes on where it was stopped or
    killed. Items of the test split are not even opened.

    Args:
        source: A data set, or what `headstart.data.open` opens: a folder for each class, a manifest, …
        study: The folder that keeps the trials, the best plan ("best.json") and the report.
        plan: Where the search starts. Defaults to None: that of the study, or for a new one what the planner
            chooses (`headstart.plan`).
        strategy: What it is to choose. Defaults to None: what the evidence says.
        sampler: "tpe" (Bayesian), "random" or "grid". Defaults to "tpe".
        pruner: "hyperband" gives up early what does badly after few epochs or folds, "none" lets all
            trials finish. Defaults to "hyperband".
        metric: "accuracy" (of equals the one with the smaller loss) or "loss". Defaults to None: accuracy
            where items have one class each.
        trials: How many in all, those of earlier calls included, int. Defaults to 30.
        minutes: After so many no trial of this call goes on, float. Defaults to None.
        jobs: How many processes share the work, int. With several, a script of yours needs the usual
            `if __name__ == "__main__":`. Defaults to 1.
        backbone: What it is to plan with. Defaults to None: the modality's default.
        backbones: Backbones to choose from, beside the plan's. Defaults to none.
        sizes: Input sizes to choose from, beside the plan's, in pixels. Defaults to none.
        folds: Judge by cross-validation with so many folds instead of the val split, int; only for plans
            that train no blocks. Defaults to None.
        val_share: Share of each class for validation where the data has no val split, float. Defaults to 0.2.
        seed: Of splits, folds and the sampler, int. Defaults to 0.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text for each trial. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        What was found, with the best plan.

    Raises:
        DataError: The data cannot teach anything.
        OptionError: An argument cannot be used, the study is about something else, or no trial succeeded.
        StorageError: The study cannot be read or written, or another process works on it.

    References:
        Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019.
        Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 2018.
        Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance",
        ICML 2014 (fANOVA).

    Example:
        >>> import headstart as hs
        >>> found = hs.tune("photos/", study="photos.study", minutes=10)  # doctest: +SKIP
        >>> print(found.plan.words())  # doctest: +SKIP
    """
    require(("sklearn", "scipy", "torch", "optuna"), "train", "tuning")
    from headstart.tuning import searching
    from headstart.tuning.objectives import Objective, Task

    _check(sampler, pruner, metric, trials, minutes, jobs, folds)
    if plan is not None and strategy is not None:
        raise OptionError("a plan or a strategy", "both", "leave one of them out")
    dataset = _without_test(open_labelled_any(source))
    metric = _metric(metric, dataset)
    say(f"{len(dataset)} {modality(dataset.modality).noun} {describe(dataset)}; the test split is left alone")
    folder = Path(study)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    deadline = None if minutes is None else time.time() + 60 * minutes
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        with searching.alone(folder), searching.speaking(folder):
            opened = searching.open_study(folder)
            plan = _plan_of(opened, plan, strategy)
            if plan is None:
                share = None if minutes is None else minutes / _TRIALS_IN_TIME
                plan = planning.plan(
                    dataset, backbone=backbone, minutes=share, strategy=strategy, val_share=val_share,
                    seed=seed, engine=engine, precision=precision, offline=offline, say=say, store=store,
                )  # fmt: skip
                say(plan.words())
            if plan.changes_backbone and folds is not None:
                fix = "leave folds out, or tune a plan that freezes the network"
                raise OptionError("folds for a plan that trains no blocks", f"{plan.strategy!r}", fix)
            task = Task(dataset, plan, folds, val_share, seed, engine, precision, offline, store.folder)
            objective = Objective(task, store, say)
            require_variety(objective.arrangement.data.take(objective.arrangement.train))
            blocks = _blocks(plan, backbones, offline)
            how = _how(opened, objective, folder, blocks, sampler, pruner, metric, sizes, seed, deadline)
            _begin(opened, how, plan, trials, say)
            objective.prepare(plan)
            done = sum(map(searching.counted, opened.get_trials(deepcopy=False)))
            teller = _teller(done, trials, say)
            searching.search(opened, task, how, objective, trials=trials - done, jobs=jobs, done=teller)
            name = dataset.root.name if dataset.root else "lists"
            found = collect(opened, folder, name, plan, blocks)
    write_json(folder / PLAN, found.plan.to_json())
    found.save(folder / PAGE)
    say(found.headline)
    return found


def _without_test(dataset: Dataset) -> Dataset:
    """Nothing of the test split goes any further: not its files, not its labels."""
    dataset = dataset.take([n for n, item in enumerate(dataset) if item.split != "test"])
    require_two_answers(dataset)
    return dataset


def _metric(metric: Metric | None, dataset: Dataset) -> Metric:
    if metric is None:
        return "accuracy" if dataset.target == "label" else "loss"
    if metric == "accuracy" and dataset.target != "label":
        raise OptionError(f"the metric loss for the target {dataset.target}", repr(metric), "leave it out")
    return metric


def _plan_of(study: Study, given: Plan | None, strategy: Strategy | None) -> Plan | None:
    """Return where a study started, or is to start; None for a new one that was given no plan."""
    kept = study.user_attrs.get(_START)
    if kept is None:
        return given
    plan = Plan.from_json(kept)

    def does(plan: Plan) -> Plan:
        return plan.replace(evidence={}, minutes=None)

    if given is not None and does(given) != does(plan):
        fix = "name another folder with --study, or leave the plan out"
        raise OptionError("the plan that the study began with", f"another one: {given.words()}", fix)
    if strategy not in (None, plan.strategy):
        fix = "name another folder with --study, or leave the strategy out"
        raise OptionError(f"the strategy that the study began with, {plan.strategy!r}", repr(strategy), fix)
    return plan


def _blocks(plan: Plan, names: Sequence[str], offline: bool) -> Blocks:
    """Return the blocks of every backbone that may be chosen, the plan's own first."""
    chosen = dict.fromkeys((plan.backbone, *names))
    blocks = {name: card(name, offline=offline).blocks for name in chosen}
    plan.check(plan.backbone, blocks[plan.backbone])
    return blocks


def _how(
    study: Study,
    objective: Objective,
    folder: Path,
    blocks: Blocks,
    sampler: Sampler,
    pruner: Pruner,
    metric: Metric,
    sizes: Sequence[int],
    seed: int,
    deadline: float | None,
) -> Search:
    from optuna.distributions import distribution_to_json

    from headstart.tuning.searching import Search, check_same
    from headstart.tuning.space import search_space

    plan = objective.task.plan
    space = search_space(plan, blocks, target=objective.gathered.dataset.target, sizes=sizes)
    about = {
        "data digest": objective.gathered.digest,
        "metric": metric,
        "judgement": objective.judged,
        "division of the data": objective.division,
        "search space": {name: distribution_to_json(where) for name, where in space.items()},
    }
    check_same(study, about)
    if _START not in study.user_attrs:
        study.set_user_attr(_START, plan.to_json())
    return Search(folder, sampler, pruner, metric, space, blocks, seed, deadline)


def _begin(study: Study, how: Search, plan: Plan, trials: int, say: Say) -> None:
    """Fill the queue: what a kill left behind, the plan itself, the points of a grid."""
    from headstart.tuning.searching import FIRST, requeue
    from headstart.tuning.space import grid, starting_point

    before = len(study.get_trials(deepcopy=False))
    if again := requeue(study):
        say(f"{again} trials had been interrupted and are tried again")
    elif before:
        say(f"going on with the study in {how.folder}: {before} trials so far")
    if not before:
        study.enqueue_trial(starting_point(plan, how.space, how.blocks), {FIRST: True})
    if how.sampler == "grid":
        for point in grid(how.space, trials, how.seed):
            study.enqueue_trial(point, skip_if_exists=True)


def _teller(done: int, trials: int, say: Say) -> Callable[[FrozenTrial], None]:
    from headstart.tuning.searching import describe

    numbers = itertools.count(done + 1)
    return lambda trial: say(f"{next(numbers)} of {trials}: {describe(trial)}")


def _check(
    sampler: str,
    pruner: str,
    metric: str | None,
    trials: int,
    minutes: float | None,
    jobs: int,
    folds: int | None,
) -> None:
    if sampler not in ("tpe", "random", "grid"):
        raise OptionError("the sampler tpe, random or grid", repr(sampler), "choose one of them")
    if pruner not in ("hyperband", "none"):
        raise OptionError("the pruner hyperband or none", repr(pruner), "choose one of them")
    if metric not in (None, "accuracy", "loss"):
        raise OptionError("the metric accuracy or loss", repr(metric), "choose one of them")
    if trials < 1:
        raise OptionError("at least one trial", str(trials), "use 30")
    if minutes is not None and not minutes > 0:
        raise OptionError("a positive number of minutes", str(minutes), "use 10, or leave it out")
    if jobs < 1:
        raise OptionError("at least one process", f"{jobs} jobs", "use 1, or the number of cores")
    if folds is not None and folds < 2:
        raise OptionError("at least 2 folds", repr(folds), "use 5, or leave it out")
