"""The recipe that tells photographs: what it scores, and that it says why it skips."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstart.studio.caption.data import Captioned, open_captions

RECIPE = Path(__file__).parents[1] / "recipes" / "flickr8k_captions.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def captioned(folder: Path, captions: list[list[str]]) -> Captioned:
    (folder / "images").mkdir(parents=True)
    lines = []
    for number, each in enumerate(captions):
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{number}.jpg")
        lines += [f"{number}.jpg#{place}\t{caption}" for place, caption in enumerate(each)]
    (folder / "captions.txt").write_text("\n".join(lines), encoding="utf-8")
    return open_captions(folder)


def test_people_are_scored_against_each_other(recipe: dict[str, Any], tmp_path: Path) -> None:
    same = captioned(tmp_path / "same", [["a dog runs here now"] * 5, ["two cats sit on a mat"] * 5])
    assert recipe["people"](same) == pytest.approx((1, 1, 1, 1))
    others = [f"word{n} other{n} things{n} there{n}" for n in range(5)]
    differ = captioned(tmp_path / "differ", [others, others])
    assert recipe["people"](differ) == pytest.approx((0, 0, 0, 0))


def test_the_books_figures_stand_beside(recipe: dict[str, Any]) -> None:
    told = [recipe["figures"](values) for values in recipe["BOOK"].values()]
    assert told[0] == "BLEU 0.552 / 0.384 / 0.271 / 0.189"


def test_it_says_why_it_skips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["recipe", "--out", str(tmp_path / "out")])
    runpy.run_path(str(RECIPE), run_name="__main__")
    assert "skipped: no captions/flickr8k" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["recipe", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    runpy.run_path(str(RECIPE), run_name="__main__")
    assert "HEADSTART_DATA" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
