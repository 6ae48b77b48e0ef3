"""Last step of a fit: the model that answers, and the report that says how good it is."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import backbones
from headstart.artefact.golden import choose, choose_spread
from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.backbones import Card
from headstart.data.items import Dataset, in_words
from headstart.engines.conversion import backbone_ir, ir_path
from headstart.errors import DecodeError, OptionError
from headstart.evaluation.label_errors import LabelIssue, find_label_issues
from headstart.evaluation.report import headline, report_html, report_json
from headstart.evaluation.results import Evaluation
from headstart.evaluation.review import review_page
from headstart.evaluation.sections import ReportInput
from headstart.files import write_text
from headstart.modalities import modality
from headstart.progress import Say
from headstart.transfer.calibration import AnyCalibration, Calibration, Interval

if TYPE_CHECKING:
    from headstart.fitting.arranging import Arrangement
    from headstart.fitting.gathering import Gathered
    from headstart.fitting.judging import AnyEvaluation
    from headstart.fitting.learning import Fitted

_GOLDEN_CANDIDATES = 64

SEEN_DIGITS = 16
"""How many hexadecimal digits of an item's digest the artefact keeps: enough to know it again."""


@dataclass(frozen=True)
class Report:
    """What a fit or an evaluation found, for people and for machines.

    Args:
        content: What it is made from.
        rows: The labelled items, {"path", "label"}, for the page on which a person reviews labels.
    """

    content: ReportInput
    rows: tuple[Mapping[str, str], ...] = ()

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        return headline(self.content)

    @property
    def evaluations(self) -> Mapping[str, Any]:
        """Figures by split, the most important first."""
        return self.content.evaluations

    @property
    def label_issues(self) -> list[LabelIssue]:
        """Items whose label is likely wrong, the most suspicious first."""
        return [issue for issue in self.content.label_issues if issue.likely]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return report_json(self.content)

    def html(self) -> str:
        """Return the report as one self-contained page."""
        return report_html(self.content)

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML file, whole or not at all.

        Args:
            path: Where.

        Returns:
            The path.

        Raises:
            StorageError: It cannot be written.
        """
        write_text(Path(path), self.html())
        return Path(path)

    def save_review(self, path: str | Path) -> Path:
        """Write the page on which a person keeps, fixes or drops labels that are likely wrong.

        Args:
            path: Where.

        Returns:
            The path.

        Raises:
            OptionError: Items have several labels, or numbers: they are not checked in this way.
            StorageError: It cannot be written.
        """
        if not isinstance(self.content.evaluation, Evaluation):
            fix = "leave the review out; the report lists the items that the model is most wrong about"
            raise OptionError("items with one label each, to review labels", "another target", fix)
        labels = self.content.evaluation.labels
        thumbnail = self.content.thumbnail
        write_text(Path(path), review_page(self.label_issues, self.rows, labels=labels, thumbnail=thumbnail))
        return Path(path)

    def _repr_html_(self) -> str:
        return self.html()


def build_model(
    gathered: Gathered, arrangement: Arrangement, fitted: Fitted, *, seconds: float, offline: bool, say: Say
) -> Model:
    """Make the model with its golden vectors and its report.

    Args:
        gathered: Items, features, backbone.
        arrangement: What each item was for.
        fitted: Head, calibration, evaluations.
        seconds: How long the fit took so far, float.
        offline: Whether to stay off the network.
        say: Where progress is told.

    Returns:
        The model.
    """
    card, precision = gathered.card, gathered.engine["precision"]
    network = backbone_ir(card, lambda: backbones.load(card.name, offline=offline))
    if precision == "int8":
        network = ir_path(card, "int8")
    model = Model(
        labels=arrangement.labels,
        modality=gathered.dataset.modality,
        front_end=FrontEnd(card.preprocess),
        backbone=card,
        network=network,
        head=fitted.head,
        calibration=fitted.calibration,
        # What the features were computed in is also what answers; on a GPU the CPU chooses for itself.
        precision=precision if gathered.engine["engine"] == "openvino" else None,  # type: ignore[arg-type]
        plan=fitted.plan,
        metrics={name: _figures(found) for name, found in fitted.evaluations.items()},
        data=_data(gathered, arrangement),
    )
    model.record_golden([gathered.dataset.items[n].source for n in _golden_items(arrangement, fitted)])
    model.report = _report(gathered, arrangement, fitted, seconds)
    say(model.report.headline)
    return model


def _golden_items(arrangement: Arrangement, fitted: Fitted) -> list[int]:
    """Choose items of different classes from an even sample of what the head was fitted on."""
    sample = arrangement.refit[:: max(1, len(arrangement.refit) // _GOLDEN_CANDIDATES)]
    # A few of every class, also of those that the even sample misses.
    _, firsts = np.unique(arrangement.data.y[arrangement.refit], return_index=True, axis=0)
    candidates = np.unique(np.concatenate([sample, arrangement.refit[firsts[:_GOLDEN_CANDIDATES]]]))
    part = arrangement.data.take(candidates)
    answers = fitted.calibration.answers(part.logits(fitted.head))
    chosen = choose_spread(answers[:, 0]) if part.target == "number" else choose(answers)
    return [int(candidates[position]) for position in chosen]


def _figures(found: AnyEvaluation) -> dict[str, Any]:
    """Return the figures that fit on a model card; the report has all of them."""
    if not isinstance(found, Evaluation):
        return found.figures
    whole = found.to_json()
    wanted = (
        "items",
        "accuracy",
        "accuracy_interval",
        "balanced_accuracy",
        "macro_f1",
        "log_loss",
        "ece",
        "brier",
        "auc",
    )
    return {name: whole[name] for name in wanted if name in whole}


def _data(gathered: Gathered, arrangement: Arrangement) -> dict[str, Any]:
    return {
        "name": gathered.dataset.root.name if gathered.dataset.root else "lists",
        "digest": gathered.digest,
        "items": len(gathered.dataset),
        "fitted_on": len(arrangement.refit),
        "counts": arrangement.counts(),
        "left_out": len(gathered.dataset.problems),
        "duplicates": len(arrangement.duplicates),
        # Lets `evaluate` notice that it is asked about items the model has learned from.
        "seen": sorted({gathered.facts[n].digest[:SEEN_DIGITS] for n in arrangement.refit}),
    }


def _report(gathered: Gathered, arrangement: Arrangement, fitted: Fitted, seconds: float) -> Report:
    dataset = gathered.dataset
    reader = modality(dataset.modality)
    content = ReportInput(
        title=dataset.root.name if dataset.root else "A model",
        evaluations=fitted.evaluations,
        noun=reader.noun,
        facts=_facts(gathered, fitted, seconds),
        plan=_plan_in_words(gathered, arrangement, fitted),
        commands=_commands(dataset),
        counts={} if dataset.target == "number" else arrangement.counts(),
        data_notes=[*arrangement.notes, *_contamination(fitted, gathered.card)],
        left_out=dataset.problems,
        duplicates=arrangement.duplicates,
        label_issues=_label_issues(dataset, arrangement, fitted),
        thumbnail=thumbnails(dataset),
    )
    return Report(content, tuple({"path": item.name, "label": in_words(item.answer)} for item in dataset))


def _label_issues(dataset: Dataset, arrangement: Arrangement, fitted: Fitted) -> Sequence[LabelIssue]:
    """Check the labels by the answers of other folds; several labels and numbers are not checked."""
    if not isinstance(fitted.calibration, Calibration):
        return ()
    return find_label_issues(
        arrangement.labels,
        arrangement.data.y[arrangement.refit],
        fitted.calibration.probabilities(fitted.selection.logits),
        names=[dataset.items[n].name for n in arrangement.refit],
    )


def thumbnails(dataset: Dataset) -> Callable[[str], bytes | None]:
    """Return a function from an item's name to a small JPEG of it, or None when it cannot be read."""
    reader = modality(dataset.modality)
    sources = {item.name: item.source for item in dataset}

    def thumbnail(name: str) -> bytes | None:
        try:
            return reader.thumbnail(sources[name])
        except (KeyError, DecodeError):
            return None

    return thumbnail


def _facts(gathered: Gathered, fitted: Fitted, seconds: float) -> list[tuple[str, str]]:
    from importlib.metadata import version

    card, engine = gathered.card, gathered.engine
    tried = ", ".join(
        f"{strength:g}: {loss:.4f}" for strength, loss in fitted.strengths.items() if loss == loss
    )
    return [
        (
            "Backbone",
            f"{card.name} ({card.architecture}), {card.parameters / 1e6:.1f} million weights, {card.licence}",
        ),
        ("It learned from", card.training_data),
        ("Input", f"{card.preprocess.size} × {card.preprocess.size} pixels, {card.preprocess.resize}"),
        (
            "Features",
            f"{card.features}, from block {card.blocks[-1]}; computed for {gathered.computed} items now",
        ),
        ("Engine", " ".join(engine.values())),
        ("Head", _head(fitted)),
        (
            "Regularisation (C)",
            f"{fitted.plan['strength']:g}" + (f", by loss over folds ({tried})" if tried else ""),
        ),
        _calibration(fitted.calibration),
        ("Seed", str(fitted.plan["seed"])),
        ("Time", f"{seconds:.1f} s on {platform.processor() or platform.machine()}"),
        (
            "Versions",
            f"headstart {version('headstart')}, Python {platform.python_version()}, NumPy {np.__version__}",
        ),
        ("Data digest", gathered.digest[:16]),
    ]


def _calibration(found: AnyCalibration) -> tuple[str, str]:
    if isinstance(found, Interval):
        return "Interval", f"{found.width:.4g} to either side, made to hold {found.level:.0%}"
    return "Temperature", f"{found.temperature:.3f}"


def _head(fitted: Fitted) -> str:
    if not fitted.losses:
        return fitted.head.kind
    by_loss = ", ".join(f"from {name} {loss:.4f}" for name, loss in fitted.losses.items())
    chosen = "initialised from zero" if "head_start" not in fitted.plan else str(fitted.start)
    return f"{fitted.head.kind}, {chosen} (log loss over folds: {by_loss})"


def _contamination(fitted: Fitted, card: Card) -> list[str]:
    """Say that the backbone was trained to name these classes, so that figures may be too good."""
    if fitted.start is None:
        return []
    named = f"{fitted.start.matched.sum()} of the {len(fitted.start.matched)} labels"
    return [
        f"The set may be contaminated: {named} are among the classes that {card.name} was trained to name, "
        "so its pictures may be among those that it was trained on. Figures are then optimistic."
    ]


def _plan_in_words(gathered: Gathered, arrangement: Arrangement, fitted: Fitted) -> str:
    card = gathered.card
    found = (
        f"All {len(card.blocks)} blocks of {card.name} stay frozen: it is used as it was learned from "
        f"{card.training_data}. Only a {fitted.head.kind} head is fitted, on {len(arrangement.refit):,} items"
    )
    if len(arrangement.val):
        train, val = len(arrangement.train), len(arrangement.val)
        return f"{found}: chosen on {train:,}, checked on {val:,}, then fitted on both."
    folds = len(np.unique(fitted.selection.folds))
    return f"{found}; its quality was estimated by {folds}-fold cross-validation."


def _commands(dataset: Dataset) -> str:
    name = dataset.root.name if dataset.root else "DATA"
    model = f"{Path(name).stem or name}.headstart"
    steps = (f"fit {name} -o {model}", f"evaluate {model} {name}", f"predict {model} NEW_FILES")
    return "\n".join(f"headstart {step}" for step in steps)
