"""Whether two items show the same: one-shot, by similarity, with a calibrated probability."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.data.items import Dataset, Source
from headstart.errors import DataError, OptionError, require
from headstart.fitting.gathering import gather, open_labelled
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.transfer.calibration import Calibration
from headstart.transfer.shots.pairs import DEFAULTS, PairScale, cosines, sample_pairs
from headstart.transfer.store import FeatureStore


@dataclass(frozen=True)
class Match:
    """Whether two items show the same.

    Args:
        same: Whether that is more likely than not.
        probability: That they show the same, float; calibrated where same and different are as frequent.
        similarity: Cosine of the features, float; of a model's answers, how far they agree.

    Example:
        >>> Match(True, 0.9, 0.8).to_json()
        {'same': True, 'probability': 0.9, 'similarity': 0.8}
    """

    same: bool
    probability: float
    similarity: float

    def to_json(self) -> dict[str, bool | float]:
        """Return a JSON object."""
        return {"same": self.same, "probability": self.probability, "similarity": self.similarity}


def match(
    a: Source,
    b: Source,
    *,
    model: Model | Path | str | None = None,
    backbone: str | None = None,
    source: Dataset | Path | str | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Match:
    """Say whether two items show the same, of a kind that nobody has to have been trained on.

    With a model the question is whether both are of the same of its classes, and its own calibrated
    probabilities answer it. Otherwise a backbone's features are compared; how similar is similar enough is
    learned from pairs of a labelled data set, or from imagenette, ten monkeys, cats and dogs (pictures) and
    20 newsgroups (texts).

    Args:
        a: An item: a path, encoded bytes, an array; a text itself.
        b: Another one.
        model: A model whose classes are meant. Defaults to None.
        backbone: A network whose features are compared. Defaults to None: the modality's default.
        source: Labelled items whose pairs the probability is calibrated on. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The match.

    Raises:
        DecodeError: An item cannot be read.
        OptionError: A model and a backbone, a model without classes, or a backbone of which nobody knows how
            similar is similar enough: name a labelled data set.

    References:
        Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", 2015. Platt,
        "Probabilistic outputs for support vector machines", 1999.

    Example:
        >>> match("rex.jpg", "fido.jpg").same  # doctest: +SKIP
        True
    """
    if model is not None:
        if backbone is not None or source is not None:
            raise OptionError("a model, or a backbone", "both", "leave one of them out")
        return _by_classes(a, b, model if isinstance(model, Model) else load(model))
    require(("sklearn", "torch"), "train", "comparing items")
    items = _open(a, b)
    name = backbone or modality(items.modality).default_backbone
    with ExitStack() as stack:
        kept = store or stack.enter_context(FeatureStore())
        rows = _features(items, name, kept, offline, say)
        if len(rows) < 2:
            fix = "name two files, or two texts; a damaged file: headstart inspect FILE"
            raise DataError("two readable items", "one that cannot be read", fix)
        scale = _scale(name, items.modality, source, kept, offline, say)
    ((similarity,),) = [cosines(rows[:1], rows[1:])]
    probability = scale.probability(float(similarity))
    return Match(probability > 0.5, probability, float(similarity))


def _open(a: Source, b: Source) -> Dataset:
    """Open two items; a str that is no file is a text itself."""
    files = [not isinstance(each, str) or Path(each).is_file() for each in (a, b)]
    if not any(files):
        return data.open([str(each).encode() for each in (a, b)], modality="text")
    return data.open([Path(each) if isinstance(each, str) else each for each in (a, b)])


def _by_classes(a: Source, b: Source, model: Model) -> Match:
    if not isinstance(model.calibration, Calibration):
        fix = "name a backbone instead"
        raise OptionError("a model that answers with one class", f"one for {model.target}", fix)
    first, second = model.predict_proba([a, b])
    agree = float(first @ second)
    return Match(agree > 0.5, agree, agree)


def _features(items: Dataset, name: str, store: FeatureStore, offline: bool, say: Say) -> NDArray[np.float32]:
    found = gather(
        items, store, backbone=name, engine="auto", precision=None, offline=offline, say=say, progress=False
    )
    return found.features.pool(np.asarray(found.features.X, np.float32))


def _scale(
    name: str, kind: str, source: Dataset | Path | str | None, store: FeatureStore, offline: bool, say: Say
) -> PairScale:
    if source is None:
        card = backbones.card(name, offline=offline)
        if card.name not in DEFAULTS:
            fix = "name labelled items of the kind: source=, --calibrate DATA"
            raise OptionError("a backbone whose similarities are known", repr(name), fix)
        return DEFAULTS[card.name]
    dataset = open_labelled(source)
    if dataset.modality != kind:
        fix = "name labelled items of the same kind, or leave them out"
        raise DataError(
            f"labelled {modality(kind).noun} to calibrate on", modality(dataset.modality).noun, fix
        )
    found = gather(dataset, store, backbone=name, engine="auto", precision=None, offline=offline, say=say)
    labels: Sequence[str | None] = [item.label for item in found.dataset]
    rows = found.features.pool(np.asarray(found.features.X, np.float32))
    similarity, same = sample_pairs(rows, np.unique(np.array(labels, str), return_inverse=True)[1])
    return PairScale.of(similarity, same)
