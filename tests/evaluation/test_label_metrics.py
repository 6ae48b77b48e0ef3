"""Figures of several labels: equal to scikit-learn's, whatever the data; intervals; the report."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from headstart.errors import DataError
from headstart.evaluation import LabelsEvaluation, evaluate_labels
from headstart.evaluation.report import headline, report_html, report_json
from headstart.evaluation.sections import ReportInput

LABELS = ("cat", "dog", "<b>", "a very long label with an & in it")


def answers(
    n: int, k: int, seed: int, skill: float = 1.5, steps: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    y = generator.random((n, k)) < generator.uniform(0.05, 0.7, k)
    p = 1 / (1 + np.exp(-(skill * (2 * y - 1) + generator.normal(0, 1.5, (n, k)))))
    return y, np.round(p * steps) / steps if steps else p


def found(n: int = 60, k: int = 4, seed: int = 0, **more: object) -> LabelsEvaluation:
    y, p = answers(n, k, seed)
    names = [f"{i}.jpg" for i in range(n)]
    return evaluate_labels(LABELS[:k], y, p, p > 0.5, names=names, thresholds=[0.5] * k, **more)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 40),
    k=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    steps=st.sampled_from([0, 1, 3, 10]),
)
def test_figures_are_scikit_learns(n: int, k: int, seed: int, steps: int) -> None:
    y, p = answers(n, k, seed, steps=steps)
    said = p >= 0.4
    ours = evaluate_labels(LABELS[:k], y, p, said, names=[str(i) for i in range(n)])
    areas = [metrics.average_precision_score(y[:, j], p[:, j]) if y[:, j].any() else None for j in range(k)]
    assert [score.average_precision for score in ours.per_label] == pytest.approx(areas)
    known = [area for area in areas if area is not None]
    assert ours.mean_average_precision == (pytest.approx(np.mean(known)) if known else None)
    assert ours.hamming_loss == pytest.approx(metrics.hamming_loss(y, said))
    assert ours.subset_accuracy == pytest.approx(float((y == said).all(1).mean()))
    assert ours.log_loss == pytest.approx(
        np.mean([metrics.log_loss(y[:, j], p[:, j], labels=[0, 1]) for j in range(k)])
    )
    occurs = (y | said).any(0)
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        # scikit-learn takes a single column for one label, as an array of two classes
        whole = score(y.ravel(), said.ravel(), zero_division=0)
        assert ours.micro[name] == pytest.approx(whole)
        each = [score(y[:, j], said[:, j], zero_division=0) for j in range(k)]
        assert ours.macro[name] == pytest.approx(
            np.mean([x for x, o in zip(each, occurs, strict=True) if o] or 0)
        )
        for mine, theirs in zip(ours.per_label, each, strict=True):
            value = getattr(mine, name)
            assert value is None or value == pytest.approx(theirs)


def test_nothing_to_divide_by_is_none_not_zero() -> None:
    y = np.array([[True, False], [False, False]])
    ours = evaluate_labels(["a", "b"], y, [[0.9, 0.1], [0.2, 0.3]], [[1, 0], [0, 0]], names=["x", "y"])
    assert (ours.per_label[1].average_precision, ours.per_label[1].recall, ours.per_label[1].f1) == (
        None,
        None,
        None,
    )
    assert ours.mean_average_precision == ours.macro["f1"] == 1.0


def test_an_interval_is_what_resampling_with_scikit_learn_gives() -> None:
    y, p = answers(80, 3, 5)
    ours = evaluate_labels(LABELS[:3], y, p, p > 0.5, names=[str(i) for i in range(80)])
    generator = np.random.default_rng(0)
    means, f1s = [], []
    for _ in range(300):
        drawn = generator.integers(0, 80, 80)
        means.append(metrics.average_precision_score(y[drawn], p[drawn]))
        f1s.append(metrics.f1_score(y[drawn], p[drawn] > 0.5, average="micro"))
    assert ours.map_interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.025)
    assert ours.micro_f1_interval == pytest.approx(np.percentile(f1s, [2.5, 97.5]), abs=0.025)
    low, high = ours.map_interval or (1, 0)
    assert low < (ours.mean_average_precision or 0) < high


def test_all_right_on_a_few_items_is_no_certainty() -> None:
    y, _ = answers(30, 3, 2)
    ours = evaluate_labels(LABELS[:3], y, y.astype(float), y, names=[str(i) for i in range(30)])
    assert ours.mean_average_precision == ours.micro["f1"] == 1.0
    for interval in (ours.map_interval, ours.micro_f1_interval, ours.subset_interval):
        assert interval == pytest.approx((0.025 ** (1 / 30), 1.0))


def test_groups_make_intervals_wider() -> None:
    y, p = answers(40, 3, 1)
    y, p = np.repeat(y, 5, 0), np.repeat(p, 5, 0)
    names = [str(i) for i in range(200)]
    groups = [str(i // 5) for i in range(200)]
    alone = evaluate_labels(LABELS[:3], y, p, p > 0.5, names=names)
    grouped = evaluate_labels(LABELS[:3], y, p, p > 0.5, names=names, groups=groups)
    assert np.ptp(grouped.map_interval or 0) > 1.5 * np.ptp(alone.map_interval or 0)
    assert np.ptp(grouped.micro_f1_interval) > 1.5 * np.ptp(alone.micro_f1_interval)


def test_the_worst_items_come_first() -> None:
    ours = found()
    assert [x.loss for x in ours.losses] == sorted((x.loss for x in ours.losses), reverse=True)
    worst = ours.losses[0]
    row = ours.names.index(worst.name)
    assert worst.true == tuple(label for label, has in zip(LABELS, ours.y[row], strict=True) if has)
    assert set(worst.missed) <= set(worst.true)
    assert not set(worst.added) & set(worst.true)


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 2))),
        (np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))),
        (np.zeros((2, 2)), np.full((2, 2), np.nan), np.zeros((2, 2))),
        (np.zeros((2, 2)), np.full((2, 2), 1.5), np.zeros((2, 2))),
    ],
)
def test_what_cannot_be_measured(y: object, p: object, said: object) -> None:
    with pytest.raises(DataError):
        evaluate_labels(["a", "b"], y, p, said, names=["x", "y"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at least one item"):
        evaluate_labels(["a"], np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 1)), names=[])


def test_the_report_says_it_in_plain_words_and_as_json() -> None:
    content = ReportInput("Shapes", {"test": found(), "validation": found(seed=1)}, noun="pictures")
    assert headline(content).startswith(
        "On 60 pictures it had never seen, the average precision over 4 labels is 0."
    )
    page = report_html(content)
    for part in ("Label by label", "Top losses", "On which data", "&lt;b&gt;", "Precision-recall curves"):
        assert part in page
    assert "<b>a very" not in page
    value = report_json(content)
    assert json.loads(json.dumps(value))["evaluations"]["test"]["target"] == "labels"
    pictured = ReportInput("Shapes", {"test": found()}, glimpse=lambda name: name.encode())
    assert report_html(pictured).count("<img") == 24


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("has", [True, False])
def test_a_report_of_labels_that_all_or_none_have(k: int, has: bool) -> None:
    y, p = np.full((5, k), has), np.full((5, k), 0.7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = evaluate_labels(LABELS[:k], y, p, p > 0.5, names=list("abcde"))
        page = report_html(ReportInput("Shapes", {"test": ours}))
    assert ours.pr == ()
    assert ("none of which has any" in page) is not has


def test_many_labels_and_items_are_measured_in_bounded_time() -> None:
    y, p = answers(3000, 80, 0)
    labels = [f"label {n}" for n in range(80)]
    ours = evaluate_labels(labels, y, p, p > 0.5, names=[str(n) for n in range(3000)])
    low, high = ours.map_interval or (0, 0)
    assert 0 < high - low < 0.05
    assert "from label" in report_html(ReportInput("Many", {"test": ours}))
