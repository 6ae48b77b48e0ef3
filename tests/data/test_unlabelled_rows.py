"""Rows of a manifest without a label: problems, unless they are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart import data
from headstart.errors import DataError


def write(folder: Path, text: str) -> Path:
    table = folder / "list.csv"
    table.write_text(text)
    return table


def test_rows_without_a_label_are_kept_where_they_are_wanted(tmp_path: Path) -> None:
    table = write(tmp_path, "text,label\none,a\ntwo,\nthree,b\n")
    usual, all_of_it = data.open(table), data.open(table, unlabelled=True)
    assert [item.label for item in usual] == ["a", "b"]
    assert [problem.reason for problem in usual.problems] == ["has no label"]
    assert [item.label for item in all_of_it] == ["a", None, "b"]
    assert all_of_it.problems == ()


def test_no_label_column_is_needed_where_labels_are_not(tmp_path: Path) -> None:
    table = write(tmp_path, "text,length,mood\none,3,x\ntwo,3,y\n")
    assert [item.label for item in data.open(table, unlabelled=True)] == [None, None]
    with pytest.raises(DataError, match="a column 'label'"):
        data.open(table)
    with pytest.raises(DataError, match="a column 'absent'"):
        data.open(table, unlabelled=True, label_column="absent")


def test_of_two_rows_of_one_file_the_labelled_one_counts(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one")
    table = write(tmp_path, "path,label\none.txt,\none.txt,a\n")
    (item,) = data.open(table, unlabelled=True)
    assert item.label == "a"


def test_a_label_that_is_no_label_stays_a_problem(tmp_path: Path) -> None:
    table = write(tmp_path, "text,label\none,1\ntwo,many\nthree,\n")
    opened = data.open(table, target="number", unlabelled=True)
    assert [item.value for item in opened] == [1.0, None]
    assert "not a finite number" in opened.problems[0].reason


def test_a_label_column_that_is_empty_is_told_from_paths_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fill the label column"):
        data.open(write(tmp_path, "text,label\none,\ntwo,\n"))
    with pytest.raises(DataError, match="check the paths"):
        data.open(write(tmp_path, "path,label\nnone.jpg,a\nnowhere.jpg,b\n"))
