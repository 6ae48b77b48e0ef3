"""`headstart adapt`, as a person or a program meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

Headstart = Callable[..., Any]


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """Negatives of other pictures of the three patterns."""
    root = write_pictures(tmp_path_factory.mktemp("domains") / "negatives", 400, across=6, along=6, checks=6)
    for file in root.rglob("*.jpg"):
        ImageOps.invert(Image.open(file).convert("L")).convert("RGB").save(file, quality=90)
    return root


def test_a_model_is_adapted_saved_and_told_about(
    headstart: Headstart, fitted: Path, pattern_pictures: Path, negatives: Path, tmp_path: Path
) -> None:
    out, page = tmp_path / "negatives.headstart", tmp_path / "adapted.html"
    ran = headstart(
        "adapt", fitted, negatives, "--source", pattern_pictures, "-o", out, "--report", page,
        "--methods", "Own Statistics", "--json", "--offline",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["model"] == str(out)
    assert [each["name"] for each in found["methods"]] == ["source only", "own statistics"]
    assert found["items"] == {"source": 42, "target": 18}
    assert found["plan"]["adaptation"]["method"] == found["method"]
    assert found["a_distance"]["before"] > 0
    assert "(kept)" in ran.err
    assert "From patterns to negatives" in page.read_text(encoding="utf-8")
    again = headstart("evaluate", out, negatives, "--json")
    assert again.code == 0
    shown = {each["name"]: each["target_accuracy_shown_only"] for each in found["methods"]}
    assert again.json["accuracy"] == pytest.approx(shown[found["method"]])


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--methods", "magic"), "'magic'"),
        (("--methods", ""), "names of methods"),
        ((), "a place for what comes out"),
    ],
)
def test_options_that_cannot_be_used(
    extra: tuple[str, ...],
    words: str,
    headstart: Headstart,
    fitted: Path,
    pattern_pictures: Path,
    negatives: Path,
    tmp_path: Path,
) -> None:
    place = ("-o", tmp_path / "m") if extra else ()
    ran = headstart("adapt", fitted, negatives, "--source", pattern_pictures, *place, *extra)
    assert ran.code == 2
    assert "error: expected" in ran.err
    assert words in ran.err
    assert not (tmp_path / "m").exists()


def test_places_and_data_that_cannot_be_used(
    headstart: Headstart, fitted: Path, pattern_pictures: Path, negatives: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.headstart"
    cases = [
        ((pattern_pictures, negatives, "--source", pattern_pictures, "-o", out), "saved model"),
        ((fitted, tmp_path / "none", "--source", pattern_pictures, "-o", out), "does not exist"),
        ((fitted, negatives, "--source", tmp_path / "none", "-o", out), "does not exist"),
        ((fitted, negatives, "--source", pattern_pictures, "-o", fitted), "a place of its own"),
        ((fitted, pattern_pictures, "--source", pattern_pictures, "-o", out), "same items"),
    ]
    for arguments, words in cases:
        ran = headstart("adapt", *arguments, "--methods", "CORAL")
        assert ran.code == 2, words
        assert words in ran.err
    assert not out.exists()
