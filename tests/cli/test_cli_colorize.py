"""`headstart colorize` from end to end, with a colorizer that was not trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.images.decode import decode
from headstart.studio.colorize.lab import rgb_to_lab
from toy_colorizer import toy_colorizer

Headstart = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_colorizer(tmp_path_factory.mktemp("colorizers") / "toy.colorizer")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "old.png"
    Image.fromarray(np.full((30, 40), 180, np.uint8)).save(path)
    return path


def test_a_photo_a_hint_and_a_sheet(model: Path, photo: Path, tmp_path: Path, headstart: Headstart) -> None:
    out, sheet = tmp_path / "new.png", tmp_path / "sheet.jpg"
    ran = headstart("colorize", model, photo, "-o", out, "--sheet", sheet, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["coloured"] == 1
    assert ran.json["had_colour"] == []
    assert f"wrote {out} and {sheet}, 1 coloured" in ran.err
    assert rgb_to_lab(decode(out))[15, 20, 2] < -15
    assert decode(sheet).shape[1] > 80
    ran = headstart("colorize", model, photo, "-o", out, "--hint", "3,4,#c02020", "--hint", "30,20,#c02020")
    assert ran.code == 0, ran.err
    assert rgb_to_lab(decode(out))[15, 20, 1] > 30


def test_calm_and_vivid(model: Path, tmp_path: Path, headstart: Headstart) -> None:
    Image.fromarray(np.full((30, 40), 125, np.uint8)).save(tmp_path / "middle.png")
    chroma = []
    for options in (["--expected"], [], ["--temperature", "0.05"]):
        ran = headstart("colorize", model, tmp_path / "middle.png", "-o", tmp_path / "out.png", *options)
        assert ran.code == 0, ran.err
        chroma.append(float(np.hypot(*rgb_to_lab(decode(tmp_path / "out.png"))[15, 20, 1:])))
    assert chroma == sorted(chroma)


def test_a_folder_with_a_bad_one(model: Path, photo: Path, tmp_path: Path, headstart: Headstart) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    ran = headstart("colorize", model, tmp_path, "-o", tmp_path / "out", "--json")
    assert ran.code == 1
    assert "left out: bad.jpg" in ran.err
    assert list(ran.json["failed"]) == ["bad.jpg"]
    assert (tmp_path / "out" / photo.name).exists()


def test_a_colour_photo_is_told(model: Path, tmp_path: Path, headstart: Headstart) -> None:
    Image.new("RGB", (9, 9), (200, 40, 30)).save(tmp_path / "red.png")
    ran = headstart("colorize", model, tmp_path / "red.png", "-o", tmp_path / "out.png", "--json")
    assert ran.code == 0
    assert ran.json["had_colour"] == ["red.png"]
    assert "red.png has colours of its own: only how light it is was used" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hint", "3,4"], "#rrggbb"),
        (["--hint", "3,4,#zzzzzz"], "#rrggbb"),
        (["--hint", "40,4,#102030"], "40 × 30 pixels"),
        (["--temperature", "0"], "temperature"),
        (["--temperature", "-1"], "temperature"),
        (["--temperature", "nan"], "temperature"),
        (["--sheet", "sheet.doc"], "ending"),
        (["--steady", "2"], "steadiness"),
    ],
)
def test_options_that_cannot_be(
    model: Path, photo: Path, tmp_path: Path, headstart: Headstart, options: list[str], said: str
) -> None:
    ran = headstart("colorize", model, photo, "-o", tmp_path / "out.png", *options)
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out.png").exists()


def test_inputs_that_cannot_be(model: Path, photo: Path, tmp_path: Path, headstart: Headstart) -> None:
    for arguments, said in (
        ((tmp_path, photo, "-o", tmp_path / "out.png"), "colorize-train"),
        ((model, tmp_path / "absent.png", "-o", tmp_path / "out.png"), "absent.png"),
        ((model, photo, "-o", tmp_path / "out.doc"), "ending"),
        ((model, tmp_path / "absent.mp4", "-o", tmp_path / "out.mp4"), "absent.mp4"),
        ((model, photo, "-o", photo), "names of their own"),
    ):
        ran = headstart("colorize", *arguments)
        assert ran.code == 2, ran.err
        assert said in ran.err


def test_a_folder_does_not_become_a_picture(
    model: Path, photo: Path, tmp_path: Path, headstart: Headstart
) -> None:
    ran = headstart("colorize", model, photo.parent, "-o", tmp_path / "all.png")
    assert ran.code == 2
    assert "a picture's name" in ran.err
    assert not (tmp_path / "all.png").exists()
