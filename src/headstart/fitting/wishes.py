"""What somebody wants beyond a head on the frozen network: a strategy, a time, a plan. And making it so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headstart import backbones
from headstart.engines.precision import Precision
from headstart.errors import OptionError
from headstart.files import write_json
from headstart.fitting.planning import measure
from headstart.fitting.strategies import Candidate, train_all
from headstart.progress import Say
from headstart.training.plan import Plan, Strategy
from headstart.transfer import planner
from headstart.transfer.heads import Head, Kind, silent_solvers
from headstart.transfer.selection import one_core_each
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from headstart.fitting.finetuning import Tuned
    from headstart.fitting.gathering import Gathered

_STRENGTH = 0.01
"""Of a head that training starts from: which one hardly matters."""
PLANS = "plans.json"
"""In the folder of a run: what is trained, in order. A resumed run follows it instead of planning anew."""


@dataclass(frozen=True)
class Wish:
    """What `fit` was asked for beyond the probe.

    Args:
        strategy: One of `STRATEGIES`, or None.
        minutes: All the time there is, float, or None.
        plan: A plan to follow, or None.
        scratch: Whether to train from random numbers, too.
        run: Folder of checkpoints and history, or None.
        resume: Whether to go on with what is there.
        lora: Rank of the adapters through which blocks learn, int. Defaults to 0: they learn themselves.

    Raises:
        OptionError: They do not fit together.
    """

    strategy: Strategy | None
    minutes: float | None
    plan: Plan | None
    scratch: bool
    run: Path | None
    resume: bool
    lora: int = 0

    def __post_init__(self) -> None:
        planner.check(self.minutes, self.strategy)
        if self.lora < 0:
            raise OptionError("a LoRA rank of 0 or more", str(self.lora), "use 8, or leave it out")
        frozen = self.plan is not None and not self.plan.changes_backbone
        if self.lora and (frozen or self.strategy in ("freeze-all", "cut-early", "scratch")):
            fix = "use fine-tune-late or fine-tune-all, or leave LoRA out"
            received = "a plan without any" if frozen else str(self.strategy)
            raise OptionError("pretrained blocks that learn through LoRA adapters", received, fix)
        if self.plan is not None and self.strategy is not None:
            raise OptionError("a plan or a strategy", "both", "leave one of them out")
        if self.resume and (self.run is None or not (self.run / PLANS).is_file()):
            where = "no folder of a run" if self.run is None else f"no run in {self.run}"
            raise OptionError("a run to resume", where, "leave out resume, or name the run's folder")

    def __bool__(self) -> bool:
        asked = self.plan is not None or self.strategy is not None or self.minutes is not None
        return asked or self.scratch or self.resume or self.lora > 0

    @cached_property
    def written(self) -> _Written:
        """What the run that is resumed was started with."""
        if self.run is None:
            raise OptionError("a run to resume", "no folder of a run", "name the run's folder")
        return _Written.read(self.run / PLANS)

    @property
    def followed(self) -> Plan | None:
        """The plan that was given, now or when the resumed run was started; None where one was made."""
        if self.resume:
            return self.written.plans[0] if self.written.given else None
        return self.plan

    @property
    def backbone(self) -> str | None:
        """The backbone that a plan names."""
        plan = self.written.plans[0] if self.resume else self.plan
        return None if plan is None else plan.backbone

    @property
    def trains(self) -> bool:
        """Whether it may come to training."""
        if self.plan is not None:
            return bool(self.plan.phases) or self.scratch
        return bool(self) and (self.scratch or self.strategy not in ("freeze-all", "cut-early"))

    def check_resumed(self, seed: int) -> None:
        """Make sure that a resumed run is asked for what it was started with.

        Raises:
            OptionError: Another seed, which would divide the data anew, or another plan.
        """
        if not self.resume:
            return
        if seed != self.written.seed:
            fix = f"use the seed {self.written.seed}, or start anew without resume"
            raise OptionError(f"the seed of the run, {self.written.seed}", str(seed), fix)
        if self.plan is not None and self.plan != self.written.plans[0]:
            fix = "leave out the plan, or start anew without resume"
            raise OptionError("the plan that the run was started with", "another one", fix)


@dataclass(frozen=True)
class _Written:
    """What plans.json says.

    Args:
        plans: What is trained, in order.
        given: Whether the first was given and not made.
        seed: Of the division of the data, int.
    """

    plans: tuple[Plan, ...]
    given: bool
    seed: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it.

        Raises:
            OptionError: It is damaged.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(map(Plan.from_json, value["plans"])), bool(value["given"]), int(value["seed"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            fix = "start anew, without resume"
            raise OptionError(f"the plans of a run in {path}", f"a damaged file ({error})", fix) from error

    def write(self, path: Path) -> None:
        """Write it."""
        plans = [plan.to_json() for plan in self.plans]
        write_json(path, {"plans": plans, "given": self.given, "seed": self.seed})


@dataclass(frozen=True)
class Bench:
    """What the work is done with.

    Args:
        store: The feature store.
        gather_at: Gives the items with features from a block, at an input size.
        fit_head: Makes a candidate of a head of a kind on such features.
        engine: As for `fit`.
        precision: As for `fit`.
        offline: As for `fit`.
        seed: As for `fit`.
        say: Where progress is told.
    """

    store: FeatureStore
    gather_at: Callable[[str | None, int | None], Gathered]
    fit_head: Callable[[str, Gathered, Kind], Candidate]
    engine: str
    precision: Precision | None
    offline: bool
    seed: int
    say: Say


def fulfil(wish: Wish, floor: Candidate, bench: Bench, deadline: float | None) -> list[Candidate]:
    """Plan and do what is wished for.

    Args:
        wish: What.
        floor: The probe that is already in hand.
        bench: What it is done with.
        deadline: `time.monotonic()` at which everything must be done, float, or None.

    Returns:
        The candidates beside the floor.
    """
    plans = _plans(wish, floor, bench)
    first, card = plans[0], floor.gathered.card
    elsewhere = (first.cut, first.size) != (card.blocks[-1], card.preprocess.size)
    beside: list[Candidate] = []
    if wish.followed is None and elsewhere and first.phases and card.modality == "text":
        floor = _read_at(floor, first.size, bench)
    elif wish.followed is None and elsewhere:
        # Training starts from the head at the plan's cut and size; the floor stays the whole network's.
        is_cut = first.cut != card.blocks[-1]
        name = "cut-early" if is_cut else first.strategy
        floor = bench.fit_head(name, bench.gather_at(first.cut, first.size), first.head)
        if not first.phases:
            return [floor]
        beside = [floor] if is_cut else []  # what training has to beat, too

    # With torch, which a head on known features does without.
    from headstart.fitting.finetuning import RESERVE_SECONDS, keep, train_plan
    from headstart.training.checkpoints import FOLDER

    start = floor.fitted.on_train or _simple_head(floor, first, bench.seed)

    def tune(plan: Plan) -> Tuned:
        folder = None if wish.run is None else wish.run / plan.strategy
        resume = wish.resume and folder is not None and (folder / FOLDER).is_dir()
        done = train_plan(
            floor.gathered,
            floor.arrangement,
            plan,
            start,
            bench.store,
            run=folder,
            resume=resume,
            deadline=None if deadline is None else deadline - RESERVE_SECONDS,
            offline=bench.offline,
            say=bench.say,
        )
        return keep(done, floor.gathered, floor.arrangement, bench.store)

    trained = [plan for plan in plans if plan.phases]
    return [*beside, *train_all(floor, trained, tune, seed=bench.seed, say=bench.say)]


def _read_at(floor: Candidate, size: int, bench: Bench) -> Candidate:
    """Return the floor with features of passages of another length; what stands beside them stays."""
    gathered = bench.gather_at(None, size)
    arrangement = floor.arrangement.with_features(gathered.features)
    fitted = replace(floor.fitted, on_train=None)
    return replace(floor, gathered=gathered, arrangement=arrangement, fitted=fitted)


def _simple_head(floor: Candidate, plan: Plan, seed: int) -> Head:
    """Return a head on the backbone's features, fitted on train alone, where the floor is something else."""
    train = floor.arrangement.data.take(floor.arrangement.train)
    with one_core_each(), silent_solvers():
        return train.fit(plan.head, _STRENGTH, plan.settings.class_weight, seed)


def _plans(wish: Wish, floor: Candidate, bench: Bench) -> list[Plan]:
    """Return what to do, in order: as it was planned before, as it was given, or planned now."""
    if wish.resume:
        return list(wish.written.plans)
    strategy = wish.strategy
    if wish.lora:  # what cannot have adapters is told before anything is measured
        from headstart.training import lora

        card = floor.gathered.card
        lora.attention_layers(backbones.load(card.name, offline=bench.offline), card.blocks)
        strategy = strategy or "fine-tune-late"
    plans = [wish.plan] if wish.plan is not None else []
    if wish.plan is None or wish.scratch:
        evidence, cost = measure(
            floor.gathered,
            floor.arrangement,
            bench.store,
            seed=bench.seed,
            engine=bench.engine,
            precision=bench.precision,
            offline=bench.offline,
            say=bench.say,
        )
        if wish.plan is None:
            made = planner.plan(evidence, cost, minutes=wish.minutes, strategy=strategy, seed=bench.seed)
            plans.append(made)
            for reason in made.evidence["reasons"]:
                bench.say(reason)
        scratch = planner.plan(evidence, cost, strategy="scratch", seed=bench.seed)
        if plans[0].strategy != "scratch" and (wish.scratch or _both_fit(plans[0], scratch, wish)):
            plans.append(scratch)
    plans = [_adapted(plan, wish.lora) for plan in plans]
    if wish.run is not None:
        wish.run.mkdir(parents=True, exist_ok=True)
        _Written(tuple(plans), wish.plan is not None, bench.seed).write(wish.run / PLANS)
    return plans


def _adapted(plan: Plan, rank: int) -> Plan:
    """Return the plan with LoRA adapters, where it trains pretrained blocks."""
    if not rank or plan.strategy == "scratch":
        return plan
    return plan.replace(settings=replace(plan.settings, lora=rank))


def _both_fit(plan: Plan, scratch: Plan, wish: Wish) -> bool:
    """Whether there is time to try the old rule, too: much data unlike the source is trained from scratch."""
    if plan.strategy != "fine-tune-all" or wish.strategy is not None or wish.minutes is None:
        return False
    return (plan.minutes or 0) + (scratch.minutes or 0) <= planner.SPARE * wish.minutes
