"""`headstart fit`, `evaluate` and `compare`: the JSON contract, exit codes, what is said and written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart as hs

Run = Callable[..., Any]


@pytest.fixture
def untidy(pattern_pictures: Path, tmp_path: Path) -> Path:
    """The patterns with an empty file, a cut one, and a text that claims to be a picture."""
    folder = tmp_path / "untidy"
    shutil.copytree(pattern_pictures, folder)
    (folder / "along" / "empty.jpg").touch()
    whole = (folder / "along" / "00.jpg").read_bytes()
    (folder / "checks" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "across" / "text.jpg").write_text("not a picture")
    (folder / "across" / "notes.txt").write_text("about the pictures")
    return folder


def test_fit_keeps_its_json_contract(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    model, report = tmp_path / "m.headstart", tmp_path / "r.html"
    done = headstart("fit", pattern_pictures, "-o", model, "--report", report, "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1  # everything for people goes to standard error
    found = done.json
    assert found["model"] == str(model)
    assert found["train_items"] == 42
    assert found["val_accuracy"] >= 0.75
    assert found["test_accuracy"] is None
    assert found["seconds"] > 0
    assert found["backbone"] == "efficientnet_lite0"
    assert found["plan"]["head"] == "linear"
    assert hs.load(model).labels == ("across", "along", "checks")
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_fit_skips_bad_files_lists_them_and_exits_0(headstart: Run, untidy: Path, tmp_path: Path) -> None:
    done = headstart("fit", untidy, "-o", tmp_path / "m", "--json")
    assert done.code == 0
    assert done.json["train_items"] == 42
    for name in ("along/empty.jpg", "checks/cut.jpg", "across/text.jpg", "across/notes.txt"):
        assert name in done.err


def test_options_reach_the_fit(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    model = tmp_path / "m"
    options = ("--head", "centroid", "--folds", "3", "--class-weight", "balanced", "--seed", "7", "--offline")
    done = headstart("fit", pattern_pictures, "-o", model, *options, "--json")
    assert done.code == 0
    plan = done.json["plan"]
    assert (plan["head"], plan["folds"], plan["class_weight"], plan["seed"]) == ("centroid", 3, "balanced", 7)
    assert done.json["val_accuracy"] >= 0.6
    assert "cross-validation" in hs.load(model).metrics


def test_columns_of_a_manifest(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    rows = ["bild,art,split"]
    for number, path in enumerate(sorted(pattern_pictures.rglob("*.jpg"))):
        rows.append(f"{path},{path.parent.name},{'test' if number % 7 == 0 else 'train'}")
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(rows))
    wrong = headstart("fit", manifest, "-o", tmp_path / "m", "--json")
    assert wrong.code == 2
    assert "--path-column" in wrong.json["error"]
    columns = ("--path-column", "bild", "--label-column", "art")
    done = headstart("fit", manifest, "-o", tmp_path / "m", *columns, "--json")
    assert done.code == 0
    assert done.json["test_accuracy"] is not None
    assert done.json["train_items"] == 36


@pytest.mark.parametrize("case", ["missing", "empty", "one class", "all bad"])
def test_what_cannot_be_fitted_says_why(headstart: Run, tmp_path: Path, case: str) -> None:
    folder = tmp_path / "data"
    if case != "missing":
        folder.mkdir()
    if case in ("one class", "all bad"):
        for label in ("a", "b") if case == "all bad" else ("a",):
            (folder / label).mkdir()
            (folder / label / "1.jpg").write_text("no picture")
    done = headstart("fit", folder, "-o", tmp_path / "m", "--json")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: expected ")
    assert ", received " in done.json["error"]
    assert ", to fix: " in done.json["error"]
    assert not (tmp_path / "m").exists()


def test_nothing_that_is_no_model_is_replaced(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = headstart("fit", pattern_pictures, "-o", mine)
    assert done.code == 2
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_evaluate_keeps_its_json_contract(
    headstart: Run, fitted: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    report = tmp_path / "r.html"
    done = headstart("evaluate", fitted, pattern_pictures, "--report", report, "--json")
    assert done.code == 0
    found = done.json
    assert found["items"] == 42
    assert {"accuracy", "macro_f1", "log_loss", "ece"} <= found.keys()
    assert found["accuracy"] >= 0.9
    assert report.is_file()
    people = headstart("evaluate", fitted, pattern_pictures)
    assert people.code == 0
    assert "accuracy" in people.out
    assert "42 pictures" in people.err


def test_evaluate_lists_what_it_left_out(headstart: Run, fitted: Path, untidy: Path) -> None:
    done = headstart("evaluate", fitted, untidy, "--json")
    assert done.json["items"] == 42
    assert done.json["left_out"] == 4
    assert {"name", "nearest", "explanation"} == set(done.json["reasons"][0])
    assert len(done.json["reasons"][0]["explanation"]["region"]) == 4
    assert "along/empty.jpg" in done.err


def test_a_model_that_is_none(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    done = headstart("evaluate", tmp_path / "nothing", pattern_pictures, "--json")
    assert done.code == 2
    assert "a saved model" in done.json["error"]


def test_compare(headstart: Run, fitted: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.headstart"
    assert headstart("fit", pattern_pictures, "-o", other, "--head", "centroid").code == 0
    done = headstart("compare", fitted, other, pattern_pictures, "--json")
    assert done.code == 0
    assert done.json["models"] == ["patterns", "other"]
    assert done.json["items"] == 42
    assert 0 <= done.json["p_value"] <= 1
    assert done.json["verdict"] in done.err
    same = headstart("compare", fitted, fitted, pattern_pictures, "--json")
    assert same.json["difference"] == 0


def test_the_same_seed_gives_the_same_model(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert headstart("fit", pattern_pictures, "-o", tmp_path / name, "--seed", "3").code == 0
    first, second = ((tmp_path / name / "head.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second
