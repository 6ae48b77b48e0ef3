"""`headstart predict`: one line for each input, exit codes, folders, CSV, silence."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.errors import OptionError
from toy_texts import ToyText

Run = Callable[..., Any]


@pytest.fixture
def mixed(pattern_pictures: Path, tmp_path: Path) -> Path:
    """A folder with two pictures, one of them deeper down, a damaged one, and files that are none."""
    folder = tmp_path / "new"
    (folder / "deeper" / ".hidden").mkdir(parents=True)
    picture = (pattern_pictures / "checks" / "03.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(picture)
    (folder / "deeper" / "b.JPG").write_bytes(picture)
    (folder / "deeper" / ".hidden" / "c.jpg").write_bytes(picture)
    (folder / "cut.jpg").write_bytes(picture[:300])
    (folder / "notes.txt").write_text("hello")
    return folder


def test_one_json_line_for_each_input(headstart: Run, fitted: Path, pattern_pictures: Path) -> None:
    files = [pattern_pictures / "along" / "01.jpg", "nowhere.jpg", pattern_pictures / "checks" / "02.jpg"]
    done = headstart("predict", fitted, *files, "--json")
    assert done.code == 1  # some failed
    first, failed, last = map(json.loads, done.out.splitlines())
    assert [line["input"] for line in (first, failed, last)] == list(map(str, files))
    assert {"input", "label", "confidence", "probabilities"} <= first.keys()
    assert first["label"] == "along"
    assert last["label"] == "checks"
    assert first["confidence"] == max(first["probabilities"].values())
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert failed.keys() == {"input", "error"}


def test_the_command_line_answers_as_the_library(
    headstart: Run, fitted: Path, pattern_pictures: Path
) -> None:
    files = sorted((pattern_pictures / "across").glob("*.jpg"))[:3]
    lines = [json.loads(line) for line in headstart("predict", fitted, *files, "--json").out.splitlines()]
    answers = hs.load(fitted).predict(files)
    assert [line["label"] for line in lines] == [answer.label for answer in answers]
    assert [line["probabilities"] for line in lines] == [answer.probabilities for answer in answers]


@pytest.mark.parametrize(("count", "code"), [(1, 2), (2, 2)])
def test_exit_code_2_when_all_failed(headstart: Run, fitted: Path, count: int, code: int) -> None:
    done = headstart("predict", fitted, *[f"{n}.jpg" for n in range(count)])
    assert done.code == code
    assert done.err.count("error: ") == count


def test_people_get_one_line_for_each(headstart: Run, fitted: Path, pattern_pictures: Path) -> None:
    done = headstart("predict", fitted, pattern_pictures / "along" / "01.jpg")
    assert done.code == 0
    name, label, confidence = done.out.strip().split("\t")
    assert name.endswith("along/01.jpg")
    assert label == "along"
    assert 0 < float(confidence) <= 1


def test_a_folder_is_walked(headstart: Run, fitted: Path, mixed: Path) -> None:
    done = headstart("predict", fitted, mixed, "--json")
    assert done.code == 1
    names = [Path(json.loads(line)["input"]).relative_to(mixed).as_posix() for line in done.out.splitlines()]
    assert names == ["a.jpg", "cut.jpg", "deeper/b.JPG"]


def test_a_folder_without_pictures_says_so(headstart: Run, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    done = headstart("predict", fitted, tmp_path, "--json")
    assert done.code == 2
    assert "files ending in" in done.json["error"]


def test_answers_as_csv(headstart: Run, fitted: Path, mixed: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "answers.csv"
    done = headstart("predict", fitted, mixed, "-o", target)
    assert done.code == 1
    assert done.out == ""
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["input"]).name for row in rows] == ["a.jpg", "cut.jpg", "b.JPG"]
    assert rows[0]["label"] == "checks"
    assert float(rows[0]["p(checks)"]) == float(rows[0]["confidence"])
    assert rows[1]["label"] == ""
    assert rows[1]["error"].startswith("expected ")
    assert not list(target.parent.glob(".*"))


def test_a_failing_csv_leaves_nothing(headstart: Run, fitted: Path, mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    target = tmp_path / "out" / "answers.csv"
    assert headstart("predict", fitted, mixed, tmp_path / "empty", "-o", target).code == 2
    assert not list(target.parent.iterdir())


def test_abstain_withholds_what_is_unsure(headstart: Run, fitted: Path, tmp_path: Path) -> None:
    from PIL import Image

    sure = hs.load(fitted).calibration.abstention.confidence
    Image.new("RGB", (64, 64), (128, 128, 128)).save(tmp_path / "grey.png")
    plain = headstart("predict", fitted, tmp_path / "grey.png", "--json").json
    assert plain["label"] is not None
    asked = headstart("predict", fitted, tmp_path / "grey.png", "--abstain", "--json").json
    assert (asked["label"] is None) == (plain["confidence"] < sure)
    assert asked["confidence"] == plain["confidence"]
    assert set(asked["labels_set"]) <= {"across", "along", "checks"}


def test_names_that_are_no_text(headstart: Run, fitted: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe \xf0\x9f\x98\xba.jpg"))
    strange.write_bytes((pattern_pictures / "along" / "01.jpg").read_bytes())
    done = headstart("predict", fitted, strange, "--json")
    assert done.code == 0
    assert done.json["input"] == str(strange)  # a program can open it again
    assert headstart("predict", fitted, strange).code == 0
    assert headstart("predict", fitted, tmp_path, "-o", tmp_path / "a.csv").code == 0


def test_the_rows_of_a_manifest_are_asked_about_one_by_one(
    headstart: Run, toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    model = tmp_path / "reviews.headstart"
    assert headstart("fit", folder_of_texts, "-o", model, "--backbone", "terms").code == 0
    table = tmp_path / "new.csv"
    table.write_text("date,who,review\n1,me,a superb lovely film\n2,you,  \n3,us,a dreadful film\n")
    done = headstart("predict", model, table, "--text-column", "review", "--json")
    assert done.code == 1  # one row has no text
    first, second, empty = map(json.loads, done.out.splitlines())
    assert [line["input"] for line in (first, second, empty)] == ["new.csv:2", "new.csv:4", "new.csv:3"]
    assert empty["error"] == "has no review"
    assert [line["label"] for line in (first, second)] == [
        answer.label for answer in hs.load(model).predict(["a superb lovely film", "a dreadful film"])
    ]


def test_a_manifest_of_pictures(headstart: Run, fitted: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"no picture")
    table = tmp_path / "new.jsonl"
    names = [str(pattern_pictures / "checks" / "03.jpg"), "cut.jpg", "nowhere.jpg"]
    table.write_text("".join(json.dumps({"path": name, "size": 3, "at": 1}) + "\n" for name in names))
    done = headstart("predict", fitted, table, "--json")
    assert done.code == 1
    first, damaged, missing = map(json.loads, done.out.splitlines())
    assert first["label"] == "checks"
    assert damaged["input"] == "cut.jpg"
    assert "does not exist" in missing["error"]


def test_how_new_an_item_is_is_said_on_request(
    headstart: Run, fitted: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    from PIL import Image

    known = sorted((pattern_pictures / "across").glob("*.jpg"))[0]
    other = tmp_path / "other.png"
    Image.new("RGB", (64, 64), (255, 0, 255)).save(other)
    lines = [
        json.loads(line)
        for line in headstart("predict", fitted, known, other, "--novelty", "--json").out.splitlines()
    ]
    near, far = (line["share_as_far"] for line in lines)
    assert 0 < far < near <= 1
    said = headstart("predict", fitted, other, "--novelty").out
    assert f"{far:.1%} of the known items are as far off" in said
    table = tmp_path / "answers.csv"
    assert headstart("predict", fitted, other, "missing.png", "--novelty", "-o", table).code == 1
    with table.open(newline="") as file:
        first, failed = csv.DictReader(file)
    assert float(first["share_as_far"]) == pytest.approx(far, abs=1e-6)
    assert failed["share_as_far"] == ""
    assert failed["error"]


def test_a_model_that_keeps_nothing_cannot_say_how_new_an_item_is(
    fitted: Path, pattern_pictures: Path
) -> None:
    model = hs.load(fitted)
    model.reference = None
    with pytest.raises(OptionError, match="keeps nothing"):
        model.predict([pattern_pictures / "along" / "01.jpg"], novelty=True)
