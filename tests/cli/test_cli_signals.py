"""Ctrl-C, SIGTERM, a closed pipe: exit codes, nothing half-written, and the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_RUN = [sys.executable, "-c", "from headstart.cli import main; main()"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two classes with so many pictures that the pass over them takes a while."""
    generator = np.random.default_rng(0)
    for label, light in (("dark", 60), ("light", 190)):
        (tmp_path / "many" / label).mkdir(parents=True)
        for number in range(220):
            pixels = generator.integers(light - 50, light + 50, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((160, 160)).save(tmp_path / "many" / label / f"{number}.jpg")
    return tmp_path / "many"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_fit_leaves_nothing_half_written(
    many: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    model, cache = tmp_path / "models" / "m.headstart", tmp_path / "cache"
    cache.mkdir()
    for name in ("weights", "networks"):  # what is fetched is shared, the feature store is not
        (cache / name).symlink_to(Path(os.environ["HEADSTART_CACHE"], name).resolve())
    command = [*_RUN, "fit", str(many), "-o", str(model), "--json"]
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        assert "440" in process.stderr.readline()  # it has begun
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert process.returncode == code
    assert "Traceback" not in rest
    assert "run the same command again" in rest
    assert not model.parent.exists() or not list(model.parent.iterdir())
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)
    assert json.loads(again.stdout)["train_items"] == 440
    assert [path.name for path in model.parent.iterdir()] == [model.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_reader_that_has_seen_enough(fitted: Path, pattern_pictures: Path) -> None:
    command = [*_RUN, "predict", str(fitted), *map(str, [pattern_pictures] * 30), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["label"]
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 1
