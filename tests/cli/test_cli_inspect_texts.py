"""`headstart inspect` on texts: what is bad in them is named, nothing stops it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
REVIEW = "It was a long film about a man and his dog, and I liked {} of it very much until the end came."


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    contents: dict[str, bytes] = {
        f"pos/{n}.txt": f"Film number {n} is good. {n * n} stars!".encode() for n in range(12)
    }
    contents |= {
        f"neg/{n}.txt": f"Bad, bad film {n}: leave it, it is {n} hours long.".encode() for n in range(12)
    }
    contents |= {
        "neg/empty.txt": b"",
        "neg/blank.txt": b" \n ",
        "neg/binary.txt": random.Random(0).randbytes(3000),
        "neg/long.txt": b"many words " * 950_000,
        "neg/latin.txt": "Café très mauvais, à éviter à tout prix".encode("latin-1"),
        "neg/stops.txt": b"the of and to in",
        "neg/utf16.txt": "Очень плохой фильм, не смотрите".encode("utf-16"),
        "neg/sentence.txt": b"and then " * 10_000,
        "pos/one.txt": b"Good",
        "pos/copy.txt": REVIEW.format("most").encode(),
        "neg/copy.txt": REVIEW.format("most").upper().encode() + b"!!!",
    }
    for name, content in contents.items():
        path = tmp_path / "reviews" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "reviews"


def test_everything_odd_is_named(headstart: Run, reviews: Path, tmp_path: Path) -> None:
    ran = headstart("inspect", reviews, "--json", "--html", tmp_path / "page.html")
    assert ran.code == 1
    found = ran.json
    assert found["modality"] == "text"
    assert {problem["name"] for problem in found["corrupt"]} == {
        "neg/empty.txt",
        "neg/blank.txt",
        "neg/binary.txt",
    }
    near = {(pair["first"], pair["second"]) for pair in found["duplicates"]["within_splits"]}
    assert ("neg/copy.txt", "pos/copy.txt") in near
    assert found["shapes"]["words"]["max"] > 100_000
    assert found["kinds"]["Windows-1252 Latin"] == 1
    assert found["kinds"]["UTF-16 Cyrillic"] == 1
    assert found["kinds"]["UTF-8 Latin cut"] == 1
    said = " ".join(finding["sentence"] for finding in found["findings"])
    assert "fewer than 3 words: pos/one.txt" in said
    assert "several scripts: Latin" in said
    page = (tmp_path / "page.html").read_text()
    assert "<blockquote" in page
    assert "data:image/jpeg" not in page


def test_manifests_with_numbers_for_labels_and_other_columns(headstart: Run, tmp_path: Path) -> None:
    lines = [{"body": f"text number {n} says something", "sentiment": n % 2} for n in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ran = headstart(
        "inspect", tmp_path / "a.jsonl", "--text-column", "body", "--label-column", "sentiment", "--json"
    )
    assert ran.json["classes"] == {"0": {"undecided": 10}, "1": {"undecided": 10}}


def test_augmentation_is_for_pictures(headstart: Run, reviews: Path) -> None:
    ran = headstart("inspect", reviews, "--augment", "light")
    assert ran.code == 2
    assert "expected pictures beside --augment, received texts" in ran.err
