"""What a training run says about itself, in plain words. Loads no torch."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headstart.errors import OptionError, StorageError
from headstart.training.plan import HEAD, Phase, Plan

Line = dict[str, Any]
Severity = Literal["hurts", "note", "good"]

# Where a number becomes worth a sentence. A healthy step changes weights by about a thousandth of their size
# (Karpathy, cs231n); the other bounds are such that the noise of a good run stays below them.
_STANDS_STILL, _THROWN_ABOUT = 2e-5, 0.05
_DEAD = 0.4
_BLOWN_UP = 1.5  # times the loss at the start, and three times the lowest
_WORSE, _BETTER = 0.02, 0.01  # relative changes of the validation loss
_GRADIENT_GROWS = 2.0
_FEW_STEPS = 20


@dataclass(frozen=True)
class Run:
    """What is written in the folder of a run.

    Args:
        name: Of the folder, str.
        plan: What was to be done.
        steps: The lines of history.jsonl about steps.
        epochs: The lines about epochs.
        stopped: Why it ended: "done", or a sentence; None for a run that goes on or was cut off.
    """

    name: str
    plan: Plan
    steps: tuple[Line, ...]
    epochs: tuple[Line, ...]
    stopped: str | None

    @property
    def best(self) -> Line | None:
        """The line of the epoch with the lowest validation loss."""
        known = [line for line in self.epochs if line.get("val_loss") is not None]
        return min(known, key=lambda line: float(line["val_loss"]), default=None)

    def phase(self, name: str) -> Phase | None:
        """Return the plan's phase of a name."""
        return next((phase for phase in self.plan.phases if phase.name == name), None)


@dataclass(frozen=True)
class Finding:
    """One thing that the run says.

    Args:
        kind: A fixed word for programs, such as "overfitting".
        severity: "hurts", "note" or "good".
        sentence: What is seen, and what to do about it.
    """

    kind: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """A run and what it says, the worst first."""

    run: Run
    findings: tuple[Finding, ...]

    @property
    def hurts(self) -> bool:
        """Whether something should be changed."""
        return any(finding.severity == "hurts" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the findings and the epochs as a JSON object."""
        run = self.run
        return {
            "run": run.name,
            "strategy": run.plan.strategy,
            "stopped": run.stopped,
            "hurts": self.hurts,
            "findings": [vars(finding) for finding in self.findings],
            "best": run.best,
            "epochs": list(run.epochs),
        }


def read(folder: Path) -> Diagnosis:
    """Read the folder of a run and say what is in it.

    Args:
        folder: With plan.json and history.jsonl, as `headstart fit` writes it; the run may still go on.

    Returns:
        The Diagnosis.

    Raises:
        OptionError: The folder is no run, or nothing has been written yet.
        StorageError: A file is damaged; a last line that is cut off does no harm.
    """
    return diagnose(read_run(folder))


def read_run(folder: Path) -> Run:
    """Read plan.json, history.jsonl and why the run ended, as `read` does."""
    plan, history = folder / "plan.json", folder / "history.jsonl"
    for file in (plan, history):
        if not file.is_file():
            fix = "name the folder that --run named, or that `headstart fit` told"
            raise OptionError(f"the folder of a training run, with {file.name}", str(folder), fix)
    lines, ended = _lines(history), _why_it_ended(folder / "checkpoints")
    if not lines and ended is None:
        fix = "wait for the first step, or start the run anew"
        raise OptionError("a run that has begun", f"{history} without a line", fix)
    try:
        planned = json.loads(plan.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StorageError("a plan", f"{plan}, which is damaged ({error})", "start the run anew") from error
    steps = tuple(line for line in lines if "val_loss" not in line)
    epochs = tuple(line for line in lines if "val_loss" in line)
    return Run(folder.resolve().name, Plan.from_json(planned), steps, epochs, ended)


def diagnose(run: Run) -> Diagnosis:
    """Say what a run shows.

    Args:
        run: What was written.

    Returns:
        The Diagnosis; where nothing hurts it says so.
    """
    found = [finding for look in LOOKS for finding in look(run)]
    if not any(finding.severity == "hurts" for finding in found):
        found.insert(0, Finding("healthy", "good", "Nothing in this run looks wrong."))
    order: tuple[Severity, ...] = ("hurts", "note", "good")
    return Diagnosis(run, tuple(sorted(found, key=lambda finding: order.index(finding.severity))))


def _blown_up(run: Run) -> list[Finding]:
    if run.stopped is not None and " loss became " in run.stopped:
        text = f"Training stopped: {run.stopped}. Lower the learning rates by 3; precision fp32 may help too."
        return [Finding("blown-up", "hurts", text)]
    values = [math.inf if line.get("loss") is None else float(line["loss"]) for line in run.steps]
    for place in range(3, len(values)):
        now, before = statistics.median(values[place - 1 : place + 2]), min(values[:place])
        if now > _BLOWN_UP * statistics.median(values[:3]) and now > 3 * before:
            step, phase = run.steps[place]["step"], run.steps[place]["phase"]
            text = f"The loss blew up at step {step} (phase {phase}): lower the learning rates by 3."
            return [Finding("blown-up", "hurts", text)]
    return []


def _not_falling(run: Run) -> list[Finding]:
    trained = [float(line["train_loss"]) for line in run.epochs if line.get("train_loss") is not None]
    if len(trained) < 2 or min(trained[1:]) < 0.98 * trained[0] or _blown_up(run):
        return []
    if (steps := int(run.epochs[-1]["step"])) < _FEW_STEPS:
        text = f"There were {steps} steps, too few to tell whether the loss falls: take more epochs."
        return [Finding("few-steps", "note", text)]
    text = (
        f"The training loss does not fall: {told(trained[0])} in the first epoch, {told(trained[-1])} in the "
        "last. Raise the learning rates by 3, or look whether the labels can be told from the items at all."
    )
    return [Finding("not-falling", "hurts", text)]


def _overfitting(run: Run) -> list[Finding]:
    best, epochs = run.best, run.epochs
    if best is None:
        return []
    later = [line for line in epochs if line["epoch"] > best["epoch"] and line.get("val_loss") is not None]
    if len(later) < 2:
        return []
    worse = (
        statistics.median(float(line["val_loss"]) for line in later[-3:]) / max(best["val_loss"], 1e-12) - 1
    )
    if worse < _WORSE or not _less(later[-1].get("train_loss"), best.get("train_loss")):
        return []
    text = (
        f"Validation has been getting worse since epoch {best['epoch']} (the loss by {worse:.0%}) while "
        "training improves: overfitting. More augmentation, weight decay or fewer trained blocks would help"
    )
    if _less(best.get("val_accuracy"), later[-1].get("val_accuracy")):
        text += "; as the accuracy still rose, label smoothing may be enough"
    return [Finding("overfitting", "hurts", f"{text}. The weights of epoch {best['epoch']} were kept.")]


def _still_improving(run: Run) -> list[Finding]:
    best = run.best
    if best is None or best is not run.epochs[-1] or run.stopped is None:
        return []
    before = [float(line["val_loss"]) for line in run.epochs[:-1] if line.get("val_loss") is not None]
    gain = 1 - best["val_loss"] / max(min(before), 1e-12) if before else 0.0
    if gain < _BETTER:
        return []
    text = f"Validation was still improving when it stopped (by {gain:.0%} in the last epoch): train longer."
    return [Finding("still-improving", "note", text)]


def _dead(run: Run) -> list[Finding]:
    measured = [line for line in run.epochs if line.get("dead")]
    if not measured:
        return []
    phase = run.phase(measured[-1]["phase"])
    found = []
    for block, share in measured[-1]["dead"].items():
        # What a frozen block leaves unused is how it was pretrained.
        if share < _DEAD or (phase is not None and block not in phase.rates):
            continue
        first = measured[0]["dead"].get(block, share)
        grown = f", {first:.0%} at the first look" if share - first > 0.1 else ""
        text = (
            f"{_amount(share)} of the units of {called(block)} are dead ({share:.0%}{grown}): they give the "
            "same whatever they are shown. Lower its learning rate, or start it from He's initialisation."
        )
        found.append(Finding("dead-units", "hurts" if grown or share > 0.8 else "note", text))
    return found


def _updates(run: Run) -> list[Finding]:
    found = []
    for phase in run.plan.phases:
        ratios = update_ratios(run, phase.name)
        still = [block for block, ratio in ratios.items() if ratio < _STANDS_STILL]
        moving = [block for block in ratios if block not in still]
        for block in still:
            what = f"{called(block)} is not learning"
            if moving:
                what = f"{called(moving[-1])} is learning, {called(block)} is not"
            text = (
                f"In phase {phase.name} {what}: raise its rate (a step changes it by {ratios[block]:.0e} of "
                "its size; 1e-03 is healthy)."
            )
            found.append(Finding("not-learning", "hurts", text))
        for block, ratio in ratios.items():
            if ratio > _THROWN_ABOUT:
                text = (
                    f"In phase {phase.name} a step changes {called(block)} by {ratio:.0%} of its size: "
                    "it is thrown about; lower its rate."
                )
                found.append(Finding("thrown-about", "hurts", text))
    return found


def _ill_conditioned(run: Run) -> list[Finding]:
    measured = [
        line for line in run.epochs if line.get("squared_gradient") and line.get("train_loss") is not None
    ]
    found = []
    for name in dict.fromkeys(line["phase"] for line in measured):
        lines = [line for line in measured if line["phase"] == name]
        growth = lines[-1]["squared_gradient"] / lines[0]["squared_gradient"]
        fallen = 1 - lines[-1]["train_loss"] / max(lines[0]["train_loss"], 1e-12)
        if len(lines) > 1 and growth > _GRADIENT_GROWS and fallen < 0.05:
            text = (
                f"In phase {name} the gradient grows ({growth:.0f}-fold, squared) while the loss does not "
                "fall: the problem is ill-conditioned. Lower the learning rates, warm up longer, or use Adam."
            )
            found.append(Finding("ill-conditioned", "hurts", text))
    return found


def _phases(run: Run) -> list[Finding]:
    """Say which phases were of no use."""
    found = []
    best = math.inf
    for number, phase in enumerate(run.plan.phases):
        lines = [
            line for line in run.epochs if line["phase"] == phase.name and line.get("val_loss") is not None
        ]
        if not lines:
            continue
        here = min(float(line["val_loss"]) for line in lines)
        if number and here >= best:
            text = f"Phase {phase.name} made nothing better: the weights from before it were kept."
            found.append(Finding("useless-phase", "note", text))
        best = min(best, here)
    return found


def _end(run: Run) -> list[Finding]:
    found = []
    if run.stopped is None:
        text = "The run goes on, or was cut off: headstart fit … --resume goes on with it."
        found.append(Finding("unfinished", "note", text))
    elif run.stopped != "done" and not _blown_up(run):
        found.append(Finding("stopped", "note", f"Training stopped early: {run.stopped}."))
    if run.best is not None:
        best, score = run.best, ""
        for key, name in (("val_accuracy", "accuracy"), ("val_rmse", "error")):
            if best.get(key) is not None:
                score = f", {name} {best[key]:.3f}"
        text = (
            f"The best epoch was {best['epoch']} of {run.epochs[-1]['epoch']} (phase {best['phase']}): "
            f"validation loss {told(best['val_loss'])}{score}."
        )
        found.append(Finding("best", "note" if _blown_up(run) else "good", text))
    return found


Look = Callable[[Run], list[Finding]]
LOOKS: Sequence[Look] = (
    _blown_up,
    _not_falling,
    _overfitting,
    _ill_conditioned,
    _updates,
    _dead,
    _still_improving,
    _phases,
    _end,
)


def update_ratios(run: Run, phase: str) -> dict[str, float]:
    """Return the median update of each block in a phase, relative to its size; {} where little was logged."""
    logged = [line["updates"] for line in run.steps if line["phase"] == phase and line.get("updates")]
    if len(logged) < 3:
        return {}
    return {block: statistics.median(line.get(block) or 0.0 for line in logged) for block in logged[0]}


def _less(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and first < second


def called(block: str) -> str:
    """Return what people call a block: some backbones have one named "head", which is not the head."""
    return {HEAD: "the head", "head": "block head"}.get(block, block)


def told(loss: float | None) -> str:
    """Return a loss as one reads it, however large."""
    if loss is None:
        return "not a number"
    return f"{loss:.3f}" if abs(loss) < 1e4 else f"{loss:.1e}"


def _amount(share: float) -> str:
    return "Almost half" if share < 0.45 else "Half" if share < 0.55 else "Most"


def _lines(history: Path) -> list[Line]:
    """Read what is whole; a run that goes on may be writing its last line."""
    found: list[Line] = []
    content = history.read_bytes().split(b"\n")
    for number, text in enumerate(content, 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(content):
                break
            raise _damaged(history, number) from error
        if not isinstance(line, dict) or not {"phase", "epoch", "step"} <= line.keys():
            raise _damaged(history, number)
        found.append(line)
    return found


def _damaged(history: Path, number: int) -> StorageError:
    fix = "remove that line, or go on from the last checkpoint with --resume, which writes it anew"
    return StorageError(
        "a line about a step or an epoch", f"line {number} of {history}, which is damaged", fix
    )


def _why_it_ended(checkpoints: Path) -> str | None:
    """Return what the newest checkpoint says; None where there is none or it cannot be read."""
    newest = max(checkpoints.glob("*.json"), default=None)
    if newest is None:
        return None
    try:
        stopped = json.loads(newest.read_text(encoding="utf-8"))["notes"]["stopped"]
    except (ValueError, KeyError, TypeError):
        return None
    return None if stopped is None else str(stopped)
