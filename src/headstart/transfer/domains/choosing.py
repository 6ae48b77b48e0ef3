"""Which method to take, where no label of the target may tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.progress import Say, quiet
from headstart.transfer.domains.domains import Domains, Method
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.heads import Matrix
from headstart.transfer.selection import select
from headstart.transfer.stacking import Stacked

Floats = NDArray[np.float64]

GAIN = 0.01
"""In nats: a method must say at least so much more about the target than the source alone does.

Found on ten pairs of sorts of goods that nothing is judged on: with it no choice was worse than the source
alone, without it one was, by 0.9 points.
"""
_MARGIN = 2.0
"""How far the best answer's logit is ahead of the second on average, once logits are on one scale."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and by what.

    Args:
        method: The chosen one.
        head: What it fitted; answers for the target.
        strength: Inverse regularisation that all were fitted with, float.
        scores: `information` about the target of each method, in nats, by name.
        heads: What each method fitted, by name.
        why: The reason, in words.
    """

    method: Method
    head: Any
    strength: float
    scores: dict[str, float]
    heads: dict[str, Any]
    why: str


def choose(
    domains: Domains,
    methods: Sequence[Method],
    seed: int = 0,
    *,
    strength: float | None = None,
    say: Say = quiet,
) -> Choice:
    """Fit with every method and choose one without labels of the target.

    Chosen is the head whose answers say most about the target (see `information`), and the source alone
    unless one says clearly more: an adaptation must not make things worse. Where classes of the target are
    known, a method must not be less often right about them than the source alone, either.

    Args:
        domains: Both domains.
        methods: What to try; those that cannot be used on these domains are left out, "source only" is always
            tried.
        seed: Of all that is drawn, int. Defaults to 0.
        strength: Inverse regularisation, float. Defaults to None: by cross-validation on the source.
        say: Where it is told what is tried. Defaults to nowhere.

    Returns:
        The choice.

    Raises:
        DataError: The items have no classes, but numbers or several labels.

    Example:
        >>> from headstart.transfer.domains.statistics import OwnStatistics
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> item, y = np.arange(80), np.arange(80) % 2
        >>> X = np.random.default_rng(0).normal(3 * y, 0.5)[:, None].astype(np.float32)
        >>> X[40:] += 3
        >>> data = Labelled(Features(X, item, item), np.where(item < 40, y, -1), 2)
        >>> domains = Domains(data, item[:40], item[40:])
        >>> choose(domains, (OwnStatistics(),), strength=1.0).method.name
        'own statistics'
    """
    if domains.data.target != "label":
        raise DataError(
            "items with one class each", f"a {domains.data.target}", "fit on both domains instead"
        )
    if strength is None:
        strength = select(domains.source_view, "linear", seed=seed).strength
    floor = SourceOnly()
    heads: dict[str, Any] = {}
    tried = (floor, *(each for each in methods if each.name != floor.name and usable(each, domains)))
    view = domains.target_view
    scores: dict[str, float] = {}
    right: dict[str, float] = {}
    place = np.isin(domains.target, domains.known)
    for method in tried:
        say(f"trying {method.name}")
        heads[method.name] = method.fit(domains, strength, seed)
        logits = view.logits(heads[method.name])
        scores[method.name] = information(logits)
        right[method.name] = float(np.mean(logits[place].argmax(1) == view.y[place])) if place.any() else 0.0
    safe = [each for each in tried if right[each.name] >= right[floor.name]]
    # MCC is trained for sure answers, which says nothing about right ones: on edge maps it told most, and was
    # right about 48 % of dogs and cats. It is chosen only where nothing else is asked for.
    judged = [each for each in safe if not isinstance(each, Mcc) or len(tried) == 2]
    best = max(judged, key=lambda each: scores[each.name])
    if scores[best.name] < scores[floor.name] + GAIN:
        best = floor
    why = _why(best, floor, scores)
    return Choice(best, heads[best.name], strength, scores, heads, why)


def usable(method: Method, domains: Domains) -> bool:
    """Return whether a method can do something on these domains."""
    views = domains.data.views if isinstance(domains.data, Stacked) else (domains.data,)
    dense = any(view.features.X.shape[1] for view in views)
    return (dense or not method.needs_features) and (len(domains.known) > 0 or not method.needs_known)


def information(logits: Matrix) -> float:
    """Return how much answers say about the items: the entropy of their mean less their mean entropy.

    Logits are brought to one scale first, so that boldness alone is worth nothing: what counts is whether
    items stand apart in clusters, none of which is empty.

    Args:
        logits: float32 [n, classes].

    Returns:
        Nats, from 0 to ln(classes).

    References:
        Bridle, Heading and MacKay, "Unsupervised classifiers, mutual information and phantom targets",
        NeurIPS 1991. Shi and Sha, "Information-theoretical learning of discriminative clusters for
        unsupervised domain adaptation", ICML 2012.

    Example:
        >>> sure = np.array([[9, -9], [-9, 9]], np.float32)
        >>> information(sure) > information(sure[[0, 0]])
        True
    """
    z = np.asarray(logits, np.float64)
    first = np.sort(z, axis=1)
    ahead = float((first[:, -1] - first[:, -2]).mean()) if z.shape[1] > 1 else 0.0
    if ahead <= 0:
        return 0.0
    z = (z - z.max(1, keepdims=True)) * (_MARGIN / ahead)
    said = np.exp(z)
    said /= said.sum(1, keepdims=True)
    return _entropy(said.mean(0)) - float(np.mean([_entropy(each) for each in said]))


def _entropy(shares: Floats) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def _why(best: Method, floor: Method, scores: dict[str, float]) -> str:
    if len(scores) == 1:
        return "source only was kept, because no other method can be used here"
    if best.name == floor.name:
        return (
            "source only was kept, because no method separates the target's items clearly better "
            f"(by {GAIN:g} nats at least)"
        )
    gain = scores[best.name] - scores[floor.name]
    return f"{best.name} was chosen: its answers tell {gain:.3f} nats more about the target than source only"
