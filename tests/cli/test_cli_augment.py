"""`headstart inspect --augment`: the sheet shows exactly what the network will see."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstart import backbones, data
from headstart.images.augment import augment
from headstart.images.augmentation import PRESETS
from headstart.images.contact_sheet import contact_sheet
from headstart.images.preprocess import prepare, prepare_canvas

Run = Callable[..., Any]
SPEC = backbones.card("efficientnet_lite0").preprocess
GAP, TOP = 4, 20


def drawn(content: Path | bytes) -> tuple[str | None, np.ndarray]:
    """The format and the pixels of a picture."""
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        return image.format, np.asarray(image)


@pytest.fixture
def few(write_pictures: Run, tmp_path: Path) -> Path:
    """A folder with two pictures of two classes each."""
    return write_pictures(tmp_path / "few", across=2, along=2)


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    """The pixels of one picture on a sheet."""
    left, top = GAP + column * (SPEC.size + GAP), TOP + row * (SPEC.size + GAP + 16)
    return sheet[top : top + SPEC.size, left : left + SPEC.size]


@pytest.mark.parametrize(("name", "seed"), [("standard", 0), ("strong", 5)])
def test_the_sheet_is_what_the_network_sees(
    headstart: Run, pattern_pictures: Path, tmp_path: Path, name: str, seed: int
) -> None:
    place = tmp_path / "new" / "sheet.png"
    done = headstart("inspect", pattern_pictures, "--augment", name, "-o", place, "--seed", seed)
    assert done.code == 0, done.err
    assert f"wrote {place}" in done.err
    _, sheet = drawn(place)
    dataset = data.open(pattern_pictures)
    shown = [0, 14, 28, 1, 15, 29, 2, 16]  # the classes by turns
    for row, position in enumerate(shown):
        source = dataset.items[position].source
        assert np.array_equal(tile(sheet, row, 0), prepare(source, SPEC, "torch"))
        if row in (0, 7):
            canvas = torch.from_numpy(prepare_canvas(source, SPEC))
            for epoch in range(7):
                seen = augment(canvas[None], PRESETS[name], [(seed, epoch, position)], SPEC.size)[0]
                assert np.array_equal(tile(sheet, row, 1 + epoch), seen.numpy())
    assert sheet.shape == (TOP + 8 * (SPEC.size + GAP + 16), GAP + 8 * (SPEC.size + GAP), 3)


def test_it_goes_into_the_page_too(headstart: Run, few: Path, tmp_path: Path) -> None:
    page, alone, picture = tmp_path / "audit.html", tmp_path / "sheet.html", tmp_path / "sheet.jpg"
    done = headstart("inspect", few, "--augment", "light", "--html", page, "-o", alone)
    assert done.code == 0, done.err
    assert "augment.png" not in {path.name for path in Path.cwd().iterdir()}
    for file in (page, alone):
        text = file.read_text(encoding="utf-8")
        assert "epochs of augmentation" in text
        assert "rotation 5" in text
        largest = max(re.findall(r"data:image/jpeg;base64,([^\"]+)", text), key=len)
        assert drawn(base64.b64decode(largest))[1].shape[1] == GAP + 8 * (SPEC.size + GAP)
    assert ">Augmentation</h2>" in page.read_text(encoding="utf-8")
    assert headstart("inspect", few, "--augment", "light", "-o", picture).code == 0
    assert drawn(picture)[0] == "JPEG"
    assert headstart("inspect", few, "--html", page).code == 0
    assert ">Augmentation</h2>" not in page.read_text(encoding="utf-8")


def test_where_it_is_written_when_nothing_is_said(
    headstart: Run, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = headstart("inspect", few, "--augment", "light", "--json")
    assert "wrote augment.png" in done.err
    assert done.json["items"] == 4
    assert drawn(tmp_path / "augment.png")[0] == "PNG"
    (tmp_path / "augment.png").unlink()
    assert headstart("inspect", few, "--augment", "light", "--html", "page.html").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"few", "page.html"}  # the page has it


def test_unreadable_pictures_are_passed_over(headstart: Run, write_pictures: Run, tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data", across=3, along=3)
    for number in range(2):
        (root / "across" / f"{number:03d}.jpg").write_bytes(b"\xff\xd8\xff nothing")
    place = tmp_path / "s.png"
    done = headstart("inspect", root, "--augment", "light", "-o", place)
    assert done.code == 1  # the unreadable ones, listed as ever
    assert len(drawn(place)[1]) == TOP + 4 * (SPEC.size + GAP + 16)
    for file in root.rglob("*.jpg"):
        file.write_bytes(b"\xff\xd8\xff nothing")
    before = place.read_bytes()
    done = headstart("inspect", root, "--augment", "light", "-o", place)
    assert done.code == 2
    assert "none that can be read" in done.err
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--augment", "mild"), "mild"),
        (("-o", "sheet.png"), "--augment"),
        (("--augment", "light", "-o", "sheet.gif"), ".png, .jpg or .html"),
        (("--augment", "light", "--seed", "-1"), "0 or more"),
        (("--augment", "light", "-o", "/proc/no/sheet.png"), "/proc/no"),
    ],
)
def test_what_cannot_be_done(
    headstart: Run, pattern_pictures: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = headstart("inspect", pattern_pictures, *arguments)
    assert done.code == 2
    assert said in done.err


def test_real_photographs_look_sane(data_folder: Path) -> None:
    """No black corners, no garbage: the views' grey levels stay near the plain picture's."""
    dataset = data.open(data_folder / "images" / "dogs_vs_cats" / "val").take(range(0, 90, 30))
    sheet = np.asarray(contact_sheet(dataset, PRESETS["standard"], SPEC, rows=3)).astype(float)
    for row in range(3):
        plain = tile(sheet, row, 0)
        for column in range(1, 8):
            view = tile(sheet, row, column)
            assert abs(view.mean() - plain.mean()) < 0.35 * plain.mean() + 10
            assert 0.4 < view.std() / plain.std() < 1.8
