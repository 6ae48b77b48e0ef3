"""Manifests: which columns, which files, what a row that cannot be used says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.data.items import Dataset, Item
from headstart.data.manifest import Columns, open_manifests
from headstart.data.targets import as_text
from headstart.errors import DataError


def pictures(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def table(root: Path, text: str, name: str = "meta.csv") -> Path:
    path = root / name
    path.write_text(text, newline="")
    return path


def opened(root: Path, text: str, columns: Columns | None = None, name: str = "meta.csv") -> Dataset:
    return open_manifests({table(root, text, name): None}, columns or Columns())


def test_every_column_is_read(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "sub/b.jpg")
    data = opened(tmp_path, "path,label,split,group,fold\na.jpg,cat,Train,g1,1\nsub/b.jpg,dog,,,\n")
    first, second = data.items
    assert first == Item("a.jpg", tmp_path / "a.jpg", "cat", "train", "g1", "1")
    assert second == Item("sub/b.jpg", tmp_path / "sub/b.jpg", "dog")
    assert (data.modality, data.problems, data.root) == ("image", (), tmp_path / "meta.csv")


def test_other_names_by_parameter_and_alias(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    aliased = opened(tmp_path, "Filename,category,x\na.jpg,cat,1\nb.jpg,dog,2\n")
    named = opened(
        tmp_path,
        "p,y,s,who,part\na.jpg,cat,val,g,3\nb.jpg,dog,test,g,4\n",
        Columns("p", label="y", group="who"),
    )
    assert aliased.counts() == named.counts() == {"cat": 1, "dog": 1}
    assert [item.group for item in named] == ["g", "g"]


@pytest.mark.parametrize("kind", ["path", "text", "label", "group", "fold", "split"])
def test_a_named_column_that_is_missing_lists_what_there_is(tmp_path: Path, kind: str) -> None:
    pictures(tmp_path, "a.jpg")
    columns = Columns(**{kind: "nope"})
    text = "path,label,note\na.jpg,cat,x\n" if kind != "path" else "x,label,note\na.jpg,cat,x\n"
    if kind == "text":
        text = "x,label,note\na,cat,x\n"
    with pytest.raises(DataError, match=r"nope.* received the columns (path|x), label, note"):
        opened(tmp_path, text, columns)


def test_a_named_text_column_that_is_missing_is_not_replaced_by_an_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a column 'review'.*the columns id, text, label"):
        opened(tmp_path, "id,text,label\n1,good,a\n2,bad,b\n", Columns(text="review"))


def test_of_two_columns_the_other_is_the_label_of_three_none(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    assert opened(tmp_path, "id,breed\na,pug\nb,beagle\n").counts() == {"beagle": 1, "pug": 1}
    with pytest.raises(DataError, match="label_column="):
        opened(tmp_path, "path,breed,age\na.jpg,pug,3\n")


def test_texts(tmp_path: Path) -> None:
    lines = [{"id": 7, "text": " good ", "label": 1}, {"id": 8, "text": "bad", "label": 0.0}]
    data = opened(tmp_path, "\n".join(map(json.dumps, lines)), name="t.jsonl")
    assert data.modality == "text"
    assert [(i.name, i.source, i.label) for i in data] == [
        ("t.jsonl:1", " good ", "1"),
        ("t.jsonl:2", "bad", "0"),
    ]


def test_texts_in_files_and_text_beside_pictures(tmp_path: Path) -> None:
    pictures(tmp_path, "a.txt", "b.jpg")
    assert opened(tmp_path, "path,label\na.txt,x\n").modality == "text"
    both = table(tmp_path, "path,text,label\nb.jpg,a caption,x\n")
    assert isinstance(open_manifests({both: None}).items[0].source, Path)
    assert open_manifests({both: None}, modality="text").items[0].source == "a caption"
    assert open_manifests({both: None}, Columns(text="TEXT")).items[0].source == "a caption"


@pytest.mark.parametrize("folder", ["", "images/", "clips/", "files/", "only/", "meta/"])
@pytest.mark.parametrize("written", ["img001", "img001.jpg"])
def test_files_are_found_without_suffix_and_in_the_folder_beside(
    tmp_path: Path, folder: str, written: str
) -> None:
    pictures(tmp_path, f"{folder}img001.jpg", f"{folder}img001.json", f"{folder}img0012.jpg")
    data = opened(tmp_path, f"path,label\n{written},cat\n")
    assert [item.name for item in data] == [f"{folder}img001.jpg"]


def test_a_name_that_fits_two_pictures_is_a_problem(tmp_path: Path) -> None:
    pictures(tmp_path, "x.jpg", "x.png", "y.jpg")
    data = opened(tmp_path, "path,label\nx,cat\ny,dog\n")
    assert [item.name for item in data] == ["y.jpg"]
    assert data.problems[0].reason == "names several files: x.jpg, x.png"


@pytest.mark.parametrize(
    "name", ["gone.jpg", "", "  ", "sub", "x" * 5000, "a\0b", "https://example.org/a.jpg", "gone/deep/a"]
)
def test_a_row_whose_file_is_missing_is_left_out(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, "a.jpg", "sub/c.jpg", "other/d.jpg")
    data = opened(tmp_path, f"path,label\n{name},cat\na.jpg,dog\n")
    assert [item.name for item in data] == ["a.jpg"]
    assert data.problems[0].name == "meta.csv:2"


def test_paths_may_lead_elsewhere(tmp_path: Path) -> None:
    pictures(tmp_path, "store/a.jpg", "store/b.jpg", "here/c.jpg", "here/sub/d.jpg")
    absolute = tmp_path / "store/b.jpg"
    text = f"path,label\n../store/a.jpg,x\n{absolute},x\nsub\\d.jpg,y\n{tmp_path}/here/c.jpg,y\n"
    data = opened(tmp_path / "here", text)
    assert [item.name for item in data] == ["../store/a.jpg", absolute.as_posix(), "sub/d.jpg", "c.jpg"]
    assert all(isinstance(item.source, Path) and item.source.is_file() for item in data)


def test_labels_are_strings_whatever_they_were(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"{i}.jpg" for i in range(9)))
    labels: list[Any] = [1, 1.0, "1", " 1 ", True, 2.5, None, "", ["a"]]
    lines = [json.dumps({"path": f"{i}.jpg", "label": label}) for i, label in enumerate(labels)]
    data = opened(tmp_path, "\n".join(lines), name="t.jsonl")
    assert [item.label for item in data] == ["1", "1", "1", "1", "true", "2.5"]
    assert [problem.reason for problem in data.problems] == [
        "has no label",
        "has no label",
        "has a label that is not a single value",
    ]


def test_labels_from_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    columns = {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": [1.0, 2.0, math.nan]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = open_manifests({tmp_path / "t.parquet": None})
    assert [item.label for item in data] == ["1", "2"]
    assert len(data.problems) == 1


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=r"meta.csv:2.*'holdout'"):
        opened(tmp_path, "path,label,split\na.jpg,cat,holdout\n")


def test_repeated_rows(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    text = "path,label,split\na.jpg,cat,train\n./a.jpg,cat,test\nb.jpg,cat,\nb.jpg,dog,\nc.jpg,dog,\n"
    data = opened(tmp_path, text)
    assert [(item.name, item.split) for item in data] == [("a.jpg", "test"), ("c.jpg", None)]
    kept, left_out = data.problems
    assert kept.name == "a.jpg"
    assert "meta.csv:2" in kept.reason
    assert left_out.name == "b.jpg"
    assert "cat, dog" in left_out.reason


def test_the_same_text_twice_is_two_items(tmp_path: Path) -> None:
    assert len(opened(tmp_path, "text,label\nhello,a\nhello,a\n")) == 2


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist: gone.jpg"):
        opened(tmp_path, "path,label\ngone.jpg,cat\n")
    with pytest.raises(DataError, match="rows in"):
        opened(tmp_path, "path,label\n")


def test_a_group_that_only_names_the_class_is_no_group(tmp_path: Path) -> None:
    lines = "text,label,group\na,0,sport\nb,0,sport\nc,1,news\n"
    data = opened(tmp_path, lines)
    assert all(item.group is None for item in data)
    assert "names the classes again" in data.problems[0].reason
    assert all(item.group for item in opened(tmp_path, lines + "d,1,sport\n"))


def test_one_manifest_for_each_split(tmp_path: Path) -> None:
    train = table(tmp_path, "text,label\na,0\nb,1\n", "train.csv")
    test = table(tmp_path, "text,label,split\nc,1,\nd,0,val\n", "test.csv")
    data = open_manifests({train: "train", test: "test"}, root=tmp_path)
    assert [item.split for item in data] == ["train", "train", "test", "val"]
    assert data.root == tmp_path


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))


@given(scalars)
def test_any_scalar_is_text_without_blanks_around(value: Any) -> None:
    text = as_text(value)
    assert text is not None
    assert text == text.strip()
    if isinstance(value, float) and math.isfinite(value):
        assert float(text) == value
    assert as_text(text) == text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", "b.jpg", "c", "gone"]), st.sampled_from(["x", "y", ""])))
)
def test_every_row_is_an_item_or_spoken_of(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "sure.jpg")
    text = "path,label\nsure.jpg,x\n" + "".join(f"{name},{label}\n" for name, label in rows)
    data = opened(tmp_path, text)
    names = [item.name for item in data]
    assert len(names) == len(set(names))
    usable: dict[str, set[str]] = {}
    for name, label in rows:
        if name != "gone" and label:
            usable.setdefault(name.removesuffix(".jpg") + ".jpg", set()).add(label)
    assert set(names) == {"sure.jpg"} | {name for name, labels in usable.items() if len(labels) == 1}
    bad = sum(name == "gone" or not label for name, label in rows)
    repeated = len(
        {n for n in usable if sum(r[0].removesuffix(".jpg") + ".jpg" == n and bool(r[1]) for r in rows) > 1}
    )
    assert len(data.problems) == bad + repeated
