"""A training that is killed and resumed ends with the same weights and the same history, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the runs are forked from a process that has torch loaded"
)
def test_killed_runs_end_with_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *runs, control = json.loads(done.stdout)
    different = [run for run in runs if not run[5]]
    assert different == []
    at_batches = [run for run in runs if run[1] == "batch"]
    assert all(killed for _, _, _, killed, _, _ in at_batches)
    assert sum(name == "everything" for name, *_ in at_batches) == 20
    assert sum(resumed for *_, resumed, _ in runs) >= 30
    assert sum(killed for _, kind, _, killed, _, _ in runs if kind == "file") >= 4
    assert control[5] is False
