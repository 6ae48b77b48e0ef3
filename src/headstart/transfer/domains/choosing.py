"""Which method to take, where no label of the target may tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from headstart.errors import DataError
from headstart.progress import Say, quiet
from headstart.transfer.domains.agreement import Neighbours, agreement, information, neighbours_of
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.domains import Domains, Method
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.methods import ON_NORMS
from headstart.transfer.domains.moving import Both, distance, features_of, moved
from headstart.transfer.domains.self_training import SelfTraining
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.heads import Matrix
from headstart.transfer.selection import select
from headstart.transfer.stacking import Stacked

GAIN = 0.01
"""In nats: a method must score at least so much more than the source alone does."""
FAR = 1.0
"""Domains of a larger proxy A-distance are far apart: a classifier tells three of four items' domains."""
ADABN = "AdaBN"


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a method fitted, on the domains as it sees them.

    Args:
        name: What it is called, str: the method's name, and "AdaBN" before it where the domains are seen with
            batch statistics of their own.
        method: The method.
        domains: Both domains, as the method saw them.
        head: What it fitted; answers for the target.
        score: How much items' answers tell about their neighbours', float in nats; see `choose`.
        distance: Proxy A-distance of what the method makes of the domains, float; None without features.
    """

    name: str
    method: Method
    domains: Domains
    head: Any
    score: float = 0.0
    distance: float | None = None

    @property
    def start(self) -> str | None:
        """The name of the candidate that self-training starts from; None of any other method."""
        if not isinstance(self.method, SelfTraining):
            return None
        normed = self.name.startswith(ADABN)
        if not self.method.own:
            return ADABN if normed else SourceOnly().name
        return f"{ADABN} + {OwnStatistics().name}" if normed else OwnStatistics().name

    @cached_property
    def logits(self) -> Matrix:
        """What it says about the target's items, float32 [n, classes]."""
        return self.domains.target_view.logits(self.head)

    @property
    def features(self) -> Both | None:
        """What the method makes of the features of both domains; None where there are none."""
        made = moved(self.domains, self.method, self.head)
        return features_of(self.domains) if made is None else made

    @cached_property
    def right(self) -> float:
        """How often it is right about the target's items whose class is known, float; 0 without any."""
        known = np.isin(self.domains.target, self.domains.known)
        if not known.any():
            return 0.0
        return float((self.logits[known].argmax(1) == self.domains.target_view.y[known]).mean())


@dataclass(frozen=True)
class Choice:
    """What was chosen, and by what.

    Args:
        best: The chosen candidate.
        candidates: All, in the order in which they were tried; the source alone is the first.
        strength: Inverse regularisation that all were fitted with, float.
        why: The reason, in words.
    """

    best: Candidate
    candidates: tuple[Candidate, ...]
    strength: float
    why: str

    @property
    def name(self) -> str:
        """The name of the chosen candidate."""
        return self.best.name

    @property
    def scores(self) -> dict[str, float]:
        """The score of each candidate, by name."""
        return {each.name: each.score for each in self.candidates}


def choose(
    domains: Domains,
    methods: Sequence[Method],
    seed: int = 0,
    *,
    normed: Domains | None = None,
    strength: float | None = None,
    say: Say = quiet,
) -> Choice:
    """Fit with every method and choose one without labels of the target.

    Items that look alike should be answered alike, and not all the same: chosen is the candidate whose
    answers tell most about those of an item's neighbours (see `agreement`), whatever features it reads.
    Self-training makes any answers smooth, wrong ones, too: it takes part only from the start whose own
    answers score best.

    The error on the target is bounded by that on the source and the domains' distance. So where they are far
    apart, equally good starts are told apart by how near they bring them, and what leaves them as far apart
    as they are takes no part: weights need a source that holds items like the target's.

    The source alone is kept unless another candidate scores clearly more. Where classes of the target are
    known, a candidate must not be less often right about them than the source alone, either. Without features
    (terms alone) `information` takes the place of `agreement`.

    Args:
        domains: Both domains.
        methods: What to try; those that cannot be used on these domains are left out, "source only" is always
            tried.
        seed: Of all that is drawn, int. Defaults to 0.
        normed: The same domains seen with batch statistics of their own, Domains: the source alone and those
            of the methods that take a moment are tried on them, too. Defaults to None: not to be had.
        strength: Inverse regularisation, float. Defaults to None: by cross-validation on the source.
        say: Where it is told what is tried. Defaults to nowhere.

    Returns:
        The choice.

    Raises:
        DataError: The items have no classes, but numbers or several labels.

    References:
        Ben-David et al., "A theory of learning from different domains", Machine Learning 2010, for the
        distance. Saito et al., "Tune it the right way: unsupervised validation of domain adaptation via soft
        neighborhood density", ICCV 2021, for neighbours as judges.

    Example:
        >>> from headstart.transfer.domains.statistics import OwnStatistics
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> item, y = np.arange(80), np.arange(80) % 2
        >>> X = np.random.default_rng(0).normal(3 * y, 0.5)[:, None].astype(np.float32)
        >>> X[40:] += 3
        >>> data = Labelled(Features(X, item, item), np.where(item < 40, y, -1), 2)
        >>> domains = Domains(data, item[:40], item[40:])
        >>> choose(domains, (OwnStatistics(),), strength=1.0).name
        'own statistics'
    """
    if domains.data.target != "label":
        raise DataError(
            "items with one class each", f"a {domains.data.target}", "fit on both domains instead"
        )
    if strength is None:
        strength = select(domains.source_view, "linear", seed=seed).strength
    floor = SourceOnly()
    tried: list[tuple[str, Method, Domains]] = [(floor.name, floor, domains)]
    tried += [
        (each.name, each, domains) for each in methods if each.name != floor.name and usable(each, domains)
    ]
    if normed is not None:
        tried.append((ADABN, floor, normed))
        tried += [(f"{ADABN} + {each.name}", each, normed) for each in methods if each.name in ON_NORMS]
    seen = [features_of(each) for each in (domains, normed) if each is not None]
    near = [neighbours_of(each[1], seed) for each in seen if each is not None]
    found = []
    for name, method, its in tried:
        say(f"trying {name}")
        found.append(_scored(Candidate(name, method, its, method.fit(its, strength, seed)), near, seed))
    best = best_of(found)
    return Choice(best, tuple(found), strength, _why(best, found))


def _scored(made: Candidate, near: Sequence[Neighbours], seed: int) -> Candidate:
    if not near:
        return replace(made, score=information(made.logits))
    told = [agreement(made.logits.argmax(1), each) for each in near]
    return replace(made, score=float(np.mean(told)), distance=distance(made.features, seed))


def best_of(found: Sequence[Candidate]) -> Candidate:
    """Return the candidate to take, see `choose`; the first one is the source alone."""
    floor = found[0]
    safe = [each for each in found if each.right >= floor.right]
    # MCC and DANN bend a hidden layer to the target's items: answers that are sure or smooth by training
    # say nothing about right ones. They are chosen only where nothing else is asked for.
    safe = [each for each in safe if not isinstance(each.method, Mcc | Dann) or len(found) == 2]
    starts = [each for each in safe if isinstance(each.method, SourceOnly | OwnStatistics)]
    far = floor.distance is not None and floor.distance > FAR
    start = _best_start(starts, far=far)
    # One whose start was not asked for has nothing to be held against.
    worse = {each.name for each in starts} - {start.name}
    rivals = [each for each in safe if each.start not in worse]
    if far:
        rivals = [each for each in rivals if each is floor or each.start or _nearer(each, floor)]
    best = max(rivals, key=lambda each: each.score)
    return best if best.score >= floor.score + GAIN else floor


def _nearer(one: Candidate, other: Candidate) -> bool:
    return one.distance is not None and other.distance is not None and one.distance < other.distance


def _best_start(starts: Sequence[Candidate], *, far: bool) -> Candidate:
    """Return the best start for self-training: where domains are far apart, of equals the nearest ones."""
    best = max(starts, key=lambda each: each.score)
    if not far:
        return best
    equal = [each for each in starts if each.score >= best.score - GAIN]
    return min(equal, key=lambda each: (2.0 if each.distance is None else each.distance, -each.score))


def usable(method: Method, domains: Domains) -> bool:
    """Return whether a method can do something on these domains."""
    views = domains.data.views if isinstance(domains.data, Stacked) else (domains.data,)
    dense = any(view.features.X.shape[1] for view in views)
    return (dense or not method.needs_features) and (len(domains.known) > 0 or not method.needs_known)


def _why(best: Candidate, found: Sequence[Candidate]) -> str:
    floor = found[0]
    if len(found) == 1:
        return "source only was kept, because no other method can be used here"
    if best is floor:
        return (
            "source only was kept: the others were refused, for none scores clearly better "
            f"({GAIN:g} nats at least), and an adaptation must not make things worse"
        )
    return f"{best.name} was chosen: it scores {best.score - floor.score:.3f} nats more than source only"
