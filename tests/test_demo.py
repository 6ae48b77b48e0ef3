"""The demo: which door opens, what a closed one says, and the tour on real photographs."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from headstart import data, demo
from headstart.errors import DataError


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it; returns its only folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def _closed_hub(*_: object, **__: object) -> str:
    raise OSError("the hub does not answer")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", _closed_hub)


@pytest.mark.usefixtures("own_cache")
def test_off_line_only_the_cache_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "run", never)
    with pytest.raises(DataError, match=r"the cache \(no .*no network was asked for"):
        demo.photographs(offline=True)


@pytest.mark.usefixtures("no_apt", "no_hub")
def test_when_no_door_opens_each_says_why(own_cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        demo.photographs()
    assert "no apt-get" in caught.value.received
    assert "the hub does not answer" in caught.value.received
    assert "headstart fit FOLDER" in caught.value.fix
    assert not list((own_cache / "demo").iterdir())  # nothing half-made stays


@pytest.mark.usefixtures("own_cache", "no_hub")
def test_what_apt_says_is_passed_on(no_apt: Path) -> None:
    program = no_apt / "apt-get"
    program.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(DataError, match="E: Unable to locate package"):
        demo.photographs()


@pytest.mark.usefixtures("own_cache", "no_apt")
def test_the_hub_is_the_next_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 8), (0, 90, 0)).save(tmp_path / "leaf.jpg")

    def download(repository: str, file: str, *, repo_type: str, etag_timeout: float) -> str:
        assert repo_type == "dataset"
        assert etag_timeout < 30
        split = Path(file).stem
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for label in ("healthy", "bean_rust"):
                archive.write(tmp_path / "leaf.jpg", f"{split}/{label}/{split}.jpg")
            archive.writestr(f"{split}/README.md", "no picture")
            archive.writestr("../escaped.jpg", "no place for it")
        return str(tmp_path / f"{split}.zip")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    folder = demo.photographs()
    assert data.open(folder).counts() == {"bean_rust": 2, "healthy": 2}
    assert not list(tmp_path.rglob("escaped.jpg"))


@pytest.mark.usefixtures("own_cache", "no_hub")
def test_a_damaged_package_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    for name in ("categorization.rcc", "explore_monuments.rcc"):
        (tmp_path / "resources" / name).write_bytes(b"qres" + bytes(100))
    with pytest.raises(DataError, match="a Qt resource file"):
        demo.unpack(tmp_path / "resources", tmp_path / "photographs")


@pytest.fixture(scope="module")
def photographs() -> Path:
    """The real ones, fetched once; a machine that no door opens for cannot run these tests."""
    try:
        return demo.photographs()
    except DataError as error:
        pytest.skip(str(error))


def test_the_photographs_are_those_that_are_described(photographs: Path) -> None:
    if not (photographs / "fishes").is_dir():
        pytest.skip("these photographs came from the hub, not from Debian's package")
    found = data.open(photographs)
    assert found.counts() == {"fishes": 28, "monuments": 76, "renewable energy": 29, "tools": 39}
    assert not found.problems
    for item in found:
        assert isinstance(item.source, Path)
        with Image.open(item.source) as picture:
            assert min(picture.size) >= 100
    attribution = (photographs / ".ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert "GCompris" in attribution
    assert "License: CC-BY-SA-3.0" in attribution


def test_the_tour(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    found = demo.tour(Path("demo"), offline=True, say=told.append)
    assert json.loads(json.dumps(found)) == found
    assert Path(found["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert found["test_accuracy"] >= 0.75
    text = "\n".join(told)
    for step in ("1. inspect", "2. fit", "3. evaluate", "4. predict", *found["next"]):
        assert step in text
    assert Path("demo/photographs-ATTRIBUTION.txt").is_file()
    split = data.open("demo/photographs")
    assert found["items"] == len(split) == len(split.only("train")) + len(split.only("test"))
    assert len(found["next"]) == 3
    for command in found["next"]:  # they really run
        program, *arguments = shlex.split(command)
        assert Path(program).name == "headstart"
        code = "from headstart.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode in ((0, 1) if arguments[0] == "inspect" else (0,)), done.stderr
        assert "Traceback" not in done.stderr


def test_what_is_in_the_way_is_used_not_replaced(
    photographs: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "photographs").symlink_to(pattern_pictures)
    found = demo.tour(tmp_path, offline=True)
    assert found["items"] == 42
    assert (tmp_path / "photographs").is_symlink()
