"""The history of a run: whole lines, cut back on resume; MLflow by a stand-in."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_training import ONLY_HEAD, toy_data, toy_network, toy_plan

from headstart.errors import OptionError, StorageError
from headstart.training.history import History, Tracker
from headstart.training.loop import train


def test_lines_are_there_at_once_and_epochs_are_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "run" / "history.jsonl"
    history = History(path)
    history.add({"step": 1, "loss": 0.5, "rates": {"new-head": math.inf}})
    history.add({"epoch": 1, "val_loss": math.nan})
    lines = [json.loads(line) for line in path.read_text().splitlines()]  # before it is closed
    assert lines == [{"step": 1, "loss": 0.5, "rates": {"new-head": None}}, {"epoch": 1, "val_loss": None}]
    assert history.lines == lines[1:]
    assert history.length == path.stat().st_size
    history.close()


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 8), kept=st.integers(0, 8), cut=st.integers(0, 30))
def test_a_resumed_history_is_cut_back_to_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, count: int, kept: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "history.jsonl"
    history, lengths = History(path), [0]
    for number in range(count):
        history.add({"epoch": number, "val_loss": number / 3})
        lengths.append(history.length)
    history.close()
    length = lengths[min(kept, count)]
    path.write_bytes(path.read_bytes()[: max(0, lengths[-1] - cut)])  # a power cut may lose the end
    whole = [n for n in range(1, count + 1) if lengths[n] <= min(length, path.stat().st_size)]
    again = History(path, length)
    assert [line["epoch"] for line in again.lines] == [n - 1 for n in whole]
    again.add({"epoch": 99, "val_loss": 1.0})
    again.close()
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [
        *(n - 1 for n in whole),
        99,
    ]


def test_a_damaged_history_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch\n')
    with pytest.raises(StorageError, match=r"damaged.*remove it"):
        History(path, 8)
    path.unlink()
    history = History(path, 8)
    assert history.lines == []
    history.close()


def test_a_new_history_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("old\n")
    History(path).close()
    assert path.read_text() == ""


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        History(tmp_path / "file" / "history.jsonl")


class Mlflow(ModuleType):
    """What headstart uses of MLflow, noting the calls."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[str, Any]] = []

    def start_run(self, run_name: str) -> object:
        self.calls.append(("start", run_name))
        return object()

    def log_params(self, params: dict[str, Any]) -> None:
        self.calls.append(("params", params))

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.calls.append(("metrics", (step, metrics)))

    def end_run(self, status: str) -> None:
        self.calls.append(("end", status))


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Mlflow:
    stub = Mlflow()
    stub.__spec__ = ModuleType("spec")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "mlflow", stub)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:nowhere")
    return stub


def test_settings_and_epochs_go_to_mlflow(mlflow: Mlflow, tmp_path: Path) -> None:
    plan = toy_plan(ONLY_HEAD)
    trained = train(toy_network(plan), plan, toy_data(plan), run=tmp_path / "my run")
    kinds = [kind for kind, _ in mlflow.calls]
    assert kinds == ["start", "params", "metrics", "metrics", "end"]
    found = [value for _, value in mlflow.calls]
    assert (found[0], found[-1]) == ("my run", "FINISHED")
    assert found[1]["optimiser"] == "adamw"
    assert found[1]["seed"] == 3
    step, metrics = found[2]
    assert step == 1
    assert metrics["val_loss"] == trained.history[0]["val_loss"]
    assert all(isinstance(value, float) for value in metrics.values())


def test_mlflow_is_told_when_a_run_fails(mlflow: Mlflow) -> None:
    plan = toy_plan(ONLY_HEAD)
    with pytest.raises(OptionError):
        train(toy_network(plan), plan, toy_data(plan), deadline=0.0)
    assert mlflow.calls[-1] == ("end", "FAILED")


def test_without_the_variable_mlflow_is_not_used(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracker = Tracker(toy_plan(ONLY_HEAD), "name", pytest.fail)
    tracker.add({"epoch": 1, "val_loss": 1.0})
    tracker.close(well=True)
    assert mlflow.calls == []


def test_wanted_but_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said: list[str] = []
    Tracker(toy_plan(ONLY_HEAD), "name", said.append).close(well=True)
    assert "pip install" in said[0]
