"""What a search found: the trials, the best plan, and what mattered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headstart.errors import OptionError
from headstart.evaluation.sections import percent
from headstart.pages import Shown
from headstart.training.plan import Plan

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from headstart.tuning.space import Blocks

Metric = Literal["accuracy", "loss"]
State = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Tried:
    """One plan that was tried.

    Args:
        number: Which trial it was, int, from 0.
        state: "complete", "pruned" (given up early), "failed" (it cannot be done) or "interrupted".
        values: What was varied, {name: value}.
        accuracy: On items it had not learned from, float; None where there is none.
        loss: The same, float; None where it was not finished.
        seconds: What it took, float.
        steps: What was minimised, after each epoch or fold, {step: float}.
        value: What was minimised, at the end, float; None where there is none.
        reason: Why it failed, str. Defaults to "".
        is_start: Whether it is the plan that the search began with. Defaults to False.
    """

    number: int
    state: State
    values: dict[str, Any]
    accuracy: float | None
    loss: float | None
    seconds: float
    steps: dict[int, float]
    value: float | None
    reason: str = ""
    is_start: bool = False


@dataclass(frozen=True)
class Tuning(Shown):
    """What a search found.

    Args:
        folder: Where the study is kept.
        name: Of the data, str.
        metric: What was made better, "accuracy" or "loss".
        judged: What the trials were judged on, str: "120 validation items", "5 folds of 400 items".
        start: The plan that the search began with.
        plan: The best plan.
        best: Its trial.
        trials: All trials, in order.
        importances: How much of the differences between trials each name explains (fANOVA), {name: share}.
    """

    folder: Path
    name: str
    metric: Metric
    judged: str
    start: Plan
    plan: Plan
    best: Tried
    trials: tuple[Tried, ...]
    importances: dict[str, float]

    @property
    def first(self) -> Tried:
        """The trial of the plan that the search began with."""
        tried = (trial for trial in self.trials if trial.is_start and trial.state != "interrupted")
        return next(tried, self.trials[0])

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        first, best = self.first, self.best
        found = f"The best of {len(self.trials)} plans" if len(self.trials) > 1 else "The only plan tried"
        if best.accuracy is not None:
            found += f" is right {percent(best.accuracy)} of the time"
        if best.number == first.number:
            found += f" has a loss of {best.loss:.4f}" if best.accuracy is None else ""
            return f"{found}: it is the one that the search began with."
        if self.metric == "accuracy" and first.accuracy is not None and first.accuracy != best.accuracy:
            return f"{found}; the one that the search began with, {percent(first.accuracy)}."
        before = "" if first.loss is None else f" instead of {first.loss:.4f}"
        link = " has" if best.accuracy is None else ", with"
        return f"{found}{link} a loss of {best.loss:.4f}{before}."

    def to_json(self) -> dict[str, Any]:
        """Return what was found as a JSON object."""
        states = [trial.state for trial in self.trials]
        return {
            "study": str(self.folder),
            "headline": self.headline,
            "metric": self.metric,
            "judged": self.judged,
            "trials": len(self.trials),
            "states": {state: states.count(state) for state in sorted(set(states))},
            "best": {
                "trial": self.best.number,
                "values": self.best.values,
                "accuracy": self.best.accuracy,
                "loss": self.best.loss,
            },
            "importances": self.importances,
            "plan": self.plan.to_json(),
        }

    def html(self) -> str:
        """Return the report as one self-contained page."""
        from headstart.tuning.page import tuning_page

        return tuning_page(self)


def collect(study: Study, folder: Path, name: str, start: Plan, blocks: Blocks) -> Tuning:
    """Read what a study holds.

    Args:
        study: With at least one trial that was finished.
        folder: Where it is kept.
        name: Of the data, str.
        start: The plan that the search began with.
        blocks: As for `search_space`.

    Returns:
        What was found.

    Raises:
        OptionError: No trial succeeded.
    """
    from headstart.tuning.space import planned

    trials = tuple(_tried(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished())
    best = _best(trials)
    judged = study.user_attrs["judgement"]
    plan = planned(start, best.values, blocks)
    metric = study.user_attrs["metric"]
    found = Tuning(folder, name, metric, judged, start, plan, best, trials, _importances(study))
    tuned = {"trials": len(trials), "judged": judged, "accuracy": best.accuracy, "loss": best.loss}
    # The reasons were those of the plan that the search began with.
    reasons = [f"Tuning on {judged}. {found.headline}"]
    return replace(found, plan=plan.replace(evidence={**plan.evidence, "reasons": reasons, "tuning": tuned}))


def _best(trials: tuple[Tried, ...]) -> Tried:
    # What was given up may be all there is, when time was short.
    for state in ("complete", "pruned"):
        some = [trial for trial in trials if trial.state == state and trial.value is not None]
        if some:
            return min(some, key=lambda trial: (trial.value, trial.number))
    reasons = [trial.reason for trial in trials if trial.reason]
    received = f"{len(trials)} that failed ({reasons[-1]})" if reasons else "none that was finished"
    raise OptionError("a trial that succeeds", received, "give it more minutes, or another plan")


def _tried(trial: FrozenTrial) -> Tried:
    from optuna.trial import TrialState

    from headstart.tuning.searching import FIRST, counted

    names: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    found = trial.user_attrs
    return Tried(
        trial.number,
        names.get(trial.state, "failed") if counted(trial) else "interrupted",
        dict(trial.params),
        found.get("accuracy"),
        found.get("loss"),
        found.get("seconds", 0.0),
        dict(trial.intermediate_values),
        trial.value,
        found.get("reason", ""),
        FIRST in found,
    )


def _importances(study: Study) -> dict[str, float]:
    """Return how much each name explains; nothing where too few trials differ."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < 4 or len({trial.value for trial in done}) < 2:
        return {}
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in found.items()}
