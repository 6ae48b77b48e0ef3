"""Labels that spread along a graph: by hand, against scikit-learn, and what must hold for any graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from headstart.errors import DataError, OptionError
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, select
from headstart.transfer.unlabelled.propagation import NeighbourGraph, propagate
from headstart.transfer.unlabelled.spreading import Pool, Spread


def blobs(count: int, classes: int = 3, spread: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.arange(count) % classes
    centres = np.random.default_rng(5).normal(0, 1, (classes, 12))
    return (centres[y] + generator.normal(0, spread, (count, 12))).astype(np.float32), y


def chain(length: int) -> NeighbourGraph:
    links = np.zeros((length, length), np.float32)
    places = np.arange(length - 1)
    links[places, places + 1] = links[places + 1, places] = 1
    return NeighbourGraph(csr_array(links))


def test_the_solution_is_that_of_the_linear_system() -> None:
    rows, y = blobs(40)
    graph, known, stay = NeighbourGraph.of(rows, 5), np.arange(6), 0.9
    links = graph.links.toarray().astype(np.float64)
    scale = np.diag(1 / np.sqrt(links.sum(1)))
    start = np.zeros((40, 3))
    start[known, y[known]] = 0.5
    expected = np.linalg.solve(np.eye(40) - stay * scale @ links @ scale, start)
    expected *= (np.bincount(y[known]) / 6) / expected.sum(0)
    assert graph.spread(known, y[known], 3, stay) == pytest.approx(expected, abs=1e-4)


def test_it_agrees_with_scikit_learns_label_spreading() -> None:
    from sklearn.semi_supervised import LabelSpreading

    rows, y = blobs(120, spread=0.6)
    known = np.arange(9)
    partly = np.where(np.arange(120) < 9, y, -1)
    reference = LabelSpreading("knn", n_neighbors=8, alpha=0.8, max_iter=200).fit(rows, partly)
    found = propagate(NeighbourGraph.of(rows, 8), known, y[known], 3, stay=0.8)
    assert (found.y == reference.transduction_).mean() > 0.95


def test_labels_travel_along_a_chain_to_the_nearer_end() -> None:
    found = chain(11).spread(np.array([0, 10]), np.array([0, 1]), 2)
    assert found[:5].argmax(1).tolist() == [0] * 5
    assert found[6:].argmax(1).tolist() == [1] * 5
    assert found[5, 0] == pytest.approx(found[5, 1], rel=1e-2)


def test_what_no_label_reaches_has_even_chances() -> None:
    links = np.zeros((5, 5), np.float32)
    links[0, 1] = links[1, 0] = links[2, 3] = links[3, 2] = 1
    found = propagate(NeighbourGraph(csr_array(links)), np.array([0, 2]), np.array([0, 1]), 2)
    assert found.y[[1, 3]].tolist() == [0, 1]
    assert found.probabilities[4].tolist() == [0.5, 0.5]
    assert found.confidence[4] == pytest.approx(0)


def test_its_probabilities_are_about_right() -> None:
    rows, y = blobs(600, spread=1.1)
    known = np.arange(60)
    found = propagate(NeighbourGraph.of(rows, 10), known, y[known], 3)
    right = (found.y == y)[60:].mean()
    assert right > 0.8
    assert found.probabilities[60:].max(1).mean() == pytest.approx(right, abs=0.12)


@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(8, 40), neighbours=st.integers(1, 12), stay=st.floats(0, 0.99), seed=st.integers(0, 99)
)
def test_whatever_the_graph(count: int, neighbours: int, stay: float, seed: int) -> None:
    rows, y = blobs(count, seed=seed)
    graph = NeighbourGraph.of(rows, neighbours)
    assert abs(graph.links - graph.links.T).max() == 0
    assert graph.links.min() >= 0
    found = propagate(graph, np.arange(4), y[:4], 3, stay=stay, seed=seed)
    assert found.probabilities.sum(1) == pytest.approx(1)
    assert found.y[:4].tolist() == y[:4].tolist()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_what_cannot_be_done_is_said() -> None:
    graph = chain(4)
    with pytest.raises(DataError, match="at least one item with a label"):
        propagate(graph, np.zeros(0, np.int64), np.zeros(0, np.int64), 2)
    with pytest.raises(OptionError, match="α from 0 to below 1"):
        graph.spread(np.array([0]), np.array([0]), 2, stay=1.0)
    with pytest.raises(DataError, match="at least two items"):
        NeighbourGraph.of(np.ones((1, 3), np.float32))


def labelled(count: int, spread: float, seed: int = 0) -> tuple[Labelled, Features, np.ndarray]:
    """Few labelled items, many unlabelled ones, and the truth about these."""
    rows, y = blobs(count + 400, spread=spread, seed=seed)
    order = np.arange(count)
    data = Labelled(Features(rows[:count], order, order), y[:count], 3)
    others = np.arange(400)
    return data, Features(rows[count:], others, others), y[count:]


def test_few_labels_and_many_items_make_a_better_head() -> None:
    better = 0
    for seed in range(6):
        data, others, truth = labelled(9, 0.9, seed)
        alone = data.fit("linear", 0.01, None, 0).logits(others.X).argmax(1)
        spread = Spread.of(data, others).fit("linear", 0.01, None, 0).logits(others.X).argmax(1)
        better += (spread == truth).mean() > (alone == truth).mean()
    assert better >= 5


def test_in_cross_validation_the_held_out_items_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    data, others, _ = labelled(30, 0.8)
    view = Spread.of(data, others)
    asked: list[tuple[int, int]] = []
    take = NeighbourGraph.take

    def watch(self: NeighbourGraph, items: np.ndarray) -> NeighbourGraph:
        asked.append((len(items), int((items < 30).sum())))
        return take(self, items)

    monkeypatch.setattr(NeighbourGraph, "take", watch)
    selection = select(view, "linear", folds=5)
    assert selection.logits.shape == (30, 3)
    assert set(asked) == {(424, 24)}
    assert len(asked) == 5  # and not once more for another strength


def test_parts_and_other_labels_of_a_view_keep_to_their_items() -> None:
    data, others, _ = labelled(12, 0.8)
    view = Spread.of(data, others)
    part = view.take(np.array([3, 5, 7, 8])).take(np.array([1, 2]))
    assert part.places.tolist() == [5, 7]
    assert part.relabel(np.array([0, 1])).places.tolist() == [5, 7]
    assert isinstance(part.pool, Pool)


def test_one_class_alone_needs_no_neighbours() -> None:
    data, others, _ = labelled(9, 0.8)
    part = Spread.of(data, others).take(np.array([0, 3, 6]))
    head = part.fit("linear", 0.01, None, 0)
    assert set(head.logits(others.X).argmax(1).tolist()) == {0}


def test_items_with_several_rows_spread_by_their_mean() -> None:
    rows, y = blobs(60)
    twice = Features(np.repeat(rows[12:], 2, 0), np.repeat(np.arange(48), 2), np.arange(48))
    order = np.arange(12)
    view = Spread.of(Labelled(Features(rows[:12], order, order), y[:12], 3), twice)
    head = view.fit("linear", 0.01, None, 0)
    assert (head.logits(rows[12:]).argmax(1) == y[12:]).mean() > 0.9
