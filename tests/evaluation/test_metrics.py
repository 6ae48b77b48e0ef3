"""Metrics equal scikit-learn's, never give NaN, and refuse what is not probabilities."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.evaluation import Evaluation, evaluate
from headstart.evaluation.metrics import BINS, calibration, item_losses
from headstart.evaluation.resampling import mean_interval, share_interval


def answers(
    items: int, classes: int, seed: int = 0, skill: float = 2.0, absent: int = 0
) -> tuple[list[str], NDArray[np.intp], NDArray[np.float64], list[str]]:
    """Make random answers of some skill; the last `absent` classes have no item."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes - absent, size=items)
    logits = rng.normal(size=(items, classes)) + skill * np.eye(classes)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [f"class {i}" for i in range(classes)], y, p, [f"{i}.jpg" for i in range(items)]


def measured(items: int, classes: int, seed: int = 0, **options: Any) -> Evaluation:
    skill, absent = options.pop("skill", 2.0), options.pop("absent", 0)
    labels, y, p, names = answers(items, classes, seed, skill, absent)
    return evaluate(labels, y, p, names=names, **options)


cases = st.tuples(
    st.integers(1, 60), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 6.0])
)


@settings(deadline=None, max_examples=40)
@given(cases, st.booleans())
def test_every_figure_equals_scikit_learns(case: tuple[int, int, int, float], hole: bool) -> None:
    items, classes, seed, skill = case
    labels, y, p, names = answers(items, classes, seed, skill, absent=int(hole))
    found = evaluate(labels, y, p, names=names)
    answered = p.argmax(axis=1)
    every = range(classes)
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, answered))
    assert found.confusion.tolist() == sk.confusion_matrix(y, answered, labels=every).tolist()
    assert found.calibration.log_loss == pytest.approx(sk.log_loss(y, p, labels=every))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # scikit-learn warns of what the case is about: classes that are absent
        assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(y, answered))
    for average in ("macro", "micro", "weighted"):
        wanted = sk.precision_recall_fscore_support(y, answered, average=average, zero_division=0)
        for score, value in zip((found.precision, found.recall, found.f1), wanted, strict=False):
            assert score[average] == pytest.approx(value)
    columns = sk.precision_recall_fscore_support(y, answered, labels=every, zero_division=0)
    for i, score in enumerate(found.per_class):
        assert [score.precision or 0.0, score.recall or 0.0, score.f1 or 0.0] == pytest.approx(
            [column[i] for column in columns[:3]]
        )
        assert score.support == columns[3][i]
        if 0 < score.support < items:
            assert score.roc_auc == pytest.approx(sk.roc_auc_score(y == i, p[:, i]))
            assert score.average_precision == pytest.approx(sk.average_precision_score(y == i, p[:, i]))
        else:
            assert score.roc_auc is None
            assert score.average_precision is None
        assert (score.recall is None) == (score.support == 0)
    if classes > 5:
        assert found.top5 == pytest.approx(sk.top_k_accuracy_score(y, p, k=5, labels=every))
    else:
        assert found.top5 is None


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_auc_and_brier_equal_scikit_learns(classes: int) -> None:
    labels, y, p, names = answers(200, classes)
    found = evaluate(labels, y, p, names=names)
    if classes == 2:
        assert found.auc == pytest.approx(sk.roc_auc_score(y, p[:, 1]))
        assert found.brier == pytest.approx(sk.brier_score_loss(y, p[:, 1]))
        assert len(found.roc) == len(found.pr) == 1
    else:
        assert found.auc == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr", average="macro"))
        assert found.brier == pytest.approx(((p - np.eye(classes)[y]) ** 2).sum(axis=1).mean())
        assert len(found.roc) == classes + 1
    assert found.average_precision == pytest.approx(
        sk.average_precision_score(
            np.eye(classes)[y][:, -1 if classes == 2 else slice(None)], p[:, 1] if classes == 2 else p
        )
    )


@settings(deadline=None, max_examples=30)
@given(cases)
def test_json_never_holds_nan_and_reads_back(case: tuple[int, int, int, float]) -> None:
    items, classes, seed, skill = case
    found = measured(items, classes, seed, skill=skill, uncalibrated=answers(items, classes, seed, 0.0)[2])
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["items"] == items
    assert {"accuracy", "macro_f1", "log_loss", "ece", "balanced_accuracy", "brier", "auc"} <= set(value)
    assert value["accuracy_interval"][0] <= value["accuracy"] <= value["accuracy_interval"][1]
    assert sum(map(sum, value["confusion"])) == items
    assert list(value["per_class"]) == value["labels"]
    assert ("top5" in value) == (classes > 5)
    assert 0 <= value["ece"] <= 1
    assert value["ece_uncalibrated"] == found.uncalibrated.ece if found.uncalibrated else True
    assert sum(b["count"] for b in value["reliability"]) == items


def test_one_class_present_leaves_areas_undefined() -> None:
    found = evaluate(["a", "b"], [0, 0], [[0.9, 0.1], [0.8, 0.2]], names=["x", "y"])
    assert found.auc is None
    assert found.average_precision is None
    assert found.roc == found.pr == ()
    assert found.to_json()["roc"] is None
    assert found.per_class[1].recall is None
    assert found.per_class[1].precision is None


def test_certain_and_wrong_costs_much_but_not_infinitely() -> None:
    found = evaluate(["a", "b"], [0], [[0.0, 1.0]], names=["x"])
    assert found.calibration.log_loss == pytest.approx(sk.log_loss([0], [[0.0, 1.0]], labels=[0, 1]))
    assert found.losses[0].true_probability == 0.0
    json.dumps(found.to_json(), allow_nan=False)


def test_ties_are_answered_and_ranked_alike() -> None:
    found = evaluate(list("abcdefg"), [0, 6], np.full((2, 7), 1 / 7), names=["x", "y"])
    assert found.accuracy == 0.5
    assert found.top5 == 0.5


def test_float32_rows_are_accepted() -> None:
    labels, y, p, names = answers(50, 120)
    wide, narrow = (evaluate(labels, y, q, names=names) for q in (p, p.astype(np.float32)))
    assert narrow.calibration.log_loss == pytest.approx(wide.calibration.log_loss, rel=1e-4)


def test_ece_by_hand_and_bins_by_definition() -> None:
    _, y, p, _ = answers(400, 4, skill=1.0)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    total = 0.0
    for i in range(BINS):
        inside = (confidence > i / BINS) & (confidence <= (i + 1) / BINS)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    assert calibration(y, p).ece == pytest.approx(total / 400)


def test_calibrated_probabilities_have_a_smaller_ece_than_overconfident_ones() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), size=20_000)
    y = (rng.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    sharp = p**4 / (p**4).sum(axis=1, keepdims=True)
    found = evaluate(list("abc"), y, p, names=[str(i) for i in range(20_000)], uncalibrated=sharp)
    assert found.uncalibrated is not None
    assert found.calibration.ece < 0.02 < 0.1 < found.uncalibrated.ece
    assert found.calibration.log_loss < found.uncalibrated.log_loss


def test_confused_pairs_and_losses_are_sorted_and_named() -> None:
    found = measured(300, 6, skill=1.0)
    counts = [pair.count for pair in found.confused]
    assert counts == sorted(counts, reverse=True)
    pair = found.confused[0]
    i, j = found.labels.index(pair.true), found.labels.index(pair.answer)
    assert i != j
    assert pair.count == found.confusion[i, j]
    assert pair.share == pytest.approx(pair.count / found.confusion[i].sum())
    losses = [item.loss for item in found.losses]
    assert losses == sorted(losses, reverse=True)
    position = found.names.index(found.losses[0].name)
    assert found.losses[0].loss == pytest.approx(item_losses(found.y, found.probabilities).max())
    assert found.losses[0].true == found.labels[found.y[position]]
    assert found.losses[0].answer == found.labels[found.answers[position]]


def test_conformal_sets_and_abstention_are_measured() -> None:
    labels, y, p, names = answers(500, 4, skill=1.0)
    sets = p >= 0.15
    found = evaluate(labels, y, p, names=names, conformal=sets, abstain_below=0.6)
    assert found.sets is not None
    assert found.abstention is not None
    assert found.sets.coverage == pytest.approx(np.mean([sets[i, y[i]] for i in range(500)]))
    assert found.sets.mean_size == pytest.approx(sets.sum() / 500)
    kept = p.max(axis=1) >= 0.6
    assert found.abstention.answered == pytest.approx(kept.mean())
    assert found.abstention.accuracy == pytest.approx((p.argmax(axis=1) == y)[kept].mean())
    assert evaluate(labels, y, p, names=names, abstain_below=1.1).abstention.accuracy is None  # type: ignore[union-attr]


def test_curves_are_monotone_short_and_within_the_unit_square() -> None:
    found = measured(5_000, 3, skill=1.0)
    for curve in found.roc:
        assert len(curve.x) <= 201
        assert (np.diff(curve.x) >= 0).all()
        assert (np.diff(curve.y) >= 0).all()
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area, abs=0.01)
    for curve in found.pr:
        assert (np.diff(curve.x) >= 0).all()
        assert curve.y.min() >= 0
        assert curve.y.max() <= 1


@pytest.mark.parametrize(
    ("labels", "y", "p", "names"),
    [
        (["a"], [0], [[1.0]], ["x"]),
        (["a", "b"], [], np.zeros((0, 2)), []),
        (["a", "b"], [0], [[0.5, 0.5], [0.5, 0.5]], ["x"]),
        (["a", "b"], [2], [[0.5, 0.5]], ["x"]),
        (["a", "b"], [-1], [[0.5, 0.5]], ["x"]),
        (["a", "b"], [0.5], [[0.5, 0.5]], ["x"]),
        (["a", "b"], [0, 1], [[0.5, 0.5]], ["x"]),
        (["a", "b"], [0], [[np.nan, 0.5]], ["x"]),
        (["a", "b"], [0], [[1.5, -0.5]], ["x"]),
        (["a", "b"], [0], [[2.0, 3.0]], ["x"]),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list[str], y: Any, p: Any, names: list[str]) -> None:
    with pytest.raises(DataError, match=r"expected .* received .* to fix"):
        evaluate(labels, y, p, names=names)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        low, high = share_interval(rng.random(150) < 0.8, seed=seed)
        held += low <= 0.8 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_the_interval_is_seeded_and_matches_the_binomial_width() -> None:
    hits = np.arange(1_000) < 900
    assert share_interval(hits, seed=3) == share_interval(hits, seed=3)
    low, high = share_interval(hits)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.9 * 0.1 / 1_000), rel=0.1)


def test_groups_that_are_right_or_wrong_together_widen_the_interval() -> None:
    hits = np.repeat(np.arange(40) % 4 > 0, 25)
    groups = [f"g{i // 25}" for i in range(1_000)]
    narrow, wide = mean_interval(hits.astype(float)), mean_interval(hits.astype(float), groups)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])
    alone = mean_interval(hits.astype(float), [None] * 1_000)
    assert alone == narrow


def test_a_perfect_result_still_has_an_interval() -> None:
    low, high = share_interval(np.ones(100, dtype=bool))
    assert high == 1.0
    assert 0.96 < low < 0.97
    assert share_interval(np.zeros(100, dtype=bool)) == pytest.approx((0.0, 1 - low))
    assert share_interval(np.ones(100, dtype=bool), ["one"] * 50 + ["two"] * 50)[0] < 0.2


def test_many_items_do_not_need_much_memory_or_time() -> None:
    low, high = mean_interval(np.arange(50_000) % 2 * 1.0)
    assert high - low < 0.02


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "{'sklearn', 'scipy', 'matplotlib', 'torch', 'pandas', 'jinja2'}"
    code = f"import sys, headstart.evaluation; print({heavy} & set(sys.modules) or 'none')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "none"
