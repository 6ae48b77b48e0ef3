"""`headstart fit` with several members, and what the other commands make of such a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import headstart as hs

Run = Callable[..., Any]


def test_members_become_one_model(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    model, page = tmp_path / "both", tmp_path / "r.html"
    options = ("--head", "mlp", "--members", "2", "--json")
    done = headstart("fit", pattern_pictures, "-o", model, "--report", page, *options)
    assert done.code == 0
    assert done.json["plan"]["strategy"] == "ensemble"
    assert "member 2 of 2" in done.err
    assert len(hs.load(model).members) == 2
    assert "Its members" in page.read_text(encoding="utf-8")
    picture = next(pattern_pictures.glob("across/*.jpg"))
    assert headstart("predict", model, picture, "--json").json["label"] == "across"
    assert headstart("export", model, "-o", tmp_path / "both.xml").code == 0


def test_members_that_would_be_alike_are_refused(
    headstart: Run, pattern_pictures: Path, tmp_path: Path
) -> None:
    done = headstart("fit", pattern_pictures, "-o", tmp_path / "m", "--members", "2")
    assert done.code == 2
    assert "name several backbones" in done.err
    assert not (tmp_path / "m").exists()
