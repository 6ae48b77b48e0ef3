"""Last step of an adaptation: the model for the target, and the report of what was tried."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.golden import choose as choose_golden
from headstart.artefact.model import Model
from headstart.evaluation.adaptation import Adaptation, Tried
from headstart.evaluation.results import Evaluation
from headstart.files import digest_json
from headstart.fitting.adapting_report import places
from headstart.fitting.judging import judge
from headstart.fitting.reporting import SEEN_DIGITS, figures
from headstart.fitting.two_domains import UNKNOWN, TwoDomains
from headstart.fitting.views import members_of, view_plan
from headstart.modalities import modality
from headstart.progress import Say
from headstart.transfer.calibration import Calibration
from headstart.transfer.domains.choosing import Candidate, Choice
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.moving import features_of, moved
from headstart.transfer.selection import Selection

_GOLDEN_CANDIDATES = 64
_SCORED = (
    "Each method was judged without a label of the target, by how much an item's answer tells about those of "
    "the items that look most like it (mutual information, in nats): much where alike items are answered "
    "alike, and not all the same. Self-training, which makes any answers smooth, takes part only from the "
    "start that scores best by itself. Where the domains are far apart (A-distance above 1), of equally good "
    "starts that is the one that brings them nearest, and methods that leave them as far apart take no part. "
    "The source alone is kept unless another method scores clearly more: what is no better is refused."
)
_SCORED_TERMS = (
    "Each method was judged without a label of the target, by how much its answers tell about the target's "
    "items (information, in nats): much where items stand apart in clusters of which none is empty. The "
    "source alone is kept unless another method tells clearly more."
)
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Start:
    """Both domains in the view that the source is answered best in, and how it is answered there."""

    domains: Domains
    selection: Selection
    calibration: Calibration


def build_adapted(
    model: Model,
    two: TwoDomains,
    start: Start,
    choice: Choice,
    seconds: float,
    seed: int,
    say: Say,
) -> Model:
    """Make the model, with golden vectors and the report."""
    kept, floor = choice.best, choice.candidates[0]
    view = kept.domains.data
    first, *others = members_of(view, kept.head, model.backbone, lambda _: model.network)
    # As sure about the target as the source alone would be: methods differ in the size of their logits.
    heat = start.calibration.temperature * _spread(kept.logits) / max(_spread(floor.logits), 1e-12)
    calibration = replace(start.calibration, temperature=max(heat, 1e-6))
    evaluation = _shown(model, two, kept, calibration, seed)
    taught = kept.domains.known
    learned = np.concatenate([two.source, taught])
    made = Model(
        labels=model.labels,
        modality=model.modality,
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        weights=first.weights,
        head=first.head,
        tokenizer=first.tokenizer,
        others=others,
        combine="sum" if others else "mean",
        calibration=calibration,
        precision=None if first.weights and model.precision == "int8" else model.precision,
        plan={
            "strategy": model.plan.get("strategy", "freeze-all"),
            "backbone": first.backbone.name,
            "cut": first.backbone.blocks[-1],
            "input_size": first.backbone.preprocess.size,
            "head": "linear",
            "strength": choice.strength,
            "seed": seed,
            **view_plan(view),
            "adaptation": {
                "method": kept.name,
                "source": two.names[0],
                "target": two.names[1],
                "target_labels": len(taught),
            },
        },
        metrics={} if evaluation is None else {"target": figures(evaluation)},
        data={
            "name": two.names[1],
            "source": two.names[0],
            "digest": digest_json(sorted(facts.digest for facts in two.facts)),
            "items": len(two.dataset),
            "fitted_on": len(learned),
            "left_out": len(two.dataset.problems),
            "seen": sorted({two.facts[n].digest[:SEEN_DIGITS] for n in learned}),
        },
    )
    candidates = two.target[:: max(1, len(two.target) // _GOLDEN_CANDIDATES)]
    answers = calibration.answers(kept.logits[np.searchsorted(two.target, candidates)])
    made.record_golden([two.dataset.items[candidates[n]].source for n in choose_golden(answers)])
    report = _report(model, two, choice, made, evaluation, seconds, seed)
    made.report = report
    say(report.headline)
    return made


def _spread(logits: Floats) -> float:
    """Return how far logits are from each other within items, as a root mean square."""
    return float(np.sqrt(np.mean((logits - logits.mean(1, keepdims=True)) ** 2, dtype=np.float64)))


def _asked(two: TwoDomains, domains: Domains) -> NDArray[np.int64]:
    """Return the positions of the target's items whose labels are known, but were not learned from."""
    return np.setdiff1d(two.target[two.truth[two.target] != UNKNOWN], domains.known)


def _shown(
    model: Model, two: TwoDomains, kept: Candidate, calibration: Calibration, seed: int
) -> Evaluation | None:
    """Measure the kept method on the target's labels, where there are any: nothing is chosen by that."""
    items = _asked(two, kept.domains)
    if not len(items):
        return None
    part = two.any_view.take(items).relabel(two.truth[items])
    logits = kept.logits[np.searchsorted(two.target, items)]
    names = [two.dataset.items[n].name for n in items]
    found = judge(model.labels, part, logits, calibration, names=names, seed=seed)
    return found if isinstance(found, Evaluation) else None


def _report(
    model: Model,
    two: TwoDomains,
    choice: Choice,
    made: Model,
    evaluation: Evaluation | None,
    seconds: float,
    seed: int,
) -> Adaptation:
    from importlib.metadata import version

    kept, floor = choice.best, choice.candidates[0]
    items = _asked(two, kept.domains)
    at, truth = np.searchsorted(two.target, items), two.truth[items]

    def accuracy(logits: Floats) -> float | None:
        return float((logits[at].argmax(1) == truth).mean()) if len(items) else None

    tried = [
        Tried(each.name, each.score, accuracy(each.logits), each is kept, each.distance)
        for each in choice.candidates
    ]
    before = features_of(floor.domains)
    moves = kept.domains is not floor.domains or moved(kept.domains, kept.method, kept.head) is not None
    after = kept.features if moves else None
    said = kept.logits.argmax(1)
    known = two.truth[two.target] if len(items) else np.full(len(said), UNKNOWN)
    tags = (
        [model.labels[k] for k in two.truth[two.source]],
        [model.labels[k] for k in np.where(known == UNKNOWN, said, known)],
    )
    names = (f"source: {two.names[0]}", f"target: {two.names[1]}")
    return Adaptation(
        names=two.names,
        noun=modality(model.modality).noun,
        items=(len(two.source), len(two.target)),
        taught=len(kept.domains.known),
        tried=tried,
        why=choice.why,
        scored=_SCORED if before is not None else _SCORED_TERMS,
        most=float(np.log(len(model.labels))),
        distance=(floor.distance, kept.distance if moves else None),
        evaluation=evaluation,
        facts=[
            ("Networks", " and ".join(member.backbone.name for member in made.members)),
            ("Head", f"linear, regularisation (C) {choice.strength:g}"),
            ("Temperature", f"{made.calibration.temperature:.3f}"),  # type: ignore[union-attr]
            ("Seed", str(seed)),
            ("Time", f"{seconds:.1f} s on {platform.processor() or platform.machine()}"),
            ("Versions", f"headstart {version('headstart')}, NumPy {np.__version__}"),
        ],
        left_out=two.dataset.problems,
        places=places(before, after, names, tags),
    )
