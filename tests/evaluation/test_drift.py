"""Traffic beside a reference: the alarm keeps its level, notices what has changed, and says in what."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from headstart.errors import DataError
from headstart.evaluation.drift import (
    COMPONENTS,
    CONFIDENCE,
    EMBEDDINGS,
    FEWEST,
    KEPT,
    MIX,
    Drift,
    Reference,
    compare_traffic,
    reliability_of,
)

LABELS = ("ant", "bee", "cat")
Rows = NDArray[np.float64]


def drawn(
    count: int, seed: int, shift: float = 0.0, alpha: tuple[float, ...] = (1, 1, 1)
) -> tuple[Rows, Rows]:
    """Embeddings [count, 12] and probabilities of three labels."""
    generator = np.random.default_rng(seed)
    return generator.normal(shift, 1, (count, 12)), generator.dirichlet(alpha, count)


def compared(here: tuple[Rows, Rows], there: tuple[Rows, Rows], **options: object) -> Drift:
    return compare_traffic(Reference.of(*there), *here, labels=LABELS, **options)  # type: ignore[arg-type]


def named(drift: Drift, name: str) -> float:
    return next(check.p_value for check in drift.checks if check.name == name)


def test_clean_traffic_raises_the_alarm_as_often_as_promised() -> None:
    alarms = [
        compared(drawn(60, 2 * seed), drawn(80, 2 * seed + 1), rounds=99, level=0.1, seed=seed).alarm
        for seed in range(60)
    ]
    # 60 draws at 10 %: more than 13 come in one of 150 such tests, 0 in one of 500.
    assert 1 <= sum(alarms) <= 13


@pytest.mark.parametrize("count", [40, 200])
def test_features_that_moved_are_noticed_and_named(count: int) -> None:
    found = compared(drawn(count, 0, shift=0.8), drawn(300, 1))
    assert found.alarm
    assert {EMBEDDINGS, COMPONENTS} <= set(found.reasons)
    assert not {MIX, CONFIDENCE} & set(found.reasons)
    assert found.ratio > 1


def test_another_mix_of_classes_is_noticed_and_its_shares_are_told() -> None:
    found = compared(drawn(200, 0, alpha=(9, 1, 1)), drawn(300, 1))
    assert MIX in found.reasons
    shares = {label: (then, now) for label, then, now in found.mix}
    assert shares["ant"][1] > 0.8 > 0.5 > shares["ant"][0]
    assert sum(then for then, _ in shares.values()) == pytest.approx(1)


def test_doubt_is_noticed_without_any_other_change() -> None:
    sharp, dull = (drawn(200, 0, alpha=alpha) for alpha in ((0.2, 0.2, 0.2), (5, 5, 5)))
    found = compared((drawn(200, 1)[0], dull[1]), sharp)
    assert CONFIDENCE in found.reasons
    assert found.confidence[1] < found.confidence[0]


def test_the_reference_itself_is_no_drift() -> None:
    there = drawn(200, 3)
    found = compared(there, there)
    assert not found.alarm
    assert found.p_value > 0.9
    assert "No drift" in found.headline


def test_answers_alone_are_compared_where_there_are_no_features() -> None:
    there, here = drawn(100, 0), drawn(100, 1, alpha=(9, 1, 1))
    found = compare_traffic(Reference.of(*there), None, here[1], labels=LABELS)
    assert found.alarm
    assert {check.name for check in found.checks} == {MIX, CONFIDENCE}


def test_numbers_and_several_labels_are_compared_too() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4))
    there = Reference.of(features[:100], generator.normal(size=(100, 1)))
    low = compare_traffic(
        there, features[100:], generator.normal(2, 1, (100, 1)), labels=("value",), target="number"
    )
    assert low.alarm
    assert low.mix == ()
    there = Reference.of(features[:100], generator.uniform(0, 0.4, (100, 3)))
    more = generator.uniform(0.5, 1, (100, 3))
    found = compare_traffic(there, features[100:], more, labels=LABELS, target="labels")
    assert MIX in found.reasons


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.integers(21, 60))
def test_p_values_are_probabilities_whatever_the_scale(seed: int, scale: float, count: int) -> None:
    here, there = drawn(count, seed), drawn(40, seed + 1)
    found = compared(here, there, rounds=49, seed=seed)
    larger = compared((here[0] * scale, here[1]), (there[0] * scale, there[1]), rounds=49, seed=seed)
    for each in (found, larger):
        assert all(0 < check.p_value <= 1 for check in each.checks)
        assert each.p_value == min(check.p_value for check in each.checks)
    # Float16 rounds what is small and large alike: the tests hardly notice the scale.
    assert larger.p_value == pytest.approx(found.p_value, abs=0.2)


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    generator = np.random.default_rng(5)
    there, here = generator.normal(size=(90, 1)), generator.normal(0.3, 1, (70, 1))
    found = compare_traffic(
        Reference.of(np.zeros((90, 0)), there), None, here, labels=("value",), target="number"
    )
    wanted = ks_2samp(there[:, 0].astype(np.float32), here[:, 0])
    assert found.checks[0].statistic == pytest.approx(wanted.statistic, abs=1e-5)
    assert found.checks[0].p_value == pytest.approx(wanted.pvalue, abs=0.05)


def test_the_distance_of_embeddings_is_the_maximum_mean_discrepancy() -> None:
    here, there = drawn(30, 0, shift=0.5), drawn(40, 1)
    x, y = (part[0].astype(np.float16).astype(np.float64) for part in (there, here))
    both = np.concatenate([x, y])
    apart = ((both[:, None] - both[None]) ** 2).sum(2)
    kernel = np.exp(-apart / np.median(apart[np.triu_indices(len(both), 1)]))
    wanted = kernel[:40, :40].mean() + kernel[40:, 40:].mean() - 2 * kernel[:40, 40:].mean()
    assert compared(here, there).checks[0].statistic == pytest.approx(wanted, rel=1e-3)


def test_what_does_not_vary_at_all_is_no_drift() -> None:
    same = np.ones((50, 4)), np.tile([0.6, 0.3, 0.1], (50, 1))
    found = compared(same, same)
    assert not found.alarm


def test_a_reference_is_small_and_finite() -> None:
    rows = np.full((3000, 4), 1e9)
    rows[0, 0], rows[1, 1] = np.nan, -np.inf
    kept = Reference.of(rows, np.full((3000, 2), 0.5))
    assert len(kept) == KEPT
    assert kept.embeddings.dtype == np.float16
    assert np.isfinite(kept.embeddings).all()


@pytest.mark.parametrize("few", [0, FEWEST - 1])
def test_too_few_items_say_nothing(few: int) -> None:
    with pytest.raises(DataError, match="at least 20 items of traffic"):
        compared(drawn(few, 0), drawn(50, 1))
    with pytest.raises(DataError, match="at least 20 items of the reference"):
        compared(drawn(50, 0), drawn(few, 1))


def test_answers_of_another_model_are_refused() -> None:
    with pytest.raises(DataError, match="answers of one model"):
        compare_traffic(Reference.of(*drawn(50, 0)), None, np.full((50, 2), 0.5), labels=LABELS)


def test_spiegelhalters_test_trusts_an_honest_model_and_no_other() -> None:
    generator = np.random.default_rng(0)
    sure = generator.uniform(0.5, 1, 400)
    honest = reliability_of(sure, generator.random(400) < sure)
    boaster = reliability_of(sure, generator.random(400) < sure - 0.2)
    assert honest is not None
    assert boaster is not None
    assert honest.p_value > 0.05
    assert boaster.p_value < 0.001
    assert boaster.ece > 0.1 > honest.ece
    assert reliability_of(sure[:5], sure[:5] > 0) is None


def test_spiegelhalters_statistic_by_hand() -> None:
    # 25 answers of 0.8, 15 right: z = Σ(y − p)(1 − 2p) / √Σ(1 − 2p)² p(1 − p)
    found = reliability_of(np.full(25, 0.8), np.arange(25) < 15)
    z = (15 - 20) * (1 - 1.6) / math.sqrt(25 * 0.36 * 0.16)
    assert found is not None
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_calibration_shares_the_level_with_the_other_checks() -> None:
    clean = compared(drawn(100, 2), drawn(100, 3))
    assert not clean.alarm
    known = reliability_of(np.full(100, 0.9), np.arange(100) < 60)
    found = replace(clean, reliability=known)
    assert found.reasons == ("calibration",)
    assert found.alarm
    almost = replace(clean, p_value=0.04, checks=(replace(clean.checks[0], p_value=0.04),))
    assert almost.alarm
    honest = reliability_of(np.full(100, 0.9), np.arange(100) < 90)
    assert not replace(almost, reliability=honest).alarm


def test_json_has_the_figures_that_decide() -> None:
    found = compared(drawn(100, 2, shift=1), drawn(100, 3)).to_json()
    assert found["alarm"] is True
    assert found["reasons"] == [EMBEDDINGS, COMPONENTS]
    assert [row["label"] for row in found["mix"]] == list(LABELS)
    assert found["calibration"] is None
