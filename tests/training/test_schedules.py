"""Schedules: bounds, continuity, ends; the plateau's memory survives JSON."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.training.plan import Schedule, Settings
from headstart.training.schedules import Plateau, factor

few = settings(deadline=None, max_examples=50)
names = st.sampled_from(get_args(Schedule))
warmups = st.floats(0, 0.95)


def curve(schedule: Any, steps: int, warmup: float = 0.1) -> list[float]:
    chosen = Settings(schedule=schedule, warmup=warmup)
    return [factor(chosen, step, steps) for step in range(steps)]


@few
@given(schedule=names, warmup=warmups, steps=st.integers(1, 400))
def test_above_nothing_and_one_at_most(schedule: Any, warmup: float, steps: int) -> None:
    assert all(0 < value <= 1 for value in curve(schedule, steps, warmup))


@few
@given(schedule=names, warmup=warmups)
def test_a_finer_count_of_steps_has_no_jumps(schedule: Any, warmup: float) -> None:
    values = curve(schedule, 2000, warmup)
    # A rise or fall along half a cosine is at most pi/2 as steep as a line.
    steepest = 1.6 / (2000 * min(x for x in (max(warmup, 1 / 2000), 1 - warmup)))
    jumps = [abs(b - a) for a, b in itertools.pairwise(values)]
    assert max(jumps) <= max(steepest, 1e-12) * 1.05


@few
@given(
    schedule=st.sampled_from(["one-cycle", "cosine"]), warmup=st.floats(0.05, 0.9), steps=st.integers(60, 300)
)
def test_it_rises_to_the_peak_and_falls_to_almost_nothing(schedule: Any, warmup: float, steps: int) -> None:
    values = curve(schedule, steps, warmup)
    top = values.index(max(values))
    assert top == pytest.approx(warmup * steps, abs=1.5)
    assert max(values) > 0.9
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert values[-1] < 0.05


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_some_stay_at_the_peak(schedule: Any) -> None:
    assert curve(schedule, 9) == [1.0] * 9


def test_one_cycle_starts_at_a_twenty_fifth() -> None:
    values = curve("one-cycle", 100_000, 0.3)
    assert values[0] == pytest.approx(1 / 25, rel=1e-3)
    assert values[-1] == pytest.approx(1e-4 / 25, rel=1e-2)


def test_one_cycle_is_torchs() -> None:
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=1000, pct_start=0.3, cycle_momentum=False
    )
    values = curve("one-cycle", 1000, 0.3)
    for value in values:
        assert value == pytest.approx(optimiser.param_groups[0]["lr"], abs=0.01)
        optimiser.step()
        if theirs.last_epoch < 999:
            theirs.step()


def test_without_warmup_it_starts_at_the_peak() -> None:
    assert curve("cosine", 1000, 0.0)[0] == pytest.approx(1, abs=1e-3)
    assert curve("one-cycle", 1000, 0.0)[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("step", "steps"), [(-1, 5), (5, 5), (0, 0)])
def test_steps_outside_the_phase(step: int, steps: int) -> None:
    with pytest.raises(OptionError, match="step"):
        factor(Settings(), step, steps)


@few
@given(losses=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_the_plateau_never_rises_and_has_a_floor(losses: list[float]) -> None:
    plateau = Plateau(shrink=0.1, patience=1, least=1e-2)
    factors = [plateau.update(loss) for loss in losses]
    assert factors == sorted(factors, reverse=True)
    assert all(1e-2 <= value <= 1 for value in factors)


@few
@given(
    losses=st.lists(st.floats(0, 2) | st.just(float("nan")), min_size=1, max_size=20), cut=st.integers(0, 20)
)
def test_a_stored_plateau_goes_on_as_if_nothing_had_happened(losses: list[float], cut: int) -> None:
    whole = Plateau(patience=1)
    expected = [whole.update(loss) for loss in losses]
    first = Plateau(patience=1)
    found = [first.update(loss) for loss in losses[:cut]]
    second = Plateau(patience=1).load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert found + [second.update(loss) for loss in losses[cut:]] == expected


def test_a_falling_loss_keeps_the_rate() -> None:
    plateau = Plateau(patience=0)
    assert [plateau.update(1.0 / epoch) for epoch in range(1, 9)] == [1.0] * 8
    assert plateau.update(1 / 8) == 0.3  # as good as before is no better
    assert plateau.update(1 / 8 - 1e-9) == pytest.approx(0.09)  # nor is a hair less
