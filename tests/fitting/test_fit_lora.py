"""fit with LoRA adapters: a tiny transformer from a folder, trained, merged, saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

import headstart as hs
from headstart.artefact import load
from headstart.errors import OptionError
from headstart.fitting import Report
from headstart.fitting.wishes import PLANS, Wish
from headstart.training.plan import HEAD, Phase, Plan, Settings

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 32


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A vision transformer of three small layers with random weights."""
    folder = tmp_path_factory.mktemp("hub") / "vit"
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.ViTConfig(**shape, patch_size=8, image_size=SIDE)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    preprocessor = {"size": {"height": SIDE, "width": SIDE}, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return f"hf:{folder}"


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    root = tmp_path_factory.mktemp("split") / "stripes"
    for start, (split, count) in zip((0, 100, 200), (("train", 16), ("val", 8), ("test", 8)), strict=True):
        write_pictures(root / split, start, across=count, along=count)
    return root


def plan_for(backbone: str, **changes: object) -> Plan:
    phase = Phase("late", 4, {"layer2": 0.005, "layer3": 0.005, HEAD: 0.01})
    settings = Settings(batch=8, precision="fp32", dropout=0.0)
    plan = Plan("fine-tune-late", backbone, "layer3", SIDE, (phase,), settings=settings)
    return plan.replace(**changes)


def test_what_adapters_learned_is_in_the_saved_network(backbone: str, stripes: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    model = hs.fit(stripes, plan=plan_for(backbone), lora=4, guard=False, run=run, say=said.append)
    assert any(line.startswith("LoRA of rank 4 in layer2 to layer3: 1,024 weights learn") for line in said)
    assert model.plan["settings"]["lora"] == 4
    assert json.loads((run / PLANS).read_text())["plans"][0]["settings"]["lora"] == 4
    weights = model.members[0].weights
    assert weights is not None
    tuned, original = load_file(weights), hs.backbones.load(backbone).state_dict()
    assert tuned.keys() == original.keys()
    changed = {name for name, value in tuned.items() if not np.array_equal(value, original[name].numpy())}
    assert {name.split(".")[1] for name in changed} == {"layer2", "layer3"}
    assert {name.rsplit(".", 2)[1] for name in changed} == {"q_proj", "v_proj"}
    again = load(model.save(tmp_path / "stripes.headstart"))
    files = sorted((stripes / "test").rglob("*.jpg"))
    assert again.predict_proba(files) == pytest.approx(model.predict_proba(files), abs=1e-6)
    report = model.report
    assert isinstance(report, Report)
    assert "LoRA adapters of rank 4" in report.content.plan


def test_networks_without_attention_are_told_before_anything_is_measured(stripes: Path) -> None:
    said: list[str] = []
    with pytest.raises(OptionError, match=r"attention layers.*'basic_cnn'.*fine-tune-late"):
        hs.fit(stripes, backbone="basic_cnn", lora=8, say=said.append)
    assert not any("measuring" in line for line in said)


@pytest.mark.parametrize("strategy", ["freeze-all", "cut-early", "scratch"])
def test_strategies_without_pretrained_blocks_to_adapt_are_refused(strategy: str, backbone: str) -> None:
    with pytest.raises(OptionError, match="learn through LoRA adapters"):
        Wish(strategy, None, None, False, None, False, 8)  # type: ignore[arg-type]
    frozen = plan_for(backbone, phases=(), strategy="freeze-all")
    with pytest.raises(OptionError, match="a plan without any"):
        Wish(None, None, frozen, False, None, False, 8)
    with pytest.raises(OptionError, match="LoRA rank"):
        Wish(None, None, None, False, None, False, -1)


@pytest.mark.slow
def test_the_rank_alone_is_enough(backbone: str, stripes: Path) -> None:
    said: list[str] = []
    model = hs.fit(stripes, backbone=backbone, lora=2, guard=False, say=said.append)
    assert model.plan["strategy"] == "fine-tune-late"
    assert model.plan["settings"]["lora"] == 2
    assert any("LoRA of rank 2" in line for line in said)
