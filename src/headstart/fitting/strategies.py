"""Which of several ways to make a model wins: the probe is the floor, what is trained has to beat it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.backbones import Card
from headstart.errors import OptionError
from headstart.evaluation.trials import Trial, score_of
from headstart.fitting.judging import AnyEvaluation, judge, judge_folds
from headstart.fitting.views import view_plan
from headstart.progress import Say
from headstart.training.diagnostics import Run
from headstart.training.plan import Plan
from headstart.transfer.calibration import AnyCalibration, Calibration
from headstart.transfer.selection import Labelled, Selection, assign_folds
from headstart.transfer.stacking import Stacked, StackedHead, cross_weighted, fit_weights, weighted

if TYPE_CHECKING:
    from headstart.fitting.arranging import Arrangement
    from headstart.fitting.finetuning import Tuned
    from headstart.fitting.gathering import Gathered
    from headstart.fitting.learning import Fitted

# A trained network is calibrated on val and judged on it, too: never on the same half.
_HALVES = 2
ENOUGH_TO_CALIBRATE = 60
"""With fewer val items a temperature says more about them than about the network."""

PROBE = "probe"


@dataclass(frozen=True)
class Candidate:
    """One way to make the model, ready to be the model.

    Args:
        gathered: The items with the features that the head reads.
        arrangement: What each item is for, with these features.
        fitted: Head, calibration, evaluations.
        trial: How it did on validation.
        tuned: The network, where one was trained. Defaults to None.
    """

    gathered: Gathered
    arrangement: Arrangement
    fitted: Fitted
    trial: Trial
    tuned: Tuned | None = None

    @property
    def card(self) -> Card:
        """The card of the network that answers."""
        return self.gathered.card if self.tuned is None else self.tuned.card


def probe(
    name: str, gathered: Gathered, arrangement: Arrangement, fitted: Fitted, seconds: float
) -> Candidate:
    """Return a head on cached features as a candidate."""
    found = fitted.evaluations.get("validation") or fitted.evaluations["cross-validation"]
    score, rank = score_of(found)
    return Candidate(gathered, arrangement, fitted, Trial(name, score, rank, seconds))


def trained(
    name: str, floor: Candidate, tuned: Tuned, seed: int, crossed: NDArray[np.float32] | None = None
) -> Candidate:
    """Return a trained network as a candidate, judged on the same items as the floor.

    Args:
        name: What people call it, str.
        floor: The probe.
        tuned: The trained network.
        seed: Of the halves of val on which it is calibrated and judged in turn, int.
        crossed: Logits of val by which it is judged, where those of `tuned` know each half's own answers.
            Defaults to None.
    """
    arrangement = floor.arrangement
    labels, names = arrangement.labels, [item.name for item in floor.gathered.dataset]
    val, logits = arrangement.data.take(arrangement.val), tuned.logits["validation"]
    val_names = [names[n] for n in arrangement.val]
    if val.target == "label" and len(val.y) < ENOUGH_TO_CALIBRATE:
        calibration: AnyCalibration = Calibration.of(logits, val.y, temperature=1.0)
        checked = judge(labels, val, logits, calibration, names=val_names, seed=seed)
    else:
        calibration = val.calibrate(logits)
        judged = logits if crossed is None else crossed
        halves = Selection(float("nan"), {}, _halves(val, seed), judged)
        checked = judge_folds(labels, val, halves, names=val_names, seed=seed)
    evaluations: dict[str, AnyEvaluation] = {"validation": checked}
    if "test" in tuned.logits:
        test = arrangement.data.take(arrangement.test)
        its_names = [names[n] for n in arrangement.test]
        found = judge(labels, test, tuned.logits["test"], calibration, names=its_names, seed=seed)
        evaluations = {"test": found, **evaluations}
    fitted = replace(
        floor.fitted,
        head=tuned.head,
        calibration=calibration,
        evaluations=evaluations,
        view=arrangement.data,
        plan={**tuned.plan.to_json(), "stopped": tuned.trained.stopped},
    )
    score, rank = score_of(evaluations["validation"])
    stopped = "" if tuned.trained.stopped == "done" else tuned.trained.stopped
    run = Run(name, tuned.plan, (), tuple(tuned.trained.history), tuned.trained.stopped)
    trial = Trial(name, score, rank, tuned.seconds, stopped, run)
    return Candidate(floor.gathered, arrangement, fitted, trial, tuned)


def _halves(val: Labelled, seed: int) -> NDArray[np.int64]:
    """Return which half of val each item is in, by groups; a single group (one speaker, say) is divided."""
    if len(np.unique(val.features.group)) < _HALVES:
        val = replace(val, features=replace(val.features, group=np.arange(len(val.y))))
    return assign_folds(val, _HALVES, seed)


def beside(name: str, floor: Candidate, tuned: Tuned, seed: int) -> list[Candidate]:
    """Return a trained network together with what stood beside the frozen one, such as terms.

    How much each counts is fitted on val, for judging on its other half.

    Args:
        name: What people call the network's training, str.
        floor: The probe.
        tuned: The trained network.
        seed: As for `trained`.

    Returns:
        The candidate; none where nothing stood beside, or too few items are there to weigh on.
    """
    others, arrangement = floor.fitted.beside, floor.arrangement
    if not others or len(arrangement.val) < ENOUGH_TO_CALIBRATE:
        return []
    val = arrangement.data.take(arrangement.val)
    said = [
        tuned.logits["validation"],
        *(each.view.take(arrangement.val).logits(each.on_train) for each in others),
    ]
    weights = fit_weights(said, val.y)
    logits = {"validation": weighted(said, weights)}
    if "test" in tuned.logits:
        theirs = (each.view.take(arrangement.test).logits(each.head) for each in others)
        logits["test"] = weighted([tuned.logits["test"], *theirs], weights)
    data = arrangement.data
    views = (data, *(each.view for each in others))
    view = Stacked(data.features, data.y, data.classes, views, weights=weights)
    head = StackedHead((tuned.head, *(each.head for each in others)), weights)
    crossed = cross_weighted(said, val.y, _halves(val, seed))
    together = replace(tuned, head=head, logits=logits)
    made = trained(f"{name}, stacked", floor, together, seed, crossed)
    fitted = replace(made.fitted, view=view, plan={**made.fitted.plan, **view_plan(view)})
    return [replace(made, fitted=fitted)]


def train_all(
    floor: Candidate, plans: Sequence[Plan], tune: Callable[[Plan], Tuned], *, seed: int, say: Say
) -> list[Candidate]:
    """Train what the plans say, one after the other.

    Args:
        floor: The probe, which is already in hand.
        plans: What to train.
        tune: Trains one plan.
        seed: As for `trained`.
        say: Where progress is told.

    Returns:
        The candidates. A plan of which no epoch could be finished (time was up, or the loss was no number) is
        missing, and that is said.
    """
    from headstart.training.loop import NO_GOOD_EPOCH

    found: list[Candidate] = []
    for plan in plans:
        say(plan.words())
        try:
            tuned = tune(plan)
        except OptionError as error:
            if error.expected != NO_GOOD_EPOCH:
                raise
            say(f"{plan.strategy}: {error.received}")
            continue
        for each in (trained(plan.strategy, floor, tuned, seed), *beside(plan.strategy, floor, tuned, seed)):
            say(f"{each.trial.name}: {each.trial.score} on validation; probe: {floor.trial.score}")
            found.append(each)
    return found


def keep_best(candidates: Sequence[Candidate], *, guard: bool, say: Say) -> tuple[Candidate, list[Trial]]:
    """Choose the candidate that is best on validation: the guard against negative transfer.

    Args:
        candidates: The probe first.
        guard: Whether the probe may win; otherwise the best of the others does, if there are any.
        say: Where it is told.

    Returns:
        The winner, and all trials, its own marked.
    """
    eligible = candidates if guard or len(candidates) == 1 else candidates[1:]
    best = min(eligible, key=lambda candidate: candidate.trial.rank)
    if best is candidates[0] and len(candidates) > 1:
        say("training did not beat the probe on validation: the probe is what is kept")
    elif len(candidates) > 2:
        say(f"{best.trial.name} won")
    return best, [replace(each.trial, kept=each is best) for each in candidates]
