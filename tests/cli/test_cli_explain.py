"""`headstart explain`: files of every kind, all that can go wrong, and layers of networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Call = Callable[..., Any]


@pytest.fixture
def picture(pattern_pictures: Path) -> Path:
    return pattern_pictures / "along" / "03.jpg"


def test_a_picture_and_its_numbers(headstart: Call, fitted: Path, picture: Path, tmp_path: Path) -> None:
    ran = headstart("explain", fitted, picture, "-o", tmp_path / "why.png", "--json")
    assert ran.code == 0
    assert ran.json["label"] == "along"
    assert ran.json["exact"] is True
    left, top, right, bottom = ran.json["region"]
    assert 0 <= left < right <= 64
    assert 0 <= top < bottom <= 64
    assert 0 < ran.json["share"] <= 1
    with Image.open(tmp_path / "why.png") as shown:
        assert shown.mode == "RGB"
    told = headstart("explain", fitted, picture)
    assert "along (" in told.out
    assert "of what speaks for it" in told.out


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "gradients", "occlusion"])
def test_every_method_says_which_it_is(headstart: Call, fitted: Path, picture: Path, method: str) -> None:
    word = {"gradcam": "Grad-CAM", "hirescam": "HiResCAM", "gradients": "integrated gradients"}
    ran = headstart("explain", fitted, picture, "--method", method, "--label", "checks", "--json")
    assert ran.code == 0
    assert ran.json["label"] == "checks"
    assert word.get(method, method) in ran.json["method"]


def test_several_files_on_one_page_or_in_a_folder(
    headstart: Call, fitted: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    files = sorted((pattern_pictures / "across").iterdir())[:2]
    assert headstart("explain", fitted, *files, "-o", tmp_path / "why.html").code == 0
    page = (tmp_path / "why.html").read_text()
    assert page.count("<img") == 2
    assert headstart("explain", fitted, *files, "-o", tmp_path / "why").code == 0
    assert sorted(file.name for file in (tmp_path / "why").iterdir()) == [
        *("001-00.json", "001-00.png", "002-01.json", "002-01.png", "index.html"),
    ]
    whole = headstart("explain", fitted, pattern_pictures / "across", "--json")
    assert len(whole.out.splitlines()) == 14
    refused = headstart("explain", fitted, *files, "-o", tmp_path / "why.png")
    assert refused.code == 2
    assert "name a page" in refused.err


def test_a_damaged_file_does_not_stop_the_others(
    headstart: Call, fitted: Path, picture: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff")
    ran = headstart("explain", fitted, damaged, picture, "-o", tmp_path / "why.html")
    assert ran.code == 1
    assert "damaged.jpg" in ran.err
    assert (tmp_path / "why.html").is_file()
    assert headstart("explain", fitted, damaged, "-o", tmp_path / "none.html").code == 2
    assert not (tmp_path / "none.html").exists()


def test_what_cannot_be_done(headstart: Call, fitted: Path, picture: Path, tmp_path: Path) -> None:
    unknown = headstart("explain", fitted, picture, "--label", "zebra")
    assert unknown.code == 2
    assert "'across', 'along', 'checks'" in unknown.err
    assert headstart("explain", tmp_path / "no.headstart", picture).code == 2
    ending = headstart("explain", fitted, picture, "-o", "why.doc")
    assert ending.code == 2
    assert ".png" in ending.err
    text = tmp_path / "text.txt"
    text.write_text("a text, no picture")
    other = headstart("explain", fitted, text)
    assert other.code == 2
    assert "text" in other.err


def test_layers_of_a_model_and_of_a_backbone(
    headstart: Call, fitted: Path, picture: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "maps.png"
    for network in (fitted, "efficientnet_lite0"):
        ran = headstart("explain", network, picture, "--activations", "stem", "-o", sheet, "--json")
        assert ran.code == 0
        assert ran.json["channels"] == 32
        assert len(ran.json["strongest"]) == 32
        with Image.open(sheet) as shown:
            assert np.asarray(shown).std() > 10
    unknown = headstart("explain", fitted, picture, "--activations", "block1_conv1", "-o", sheet)
    assert unknown.code == 2
    assert "stem.conv, stem, stage1" in unknown.err
    nothing = headstart("explain", "vgg61", picture, "--activations", "block1_conv1", "-o", sheet)
    assert nothing.code == 2
    assert "vgg16" in nothing.err
    two = headstart("explain", fitted, picture, picture, "--activations", "stem", "-o", sheet)
    assert two.code == 2
