"""A fit in words: the facts, the plan and the commands that a report gives."""

from __future__ import annotations

import platform
import shlex
from typing import TYPE_CHECKING

import numpy as np

from headstart.backbones import Card
from headstart.backbones.card import Preprocess, Tokens, Waves
from headstart.fitting.gathering import NO_ENGINE
from headstart.modalities import modality
from headstart.transfer.calibration import AnyCalibration, Interval
from headstart.transfer.heads import Head
from headstart.transfer.shots.choices import ANSWERS, MEANS, ONE_SCALE
from headstart.transfer.source_head import SOURCE

if TYPE_CHECKING:
    from headstart.fitting.learning import Fitted
    from headstart.fitting.strategies import Candidate


def facts(made: Candidate, seconds: float) -> list[tuple[str, str]]:
    """Return how a model was made, (name, value) in order."""
    from importlib.metadata import version

    gathered, fitted, card = made.gathered, made.fitted, made.card
    return [
        (
            "Backbone",
            f"{card.name} ({card.architecture}), {card.parameters / 1e6:.1f} million weights, {card.licence}",
        ),
        ("It learned from", card.training_data),
        ("Input", _input(card)),
        *_features(made),
        ("Head", _head(fitted)),
        *_regularisation(fitted),
        _calibration(fitted.calibration),
        ("Seed", str(fitted.plan["seed"])),
        ("Time", f"{seconds:.1f} s on {platform.processor() or platform.machine()}"),
        (
            "Versions",
            f"headstart {version('headstart')}, Python {platform.python_version()}, NumPy {np.__version__}",
        ),
        ("Data digest", gathered.digest[:16]),
    ]


def _features(made: Candidate) -> list[tuple[str, str]]:
    """Return how the features were computed; what is fitted from the start has none."""
    gathered, card = made.gathered, made.card
    if gathered.engine["engine"] == NO_ENGINE:
        return []
    block = made.fitted.plan.get("cut", card.blocks[-1])
    where = f"{card.features}, from block {block}; computed for {gathered.computed} items now"
    return [("Features", where), ("Engine", " ".join(gathered.engine.values()))]


def _regularisation(fitted: Fitted) -> list[tuple[str, str]]:
    if "strength" not in fitted.plan:  # a trained network
        return []
    tried = ", ".join(
        f"{strength:g}: {loss:.4f}" for strength, loss in fitted.strengths.items() if loss == loss
    )
    said = f"{fitted.plan['strength']:g}" + (f", by loss over folds ({tried})" if tried else "")
    return [("Regularisation (C)", said)]


def _calibration(found: AnyCalibration) -> tuple[str, str]:
    if isinstance(found, Interval):
        return "Interval", f"{found.width:.4g} to either side, made to hold {found.level:.0%}"
    return "Temperature", f"{found.temperature:.3f}"


def _input(card: Card) -> str:
    spec = card.preprocess
    if isinstance(spec, Preprocess):
        return f"{spec.size} × {spec.size} pixels, {spec.resize}"
    if isinstance(spec, Tokens):
        cleaned = ", without headers, quotes and signatures of e-mails" if spec.email else ""
        return f"passages of at most {spec.size} tokens, at most {spec.rows} of a text{cleaned}"
    if isinstance(spec, Waves):
        return f"patches of {spec.samples(spec.size) / spec.rate:.2f} seconds, {spec.bands} mel bands"
    return "the text itself"


def _head(fitted: Fitted) -> str:
    if "views" in fitted.plan or "stack" in fitted.losses:
        each = ", ".join(f"{name} {loss:.4f}" for name, loss in fitted.losses.items())
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in fitted.plan.get("views", {}).items())
        weighed = f"weights: {weights}; " if weights else ""
        return f"{kind_of(fitted)} ({weighed}log loss over folds: {each})"
    made_by = {
        MEANS: "the nearest class mean",
        ONE_SCALE: "with all features on one scale",
        ANSWERS: "starting from what the backbone's own classifier says of the items",
        SOURCE: str(fitted.start),
    }
    chosen = made_by.get(fitted.plan.get("head_start", ""), "initialised from zero" if fitted.losses else "")
    said = f"{kind_of(fitted)}, {chosen}" if chosen else kind_of(fitted)
    by_loss = ", ".join(f"from {name} {loss:.4f}" for name, loss in fitted.losses.items())
    return f"{said} (log loss over folds: {by_loss})" if by_loss else said


def kind_of(fitted: Fitted) -> str:
    """Return what was fitted, in words: "linear", or what a stack is made of."""
    views: dict[str, float] = fitted.plan.get("views", {})
    if views:
        return " and ".join(f"linear on {name}" for name in views)
    if not _reads_features(fitted):
        return "a document CNN" if hasattr(fitted.view, "vectors") else "a linear model on terms"
    return str(getattr(fitted.head, "kind", "linear"))


def contamination(fitted: Fitted, card: Card) -> list[str]:
    """Say that the backbone was trained to name these classes, so that figures may be too good."""
    if fitted.start is None:
        return []
    named = f"{fitted.start.matched.sum()} of the {len(fitted.start.matched)} labels"
    return [
        f"The set may be contaminated: {named} are among the classes that {card.name} was trained to name, "
        "so its pictures may be among those that it was trained on. Figures are then optimistic."
    ]


def plan_in_words(made: Candidate) -> str:
    """Return what was done with the network, in sentences."""
    arrangement, fitted, card = made.arrangement, made.fitted, made.card
    if made.tuned is not None:
        reasons = made.tuned.plan.evidence.get("reasons", [])
        return " ".join([made.tuned.plan.words(), *reasons])
    count = f"{len(arrangement.refit):,} items"
    if _reads_features(fitted):
        found = (
            f"{_kept(made)} of {card.name} stay frozen: it is used as it was learned from "
            f"{card.training_data}. Only {_heads(fitted)} fitted, on {count}"
        )
    else:
        found = f"No pretrained network answers: {_heads(fitted)} fitted from the start, on {count}"
    if len(arrangement.val):
        train, val = len(arrangement.train), len(arrangement.val)
        return f"{found}: chosen on {train:,}, checked on {val:,}, then fitted on both."
    folds = len(np.unique(fitted.selection.folds))
    return f"{found}; its quality was estimated by {folds}-fold cross-validation."


def _heads(fitted: Fitted) -> str:
    """Return what was fitted as the beginning of a clause: "a linear head is"."""
    views = list(fitted.plan.get("views", ()))
    if len(views) > 1:
        return f"linear heads on {' and '.join(views)} are"
    if views:
        return f"a linear head on {views[0]} is"
    return f"a {kind_of(fitted)} head is" if _reads_features(fitted) else f"{kind_of(fitted)} is"


def _kept(made: Candidate) -> str:
    blocks = made.card.blocks
    cut = made.fitted.plan.get("cut", blocks[-1])
    if cut in blocks[:-1]:  # chosen among the depths
        return f"The {blocks.index(cut) + 1} blocks up to {cut}"
    return f"The {len(blocks)} blocks up to {cut}" if made.gathered.cut else f"All {len(blocks)} blocks"


def _reads_features(fitted: Fitted) -> bool:
    """Return whether a pretrained network's features have a part in the answer."""
    return any(isinstance(part, Head) for part in getattr(fitted.head, "heads", (fitted.head,)))


def commands(made: Candidate, verb: str = "fit", how: str | None = None) -> str:
    """Return how to do it again, one command a line.

    Args:
        made: What was made.
        verb: What made it, with what it is given first. Defaults to "fit".
        how: Its options. Defaults to None: those of a fit.
    """
    root = made.gathered.dataset.root
    name, stem = (root.name, root.stem or root.name) if root else ("DATA", "DATA")
    data, model = shlex.quote(name), shlex.quote(f"{stem}.headstart")
    how = _options(made, f"{stem}.headstart") if how is None else how
    steps = (f"{verb} {data} -o {model} {how}", f"evaluate {model} {data}", f"predict {model} NEW_FILES")
    return "\n".join(f"headstart {step}".rstrip() for step in steps)


def _options(made: Candidate, model: str) -> str:
    """Return the options of the fit that made it."""
    dataset, plan = made.gathered.dataset, made.fitted.plan
    given: dict[str, object] = {}
    if dataset.target != "label":
        given["--target"] = dataset.target
    if made.tuned is not None:
        given["--plan"] = shlex.quote(f"{model}.run/{plan['strategy']}/plan.json")
    else:
        if made.gathered.cut:
            given["--strategy"] = "cut-early"
        elif made.card.name != modality(dataset.modality).default_backbone:
            given["--backbone"] = made.card.name
        given |= {"--head": plan["head"]} if plan["head"] in ("mlp", "centroid") else {}
        given |= {"--class-weight": plan["class_weight"]} if plan["class_weight"] else {}
    given |= {"--folds": plan["folds"]} if plan.get("folds") else {}
    given |= {"--seed": plan["seed"]} if plan["seed"] else {}
    if getattr(made.card.preprocess, "email", False):
        given["--email"] = ""
    return " ".join(f"{option} {value}".rstrip() for option, value in given.items())
