"""Whether what a model is asked about still looks like what it learned from. NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.errors import DataError

Floats = NDArray[np.floating]

LEVEL = 0.05
FEWEST = 20
"""With fewer items on either side nothing is said."""
KEPT = 512
"""So many items a reference has at most."""
ROUNDS = 999
_COMPONENTS = 32
_BINS = 10

EMBEDDINGS, COMPONENTS, MIX, CONFIDENCE, ANSWER = (
    "embeddings (MMD)",
    "embeddings (KS)",
    "class mix",
    "confidence",
    "answer",
)


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model saw when it was made, to compare traffic with.

    Args:
        embeddings: What `Model.embed` says about some items, float16 [n, d]; d is 0 where nothing is kept.
        answers: What the model says about them without having learned from them, float32 [n, columns].
    """

    embeddings: NDArray[np.float16]
    answers: NDArray[np.float32]

    @classmethod
    def of(cls, embeddings: Floats, answers: Floats) -> Reference:
        """Keep at most `KEPT` items, spread evenly.

        Example:
            >>> Reference.of(np.zeros((2000, 4)), np.zeros((2000, 2))).answers.shape
            (512, 2)
        """
        chosen = np.unique(np.linspace(0, len(answers) - 1, min(KEPT, len(answers))).round().astype(int))
        return cls(halved(embeddings[chosen]), answers[chosen].astype(np.float32))

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True)
class Check:
    """One way to notice a change.

    Args:
        name: What was compared, str.
        statistic: How different it is: a distance of 0 or more, float.
        p_value: How often chance alone makes any of the checks differ as much as this one, float.
    """

    name: str
    statistic: float
    p_value: float


@dataclass(frozen=True)
class Reliability:
    """Whether answers are right as often as they claim, on items whose label is known.

    Args:
        items: How many, int.
        accuracy: The share that is right, float.
        confidence: The share that the model promised, float.
        ece: Expected calibration error over ten bins, float.
        p_value: Spiegelhalter's test: how often an honest model is off as much, float.
    """

    items: int
    accuracy: float
    confidence: float
    ece: float
    p_value: float


@dataclass(frozen=True)
class Drift:
    """Traffic beside the reference. `compare_traffic` makes it.

    Args:
        items: How many items of traffic, int.
        reference: How many items of the reference, int.
        level: How often clean traffic raises the alarm, float.
        p_value: Of the checks together, float.
        checks: Each check, the p-value corrected for there being several.
        mix: (label, share in the reference, share in traffic), for models with labels.
        confidence: Mean confidence (for numbers the mean answer) in reference and traffic, (float, float).
        reliability: What known labels say. Defaults to None: too few are known.
    """

    items: int
    reference: int
    level: float
    p_value: float
    checks: tuple[Check, ...]
    mix: tuple[tuple[str, float, float], ...]
    confidence: tuple[float, float]
    reliability: Reliability | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """What raises the alarm: names of checks, "calibration"; () where nothing does."""
        found = [check.name for check in self.checks if check.p_value <= self._share]
        if self.reliability is not None and self.reliability.p_value <= self._share:
            found.append("calibration")
        return tuple(found)

    @property
    def _share(self) -> float:
        # The level is shared where there are two tests, so that together they keep it.
        return self.level if self.reliability is None else self.level / 2

    @property
    def alarm(self) -> bool:
        """Whether traffic differs from the reference by more than chance explains."""
        return bool(self.reasons)

    @property
    def ratio(self) -> float:
        """How strong the evidence is: the level divided by the p-value, float; from 1 on it is an alarm."""
        least = [self.p_value] if self.reliability is None else [self.p_value, self.reliability.p_value]
        return self._share / max(min(least), 1e-9)

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        many = f"{self.items:,} items"
        if not self.alarm:
            return (
                f"No drift: the last {many} look like what the model learned from (p = {self.p_value:.2g})."
            )
        return (
            f"Drift: the last {many} differ from what the model learned from, in {', '.join(self.reasons)}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        known = self.reliability
        return {
            "alarm": self.alarm,
            "reasons": list(self.reasons),
            "items": self.items,
            "reference": self.reference,
            "level": self.level,
            "p_value": self.p_value,
            "checks": [
                {"name": each.name, "statistic": each.statistic, "p_value": each.p_value}
                for each in self.checks
            ],
            "mix": [{"label": label, "reference": then, "traffic": now} for label, then, now in self.mix],
            "confidence": dict(zip(("reference", "traffic"), self.confidence, strict=True)),
            "calibration": None if known is None else dict(vars(known)),
            "headline": self.headline,
        }


def compare_traffic(
    reference: Reference,
    embeddings: Floats | None,
    answers: Floats,
    *,
    labels: Sequence[str],
    target: Target = "label",
    level: float = LEVEL,
    reliability: Reliability | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Drift:
    """Compare traffic with the reference: embeddings, class mix, confidence.

    Every check is a permutation test: reference and traffic are thrown together and divided anew 999 times.
    The smallest p-value counts, and the same is done to each division, so that all checks together raise the
    alarm on clean traffic as often as `level` says, however they hang together.

    Args:
        reference: What the model saw when it was made.
        embeddings: Of the traffic, float [n, d]. Defaults to nothing where None: answers alone are compared.
        answers: Of the traffic, float [n, columns]: probabilities, or numbers [n, 1].
        labels: The columns.
        target: What the answers are. Defaults to "label".
        level: How often clean traffic may raise the alarm, float. Defaults to 0.05.
        reliability: What known labels say. Defaults to None.
        rounds: So many divisions, int. Defaults to 999.
        seed: Of the divisions, int. Defaults to 0.

    Returns:
        The comparison.

    Raises:
        DataError: Fewer than 20 items on a side, or shapes that do not fit.

    References:
        Gretton et al., "A kernel two-sample test", JMLR 2012. Rabanser, Günnemann and Lipton, "Failing
        loudly", NeurIPS 2019, for tests on few components. Westfall and Young, "Resampling-based multiple
        testing", 1993, for the smallest p-value. Guillory et al., "Predicting with confidence on unseen
        distributions", ICCV 2021, for the difference of mean confidences.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = np.full((100, 2), 0.5)
        >>> there = Reference.of(rng.normal(size=(100, 8)), p)
        >>> compare_traffic(there, rng.normal(size=(100, 8)) + 1, p, labels=("cat", "dog")).alarm
        True
    """
    _check(reference, embeddings, answers, labels)
    count = len(reference)
    divisions = _divisions(count, len(answers), rounds, seed)
    both = np.concatenate([reference.answers.astype(np.float64), answers])
    names: list[str] = []
    found: list[Floats] = []

    def add(name: str, statistics: Floats) -> None:
        names.append(name)
        found.append(statistics)

    if embeddings is not None and embeddings.shape[1] == reference.embeddings.shape[1] > 0:
        distances, components = _geometry(np.concatenate([reference.embeddings, halved(embeddings)]))
        add(EMBEDDINGS, _mmd(distances, divisions))
        add(COMPONENTS, _ks(components, divisions))
    sure = both if target == "number" else confidence(both, target)[:, None]
    mix: tuple[tuple[str, float, float], ...] = ()
    if target != "number":
        said = np.eye(both.shape[1])[both.argmax(1)] if target == "label" else both
        add(MIX, _chi_square(said, divisions))
        shares = said[:count].mean(0), said[count:].mean(0)
        mix = tuple(
            (label, float(then), float(now)) for label, then, now in zip(labels, *shares, strict=True)
        )
    if target == "number":
        add(ANSWER, _ks(sure, divisions))
    else:
        # Not its distribution: near certainty that of out-of-fold answers is of another shape.
        add(CONFIDENCE, _gap(sure[:, 0], divisions))
    overall, adjusted = _together(np.stack(found))
    checks = tuple(
        Check(name, float(max(values[0], 0.0)), p)
        for name, values, p in zip(names, found, adjusted, strict=True)
    )
    means = float(sure[:count].mean()), float(sure[count:].mean())
    return Drift(len(answers), count, level, overall, checks, mix, means, reliability)


def halved(rows: Floats) -> NDArray[np.float16]:
    """Return embeddings as they are kept: float16, what is too large for it as large as it can be."""
    most = float(np.finfo(np.float16).max)
    kept: NDArray[np.float16] = np.clip(np.nan_to_num(rows), -most, most).astype(np.float16)
    return kept


def confidence(answers: Floats, target: Target) -> Floats:
    """Return how sure each answer is, float [n]: of several labels, the mean over them."""
    sure: Floats = answers.max(1) if target == "label" else np.maximum(answers, 1 - answers).mean(1)
    return sure


def reliability_of(sure: Floats, right: NDArray[np.bool_]) -> Reliability | None:
    """Return whether answers are right as often as they claim.

    Items may have been chosen by how unsure the answer was: that biases the accuracy, not this.

    Args:
        sure: The confidence of each answer, float [n].
        right: Whether it was right, bool [n].

    Returns:
        The reliability; None of fewer than 20 items.

    References:
        Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", 1986.

    Example:
        >>> reliability_of(np.full(100, 0.9), np.arange(100) < 60).p_value < 0.001
        True
    """
    if len(right) < FEWEST:
        return None
    p, hit = np.clip(np.asarray(sure, np.float64), 1e-6, 1 - 1e-6), right.astype(np.float64)
    spread = float(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    z = float(((hit - p) * (1 - 2 * p)).sum()) / math.sqrt(max(spread, 1e-12))
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((hit - p)[bins == number].sum())) for number in range(_BINS)]
    p_value = math.erfc(abs(z) / math.sqrt(2))
    return Reliability(len(p), float(hit.mean()), float(p.mean()), sum(gaps) / len(p), p_value)


def _check(reference: Reference, embeddings: Floats | None, answers: Floats, labels: Sequence[str]) -> None:
    for what, count in (("the reference", len(reference)), ("traffic", len(answers))):
        if count < FEWEST:
            raise DataError(f"at least {FEWEST} items of {what}", str(count), "wait for more, or add some")
    shapes = [reference.answers.shape[1:], answers.shape[1:]]
    if shapes != [(len(labels),)] * 2 or (embeddings is not None and len(embeddings) != len(answers)):
        received = f"answers {reference.answers.shape} and {answers.shape} for {len(labels)} labels"
        raise DataError(
            "answers of one model, one for each item", received, "let one model answer about both"
        )


def _divisions(first: int, second: int, rounds: int, seed: int) -> NDArray[np.bool_]:
    """Return who counts as traffic: first as it is, then by chance, bool [rounds + 1, items]."""
    generator = np.random.default_rng(seed)
    real = np.arange(first + second) >= first
    return np.stack([real, *(generator.permutation(real) for _ in range(rounds))])


def _geometry(rows: Floats) -> tuple[Floats, Floats]:
    """Return squared distances [n, n] and the first principal components [n, k] of both sides together."""
    x = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    gram = x @ x.T
    size = np.diag(gram)
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-9 * max(float(values[-1]), 1e-30)
    kept[: -min(_COMPONENTS, len(values))] = False
    return np.maximum(size[:, None] + size - 2 * gram, 0), vectors[:, kept]


def _mmd(distances: Floats, divisions: NDArray[np.bool_]) -> Floats:
    """Return the squared maximum mean discrepancy of each division, by a Gaussian kernel of median width."""
    apart = distances[np.triu_indices(len(distances), 1)]
    kernel = np.exp(-distances / max(float(np.median(apart)), 1e-12)).astype(np.float32)
    count = int(divisions[0].sum())
    weight = np.where(divisions, 1 / count, -1 / (divisions.shape[1] - count)).astype(np.float32)
    found: Floats = ((weight @ kernel) * weight).sum(1)
    return found


def _ks(columns: Floats, divisions: NDArray[np.bool_]) -> Floats:
    """Return the largest Kolmogorov-Smirnov distance over some columns, for each division."""
    count = int(divisions[0].sum())
    weight = np.where(divisions, 1 / count, -1 / (divisions.shape[1] - count)).astype(np.float32)
    largest = np.zeros(len(divisions), np.float32)
    for column in columns.T:
        order = np.argsort(column, kind="stable")
        # Between equal values there is no step.
        ends = np.flatnonzero(np.append(np.diff(column[order]) > 0, True))
        steps = np.abs(np.cumsum(weight[:, order], axis=1)[:, ends]).max(1)
        largest = np.maximum(largest, steps)
    return largest


def _gap(values: Floats, divisions: NDArray[np.bool_]) -> Floats:
    """Return by how much the means of both sides differ, for each division."""
    count = int(divisions[0].sum())
    inside = divisions.astype(np.float64) @ values
    found: Floats = np.abs(inside / count - (values.sum() - inside) / (len(values) - count))
    return found


def _chi_square(said: Floats, divisions: NDArray[np.bool_]) -> Floats:
    """Return how far the mean answers are apart, label by label, each in its own spread."""
    count = int(divisions[0].sum())
    inside = divisions.astype(np.float64) @ said
    gap = inside / count - (said.sum(0) - inside) / (len(said) - count)
    mean = said.mean(0)
    found: Floats = (gap**2 / np.maximum(mean, 1 / len(said))).sum(1)
    return found


def _together(statistics: Floats) -> tuple[float, list[float]]:
    """Return the p-value of all checks together, and that of each, corrected for there being several.

    Args:
        statistics: Of each check in each division, the real one first, float [checks, rounds + 1].
    """
    rounded = np.round(statistics, 7)  # equal divisions must not differ by how they were added up
    ordered = np.sort(rounded, axis=1)
    as_large = np.stack(
        [len(row) - np.searchsorted(row, own, "left") for row, own in zip(ordered, rounded, strict=True)]
    )
    least = as_large.min(0)
    adjusted = [float((least <= own).mean()) for own in as_large[:, 0]]
    return min(adjusted), adjusted
