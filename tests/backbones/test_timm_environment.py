"""timm beside a CPU build of torch, in an environment of its own: torchvision must not enter the main one.

The environment is a venv that sees the packages of the one that runs the tests, plus timm and
torchvision, so that torch is exactly the one that headstart is tested with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

import headstart.backbones

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PINS = ("timm==1.0.31", "torchvision==0.28.0")

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("error")
from pathlib import Path
import torch
from headstart import backbones
from headstart.backbones import torchvision_schemas

declared = torchvision_schemas.declare()
again = torchvision_schemas.declare()
import timm, torchvision, transformers
from torchvision import transforms

result = {"declared": declared, "again": again, "models": {}}
torchvision.models.resnet18()
transforms.Resize(8)
for name in ("inception_v3", "resnet18", "vgg11", "test_vit", "convnext_atto", "test_efficientnet"):
    torch.manual_seed(1)
    options = {"aux_logits": False} if name == "inception_v3" else {}
    model = timm.create_model(name, num_classes=7, **options).eval()
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    timm.models.save_for_hf(model, folder)
    backbone = backbones.load(f"timm:local-dir:{folder}")
    size = backbone.card.preprocess.size
    pixels = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    with torch.no_grad():
        x = backbone.normalise(pixels)
        grid, features = backbone(pixels)
        trunk = model.forward_features(x)
        logits = None
        if backbone.classifier is not None:
            logits = (backbone.logits(features) - model(x)).abs().max().item()
        result["models"][name] = {
            "blocks": backbone.card.blocks,
            "trunk": (backbone.run_blocks(x) - trunk).abs().max().item(),
            "grid": grid.shape, "features": features.shape, "logits": logits,
            "weights": sum(p.numel() for p in backbone.parameters()) == backbone.card.parameters,
            "mean": backbone.card.preprocess.mean,
        }
errors = {}
for name in ("no_such_network", "local-dir:/no/such/folder"):
    try:
        backbones.load(f"timm:{name}", offline=True)
    except backbones.BackboneError as error:
        errors[name] = str(error)
result["errors"] = errors
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with timm and torchvision; made once, kept between runs."""
    folder = Path(os.environ.get("HEADSTART_TEST_ENVS", ROOT / ".envs")) / "timm"
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "complete.json"
    wanted = json.dumps([*PINS, sys.version, sysconfig.get_path("purelib")])
    if done.exists() and done.read_text() == wanted:
        return interpreter
    venv.create(folder, with_pip=True, clear=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    # Before installing, so that pip sees what is there already; --no-deps, so that torch stays as it is.
    (site / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(interpreter), "-m", "pip", "install", "-q", "--no-deps", *PINS]
    subprocess.run(command, check=True, timeout=900)
    done.write_text(wanted)
    return interpreter


def run(python: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(headstart.backbones.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)


@pytest.fixture(scope="module")
def result(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = run(python, SCRIPT, str(tmp_path_factory.mktemp("timm")))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_schemas_are_declared_exactly_where_they_are_missing(python: Path, result: dict[str, Any]) -> None:
    bare = run(python, "import torchvision")
    if bare.returncode == 0:
        assert result["declared"] == []
    else:
        assert "operator torchvision::nms does not exist" in bare.stderr
        assert result["declared"] == ["nms", "qnms"]
    assert result["again"] == []


def test_models_of_timm_answer_as_timm_does(result: dict[str, Any]) -> None:
    for name, found in result["models"].items():
        assert found["trunk"] == pytest.approx(0, abs=1e-4), name
        assert found["grid"][:2] == found["features"], name
        assert found["weights"], name
        assert found["logits"] is None or found["logits"] < 1e-4, name


def test_blocks_of_timm_models(result: dict[str, Any]) -> None:
    models = result["models"]
    assert models["inception_v3"]["blocks"][0] == "Conv2d_1a_3x3"
    assert models["inception_v3"]["blocks"][-1] == "Mixed_7c"
    assert models["inception_v3"]["features"] == [2, 2048]
    assert models["resnet18"]["blocks"][-2:] == ["layer4_0", "layer4_1"]
    assert models["test_vit"]["blocks"] == ["trunk"]  # its class token is no child of its own


def test_a_classifier_that_reads_other_features_is_left_out(result: dict[str, Any]) -> None:
    logits = {name: found["logits"] is not None for name, found in result["models"].items()}
    assert logits["inception_v3"]
    assert logits["resnet18"]
    assert not logits["vgg11"]  # two hidden layers come between
    assert not logits["convnext_atto"]  # a norm comes between


def test_what_timm_does_not_have_is_a_clear_error(result: dict[str, Any]) -> None:
    assert set(result["errors"]) == {"no_such_network", "local-dir:/no/such/folder"}
    assert all("timm:local-dir:/path" in text for text in result["errors"].values())
