"""What a saved model had learned from, as far as it is still where it was and its features are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.data.items import Dataset, Item
from headstart.engines.openvino_engine import openvino_key
from headstart.errors import HeadstartError
from headstart.evaluation.reasons import Neighbour
from headstart.fitting.gathering import open_labelled_any
from headstart.fitting.reasons import MOST, Learned, Mistake
from headstart.fitting.reporting import SEEN_DIGITS
from headstart.fitting.whereabouts import whereabouts
from headstart.retrieval.neighbours import unit
from headstart.transfer.features import Features
from headstart.transfer.passes import space_of
from headstart.transfer.store import FeatureStore


def recall(model: Model, store: FeatureStore, beside: Dataset) -> Learned | None:
    """Find the items that a model was fitted on; nothing is read or computed for it.

    Args:
        model: The model.
        store: The feature store.
        beside: The items that it is asked about: a learned one with the name of another of these is called by
            its folder, too.

    Returns:
        The items whose features are there; None where none are, or the model has several networks.
    """
    root, member = whereabouts(str(model.data.get("digest", ""))), model.members[0]
    if root is None or len(model.members) > 1 or not member.is_ir:
        return None
    try:
        dataset = open_labelled_any(root, model.target)
    except HeadstartError:  # it has changed since: the report does without
        return None
    files = [item for item in dataset if isinstance(item.source, Path)]
    digests = store.known_digests([item.source for item in files if isinstance(item.source, Path)])
    space = store.space(space_of(member.backbone, openvino_key(model.precision)))
    learned, stored = set(model.data.get("seen", ())), store.stored(space)
    found = [
        (item, digest)
        for item, digest in zip(files, digests, strict=True)
        if digest in stored and digest[:SEEN_DIGITS] in learned
    ]
    rows, owner, missing = store.read(space, [digest for _, digest in found])
    if missing or not found:
        return None
    features = Features(rows, owner, np.arange(len(found)))
    vectors = unit(features.pool(np.asarray(rows, np.float32)))
    taken = {item.name: _place(item) for item in beside}
    items = (
        item
        if taken.get(item.name, _place(item)) == _place(item)
        else replace(item, name=f"{root.name}/{item.name}")
        for item, _ in found
    )
    return Learned(replace(dataset, items=tuple(items)), vectors)


def _place(item: Item) -> Path | None:
    return item.source.absolute() if isinstance(item.source, Path) else None


def near(
    learned: Learned | None, answered: Dataset, vectors: NDArray[np.float32], mistakes: Sequence[Mistake]
) -> list[tuple[Neighbour, ...]]:
    """Return for each of the worst errors what the model had learned from that is most like it.

    Args:
        learned: What it had learned from, or None.
        answered: The items that it was asked about.
        vectors: Their features, float32 [n, d].
        mistakes: The worst first.

    Returns:
        The neighbours of the first of them; none where it is not known what was learned from.
    """
    if learned is None:
        return []
    position = {item.name: n for n, item in enumerate(answered)}
    found = []
    for mistake in mistakes[:MOST]:
        own = position[mistake.name]
        itself = _place(answered.items[own])
        others = np.array([_place(item) != itself for item in learned.dataset])
        found.append(learned.near(mistake, vectors[own], others))
    return found
