"""Cards of trained folders: read when all is whole, refused in words when not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headstart.errors import ArtefactError
from headstart.files import digest_file
from headstart.studio.cards import read_trained_card


def read(folder: Path) -> dict[str, Any]:
    return read_trained_card(folder / "toy.json", "toy", 2, ("weights",), "toy-train")


@pytest.fixture
def card(tmp_path: Path) -> dict[str, Any]:
    for name in ("weights", "more"):
        (tmp_path / name).write_text(name)
    digests = {name: digest_file(tmp_path / name) for name in ("weights", "more")}
    return {"schema": 2, "files": digests}


def keep(folder: Path, card: Any) -> None:
    (folder / "toy.json").write_text(json.dumps(card))


def test_a_whole_one(tmp_path: Path, card: dict[str, Any]) -> None:
    keep(tmp_path, card)
    assert read(tmp_path) == card


@pytest.mark.parametrize("name", ["weights", "more"])
def test_files_that_are_gone_or_changed(tmp_path: Path, card: dict[str, Any], name: str) -> None:
    keep(tmp_path, card)
    (tmp_path / name).write_text("other")
    with pytest.raises(ArtefactError, match=rf"{name} of this toy.*a changed {name}"):
        read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtefactError, match=rf"{name} of this toy.*no such file"):
        read(tmp_path)


@pytest.mark.parametrize("files", [{}, None, ["weights"], {"weights": None}])
def test_a_card_must_know_what_the_folder_holds(tmp_path: Path, card: dict[str, Any], files: Any) -> None:
    keep(tmp_path, {**card, "files": files})
    with pytest.raises(ArtefactError, match="weights of this toy"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "JSON in toy.json"), ("[]", "list"), ('{"schema": 3}', "schema 3"), ("{}", "schema None")],
)
def test_other_cards(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "toy.json").write_text(content)
    with pytest.raises(ArtefactError, match=said):
        read(tmp_path)


def test_no_card_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"a trained toy.*toy-train"):
        read(tmp_path)
