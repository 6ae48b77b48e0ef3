"""What a teacher says about items, and how a student is told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import AnyEngine, Member, combined
from headstart.artefact.model import Model
from headstart.data.items import Dataset
from headstart.engines.openvino_engine import openvino_key
from headstart.transfer.calibration import Interval
from headstart.transfer.passes import extract
from headstart.transfer.store import FeatureStore


def teacher_logits(teacher: Model, dataset: Dataset, store: FeatureStore) -> NDArray[np.float32]:
    """Let a model answer about items, labelled or not, through the feature store: one pass for each network.

    The logits are calibrated: their softmax is what the model says.

    Args:
        teacher: The model.
        dataset: The items.
        store: Keeps the features, so that a second time costs nothing.

    Returns:
        float32 [items, classes].

    Raises:
        DataError: An item cannot be read any more.
    """
    key, each = openvino_key(teacher.precision), []
    for member in teacher.members:

        def engine(member: Member = member) -> AnyEngine:
            return teacher.engine_of(member)

        done = extract(dataset, store, member.backbone, key, engine)
        features = done.features(dataset, store)
        each.append(features.pool(member.head.logits(features.X)))
    logits = combined(each, teacher.target, teacher.combine)
    heat = 1.0 if isinstance(teacher.calibration, Interval) else teacher.calibration.temperature
    return (logits / heat).astype(np.float32)


def soft_targets(logits: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what `training.losses.distillation` learns from: the teacher's logits, the labels beside them.

    Args:
        logits: Of all items, those with a label first, float32 [n, k].
        y: Classes of the items with a label, int64 [m], m ≤ n.

    Returns:
        float32 [n, 2 k]: logits, then 1 in the column of the label, 0 everywhere where there is none.

    Example:
        >>> soft_targets(np.zeros((2, 2), np.float32), np.array([1])).tolist()
        [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    labels = np.zeros_like(logits)
    labels[np.arange(len(y)), y] = 1
    return np.hstack([logits, labels])
