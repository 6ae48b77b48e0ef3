"""From files to a painting, with a small network in VGG16's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from headstart import backbones
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.errors import DecodeError, OptionError
from headstart.studio.painting import paint_file

OPTIONS: dict[str, Any] = {
    "size": 48, "steps": 60, "style_weight": 1e4, "content_weight": 1.0,
    "content_layer": "block1_conv1", "layers": {"block1_conv1": 1.0},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    block = nn.Sequential()
    block.add_module("block1_conv1", nn.Conv2d(3, 8, 3, padding=1))
    block.add_module("block1_relu1", nn.ReLU())
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=32), 8, ("block1",), 1, "")
    network = Backbone(card, {"block1": block})
    monkeypatch.setattr(backbones, "load", lambda _name, offline=False: network)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    content, style = tmp_path / "content.png", tmp_path / "style.jpg"
    Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(content)
    Image.new("CMYK", (50, 50), (0, 200, 200, 0)).save(style)
    return content, style


def test_a_painting_is_written_with_how_it_went(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    content, style = pictures
    said: list[str] = []
    made = paint_file(content, [style], tmp_path / "out.png", every=20, say=said.append, **OPTIONS)
    with Image.open(tmp_path / "out.png") as painted:
        assert painted.size == (48, 32)
    kept = sorted(path.name for path in tmp_path.glob("out-*.png"))
    assert len(kept) >= 2
    assert json.loads((tmp_path / "out.json").read_text())["losses"] == [
        list(each) for each in made["losses"]
    ]
    assert made["losses"][-1][1] < made["losses"][0][1] or len(made["losses"]) == 2
    assert said


def test_what_cannot_be_painted(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    content, style = pictures
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    mask = tmp_path / "mask.png"
    Image.new("L", (10, 10)).save(mask)
    with pytest.raises(DecodeError):
        paint_file(broken, [style], tmp_path / "out.png", **OPTIONS)
    with pytest.raises(OptionError, match="ending"):
        paint_file(content, [style], tmp_path / "out.txt", **OPTIONS)
    with pytest.raises(OptionError, match="weight for each"):
        paint_file(content, [style], tmp_path / "out.png", weights=[1, 2], **OPTIONS)
    with pytest.raises(OptionError, match="mask as large"):
        paint_file(content, [style], tmp_path / "out.png", mask=mask, **OPTIONS)
    with pytest.raises(OptionError, match="block1_conv1"):
        paint_file(content, [style], tmp_path / "out.png", **{**OPTIONS, "content_layer": "block9"})
    assert not (tmp_path / "out.png").exists()
