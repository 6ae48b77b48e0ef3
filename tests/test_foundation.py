"""What every room stands on: errors that speak, files that are whole, a quiet bar, the rules of the house."""

from __future__ import annotations

import ast
import errno
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart
from headstart import errors, files
from headstart.errors import HeadstartError, StorageError, missing_extra
from headstart.progress import track

SOURCES = sorted(Path(headstart.__file__).parent.rglob("*.py"))


def kinds() -> list[type[HeadstartError]]:
    return [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, HeadstartError)]


def test_there_are_eight_errors_at_most_and_all_say_how_to_go_on() -> None:
    assert len(kinds()) <= 8
    for kind in kinds():
        error = kind("a cat", "a dog", "ask the cat")
        assert str(error) == "expected a cat, received a dog, to fix: ask the cat"
        assert (error.expected, error.received, error.fix) == ("a cat", "a dog", "ask the cat")


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.DecodeError, errors.DataError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.StorageError, OSError)
    assert issubclass(errors.MissingExtraError, ImportError)


@pytest.mark.parametrize("kind", kinds())
def test_errors_cross_processes(kind: type[HeadstartError]) -> None:
    error = kind("a", "b", "c")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 — what worker processes do
    assert type(copy) is kind
    assert (copy.expected, copy.received, copy.fix, str(copy)) == ("a", "b", "c", str(error))


def test_a_missing_extra_names_the_command() -> None:
    assert "pip install 'headstart[train]'" in str(missing_extra("torch", "train", "fitting"))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert files.cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("HEADSTART_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "xdg"))
    assert files.cache_dir() == tmp_path / "xdg" / "headstart"
    if os.name != "nt":
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert files.cache_dir() == tmp_path / ".cache" / "headstart"


@settings(max_examples=20, deadline=None)
@given(content=st.binary(max_size=3000), times=st.sampled_from([1, 1000]))
def test_a_files_digest_is_its_contents(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, times: int
) -> None:
    file = tmp_path_factory.mktemp("digest") / "file"
    file.write_bytes(content * times)  # beyond one read of 1 MiB
    assert files.digest_file(file) == files.digest_bytes(content * times)
    assert files.digest_file(file) == hashlib.sha256(content * times).hexdigest()


def test_a_json_digest_does_not_care_for_order() -> None:
    assert files.digest_json({"a": 1, "b": [2]}) == files.digest_json({"b": [2], "a": 1})
    assert files.digest_json([1, 2]) != files.digest_json([2, 1])


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with pytest.raises(KeyboardInterrupt), files.atomic_file(target) as draft:  # noqa: PT012 — it has to fail half-way
        draft.write_text("half")
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    with files.atomic_file(target) as draft:
        draft.write_text("whole")
        assert not target.exists()
    with pytest.raises(RuntimeError), files.atomic_file(target) as draft:  # noqa: PT012 — it has to fail half-way
        draft.write_text("half of the second")
        raise RuntimeError
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with files.atomic_folder(target) as draft:
        (draft / "deep").mkdir()
        (draft / "deep" / "a").write_text("first")
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(target) as draft:  # noqa: PT012 — it has to fail half-way
        (draft / "b").write_text("half")
        raise KeyboardInterrupt
    assert (target / "deep" / "a").read_text() == "first"
    with files.atomic_folder(target) as draft:
        (draft / "b").write_text("second")
    assert [entry.name for entry in target.iterdir()] == ["b"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_the_older_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("years of work")
    rename = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise failure
        return rename(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises((StorageError, KeyboardInterrupt)), files.atomic_folder(target) as draft:
            (draft / "b").write_text("new")
    assert (target / "a").read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "full disk"),
        (errno.EACCES, "permission"),
        (errno.EROFS, "permission"),
        (errno.EFBIG, "place"),
    ],
)
def test_what_the_system_says_about_writing_becomes_advice(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught, files.storage_errors(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)
    assert str(tmp_path / "x") in str(caught.value)


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), files.storage_errors(tmp_path):
        raise ConnectionResetError


def test_json_is_readable_and_has_no_nan(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": [1, None]}
    assert "ä" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert "ä" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_tracking_is_lazy_and_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    tracked = track(items(), "counting")
    assert next(tracked) == 0
    assert taken == [0]
    assert list(tracked) == [1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("seconds", "drawn"), [(0.0, False), (2.0, True)])
def test_a_bar_is_drawn_once_a_second_has_passed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, drawn: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    clock = iter([0.0, *([seconds] * 100)])
    monkeypatch.setattr("headstart.progress.time", type("Clock", (), {"monotonic": lambda: next(clock)}))
    assert list(track([1, 2, 3], "counting")) == [1, 2, 3]
    assert ("counting" in terminal.getvalue()) is drawn
    assert list(track([1], "counting", enabled=False)) == [1]


@pytest.mark.parametrize(("before", "expected"), [("", ["PASSIVE", True]), ("import torch\n", [None, False])])
def test_process_settings_come_before_torch_or_not_at_all(before: str, expected: list[object]) -> None:
    code = (
        f"{before}import json, os\nfrom headstart.process import tune_process\n"
        "done = tune_process()\nprint(json.dumps([os.environ.get('OMP_WAIT_POLICY'), done['wait_policy']]))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if before:  # a stand-in: importing the real one takes seconds
        code = code.replace(
            "import torch\n", "import sys, types; sys.modules['torch'] = types.ModuleType('torch')\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == expected


def offences(tree: ast.AST) -> Iterator[str]:
    """What the house forbids: unpickling, catching everything, assert as a check."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"line {node.lineno}: assert"
        elif isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught):
                yield f"line {node.lineno}: catches everything"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            whole = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            for name in whole:
                if name.split(".")[0] in (
                    "pickle",
                    "cPickle",
                    "dill",
                    "cloudpickle",
                    "shelve",
                    "marshal",
                    "joblib",
                ):
                    names = {alias.name for alias in node.names}
                    if isinstance(node, ast.Import) or not names <= {"UnpicklingError"}:
                        yield f"line {node.lineno}: imports {name}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called.endswith("torch.load") and given.get("weights_only") != "True":
                yield f"line {node.lineno}: torch.load without weights_only"
            if given.get("allow_pickle") == "True":
                yield f"line {node.lineno}: allow_pickle"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_rules_of_the_house(path: Path) -> None:
    assert list(offences(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "bad",
    [
        "assert x",
        "try:\n    x\nexcept:\n    pass",
        "try:\n    x\nexcept (ValueError, Exception):\n    pass",
        "import pickle",
        "from joblib import load",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
    ],
)
def test_an_offence_would_be_found(bad: str) -> None:
    assert list(offences(ast.parse(bad)))
