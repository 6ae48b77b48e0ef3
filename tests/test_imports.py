"""What stays unloaded until it is needed: a light import, a fast --help, predictions without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import headstart

HEAVY = {"torch", "openvino", "sklearn", "scipy", "pandas", "matplotlib", "pyarrow", "transformers", "onnx"}
TRAINING = {"torch", "sklearn", "scipy", "pandas", "matplotlib", "pyarrow", "transformers", "onnx", "nncf"}


def loaded(code: str, among: Iterable[str]) -> set[str]:
    """Return which packages a fresh interpreter has loaded after some code."""
    report = "\nimport sys, json; sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1])) & set(among)


def test_import_is_light() -> None:
    assert loaded("import headstart", HEAVY | {"numpy", "PIL", "typer"}) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import headstart as hs; hs.data.open",
        "import headstart as hs; hs.backbones.cards(); hs.errors.HeadstartError; hs.tune_process",
        "import headstart.cli.app",
        "import headstart.demo",
    ],
)
def test_light_parts_are_light(code: str) -> None:
    assert loaded(code, HEAVY) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["predict", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = f"from headstart.cli import run; assert run({arguments!r}) == 0"
    assert loaded(code, HEAVY | {"numpy", "PIL"}) == set()


def test_predict_needs_nothing_of_training(pattern_pictures: Path, tmp_path: Path) -> None:
    model, picture = tmp_path / "m.headstart", pattern_pictures / "along" / "01.jpg"
    headstart.fit(pattern_pictures, head="centroid").save(model)
    code = (
        f"from headstart.cli import run; assert run({['predict', str(model), str(picture), '--json']!r}) == 0"
    )
    assert loaded(code, TRAINING) == set()
    code = f"import headstart as hs; assert hs.load({str(model)!r}).predict([{str(picture)!r}])[0].label"
    assert loaded(code, TRAINING) == set()


def test_importing_changes_no_setting_of_the_process() -> None:
    code = (
        "import os; before = dict(os.environ)\n"
        "import headstart.demo, headstart.cli.app\n"
        "assert dict(os.environ) == before"
    )
    assert loaded(code, HEAVY) == set()


def test_everything_public_is_there() -> None:
    for name in headstart.__all__:
        assert getattr(headstart, name) is not None
        assert name in dir(headstart)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        headstart.nonsense  # noqa: B018


def test_nothing_is_unpickled_or_printed() -> None:
    """The rules of the house that a word search can check."""
    for file in Path(headstart.__file__).parent.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        for word in (
            "import pickle",
            "import dill",
            "import joblib",
            "weights_only=False",
            "allow_pickle=True",
        ):
            assert word not in source, file
        assert "\n    assert " not in source, file


def test_fitting_a_head_on_known_features_does_without_torch(pattern_pictures: Path) -> None:
    headstart.fit(pattern_pictures)  # its features are in the store from here on
    assert loaded("from headstart.fitting import evaluate_model, fit, plan", {"torch"}) == set()
    assert loaded(f"import headstart; headstart.fit({str(pattern_pictures)!r})", {"torch"}) == set()
