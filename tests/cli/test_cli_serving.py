"""The base package alone: what works without headstart[train], and what says that it needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAINING = (
    "torch",
    "sklearn",
    "scipy",
    "matplotlib",
    "pyarrow",
    "transformers",
    "onnx",
    "huggingface_hub",
    "nncf",
)


def bare(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter that cannot import any package of headstart[train]."""
    code = (
        f"import sys\nfor name in {TRAINING!r}:\n    sys.modules[name] = None\n"
        "from headstart.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "arguments", [("backbones", "list"), ("backbones", "show", "vgg16"), ("cache", "info"), ("doctor",)]
)
def test_what_needs_no_training_works(arguments: tuple[str, ...]) -> None:
    done = bare(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])


def test_the_doctor_names_the_pip_command() -> None:
    found = json.loads(bare("doctor", "--json").stdout)
    assert found["extras"]["train"] is False
    assert any("pip install 'headstart[train]'" in line for line in found["advice"])


def test_predict_inspect_and_export_work(fitted: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    picture = pattern_pictures / "along" / "01.jpg"
    done = bare("predict", fitted, picture, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["label"] == "along"
    looked = bare("inspect", pattern_pictures, "--json", HEADSTART_CACHE=str(tmp_path / "cache"))
    assert looked.returncode == 0, looked.stderr
    exported = bare("export", fitted, "-o", tmp_path / "network.xml")
    assert exported.returncode == 0, exported.stderr


def test_what_needs_more_says_what(fitted: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    commands = (
        ("fit", pattern_pictures, "-o", tmp_path / "m"),
        ("export", fitted, "-o", tmp_path / "n.onnx", "--to", "onnx"),
        ("inspect", pattern_pictures, "--html", tmp_path / "p.html"),
        ("inspect", pattern_pictures, "--augment", "light", "-o", tmp_path / "s.png"),
        ("backbones", "fetch", "efficientnet_lite0"),
    )
    for command in commands:
        done = bare(*command, "--json")
        assert done.returncode == 2, (command, done.stderr)
        assert "Traceback" not in done.stderr
        assert "pip install 'headstart[" in json.loads(done.stdout.splitlines()[-1])["error"]
    assert not (tmp_path / "m").exists()
