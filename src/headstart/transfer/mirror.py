"""Whether mirror images mean the same: asked of a probe, before pictures are mirrored for training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from headstart.backbones import Card
from headstart.data.items import Dataset
from headstart.engines.choosing import Choice
from headstart.images.augmentation import Augmentation
from headstart.transfer.features import Features
from headstart.transfer.passes import View, extract
from headstart.transfer.selection import Labelled, assign_folds, one_core_each
from headstart.transfer.store import FeatureStore

_ASKED, _ENOUGH = 400, 60
"""So many items are looked at in a mirror; with fewer in all nothing could be seen there."""
_STRENGTH = 0.01


def lost_when_mirrored(
    dataset: Dataset,
    features: Features,
    labelled: Labelled,
    card: Card,
    choice: Choice,
    store: FeatureStore,
    *,
    seed: int,
) -> float | None:
    """Measure how many more of a probe's answers are wrong about mirror images.

    The probe is fitted on the plain features of one half and asked about the other half, plain and mirrored:
    faces and cats stay what they are, letters and spectrograms do not.

    Args:
        dataset: The items.
        features: Their plain features.
        labelled: Their classes and groups.
        card: The network's card.
        choice: What computes features.
        store: Keeps those of the mirror images.
        seed: Of the halves, int.

    Returns:
        A share of the answers, float; None for what is no picture with one label, or for too few of them.
    """
    if labelled.target != "label" or dataset.modality != "image" or len(labelled.y) < _ENOUGH:
        return None
    plain = replace(labelled, features=replace(features, group=labelled.features.group))
    halves = assign_folds(plain, 2, seed)
    asked = np.flatnonzero(halves == 1)[:_ASKED]
    part, view = dataset.take(asked.tolist()), View(Augmentation(flip=1.0), seed, 0)
    done = extract(part, store, card, choice.key, choice.start, views=[view], progress=False)
    rows, item, missing = done.read(store)
    if missing:
        return None
    with one_core_each():
        head = plain.take(np.flatnonzero(halves == 0)).fit("linear", _STRENGTH, None, seed)
    y = plain.y[asked]
    right = plain.take(asked).logits(head).argmax(1) == y
    still = Features(rows, item, np.arange(len(asked))).pool(head.logits(rows)).argmax(1) == y
    return float(right.mean() - still.mean())
