"""The recipe that colours photographs: what it learns from and measures, and that it says why it skips."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.studio.colorize.colorizer import open_colorizer
from toy_colorizer import toy_colorizer

RECIPE = Path(__file__).parents[1] / "recipes" / "colorize_photos.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    some = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(some).resize((64, 48), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Little of each data set, laid out as they are."""
    captions = tmp_path / "captions" / "flickr8k"
    for number, name in enumerate(("train", "dev", "test")):
        photo(captions / "images" / f"{name}.jpg", number)
        (captions / f"{name}Images.txt").write_text(f"{name}.jpg\n")
    for split in ("train", "val", "test"):
        for label in ("cats", "dogs"):
            photo(tmp_path / "images" / "dogs_vs_cats" / split / label / "a.jpg", 7)
    for number in range(4):
        photo(tmp_path / "images" / "imagenette160" / "val" / "n01" / f"{number}.jpg", number)
    return tmp_path


def test_what_is_learned_is_not_tested(recipe: dict[str, Any], folder: Path) -> None:
    data, labelled = recipe["photographs"](folder)
    by_split = {
        split: {str(item.source) for item in data if item.split == split}
        for split in ("train", "val", "test")
    }
    assert len(by_split["train"]) == 1 + 2 + 2
    assert [Path(name).name for name in by_split["val"]] == ["dev.jpg"]
    assert [Path(name).name for name in by_split["test"]] == ["test.jpg"]
    assert labelled["dogs and cats"][1] == ["cats", "dogs"] * 2
    assert labelled["imagenette"][1] == ["n01", "n01"]
    seen = by_split["train"] | by_split["val"]
    assert not seen & {str(path) for files, _ in labelled.values() for path in files}


def test_without_captions_pets_are_held_out(recipe: dict[str, Any], folder: Path) -> None:
    data, _ = recipe["photographs"](folder / "captions" / "..")
    assert data.items
    (folder / "captions").rename(folder / "elsewhere")
    data, _ = recipe["photographs"](folder)
    splits = [item.split for item in data]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (4, 2, 4)


def test_what_is_told(recipe: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    toy = open_colorizer(toy_colorizer(tmp_path / "toy"), "fp32")
    files = sorted((folder / "images" / "imagenette160").glob("*/*/*.jpg"))
    error, colours = recipe["told"](toy, files)
    assert 0.5 < error < 20  # the toy knows nothing
    assert 0 < colours < 5


def test_it_says_why_it_skips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    for arguments, said in (([], "HEADSTART_DATA"), (["--data", str(tmp_path)], "captions/flickr8k")):
        monkeypatch.setattr(sys, "argv", ["colorize-photos", *arguments])
        runpy.run_path(str(RECIPE), run_name="__main__")
        out = capsys.readouterr().out
        assert out.startswith("skipped")
        assert said in out
