"""`headstart summarize`: what is printed where, the page, exit codes, what is refused."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import headstart as hs
from toy_texts import write_texts

Run = Callable[..., Any]
TEXT = "The man went home. A superb film, lovely and great. Music in the plot. It was fine."


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that counts terms: it needs no weights."""
    folder = tmp_path_factory.mktemp("reviews")
    model = hs.fit(write_texts(folder / "texts", good=30, bad=30), backbone="terms")
    return model.save(folder / "reviews.headstart")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "review.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_the_sentences_go_to_standard_output(headstart: Run, reviews: Path, text: Path) -> None:
    done = headstart("summarize", reviews, text, "-n", 1)
    assert done.code == 0
    assert done.out == "A superb film, lovely and great.\n"
    assert "good" in done.err
    assert "this sentence of 4" in done.err


def test_for_machines(headstart: Run, reviews: Path, text: Path) -> None:
    done = headstart("summarize", reviews, text, "-n", 2, "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    assert done.json["label"] == "good"
    assert done.json["input"] == str(text)
    assert len(done.json["summary"]) == 2
    assert [line["chosen"] for line in done.json["sentences"]].count(True) == 2


def test_standard_input(
    headstart: Run, reviews: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode("utf-16"))))
    done = headstart("summarize", reviews, "-", "--html", tmp_path / "page.html")
    assert done.code == 0
    assert len(done.out.splitlines()) == 3
    assert "A superb film" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_some_that_cannot_be_read(headstart: Run, reviews: Path, text: Path, tmp_path: Path) -> None:
    empty, picture = tmp_path / "empty.txt", tmp_path / "picture.txt"
    empty.write_bytes(b"")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)
    page = tmp_path / "page.html"
    done = headstart("summarize", reviews, empty, text, picture, "--json", "--html", page)
    assert done.code == 1
    first, second, third = map(json.loads, done.out.splitlines())
    assert "empty" in first["error"]
    assert second["label"] == "good"
    assert "a picture" in third["error"]
    assert done.err.count("error:") == 2
    assert page.exists()
    done = headstart("summarize", reviews, empty, "nowhere.txt", "--html", tmp_path / "none.html")
    assert done.code == 2
    assert not (tmp_path / "none.html").exists()


def test_several_texts_are_told_apart(headstart: Run, reviews: Path, text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Dull.", encoding="utf-8")
    done = headstart("summarize", reviews, text, other, "-n", 1)
    assert done.code == 0
    assert done.out.splitlines() == [
        f"== {text}",
        "A superb film, lovely and great.",
        f"== {other}",
        "Dull.",
    ]


def test_what_cannot_be_done_is_said(headstart: Run, reviews: Path, fitted: Path, text: Path) -> None:
    done = headstart("summarize", reviews, text, "-n", 0, "--json")
    assert done.code == 2
    assert "at least one sentence" in done.json["error"]
    done = headstart("summarize", fitted, text)
    assert done.code == 2
    assert "a model for texts" in done.err
    done = headstart("summarize", "nowhere.headstart", text)
    assert done.code == 2
    assert "to fix" in done.err
