"""`headstart tune`: the command, its files, and that a kill loses nothing."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.training.plan import Plan

FROZEN = Plan("freeze-all", "efficientnet_lite0", "head", 224)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(FROZEN.to_json()))
    return path


def test_tune_finds_a_plan_and_fits_it(
    headstart: Callable[..., Any], pattern_pictures: Path, plan: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "m.headstart"
    ran = headstart("tune", pattern_pictures, "--plan", plan, "--trials", 4, "-o", model, "--json")
    assert ran.code == 0
    assert ran.json["trials"] == 4
    assert ran.json["model"] == str(model)
    assert headstart("predict", model, pattern_pictures / "along" / "01.jpg").code == 0
    study = tmp_path / "patterns.study"  # named after the data, where the command was given
    assert json.loads((study / "best.json").read_text()) == ran.json["plan"]
    assert (study / "report.html").read_text().startswith("<!doctype html>")
    assert "4 of 4: accuracy" in ran.err
    assert "features from block" in ran.err  # the plan in words
    again = headstart("tune", pattern_pictures, "--trials", 4, "--json")
    assert again.json["best"] == ran.json["best"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--sizes", "64,big"], "input sizes"),
        (["--trials", "0"], "at least one trial"),
        (["--jobs", "0"], "at least one process"),
        (["--plan", "none.json"], "none.json"),
        (["--sampler", "best"], "sampler"),
        (["--plan", "plan.json", "--study", "plan.json"], "plan.json"),
    ],
)
def test_bad_options_end_with_code_2(
    headstart: Callable[..., Any], pattern_pictures: Path, plan: Path, options: list[str], match: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(plan.parent)
    ran = headstart("tune", pattern_pictures, "--json", *options)
    assert ran.code == 2
    assert match in ran.json["error"]


def finished(database: Path) -> int:
    """How many trials are done, as SQLite says without Optuna."""
    if not database.exists():
        return 0
    with sqlite3.connect(database, timeout=60) as opened:
        try:
            return opened.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


@pytest.mark.slow
def test_a_search_of_two_processes_that_is_killed_goes_on(
    pattern_pictures: Path, plan: Path, tmp_path: Path
) -> None:
    study = tmp_path / "s"
    command = [
        str(Path(sys.executable).with_name("headstart")),
        "tune",
        str(pattern_pictures),
        "--plan",
        str(plan),
    ]
    command += ["--study", str(study), "--trials", "300", "--jobs", "2", "--pruner", "none", "--json"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while finished(study / "study.sqlite") < 5:
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        workers = children(running.pid)
        assert len(workers) >= 2
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    time.sleep(3)
    assert not any(alive(pid) for pid in workers)  # they ended with the first process
    before = finished(study / "study.sqlite")
    command[command.index("300")] = str(before + 6)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "had been interrupted" in ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["states"]["complete"] == before + 6
    assert 1 <= result["states"]["interrupted"] <= 2


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return [int(line) for line in listed.stdout.split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]
