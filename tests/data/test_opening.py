"""`headstart.data.open`: one door for everything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart import data as hs_data
from headstart.data.items import Item, Source, natural_order
from headstart.errors import DataError, OptionError


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_a_data_set_is_returned_as_it_is() -> None:
    made = hs_data.Dataset((Item("a", b"x"),), "image")
    assert hs_data.open(made) is made


@pytest.mark.parametrize("as_type", [str, Path])
def test_folder_manifest_and_file(tmp_path: Path, as_type: type) -> None:
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    assert len(hs_data.open(as_type(tmp_path))) == 2
    (tmp_path / "m.csv").write_text("path,label\na/1.jpg,x\n")
    assert hs_data.open(as_type(tmp_path / "m.csv")).items[0].label == "x"
    one = hs_data.open(as_type(tmp_path / "a/1.jpg"))
    assert [(item.name, item.label) for item in one] == [("1.jpg", None)]
    assert hs_data.open(as_type(tmp_path)).classes == ("a", "b")  # the table beside class folders is not used


def test_columns_reach_the_manifest(tmp_path: Path) -> None:
    fill(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "m.csv").write_text("p,y,s,g,f,t\n1.jpg,x,val,g1,2,hello\n2.jpg,y,,g1,2,hello\n")
    item = hs_data.open(
        tmp_path / "m.csv",
        path_column="p",
        label_column="y",
        split_column="s",
        group_column="g",
        fold_column="f",
    ).items[0]
    assert (item.name, item.label, item.split, item.group, item.fold) == ("1.jpg", "x", "val", "g1", "2")
    assert hs_data.open(tmp_path / "m.csv", text_column="t", label_column="y").items[0].source == "hello"


def test_a_folder_of_manifests_for_the_splits(tmp_path: Path) -> None:
    for name in ("Train.csv", "valid.csv", "test.csv"):
        (tmp_path / name).write_text("text,label\nhi,a\nho,b\n")
    data = hs_data.open(tmp_path)
    assert Counter(item.split for item in data) == {"train": 2, "val": 2, "test": 2}
    assert data.root == tmp_path
    (tmp_path / "validation.csv").write_text("text,label\nhi,a\n")
    with pytest.raises(DataError, match="one manifest for the split val"):
        hs_data.open(tmp_path)


def test_kaggle_layout_with_a_folder_beside_each_manifest(tmp_path: Path) -> None:
    fill(tmp_path, "train/1.jpg", "test/1.jpg")
    (tmp_path / "train.csv").write_text("id,breed\n1,pug\n")
    (tmp_path / "test.csv").write_text("id,breed\n1,beagle\n")
    assert [(i.name, i.label, i.split) for i in hs_data.open(tmp_path)] == [
        ("train/1.jpg", "pug", "train"),
        ("test/1.jpg", "beagle", "test"),
    ]


def test_one_table_beside_one_folder_or_alone(tmp_path: Path) -> None:
    fill(tmp_path, "clips/a.ogg", "clips/b.ogg", "README.md")
    (tmp_path / "meta.csv").write_text("filename,category\na.ogg,dog\nb.ogg,rain\n")
    data = hs_data.open(tmp_path)
    assert (data.modality, data.classes) == ("audio", ("dog", "rain"))
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "m.jsonl").write_text('{"text": "x", "label": 1}')
    assert len(hs_data.open(alone)) == 1
    (alone / "n.jsonl").write_text('{"text": "x", "label": 1}')
    with pytest.raises(DataError, match=r"m\.jsonl, n\.jsonl"):
        hs_data.open(alone)


def test_a_table_beside_loose_pictures_is_a_hint_not_a_guess(tmp_path: Path) -> None:
    fill(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\n1,pug\n")
    data = hs_data.open(tmp_path)
    assert [item.label for item in data] == [None, None]
    assert "open it by itself" in data.problems[0].reason


def test_lists_and_labels(tmp_path: Path) -> None:
    paths: list[Source] = [tmp_path / "a.jpg", str(tmp_path / "b.jpg"), tmp_path / "a.jpg"]
    data = hs_data.open(paths, labels=["x", 1, np.int64(2)])
    assert [item.label for item in data] == ["x", "1", "2"]
    assert all(isinstance(item.source, Path) for item in data)
    assert len({item.name for item in data}) == 3
    assert data.modality == "image"
    assert hs_data.open(np.array(["a.wav", "b.wav"])).modality == "audio"
    assert hs_data.open(np.array(["a.jpg"], dtype=object)).items[0].source == Path("a.jpg")
    texts = hs_data.open(["good. Very", "bad"], labels=(True, False), modality="text")
    assert [(item.name, item.source, item.label) for item in texts] == [
        ("item 0", "good. Very", "true"),
        ("item 1", "bad", "false"),
    ]
    assert hs_data.open([b"\xff\xd8", b"x"]).items[0].source == b"\xff\xd8"
    assert hs_data.open(path for path in paths).items[0].label is None


def test_arrays() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    data = hs_data.open(pixels, labels=np.array(["a", "b"]))
    assert data.counts() == {"a": 1, "b": 1}
    np.testing.assert_array_equal(data.items[1].source, pixels[1])
    assert len(hs_data.open(list(pixels))) == 2


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ([], {}, DataError, "empty list"),
        (["a.jpg"], {"labels": []}, DataError, "0 labels"),
        (["a.jpg", "b.jpg"], {"labels": ["x", None]}, DataError, "position 1"),
        (["a.jpg"], {"labels": [float("nan")]}, DataError, "position 0"),
        (["a.jpg", 3], {}, DataError, "int at position 1"),
        (7, {}, DataError, "int"),
        (["It was good."], {"modality": "taste"}, OptionError, "taste"),
        (["It was. Good"], {}, DataError, "modality='text'"),
        (np.zeros((2, 4, 4, 3)), {}, DataError, r"float64 \[2, 4, 4, 3\]"),
        (np.zeros((4, 4, 3), np.uint8), {}, DataError, "n, h, w, 3"),
        ([np.zeros((4, 4, 3))], {}, DataError, "float64 at position 0"),
        ("no/such/place", {}, DataError, "does not exist"),
        ("no\0such", {}, DataError, "does not exist"),
        ("x.jpg", {"labels": ["a"]}, OptionError, "labels"),
    ],
)
def test_what_cannot_be_opened(
    source: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        hs_data.open(source, **options)


def test_a_file_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.zip"):
        hs_data.open(fill(tmp_path, "a.zip") / "a.zip")


def test_opening_loads_nothing_heavy(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    heavy = "{'torch', 'openvino', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'pyarrow', 'transformers'}"
    code = (
        f"import sys; from headstart import data; data.open(sys.argv[1]); print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("count", [4299, 4301, 50_000])
def test_labels_of_very_many_digits_have_an_order(count: int) -> None:
    assert natural_order(["9" * count, "1" + "0" * count, "007", "6"]) == (
        "6",
        "007",
        "9" * count,
        "1" + "0" * count,
    )


@pytest.fixture
def real() -> Path:
    place = os.environ.get("HEADSTART_DATA")
    if not place:
        pytest.skip("HEADSTART_DATA is not set: the folder with the research data sets")
    return Path(place)


@pytest.mark.parametrize(
    ("name", "modality", "items", "classes", "splits"),
    [
        ("images/dogs_vs_cats", "image", 3000, 2, {"train": 2000, "val": 500, "test": 500}),
        ("images/monkeys10", "image", 931, 10, {"train": 765, "val": 166}),
        ("images/hymenoptera", "image", 245, 2, {"train": 245}),
        ("images/style", "image", 7, 0, {None: 7}),
        ("images/dog_breeds120/labels.csv", "image", 749, 120, {None: 749}),
        ("audio/esc10", "audio", 320, 10, {None: 320}),
        ("text/mr", "text", 1800, 2, {"train": 1600, "test": 200}),
        ("text/news20", "text", 8400, 20, {"train": 6000, "test": 2400}),
    ],
)
def test_real_collections(
    real: Path, name: str, modality: str, items: int, classes: int, splits: dict[str | None, int]
) -> None:
    data = hs_data.open(real / name)
    assert (data.modality, len(data), len(data.classes)) == (modality, items, classes)
    assert Counter(item.split for item in data) == splits


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "m.csv").write_text("path,label\na.jpg,x\n")

    def refuse(*_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        hs_data.open(tmp_path)
    assert hs_data.open(tmp_path / "m.csv").items[0].label == "x"
