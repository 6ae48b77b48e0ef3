"""Folders per class: every layout that people have, and what lies about in them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.data.folder import open_folder, shown, unique_names
from headstart.data.items import Dataset
from headstart.errors import DataError


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def rows(data: Dataset) -> dict[str, tuple[str | None, str | None]]:
    return {item.name: (item.label, item.split) for item in data}


def reasons(data: Dataset) -> dict[str, str]:
    return {problem.name: problem.reason for problem in data.problems}


def test_a_folder_per_class(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "dog/10.jpg", "dog/9.jpg", "cat/1.png"))
    assert [(i.name, i.label, i.split) for i in data] == [
        ("cat/1.png", "cat", None),
        ("dog/9.jpg", "dog", None),
        ("dog/10.jpg", "dog", None),
    ]
    assert data.modality == "image"
    assert data.root == tmp_path
    assert data.problems == ()
    assert all(isinstance(i.source, Path) and i.source.is_file() for i in data)


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "val"),
        ("VALID", "val"),
        ("validation", "val"),
        ("test", "test"),
        ("Testing", "test"),
    ],
)
def test_split_folders_in_every_spelling(tmp_path: Path, word: str, split: str) -> None:
    data = open_folder(fill(tmp_path, f"{word}/cat/1.jpg", f"{word}/dog/2.jpg"))
    assert rows(data) == {f"{word}/cat/1.jpg": ("cat", split), f"{word}/dog/2.jpg": ("dog", split)}


def test_other_folders_beside_train_are_problems(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "train/a/1.jpg", "test/a/2.jpg", "notes/3.jpg"))
    assert rows(data) == {"train/a/1.jpg": ("a", "train"), "test/a/2.jpg": ("a", "test")}
    assert "train, val and test" in reasons(data)["notes"]


def test_a_test_folder_beside_the_class_folders(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "a/1.jpg", "b/2.jpg", "test/a/3.jpg"))
    assert rows(data) == {"a/1.jpg": ("a", None), "b/2.jpg": ("b", None), "test/a/3.jpg": ("a", "test")}


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "test/1.jpg", "control/2.jpg"))
    assert rows(data) == {"test/1.jpg": ("test", None), "control/2.jpg": ("control", None)}


def test_unlabelled_split_folders(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "train/1.jpg", "test/2.jpg"))
    assert rows(data) == {"train/1.jpg": (None, "train"), "test/2.jpg": (None, "test")}


def test_pictures_outside_the_class_folders_of_a_split_are_problems(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "train/a/1.jpg", "test/2.jpg", "3.jpg"))
    assert list(rows(data)) == ["train/a/1.jpg"]
    assert reasons(data) == {"3.jpg": "lies in no class folder", "test/2.jpg": "lies in no class folder"}


def test_nested_folders_belong_to_the_class(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "a/x/y/1.jpg", "a/test/2.jpg", "b/3.jpg"))
    assert rows(data) == {"a/x/y/1.jpg": ("a", None), "a/test/2.jpg": ("a", None), "b/3.jpg": ("b", None)}
    assert data.problems == ()


def test_loose_pictures_alone_are_unlabelled_and_beside_classes_problems(tmp_path: Path) -> None:
    loose = open_folder(fill(tmp_path / "loose", "b.jpg", "a.jpg"))
    assert rows(loose) == {"a.jpg": (None, None), "b.jpg": (None, None)}
    mixed = open_folder(fill(tmp_path / "mixed", "b.jpg", "cat/a.jpg"))
    assert rows(mixed) == {"cat/a.jpg": ("cat", None)}
    assert reasons(mixed) == {"b.jpg": "lies in no class folder"}


def test_clutter_is_not_worth_a_word(tmp_path: Path) -> None:
    clutter = ("Thumbs.db", "desktop.ini", ".DS_Store", ".hidden/x.jpg", "a/.x.jpg", "a/Thumbs.db")
    data = open_folder(fill(tmp_path, "a/1.jpg", "b/1.jpg", *clutter))
    assert len(data) == 2
    assert data.problems == ()


def test_foreign_files_are_problems_with_a_reason(tmp_path: Path) -> None:
    names = ("PROVENANCE.md", "labels.csv", "a/notes.txt", "a/song.wav", "a/archive.zip")
    data = open_folder(fill(tmp_path, "a/1.jpg", "a/2.jpg", "a/3.jpg", *names))
    assert len(data) == 3
    assert set(reasons(data)) == set(names)
    assert "table" in reasons(data)["labels.csv"]
    assert "text" in reasons(data)["a/notes.txt"]
    assert "audio" in reasons(data)["a/song.wav"]
    assert ".zip" in reasons(data)["a/archive.zip"]


def test_rubbish_called_jpg_and_files_without_suffix_stay_items(tmp_path: Path) -> None:
    data = open_folder(fill(tmp_path, "a/1.JPG", "a/picture", "b/2"))
    assert len(data) == 3
    assert data.modality == "image"
    assert len(open_folder(fill(tmp_path / "c", "a/picture", "b/2"))) == 2


def test_the_majority_decides_the_modality_unless_it_is_given(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.wav", "a/2.FLAC", "b/3.ogg", "b/4.jpg")
    assert open_folder(root).modality == "audio"
    assert len(open_folder(root)) == 3
    assert list(rows(open_folder(root, "image"))) == ["b/4.jpg"]
    assert open_folder(fill(tmp_path / "t", "a/1.txt")).modality == "text"


@pytest.mark.parametrize("names", [(), ("a/x.zip", "readme.md"), (".hidden.jpg",)])
def test_nothing_to_learn_from_is_an_error(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="to fix: put the files"):
        open_folder(fill(tmp_path, *names))


def test_an_empty_class_folder_is_said(tmp_path: Path) -> None:
    (fill(tmp_path, "a/1.jpg") / "b").mkdir()
    data = open_folder(tmp_path)
    assert data.classes == ("a",)
    assert reasons(data) == {"b": "is an empty folder"}


def test_labels_with_blanks_emoji_and_long_names(tmp_path: Path) -> None:
    long = "x" * 250 + ".jpg"
    data = open_folder(fill(tmp_path, "Big Cat 🐈/1.jpg", f'#1, "quoted"/{long}'))
    assert data.classes == ('#1, "quoted"', "Big Cat 🐈")
    assert data.items[0].name.endswith(long)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in names")
def test_names_that_are_not_utf8_can_be_read_and_printed(tmp_path: Path) -> None:
    fill(tmp_path, *(os.fsdecode(b"caf\xe9/" + name) for name in (b"\xff.jpg", b"\\udcff.jpg")))
    data = open_folder(tmp_path)
    assert data.classes == ("caf\\udce9",)
    assert sorted(item.name for item in data) == ["caf\\udce9/\\udcff.jpg", "caf\\udce9/\\udcff.jpg (2)"]
    assert len({item.source for item in data}) == 2
    for item in data:
        item.name.encode()
        assert isinstance(item.source, Path)
        assert item.source.read_bytes() == b"x"


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this system makes no links")


def test_links_that_lead_back_never_double_anything(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", "a/1.jpg", "b/2.jpg")
    link(root / "a" / "up", root)
    link(root / "b" / "above", tmp_path)
    link(root / "b" / "sister", root / "a")
    link(root / "c", root / "a")
    data = open_folder(root)
    assert rows(data) == {"a/1.jpg": ("a", None), "b/2.jpg": ("b", None)}
    assert {"a/up", "b/above", "b/sister", "c"} <= set(reasons(data))


def test_links_to_the_outside_are_followed_once(tmp_path: Path) -> None:
    outside = fill(tmp_path / "store", "cats/1.jpg", "dogs/2.jpg")
    link(outside / "cats" / "loop", outside)
    root = fill(tmp_path / "data", "train/bird/3.jpg")
    link(root / "train" / "cat", outside / "cats")
    link(root / "train" / "dog", outside / "dogs")
    link(root / "train" / "dog2", outside / "dogs")
    data = open_folder(root)
    assert rows(data)["train/cat/1.jpg"] == ("cat", "train")
    assert len(data) == len({os.path.realpath(str(item.source)) for item in data}) == 3


def test_linked_files_count_and_broken_links_are_problems(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.jpg", "b/3.jpg")
    link(root / "b" / "2.jpg", root / "a" / "1.jpg")
    link(root / "b" / "gone.jpg", root / "nowhere.jpg")
    link(root / "b" / "self.jpg", root / "b" / "self.jpg")
    data = open_folder(root)
    assert len(data) == 3
    assert set(reasons(data)) == {"b/gone.jpg", "b/self.jpg"}
    assert all(reason.startswith("is a link that leads nowhere") for reason in reasons(data).values())


def test_a_root_that_is_itself_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", "a/1.jpg", "b/2.jpg")
    link(tmp_path / "alias", tmp_path / "real")
    assert list(rows(open_folder(tmp_path / "alias"))) == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_file_and_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(fill(tmp_path, "a/1.jpg") / "a" / "2.jpg")
    assert reasons(open_folder(tmp_path)) == {"a/2.jpg": "is no file"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_a_problem(tmp_path: Path) -> None:
    closed = fill(tmp_path, "a/1.jpg", "b/2.jpg") / "b"
    closed.chmod(0)
    try:
        data = open_folder(tmp_path)
    finally:
        closed.chmod(0o700)
    assert data.classes == ("a",)
    assert "cannot be read" in data.problems[0].reason


def test_relative_roots_give_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    monkeypatch.chdir(tmp_path)
    assert rows(open_folder(Path())) == rows(open_folder(tmp_path))
    (tmp_path / "a").rename(tmp_path / "c")
    monkeypatch.chdir(tmp_path / "b")
    assert list(rows(open_folder(Path("..")))) == ["b/2.jpg", "c/1.jpg"]


words = (
    st.text("ab1 é.train", min_size=1, max_size=6).map(str.strip).filter(lambda w: w.strip(".") == w != "")
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.sets(st.lists(words, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8))
def test_every_file_is_an_item_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    root = tmp_path_factory.mktemp("any")
    wanted = fill(root, *(f"{path}.jpg" for path in paths))
    data = open_folder(wanted)
    names = [item.name for item in data] + [problem.name for problem in data.problems]
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    for file in files:  # a folder that is left out speaks for what it holds
        assert {file.as_posix(), *(above.as_posix() for above in file.parents)} & set(names)
    assert len(data) <= len(files)
    assert len(names) == len(set(names))
    assert data == open_folder(root)


@given(st.lists(st.sampled_from(["a", "a (2)", "b"]), max_size=12))
def test_unique_names_are_unique_and_keep_the_first(names: list[str]) -> None:
    made = unique_names(names)
    assert len(set(made)) == len(names)
    assert all(new.startswith(old) for old, new in zip(names, made, strict=True))
    assert made[:1] == names[:1]


def test_shown_changes_nothing_printable() -> None:
    assert shown("Zoë 🐈") == "Zoë 🐈"
