"""A head that starts from the source classifier, where the data has classes of the same names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from headstart import backbones
from headstart.backbones.card import Card
from headstart.backbones.catalogue import CARDS, cached, is_cached
from headstart.data.items import Target
from headstart.errors import BackboneError
from headstart.progress import Say, quiet
from headstart.transfer.calibration import fit_temperature
from headstart.transfer.heads import MAX_ITERATIONS, Head, Kind, Matrix, Scaler
from headstart.transfer.selection import Labelled, Selection, select

ZERO, SOURCE = "zero", "source classes"
_ENOUGH = 0.5
"""The share of the classes that must have a source class of their name: otherwise nothing is tried."""
_NOT_LEARNED = -30.0
_WORDNET_ID = re.compile(r"n\d{8}")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SourceStart:
    """The source classifier's part for the classes of a data set.

    Args:
        weight: From raw features to logits, float64 [features, classes]; zero where nothing matched. The mean
            over the matched classes is zero, which softmax does not see: a class that starts from zero starts
            as an average one.
        bias: float64 [classes].
        matched: Which classes have a source class of their name, bool [classes].
    """

    weight: Floats
    bias: Floats
    matched: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"initialised from source classes: {self.matched.sum()} of {len(self.matched)} matched"


@dataclass(frozen=True)
class Started(Labelled):
    """Features with their items' classes, whose linear heads start from the source classifier.

    Every other kind of head is fitted as by `Labelled`.

    Args:
        features: Rows of the items, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        start: What the source classifier knows about the classes.
    """

    target: ClassVar[Target] = "label"
    start: SourceStart

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        if kind != "linear":
            return super().fit(kind, strength, class_weight, seed)
        item = self.features.item
        return fit_from_source(
            self.start,
            self.features.X,
            self.y[item],
            strength=strength,
            class_weight=class_weight,
            weight=self.weight_of(item),
        )


def source_start(
    card: Card, labels: Sequence[str], *, offline: bool = False, say: Say = quiet
) -> SourceStart | None:
    """Return what the backbone's own classifier knows about the classes of a data set.

    Args:
        card: The backbone's card.
        labels: The classes, str.
        offline: Whether to stay off the network. Defaults to False.
        say: Where to tell that the names of the source classes cannot be had. Defaults to nowhere.

    Returns:
        None without a classifier, or where fewer than half of the classes have a source class of their name.

    Example:
        >>> card = backbones.card("efficientnet_lite0")
        >>> print(source_start(card, ["tench", "goldfish", "unicorn"]))  # doctest: +SKIP
        initialised from source classes: 2 of 3 matched
    """
    if card.labels != "imagenet-1k":
        return None
    try:
        places = match_names(labels, _source_names(labels, offline))
    except BackboneError as error:
        say(f"the head starts from zero, for the source classes have no names here: {error.received}")
        return None
    matched = np.array([len(found) > 0 for found in places])
    if matched.mean() < _ENOUGH:
        return None
    weight, bias = source_classifier(card, offline=offline)
    columns = _settled(places, weight)
    part, offset = np.zeros((len(weight), len(labels))), np.zeros(len(labels))
    part[:, matched] = weight[:, columns] - weight[:, columns].mean(1, keepdims=True)
    offset[matched] = bias[columns] - bias[columns].mean()
    return SourceStart(part, offset, matched)


def _settled(places: Sequence[Sequence[int]], weight: Floats) -> list[int]:
    """Choose among source classes of the same name the one most like those that the other labels name."""
    centred = weight - weight.mean(1, keepdims=True)
    sure = [found[0] for found in places if len(found) == 1]
    alike = centred[:, sure].sum(1) @ centred if sure else np.zeros(weight.shape[1])
    return [max(found, key=lambda place: float(alike[place])) for found in places if found]


def match_names(labels: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """Find the source classes that each label may name.

    Case, blanks, hyphens, underscores and plural make no difference. A name's synonyms are separated by
    commas.

    Args:
        labels: The classes of a data set.
        names: The names of the source classes.

    Returns:
        Positions in `names` for each label: none, one, or several that are called the same.

    Example:
        >>> match_names(["Maltese-dogs", "crane", "cat"], ["crane", "Maltese dog, Maltese", "crane"])
        [[1], [0, 2], []]
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for synonym in dict.fromkeys(map(_letters, name.split(","))):
            places.setdefault(synonym, []).append(place)
    spelled = (next((form for form in _forms(_letters(label)) if form in places), "") for label in labels)
    return [places.get(form, []) for form in spelled]


def _letters(name: str) -> str:
    """Return a name without case and signs: "Shih-Tzu" and "shih_tzu" are the same."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _forms(name: str) -> Iterator[str]:
    """Yield a word, then what may be its singular or plural."""
    yield name
    for ending, other in (("s", ""), ("es", ""), ("ies", "y"), ("", "s")):
        if name.endswith(ending):
            yield name.removesuffix(ending) + other


def _source_names(labels: Sequence[str], offline: bool) -> tuple[str, ...]:
    """Return ImageNet's names, or its WordNet ids where the labels are such, as in its own folders."""
    if all(_WORDNET_ID.fullmatch(label) for label in labels):
        return backbones.imagenet_ids(offline=offline)
    return backbones.imagenet_labels(offline=offline)


def source_classifier(card: Card, *, offline: bool = False) -> tuple[Floats, Floats]:
    """Return the source classifier as (weight [features, classes], bias [classes]).

    Raises:
        BackboneError: The backbone cannot be had, or has no classifier.
    """
    if card.name in CARDS and is_cached(card):
        try:
            return _cached_classifier(card)
        except (OSError, KeyError, SafetensorError):
            pass  # a damaged file, which loading the network explains and replaces

    import torch

    backbone = backbones.load(card.name, offline=offline)
    with torch.no_grad():
        bias = backbone.logits(torch.zeros(1, card.features))
        weight = backbone.logits(torch.eye(card.features)) - bias
    return weight.double().numpy(), bias[0].double().numpy()


def _cached_classifier(card: Card) -> tuple[Floats, Floats]:
    """Read the classifier alone out of the cache: no torch is loaded for a head on known features."""
    with safe_open(cached(card), "numpy") as file:
        if (file.metadata() or {}).get("digest") != card.digest:
            raise KeyError("other weights")
        weight, bias = file.get_tensor("classifier.weight"), file.get_tensor("classifier.bias")
    return np.asarray(weight.T, np.float64), np.asarray(bias, np.float64)


def start_choices(data: Labelled, start: SourceStart | None) -> dict[str, Labelled]:
    """Return what linear heads may start from, by name: always zero, maybe the source classes."""
    if start is None:
        return {ZERO: data}
    return {ZERO: data, SOURCE: Started(data.features, data.y, data.classes, start)}


def select_start(
    choices: Mapping[str, Labelled],
    items: NDArray[np.int64],
    kind: Kind,
    *,
    folds: int | NDArray[np.int64] | None = None,
    class_weight: str | None = None,
    seed: int = 0,
) -> tuple[Labelled, Selection, dict[str, float]]:
    """Choose what a head starts from, and its strength, by cross-validated loss.

    Args:
        choices: From `start_choices`.
        items: The items to choose on, int [n].
        kind: As for `select`.
        folds: As for `select`, of these items. Defaults to None.
        class_weight: As for `select`. Defaults to None.
        seed: As for `select`. Defaults to 0.

    Returns:
        The chosen data (all items), its selection, and the least loss of each choice; {} without a choice.
    """
    found = {
        name: select(data.take(items), kind, folds=folds, class_weight=class_weight, seed=seed)
        for name, data in choices.items()
    }
    if len(found) == 1:
        ((only, selection),) = found.items()
        return choices[only], selection, {}
    losses = {name: choices[name].take(items).loss(selection.logits) for name, selection in found.items()}
    best = min(losses, key=lambda name: losses[name])
    return choices[best], found[best], losses


def fit_from_source(
    start: SourceStart,
    rows: Matrix,
    y: NDArray[np.int64],
    *,
    strength: float = 0.01,
    class_weight: str | None = None,
    weight: NDArray[np.floating] | None = None,
) -> Head:
    """Fit a logistic regression that is pulled towards the source classifier instead of towards zero.

    With standardised rows it minimises Σ log loss + |W − s W₀|² / (2 C), the intercepts likewise: the less it
    may move, the more it is the source classifier. The scale s is the one at which the source classifier's
    own answers about these rows are calibrated. A class without rows keeps what the source knows about it.

    Args:
        start: W₀ and its intercepts.
        rows: float32 [n, d].
        y: Class of each row, int [n].
        strength: C, float. Defaults to 0.01.
        class_weight: "balanced" weighs classes inversely to their number. Defaults to None.
        weight: How much each row counts, float [n]. Defaults to None: all the same.

    Returns:
        The head, reading raw features.

    References:
        Chelba and Acero, "Adaptation of maximum entropy capitalizer: little data can help a lot", Computer
        Speech & Language 2006: a Gaussian prior around another model's weights. Li, Grandvalet and
        Davoine, "Explicit inductive bias for transfer learning with convolutional networks", ICML 2018.
    """
    scaler = Scaler.of(rows)
    x = scaler.apply(rows)
    known = np.flatnonzero(start.matched | np.isin(np.arange(len(start.bias)), y))
    compact = np.searchsorted(known, y)
    its_weight = start.weight[:, known] / scaler.scale[:, None]
    its_bias = start.bias[known] + scaler.mean @ start.weight[:, known]
    origin = np.vstack([its_weight, its_bias])
    scale = 1 / fit_temperature(x @ its_weight + its_bias, compact)
    counts = item_weights(compact, class_weight)
    counts = counts if weight is None else counts * weight.astype(np.float32)
    found = descend(x, compact, scale * origin, strength, counts)
    folded = scaler.fold(found[:-1], found[-1])
    wide = np.zeros((rows.shape[1], len(start.bias)), np.float32)
    offset = np.full(len(start.bias), _NOT_LEARNED, np.float32)
    wide[:, known], offset[known] = folded
    return Head("linear", ((wide, offset),))


def item_weights(y: NDArray[np.int64], class_weight: str | None) -> NDArray[np.float32]:
    """Return how much each item counts: with "balanced" every class the same, float32 [n], 1 on average."""
    if class_weight is None:
        return np.ones(len(y), np.float32)
    counts = np.bincount(y)
    return (len(y) / (np.count_nonzero(counts) * counts[y])).astype(np.float32)


def descend(
    x: Matrix, y: NDArray[np.int64], origin: Floats, strength: float, weights: NDArray[np.float32]
) -> Floats:
    """Return the weights, the intercepts as their last line, of the regression pulled towards `origin`.

    The arguments are those of `objective`.
    """
    from scipy.optimize import minimize

    options = {"maxiter": MAX_ITERATIONS, "gtol": 1e-4, "ftol": 1e-7}
    loss = objective(x, y, origin, strength, weights)
    found = minimize(loss, origin.ravel(), jac=True, method="L-BFGS-B", options=options)
    result: Floats = found.x.reshape(origin.shape)
    return result


def objective(
    x: Matrix, y: NDArray[np.int64], origin: Floats, strength: float, weights: NDArray[np.float32]
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return the function that `fit_from_source` minimises, divided by the items' weight.

    Args:
        x: Standardised rows, float32 [n, d].
        y: Class of each row, int [n].
        origin: Where the weights and, as the last line, the intercepts are pulled to, float64 [d + 1, k].
        strength: C, float.
        weights: How much each row counts, float32 [n].

    Returns:
        From flat weights to (loss, slope).
    """
    items, total = np.arange(len(y)), float(weights.sum())
    pull = 1 / (strength * total)

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(origin.shape)
        z = x @ w[:-1].astype(np.float32) + w[-1].astype(np.float32)
        z -= z.max(1, keepdims=True)
        logarithm = np.log(np.exp(z).sum(1))
        error = np.exp(z - logarithm[:, None])
        error[items, y] -= 1
        error *= weights[:, None] / total
        away = w - origin
        value = float(weights @ (logarithm - z[items, y])) / total + 0.5 * pull * float((away**2).sum())
        slope = np.vstack([x.T @ error, error.sum(0)]) + pull * away
        return value, slope.ravel()

    return loss
