"""Last step of a fit: the model that answers, and the report that says how good it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import backbones
from headstart.artefact.golden import choose, choose_spread
from headstart.artefact.model import Model
from headstart.backbones import Card
from headstart.data.items import Answer, Dataset, in_words
from headstart.engines.conversion import backbone_ir, ir_path
from headstart.errors import DecodeError, OptionError
from headstart.evaluation.label_errors import LabelIssue, find_label_issues
from headstart.evaluation.report import headline, report_html, report_json
from headstart.evaluation.results import Evaluation
from headstart.evaluation.review import review_page
from headstart.evaluation.sections import ReportInput
from headstart.evaluation.trials import Trial
from headstart.files import write_text
from headstart.fitting.arranging import unchecked
from headstart.fitting.describing import commands, contamination, facts, plan_in_words
from headstart.fitting.reasons import neighbours, reasons
from headstart.fitting.references import reference_of
from headstart.fitting.views import members_of
from headstart.fitting.whereabouts import remember
from headstart.modalities import modality
from headstart.pages import Glimpse, Shown
from headstart.progress import Say
from headstart.retrieval.maps import ItemMap, sample
from headstart.transfer.calibration import Calibration

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.fitting.gathering import Gathered
    from headstart.fitting.judging import AnyEvaluation
    from headstart.fitting.strategies import Candidate

_GOLDEN_CANDIDATES = 64

SEEN_DIGITS = 16
"""How many hexadecimal digits of an item's digest the artefact keeps: enough to know it again."""


@dataclass(frozen=True)
class Report(Shown):
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
        glimpse = self.content.glimpse
        write_text(Path(path), review_page(self.label_issues, self.rows, labels=labels, glimpse=glimpse))
        return Path(path)


def build_model(
    made: Candidate, trials: Sequence[Trial], *, seconds: float, offline: bool, say: Say
) -> Model:
    """Make the model with its golden vectors and its report.

    Args:
        made: What won.
        trials: How everything did that was tried, on validation.
        seconds: How long the fit took so far, float.
        offline: Whether to stay off the network.
        say: Where progress is told.

    Returns:
        The model.
    """
    gathered, arrangement, fitted, tuned = made.gathered, made.arrangement, made.fitted, made.tuned
    if tuned is not None:
        found = members_of(fitted.view or arrangement.data, fitted.head, made.card, lambda _: tuned.network)
        first, *others = [
            replace(each, weights=tuned.weights) if each.network == tuned.network else each for each in found
        ]
    else:
        view = fitted.view or arrangement.data
        first, *others = members_of(view, fitted.head, made.card, partial(_frozen_network, gathered, offline))
    model = Model(
        labels=arrangement.labels,
        modality=gathered.dataset.modality,
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        weights=first.weights,
        head=first.head,
        tokenizer=first.tokenizer,
        others=others,
        combine="sum" if others else "mean",
        calibration=fitted.calibration,
        precision=gathered.answering_precision(trained=tuned is not None),
        plan=fitted.plan,
        metrics={name: figures(found) for name, found in fitted.evaluations.items()},
        data=_data(made),
    )
    model.record_golden([gathered.dataset.items[n].source for n in _golden_items(made)])
    model.reference = reference_of(made, model)
    remember(gathered.digest, gathered.dataset.root)
    model.report = _report(model, made, trials, seconds)
    say(model.report.headline)
    absent = unchecked(gathered.dataset, arrangement.splits)
    for note in (*absent, *contamination(fitted, gathered.card)):
        say(note)
    return model


def _frozen_network(gathered: Gathered, offline: bool, card: Card) -> Path:
    if gathered.engine["precision"] == "int8":
        return ir_path(card, "int8")

    def load() -> Backbone:
        return backbones.load(card.name, offline=offline).at(card.preprocess.size).cut(card.blocks[-1])

    return backbone_ir(card, load)


def _golden_items(made: Candidate) -> list[int]:
    """Choose items with different answers: val items of a trained network, else what a head learned from."""
    arrangement, fitted = made.arrangement, made.fitted
    if made.tuned is not None:
        candidates = arrangement.val
        logits = made.tuned.logits["validation"]
    else:
        sample = arrangement.refit[:: max(1, len(arrangement.refit) // _GOLDEN_CANDIDATES)]
        # A few of every class, also of those that the even sample misses.
        _, firsts = np.unique(arrangement.data.y[arrangement.refit], return_index=True, axis=0)
        candidates = np.unique(np.concatenate([sample, arrangement.refit[firsts[:_GOLDEN_CANDIDATES]]]))
        logits = (fitted.view or arrangement.data).take(candidates).logits(fitted.head)
    answers = fitted.calibration.answers(logits)
    chosen = choose_spread(answers[:, 0]) if arrangement.data.target == "number" else choose(answers)
    return [int(candidates[position]) for position in chosen]


def figures(found: AnyEvaluation) -> dict[str, Any]:
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


def _data(made: Candidate) -> dict[str, Any]:
    gathered, arrangement = made.gathered, made.arrangement
    learned = arrangement.refit if made.tuned is None else arrangement.train
    return {
        "name": gathered.dataset.root.name if gathered.dataset.root else "lists",
        "digest": gathered.digest,
        "items": len(gathered.dataset),
        "fitted_on": len(learned),
        "counts": arrangement.counts(),
        "left_out": len(gathered.dataset.problems),
        "duplicates": len(arrangement.duplicates),
        # Lets `evaluate` notice that it is asked about items the model has learned from.
        "seen": sorted({gathered.facts[n].digest[:SEEN_DIGITS] for n in arrangement.refit}),
    }


def _report(model: Model, made: Candidate, trials: Sequence[Trial], seconds: float) -> Report:
    dataset, arrangement, fitted = made.gathered.dataset, made.arrangement, made.fitted
    reader = modality(dataset.modality)
    worst = next(iter(fitted.evaluations.values())).losses
    content = ReportInput(
        title=dataset.root.name if dataset.root else "A model",
        evaluations=fitted.evaluations,
        noun=reader.noun,
        trials=trials,
        facts=facts(made, seconds),
        plan=plan_in_words(made),
        commands=commands(made),
        counts={} if dataset.target == "number" else arrangement.counts(),
        data_notes=[*arrangement.notes, *contamination(fitted, made.gathered.card)],
        left_out=dataset.problems,
        duplicates=arrangement.duplicates,
        label_issues=_label_issues(made),
        glimpse=glimpses(dataset),
        places=_places(made),
        reasons=reasons(model, dataset, worst, neighbours(made)),
    )
    return Report(content, tuple({"path": item.name, "label": in_words(item.answer)} for item in dataset))


def _label_issues(made: Candidate) -> Sequence[LabelIssue]:
    """Check the labels by the answers of other folds; several labels and numbers are not checked."""
    refit, fitted = made.arrangement.refit, made.fitted
    if not isinstance(fitted.calibration, Calibration):
        return ()
    # Also where a network was trained these are the answers of heads that had not seen the items.
    own = made.arrangement.data.take(refit).calibrate(fitted.selection.logits)
    return find_label_issues(
        made.arrangement.labels,
        made.arrangement.data.y[refit],
        own.answers(fitted.selection.logits),
        names=[made.gathered.dataset.items[n].name for n in refit],
    )


def _places(made: Candidate) -> Callable[[], ItemMap | None] | None:
    """Return what makes the map of a sample of the items from the fit's features; None without features."""
    features, items = made.gathered.features, made.gathered.dataset.items
    if features.X.shape[1] == 0:
        return None
    shown = sample(len(items))
    part = features.take(shown)
    vectors = part.pool(np.asarray(part.X, np.float32))
    answers = [items[n].answer for n in shown]
    names = [items[n].name for n in shown]
    return lambda: ItemMap.of(vectors, _map_labels(answers), total=len(items), names=names)


def _map_labels(answers: Sequence[Answer | None]) -> list[str]:
    """Return what a dot is called: its class, its labels, or for numbers the quarter that it is in."""
    if not isinstance(answers[0], float):
        return [in_words(answer) for answer in answers]
    numbers = np.array(answers, np.float64)
    places = np.searchsorted(np.quantile(numbers, (0.25, 0.5, 0.75)), numbers)
    return [
        ("1 lowest quarter", "2 below the median", "3 above the median", "4 highest quarter")[n]
        for n in places
    ]


def glimpses(dataset: Dataset, others: Dataset | None = None) -> Callable[[str], Glimpse | None]:
    """Return a function from an item's name to what shows it in a page, or None when it cannot be read.

    Args:
        dataset: The items.
        others: Further items of the same kind; of two with one name the first data set's is shown. Defaults
            to None.
    """
    reader = modality(dataset.modality)
    sources = {item.name: item.source for each in (others, dataset) if each is not None for item in each}

    def glimpse(name: str) -> Glimpse | None:
        try:
            return reader.glimpse(sources[name])
        except (KeyError, DecodeError):
            return None

    return glimpse
