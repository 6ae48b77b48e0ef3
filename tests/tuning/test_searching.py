"""The search, with an objective that only counts: queue, pruning, failures, kills, the study's file."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from headstart.errors import BackboneError, OptionError, StorageError
from headstart.training.plan import Plan
from headstart.tuning import searching
from headstart.tuning.objectives import Report, Score
from headstart.tuning.searching import FIRST, INTERRUPTED, Search
from headstart.tuning.space import grid, search_space

BLOCKS = {"toy": ("stem", "one", "top")}
PLAN = Plan("freeze-all", "toy", "top", 64)
SPACE = search_space(PLAN, BLOCKS)


class Counting:
    """Plans with a stronger head are better; a trial has nine steps, the last of which tells."""

    steps = 9
    task = SimpleNamespace(plan=PLAN)

    def __init__(self, trouble: Callable[[Plan], None] = lambda plan: None) -> None:
        self.trouble = trouble
        self.tried: list[Plan] = []

    def __call__(self, plan: Plan, report: Report, deadline: float | None = None) -> Score:
        self.tried.append(plan)
        self.trouble(plan)
        for step in range(1, self.steps + 1):
            report(step, Score(1 + 1 / plan.evidence["strength"] / step, 0.5, 10))
        return Score(1 / plan.evidence["strength"], 0.5, 10)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    with searching.speaking(tmp_path):
        return searching.open_study(tmp_path)


def look(study: Study, tmp_path: Path, objective: Any, trials: int, **changes: Any) -> list[FrozenTrial]:
    how = {"sampler": "random", "pruner": "none", "metric": "loss", "seed": 0, "deadline": None, **changes}
    told: list[FrozenTrial] = []
    with searching.speaking(tmp_path):
        searching.search(
            study, objective.task, Search(tmp_path, space=SPACE, blocks=BLOCKS, **how), objective,
            trials=trials, jobs=1, done=told.append,
        )  # fmt: skip
    return told


def test_as_many_plans_are_tried_as_wanted_and_all_differ(study: Study, tmp_path: Path) -> None:
    objective = Counting()
    told = look(study, tmp_path, objective, 7)
    assert [trial.number for trial in told] == list(range(7))
    assert {trial.state for trial in told} == {TrialState.COMPLETE}
    assert len({plan.evidence["strength"] for plan in objective.tried}) == 7
    for trial, plan in zip(told, objective.tried, strict=True):
        assert trial.value == pytest.approx(1 / plan.evidence["strength"])
        assert trial.user_attrs["loss"] == trial.value
        assert trial.user_attrs["seconds"] >= 0
    look(study, tmp_path, objective, 3)
    strengths = {plan.evidence["strength"] for plan in objective.tried}
    assert len(strengths) == 10  # a second call does not repeat the first


def test_the_bayesian_sampler_finds_better_plans_than_chance(tmp_path: Path) -> None:
    best = {}
    for sampler in ("random", "tpe"):
        folder = tmp_path / sampler
        folder.mkdir()
        study = searching.open_study(folder)
        values = [trial.value for trial in look(study, folder, Counting(), 30, sampler=sampler)]
        best[sampler] = sorted(v for v in values if v is not None)[15]
    assert best["tpe"] < best["random"] / 2  # the median


def test_hyperband_gives_up_what_does_badly_but_never_the_first(study: Study, tmp_path: Path) -> None:
    worst = {"left_out": 0, "head": "linear", "strength": 1e-5, "class_weight": "even"}
    for strength in (0.9, 0.8, 0.7):
        study.enqueue_trial({**worst, "strength": strength})
    study.enqueue_trial(worst, {FIRST: True})
    told = look(study, tmp_path, Counting(), 24, pruner="hyperband")
    pruned = [trial for trial in told if trial.state == TrialState.PRUNED]
    assert 4 < len(pruned) < 24
    assert all(0 < len(trial.intermediate_values) < 9 for trial in pruned)
    assert told[3].state == TrialState.COMPLETE
    done = [trial.params["strength"] for trial in told if trial.state == TrialState.COMPLETE]
    assert max(done) > max(trial.params["strength"] for trial in pruned)


def test_a_grid_is_tried_to_its_end_and_no_further(study: Study, tmp_path: Path) -> None:
    points = grid(SPACE, 5)
    for point in points:
        study.enqueue_trial(point)
    told = look(study, tmp_path, Counting(), 50, sampler="grid")
    assert [trial.params for trial in told] == points


def test_a_plan_that_cannot_be_done_is_noted_and_the_search_goes_on(study: Study, tmp_path: Path) -> None:
    def trouble(plan: Plan) -> None:
        if plan.head == "mlp":
            raise BackboneError("a larger picture", "a small one", "enlarge it")

    told = look(study, tmp_path, Counting(trouble), 12)
    failed = [trial for trial in told if trial.params["head"] == "mlp"]
    assert 0 < len(failed) < 12
    for trial in told:
        assert (trial.state == TrialState.FAIL) == (trial in failed)
    assert "a larger picture" in failed[0].user_attrs["reason"]


def test_trouble_with_the_disk_ends_the_search(study: Study, tmp_path: Path) -> None:
    def trouble(plan: Plan) -> None:
        raise StorageError("room", "none", "free some")

    with pytest.raises(StorageError, match="room"):
        look(study, tmp_path, Counting(trouble), 12)
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]
    assert searching.requeue(study) == 1


def test_no_trial_begins_or_goes_on_after_the_deadline(study: Study, tmp_path: Path) -> None:
    assert look(study, tmp_path, Counting(), 12, deadline=time.time() - 1) == []

    def slow(plan: Plan) -> None:
        time.sleep(0.3)

    told = look(study, tmp_path, Counting(slow), 12, deadline=time.time() + 0.2)
    assert [trial.state for trial in told] == [TrialState.PRUNED]
    assert told[0].user_attrs["reason"] == "time was up"
    assert len(told[0].intermediate_values) == 1


def test_what_a_kill_left_running_is_tried_again_with_the_same_values(study: Study, tmp_path: Path) -> None:
    study.enqueue_trial({"head": "mlp"}, {FIRST: True})
    whole, _begun = study.ask(SPACE), study.ask({"strength": SPACE["strength"]})
    again = searching.open_study(tmp_path)
    assert searching.requeue(again) == 2
    states = [trial.state for trial in again.get_trials()]
    assert states == [TrialState.FAIL] * 2 + [TrialState.WAITING] * 2
    assert not any(map(searching.counted, again.get_trials()))
    told = look(again, tmp_path, Counting(), 2)
    assert told[0].params == whole.params
    assert FIRST in told[0].user_attrs
    assert told[1].params["strength"] == _begun.params["strength"]
    assert sum(map(searching.counted, again.get_trials())) == 2
    assert "interrupted" in searching.describe(again.get_trials()[0])
    assert again.get_trials()[0].user_attrs[INTERRUPTED]
    assert searching.requeue(again) == 0


def test_only_one_process_works_on_a_study(tmp_path: Path) -> None:
    with (
        searching.alone(tmp_path),
        pytest.raises(StorageError, match="nobody else"),
        searching.alone(tmp_path),
    ):
        pass
    with searching.alone(tmp_path):
        pass


def test_a_study_is_about_the_same_thing_for_ever(study: Study, tmp_path: Path) -> None:
    about = {"data digest": "abc", "search space": {"a": (1, 2)}}
    searching.check_same(study, about)
    searching.check_same(searching.open_study(tmp_path), about)
    with pytest.raises(OptionError, match="data digest is abd"):
        searching.check_same(study, {**about, "data digest": "abd"})
    with pytest.raises(OptionError, match="search space"):
        searching.check_same(study, {**about, "search space": {"a": (1, 3)}})


@pytest.mark.parametrize("content", [b"PK\x03\x04 no database at all", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / searching.FILE).write_bytes(content)
    with pytest.raises(StorageError, match="study"), searching.speaking(tmp_path):
        searching.open_study(tmp_path)
    assert (tmp_path / searching.FILE).read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for the size of files there")
def test_a_full_disk_is_said_to_be_full_and_finished_trials_are_kept(study: Study, tmp_path: Path) -> None:
    look(study, tmp_path, Counting(), 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / searching.FILE).stat().st_size, before[1]))
    try:
        with pytest.raises(StorageError, match="finished trials are kept"):
            look(study, tmp_path, Counting(), 400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = searching.open_study(tmp_path)
    searching.requeue(again)
    done = sum(map(searching.counted, again.get_trials()))
    assert done >= 3
    look(again, tmp_path, Counting(), 2)
    assert sum(map(searching.counted, again.get_trials())) == done + 2


def test_optunas_log_is_as_it_was_afterwards(tmp_path: Path) -> None:
    level = optuna.logging.get_verbosity()
    with searching.speaking(tmp_path):
        assert optuna.logging.get_verbosity() > optuna.logging.INFO
    assert optuna.logging.get_verbosity() == level


@settings(deadline=None, max_examples=60)
@given(
    items=st.integers(1, 2000),
    right=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
    losses=st.tuples(st.floats(0, 9.9), st.floats(0, 9.9)),
)
def test_among_equally_right_plans_the_loss_decides_and_only_among_them(
    items: int, right: tuple[int, int], losses: tuple[float, float]
) -> None:
    first, second = (
        Score(loss, min(count, items) / items, items) for count, loss in zip(right, losses, strict=True)
    )
    if first.accuracy != second.accuracy:
        better = (first.accuracy or 0) > (second.accuracy or 0)
        assert (first.value("accuracy") < second.value("accuracy")) == better
    elif abs(first.loss - second.loss) > 1e-6:
        assert (first.value("accuracy") < second.value("accuracy")) == (first.loss < second.loss)
    assert first.value("loss") == first.loss
    assert Score(3.0, None, items).value("accuracy") == 3.0
