"""The classic classifier: several hidden layers with dropout."""

from __future__ import annotations

import numpy as np

from headstart.transfer.deep_head import fit_deep_head

HIDDEN = (32, 24, 16, 12)


def rings(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rings about each other, which no line parts, on scales that differ a thousandfold."""
    generator = np.random.default_rng(0)
    y = np.arange(count) % 2
    angle, radius = generator.uniform(0, 2 * np.pi, count), 1 + 2 * y + generator.normal(0, 0.1, count)
    rows = np.stack([1000 * radius * np.cos(angle), 5 + radius * np.sin(angle)], 1)
    return rows.astype(np.float32), y.astype(np.int64)


def test_four_hidden_layers_learn_what_no_line_can() -> None:
    rows, y = rings(600)
    head = fit_deep_head(rows[:400], y[:400], 2, hidden=HIDDEN, epochs=150)
    assert [weight.shape for weight, _ in head.layers] == [(2, 32), (32, 24), (24, 16), (16, 12), (12, 2)]
    assert (head.logits(rows[400:]).argmax(1) == y[400:]).mean() > 0.95


def test_the_same_seed_gives_the_same_head() -> None:
    rows, y = rings(60)
    first, again, other = (
        fit_deep_head(rows, y, 2, hidden=HIDDEN, epochs=2, seed=seed).logits(rows) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_class_without_rows_and_a_single_batch_are_no_trouble() -> None:
    rows, y = rings(7)
    assert fit_deep_head(rows, y, 3, hidden=HIDDEN, epochs=1).logits(rows).shape == (7, 3)
