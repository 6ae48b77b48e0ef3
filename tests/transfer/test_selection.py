"""Cross-validation on features: honest, grouped, and right about strength."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, select


def labelled(n: int = 240, d: int = 30, noise: float = 2.0, rows: int = 1, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = rng.standard_normal((3, d))
    item = np.repeat(np.arange(n), rows)
    X = (centres[y[item]] + noise * rng.standard_normal((n * rows, d))).astype(np.float32)
    return Labelled(Features(X, item, np.arange(n)), y, 3)


def test_out_of_fold_answers_are_honest_on_noise() -> None:
    data = labelled(noise=1e6)
    found = select(data, "linear")
    assert abs((found.logits.argmax(1) == data.y).mean() - 1 / 3) < 0.12


def test_noise_asks_for_more_regularisation_than_signal() -> None:
    assert select(labelled(noise=6.0), "linear").strength <= select(labelled(noise=0.05), "linear").strength


def test_the_chosen_strength_has_the_least_loss() -> None:
    found = select(labelled(), "linear")
    assert found.losses[found.strength] == min(found.losses.values())
    assert len(found.accuracies(labelled().y)) == 5


def test_groups_stay_together() -> None:
    data = labelled()
    group = np.arange(len(data.y)) // 6
    grouped = Labelled(Features(data.features.X, data.features.item, group), data.y, 3)
    folds = select(grouped, "centroid").folds
    assert all(len(set(folds[group == g])) == 1 for g in np.unique(group))


@pytest.mark.parametrize("kind", ["linear", "centroid", "mlp"])
def test_rows_are_pooled_to_items(kind: str) -> None:
    data = labelled(n=90, rows=5)
    found = select(data, kind)
    assert found.logits.shape == (90, 3)
    single = select(Labelled(Features(data.features.X[::5], np.arange(90), np.arange(90)), data.y, 3), kind)
    assert (found.logits.argmax(1) == data.y).mean() > (single.logits.argmax(1) == data.y).mean()


def test_given_folds_are_used() -> None:
    data = labelled()
    folds = np.arange(len(data.y)) % 4
    assert select(data, "linear", folds=folds).folds is folds


def test_a_class_of_one_item() -> None:
    data = labelled()
    y = data.y.copy()
    y[:] = np.where(np.arange(len(y)) == 5, 2, y % 2)
    assert select(Labelled(data.features, y, 3), "linear").logits.shape == (240, 3)


def test_pooling_and_taking_rows() -> None:
    features = labelled(n=6, rows=2).features
    part = features.take(np.array([1, 4]))
    assert np.array_equal(part.X, features.X[[2, 3, 8, 9]])
    assert part.item.tolist() == [0, 0, 1, 1]
    assert np.allclose(part.pool(part.X)[1], features.X[8:10].mean(0), atol=1e-6)


def test_other_classes_and_weights_are_what_is_fitted() -> None:
    data = labelled(noise=0.5)
    turned = data.relabel((data.y + 1) % 3)
    head = turned.fit("linear", 0.01, None, 0)
    assert (data.logits(head).argmax(1) == turned.y).mean() > 0.9
    both = data.relabel(
        np.where(np.arange(240) < 120, data.y, turned.y), (np.arange(240) < 120).astype(float)
    )
    part = both.take(np.arange(60, 240))
    assert part.weight is not None
    assert part.weight.sum() == 60
    assert (data.logits(part.fit("linear", 0.01, None, 0)).argmax(1) == data.y).mean() > 0.9
