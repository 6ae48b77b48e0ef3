"""Photographs with captions, as people have them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from headstart.errors import DataError
from headstart.studio.caption.data import Captioned, open_captions, with_splits


def photographs(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (8, 6)).save(folder / name)


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """Five photographs as Flickr8k has them."""
    names = [f"{n}.jpg" for n in range(5)]
    photographs(tmp_path / "images", *names)
    lines = [f"{name}#{k}\tA dog number {n} runs {k} ." for n, name in enumerate(names) for k in range(5)]
    (tmp_path / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, some in {"train": names[:3], "dev": names[3:4], "test": names[4:]}.items():
        (tmp_path / f"{split}Images.txt").write_text("\n".join(some) + "\n", encoding="utf-8")
    return tmp_path


def test_a_token_file_with_the_official_splits(flickr: Path) -> None:
    data = open_captions(flickr)
    assert [len(data.only(split)) for split in ("train", "val", "test")] == [3, 1, 1]
    assert all(len(each) == 5 for each in data.captions)
    assert data.tokens[1][2] == ["a", "dog", "number", "1", "runs", "2"]
    assert data.photographs.items[0].source == flickr / "images" / "0.jpg"
    assert not data.problems
    assert with_splits(data) is data


def test_the_names_of_the_original_files(flickr: Path) -> None:
    (flickr / "captions.txt").rename(flickr / "Flickr8k.token.txt")
    for path in flickr.glob("*Images.txt"):
        path.rename(flickr / f"Flickr_8k.{path.name}")
    (flickr / "images").rename(flickr / "Flicker8k_Dataset")
    assert [len(open_captions(flickr).only(split)) for split in ("train", "val", "test")] == [3, 1, 1]


def test_the_table_that_kaggle_has_of_it(tmp_path: Path) -> None:
    photographs(tmp_path / "Images", "a.jpg", "b.jpg")
    text = "image,caption\na.jpg,A dog , and a ball .\na.jpg,Two\nb.jpg,A cat\n"
    (tmp_path / "captions.txt").write_text(text, encoding="utf-8")
    assert open_captions(tmp_path).captions == (("A dog , and a ball .", "Two"), ("A cat",))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_tables_with_a_split(tmp_path: Path, ending: str) -> None:
    photographs(tmp_path / "pictures", "a.jpg", "b.jpg", "c.jpg")
    rows = [("a.jpg", "one dog", "train"), ("b.jpg", "two, dogs", "dev"), ("c.jpg", "three dogs", "test")]
    file = tmp_path / f"said.{ending}"
    if ending == "jsonl":
        lines = [json.dumps(dict(zip(("image", "caption", "split"), row, strict=True))) for row in rows]
        file.write_text("\n".join(lines), encoding="utf-8")
    else:
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, delimiter="," if ending == "csv" else "\t")
            writer.writerows([("image", "caption", "split"), *rows])
    data = open_captions(file, tmp_path / "pictures")
    assert [item.split for item in data.photographs] == ["train", "val", "test"]
    assert data.captions[1] == ("two, dogs",)


def test_what_cannot_be_used_is_left_out_and_listed(flickr: Path) -> None:
    with (flickr / "captions.txt").open("a", encoding="utf-8") as file:
        file.write("gone.jpg#0\tA dog .\n0.jpg#7\t  . \nunlisted.jpg#0\tA cat .\n")
    photographs(flickr / "images", "unlisted.jpg")
    data = open_captions(flickr)
    assert len(data) == 5
    reasons = {problem.name: problem.reason for problem in data.problems}
    assert reasons["gone.jpg"] == "no such photograph"
    assert reasons["unlisted.jpg"] == "in none of the lists of splits"
    assert reasons["captions.txt:27"] == "the caption of 0.jpg has no words"


def test_errors_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing at"):
        open_captions(tmp_path / "absent")
    with pytest.raises(DataError, match=r"captions\.txt"):
        open_captions(tmp_path)
    file = tmp_path / "captions.csv"
    file.write_text("image,words\na.jpg,hello\n", encoding="utf-8")
    with pytest.raises(DataError, match="column caption"):
        open_captions(file)
    file.write_text("image,caption\na.jpg,.\n", encoding="utf-8")
    with pytest.raises(DataError, match="none that has words"):
        open_captions(file)
    file.write_text("image,caption\na.jpg,a dog\n", encoding="utf-8")
    with pytest.raises(DataError, match="--photos"):
        open_captions(file)


def test_splits_are_made_where_there_are_none(tmp_path: Path) -> None:
    photographs(tmp_path, *(f"{n}.jpg" for n in range(20)))
    lines = [f"{n}.jpg#0\tdog {n}" for n in range(20)]
    (tmp_path / "captions.txt").write_text("\n".join(lines), encoding="utf-8")
    data = open_captions(tmp_path)
    made, again, other = with_splits(data, 1), with_splits(data, 1), with_splits(data, 2)
    assert (len(made.only("train")), len(made.only("val"))) == (18, 2)
    assert made.photographs.items == again.photographs.items
    assert made.photographs.items != other.photographs.items


def test_one_photograph_is_too_few(tmp_path: Path) -> None:
    photographs(tmp_path, "a.jpg")
    (tmp_path / "captions.txt").write_text("a.jpg#0\tdog", encoding="utf-8")
    with pytest.raises(DataError, match="at least 2"):
        with_splits(open_captions(tmp_path))


@pytest.mark.skipif("HEADSTART_DATA" not in os.environ, reason="needs flickr8k: set HEADSTART_DATA")
def test_flickr8k_as_it_is() -> None:
    data = open_captions(Path(os.environ["HEADSTART_DATA"]) / "captions" / "flickr8k")
    assert isinstance(data, Captioned)
    assert [len(data.only(split)) for split in ("train", "val", "test")] == [2000, 300, 500]
    assert {len(each) for each in data.captions} == {5}
    assert not data.problems
