"""`headstart index` and `headstart search`: what is printed, exit codes, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toy_texts import ToyText

Run = Callable[..., Any]


@pytest.fixture
def indexed(toy_text: ToyText, headstart: Run, folder_of_texts: Path, tmp_path: Path) -> Path:
    place: Path = tmp_path / "reviews.index"
    done = headstart("index", folder_of_texts, "-o", place, "--json")
    assert done.code == 0
    assert done.json["items"] == 48
    assert done.json["left_out"] == 0
    assert done.json["by"] == ["both", "meaning", "words"]
    return place


def test_search_prints_a_line_for_each_hit(headstart: Run, indexed: Path) -> None:
    done = headstart("search", indexed, "superb lovely film", "-n", 4)
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) == 4
    name, score, label, snippet = lines[0].split("\t")
    assert name.endswith(".txt")
    assert float(score) > 0
    assert label == name.split("/")[0]
    assert snippet


def test_texts_without_any_label_are_indexed(toy_text: ToyText, headstart: Run, tmp_path: Path) -> None:
    table = tmp_path / "letters.csv"
    table.write_text("text\na superb lovely film\na dreadful dull film\n")
    assert headstart("index", table, "-o", tmp_path / "letters.index", "--json").json["items"] == 2
    assert headstart("search", tmp_path / "letters.index", "dreadful", "-n", 1).out.startswith(
        "letters.csv:3\t"
    )


def test_search_for_machines(headstart: Run, indexed: Path) -> None:
    done = headstart("search", indexed, "superb", "--by", "words", "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    assert done.json["query"] == "superb"
    assert {hit["label"] for hit in done.json["hits"]} == {"good"}
    assert all("superb" in hit["snippet"].lower() for hit in done.json["hits"])


def test_nothing_found_is_said(headstart: Run, indexed: Path) -> None:
    done = headstart("search", indexed, "zebra", "--by", "words", "--json")
    assert done.code == 1
    assert done.json["hits"] == []
    assert "nothing found" in done.err


def test_search_by_example(headstart: Run, indexed: Path, folder_of_texts: Path) -> None:
    example = next((folder_of_texts / "good").iterdir())
    done = headstart("search", indexed, "--like", example, "-n", 3, "--json")
    assert done.code == 0
    assert f"good/{example.name}" in {hit["name"] for hit in done.json["hits"]}


def test_what_could_not_be_read_is_listed(
    toy_text: ToyText, headstart: Run, folder_of_texts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for number, file in enumerate(sorted((folder_of_texts / "good").iterdir())[:3]):
        (folder / f"{number}.txt").write_bytes(file.read_bytes())
    (folder / "program.txt").write_bytes(b"\x7fELF" + bytes(range(256)) * 4)
    done = headstart("index", folder, "-o", tmp_path / "index", "--json")
    assert done.code == 1
    assert done.json["items"] == 3
    assert "program.txt" in done.err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "neither"),
        (["query", "--like", "a.txt"], "both"),
        (["--like", "nowhere.txt", "--by", "words"], "by meaning"),
        (["--like", "nowhere.txt"], "nowhere.txt"),
        (["  "], "a query"),
        (["query", "-n", "0"], "n of at least 1"),
    ],
)
def test_bad_questions_are_refused(headstart: Run, indexed: Path, arguments: list[str], match: str) -> None:
    done = headstart("search", indexed, *arguments)
    assert done.code == 2
    assert match in done.err


def test_places_that_are_no_index_are_refused(
    toy_text: ToyText, headstart: Run, folder_of_texts: Path, tmp_path: Path
) -> None:
    assert headstart("search", tmp_path / "nowhere", "query").code == 2
    done = headstart("search", folder_of_texts, "query")
    assert done.code == 2
    assert "folder of an index" in done.err
    done = headstart("index", folder_of_texts, "-o", folder_of_texts)
    assert done.code == 2
    assert len(list((folder_of_texts / "good").iterdir())) == 24
