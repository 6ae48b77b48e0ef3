"""A saved model answers where only the base package is installed: no torch, no scikit-learn."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

import headstart as hs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

SCRIPT = """
import importlib.util, json, sys
import headstart as hs
heavy = ("torch", "sklearn", "scipy", "matplotlib", "transformers")
absent = [name for name in heavy if importlib.util.find_spec(name) is None]
model = hs.load(sys.argv[1])
answers = model.predict(sys.argv[2:])
try:
    hs.fit(sys.argv[2])
    message = ""
except hs.errors.HeadstartError as error:
    message = str(error)
print(json.dumps({"absent": absent, "labels": [answer.label for answer in answers], "fit": message}))
"""


@pytest.fixture(scope="module")
def serving_python() -> Path:
    """A Python with nothing but the base package, kept between runs."""
    folder = Path(os.environ.get("HEADSTART_TEST_ENVS", ROOT / ".envs")) / "serve"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    wanted = (ROOT / "pyproject.toml").read_text() + (ROOT / "constraints.txt").read_text()
    if not ready.is_file() or ready.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "-c",
            str(ROOT / "constraints.txt"),
            "-e",
            str(ROOT),
        ]
        subprocess.run(install, check=True, timeout=900)
        ready.write_text(wanted)
    return python


def test_predicting_needs_the_base_package_only(
    serving_python: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    model = hs.fit(pattern_pictures)
    model.save(tmp_path / "model.headstart")
    pictures = [str(path) for path in sorted(pattern_pictures.rglob("*.jpg"))[::7]]
    expected = [answer.label for answer in model.predict(pictures)]
    command = [str(serving_python), "-c", SCRIPT, str(tmp_path / "model.headstart"), *pictures]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["absent"] == ["torch", "sklearn", "scipy", "matplotlib", "transformers"]
    assert found["labels"] == expected
    assert "pip install 'headstart[train]'" in found["fit"]


def test_the_command_line_predicts_there_too(
    serving_python: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    hs.fit(pattern_pictures).save(tmp_path / "model.headstart")
    program = serving_python.with_name("headstart")
    folder = str(pattern_pictures / "checks")
    command = [str(program), "predict", str(tmp_path / "model.headstart"), folder, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["checks"] * 14
    fit = subprocess.run(
        [str(program), "fit", folder, "-o", "x"], capture_output=True, text=True, check=False
    )
    assert fit.returncode == 2
    assert "headstart[train]" in fit.stderr
    assert "Traceback" not in fit.stderr
