"""Figures of numbers: equal to scikit-learn's; intervals; the report."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from headstart.errors import DataError
from headstart.evaluation import NumberEvaluation, evaluate_numbers
from headstart.evaluation.number_sections import figure_text
from headstart.evaluation.report import headline, report_html, report_json
from headstart.evaluation.sections import ReportInput


def found(n: int = 80, seed: int = 0, scale: float = 1.0, width: float | None = 1.5) -> NumberEvaluation:
    generator = np.random.default_rng(seed)
    y = scale * generator.normal(5, 2, n)
    answers = y + scale * generator.normal(0, 1, n)
    half = None if width is None else width * scale
    return evaluate_numbers(y, answers, names=[f"{i}.jpg" for i in range(n)], width=half)


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=30),
    half=st.floats(0, 100),
)
def test_figures_are_scikit_learns(pairs: list[tuple[float, float]], half: float) -> None:
    y, answers = np.array(pairs).T
    ours = evaluate_numbers(y, answers, names=[str(i) for i in range(len(y))], width=half)
    assert ours.mae == pytest.approx(metrics.mean_absolute_error(y, answers))
    assert ours.rmse == pytest.approx(metrics.root_mean_squared_error(y, answers))
    assert ours.median_absolute_error == pytest.approx(metrics.median_absolute_error(y, answers))
    if y.std() > 1e-3:
        assert ours.r2 == pytest.approx(metrics.r2_score(y, answers), rel=1e-6)
    assert ours.coverage == pytest.approx((np.abs(answers - y) <= half).mean(), abs=1e-9)
    assert ours.mean_width == pytest.approx(2 * half)
    assert [abs(x.off) for x in ours.losses] == sorted((abs(x.off) for x in ours.losses), reverse=True)


def test_intervals_are_those_of_plain_resampling() -> None:
    ours = found()
    generator = np.random.default_rng(1)
    drawn = [generator.integers(0, 80, 80) for _ in range(500)]
    rmse = [metrics.root_mean_squared_error(ours.y[d], ours.answers[d]) for d in drawn]
    r2 = [metrics.r2_score(ours.y[d], ours.answers[d]) for d in drawn]
    assert ours.rmse_interval == pytest.approx(np.percentile(rmse, [2.5, 97.5]), abs=0.05)
    assert ours.r2_interval == pytest.approx(np.percentile(r2, [2.5, 97.5]), abs=0.05)
    assert ours.mae_interval[0] < ours.mae < ours.mae_interval[1]


def test_groups_make_intervals_wider() -> None:
    generator = np.random.default_rng(0)
    y, off = np.repeat(generator.normal(size=30), 8), np.repeat(generator.normal(size=30), 8)
    names = [str(i) for i in range(240)]
    alone = evaluate_numbers(y, y + off, names=names)
    grouped = evaluate_numbers(y, y + off, names=names, groups=[str(i // 8) for i in range(240)])
    for name in ("mae_interval", "rmse_interval", "r2_interval"):
        assert np.ptp(getattr(grouped, name)) > 1.5 * np.ptp(getattr(alone, name))


def test_equal_numbers_have_no_r2_and_one_item_has_figures() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = evaluate_numbers([2.0, 2.0], [1.0, 2.0], names=["a", "b"])
        one = evaluate_numbers([2.0], [1.0], names=["a"], width=0.0)
        pages = [report_html(ReportInput("Age", {"test": each})) for each in (same, one)]
    assert (same.r2, same.r2_interval, same.mae, one.coverage) == (None, None, 0.5, 0.0)
    assert "R²" not in pages[0].partition("On which data")[0]


@pytest.mark.parametrize(
    ("y", "answers"),
    [([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0]), ([np.nan, 1.0], [1.0, 1.0]), ([1, 2], [1, np.inf])],
)
def test_what_cannot_be_measured(y: list[float], answers: list[float]) -> None:
    with pytest.raises(DataError):
        evaluate_numbers(y, answers, names=["a", "b"])
    with pytest.raises(DataError, match="at least one item"):
        evaluate_numbers([], [], names=[])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7])
def test_the_report_says_it_in_plain_words_and_as_json(scale: float) -> None:
    content = ReportInput("Age", {"test": found(scale=scale), "validation": found(seed=1)}, noun="pictures")
    whole = content.evaluation
    assert headline(content).startswith(
        f"On 80 pictures it had never seen, the model is off by {figure_text(whole.mae)} on average"
    )
    page = report_html(content)
    for part in (
        "Answers and truths",
        "Most off",
        "On which data",
        "Histogram of answer minus truth",
        "RMSE",
    ):
        assert part in page
    assert json.loads(json.dumps(report_json(content)))["evaluations"]["test"]["mae"] == whole.mae
    assert "Dashed" not in report_html(ReportInput("Age", {"test": found(width=None)}))


def test_perfect_answers_can_be_drawn() -> None:
    y = np.arange(20.0)
    ours = evaluate_numbers(y, y, names=[str(n) for n in range(20)], width=0.0)
    assert (ours.r2, ours.mae, ours.coverage) == (1.0, 0.0, 1.0)
    assert "is off by 0 on average" in report_html(ReportInput("Age", {"test": ours}))


def test_a_large_scatter_stays_a_small_page() -> None:
    assert len(report_html(ReportInput("Age", {"test": found(20_000)}))) < 1_500_000


@settings(deadline=None, max_examples=100)
@given(value=st.floats(-1e300, 1e300))
def test_numbers_are_short_and_close(value: float) -> None:
    text = figure_text(value)
    assert len(text) <= 12
    read = float(text.replace("−", "-").replace(",", ""))
    assert read == pytest.approx(value, rel=0.006, abs=1e-300)
