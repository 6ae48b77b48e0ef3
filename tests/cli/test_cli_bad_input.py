"""What people bring is messy: every command goes on, or says why not, and never shows a traceback."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import headstart as hs
from headstart.files import cache_dir

Run = Callable[..., Any]
Write = Callable[..., Path]
_COMMAND = [sys.executable, "-c", "from headstart.cli import main; main()"]


@pytest.fixture
def photos_of_two(write_pictures: Write, tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", across=6, along=6)


def fits(headstart: Run, data: Path, *more: object) -> tuple[Any, hs.Model]:
    """Fit, and load what was saved."""
    model = data.parent / "fitted.headstart"
    done = headstart("fit", data, "-o", model, "--json", *more)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    return done, hs.load(model)


def refused(headstart: Run, data: Path, *words: str) -> None:
    model = data.parent / "refused.headstart"
    done = headstart("fit", data, "-o", model, "--json")
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert last == f"error: {done.json['error']}"
    assert all(part in last for part in ("expected ", ", received ", ", to fix: ")), last
    assert all(word in last for word in words), last
    assert not list(data.parent.glob("*refused*"))


def test_an_empty_folder(headstart: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    refused(headstart, tmp_path / "data", "folder")


def test_one_class(headstart: Run, write_pictures: Write, tmp_path: Path) -> None:
    refused(headstart, write_pictures(tmp_path / "data", across=4), "two classes", "'across'")


def test_one_class_is_left_when_the_other_cannot_be_read(headstart: Run, photos_of_two: Path) -> None:
    for file in (photos_of_two / "along").iterdir():
        file.write_bytes(b"")
    refused(headstart, photos_of_two, "two classes")


def test_a_class_with_one_item(headstart: Run, photos_of_two: Path, write_pictures: Write) -> None:
    write_pictures(photos_of_two, checks=1)
    report = photos_of_two.parent / "report.html"
    done, model = fits(headstart, photos_of_two, "--report", report)
    assert model.labels == ("across", "along", "checks")
    assert done.json["train_items"] == 13
    assert "Only one item of checks" in report.read_text(encoding="utf-8")
    assert headstart("inspect", photos_of_two).code == 1


def test_two_pictures_in_all(headstart: Run, write_pictures: Write, tmp_path: Path) -> None:
    done, _ = fits(headstart, write_pictures(tmp_path / "data", across=1, along=1))
    assert done.json["train_items"] == 2


def test_nested_folders_belong_to_the_class(headstart: Run, photos_of_two: Path) -> None:
    deep = photos_of_two / "along" / "2019" / "summer"
    deep.mkdir(parents=True)
    for file in list((photos_of_two / "along").glob("*.jpg"))[:3]:
        file.rename(deep / file.name)
    done, model = fits(headstart, photos_of_two)
    assert model.labels == ("across", "along")
    assert done.json["train_items"] == 12


def test_files_that_are_something_else(headstart: Run, photos_of_two: Path) -> None:
    folder = photos_of_two / "along"
    whole = (folder / "000.jpg").read_bytes()
    (folder / "zero.jpg").touch()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "text.jpg").write_text("this is text\n" * 50)
    (folder / "notes.txt").write_text("left by somebody")
    Image.new("RGB", (40, 40), "teal").save(folder / "really_png.jpg", "PNG")
    (folder / "folder.jpg").mkdir()
    done, _ = fits(headstart, photos_of_two)
    assert done.json["train_items"] == 13
    for name in ("zero.jpg", "cut.jpg", "text.jpg"):
        assert f"left out: along/{name}: " in done.err
    found = headstart("inspect", photos_of_two, "--json")
    assert found.code == 1
    assert "notes.txt" in found.out


def test_a_file_that_may_not_be_read(headstart: Run, photos_of_two: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    closed = photos_of_two / "along" / "000.jpg"
    closed.chmod(0)
    done, _ = fits(headstart, photos_of_two)
    assert "left out: along/000.jpg" in done.err


def test_a_picture_of_144_megapixels(headstart: Run, photos_of_two: Path) -> None:
    Image.new("1", (12_000, 12_000)).save(photos_of_two / "along" / "huge.png")
    done, _ = fits(headstart, photos_of_two)
    assert done.json["train_items"] == 13 or "left out: along/huge.png: " in done.err


def test_links_in_a_circle(headstart: Run, photos_of_two: Path) -> None:
    (photos_of_two / "along" / "again").symlink_to(photos_of_two, target_is_directory=True)
    (photos_of_two / "along" / "me.jpg").symlink_to(photos_of_two / "along" / "me.jpg")
    (photos_of_two / "along" / "gone.jpg").symlink_to(photos_of_two / "nowhere.jpg")
    done, _ = fits(headstart, photos_of_two)
    assert done.json["train_items"] == 12


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8_and_very_long_ones(headstart: Run, photos_of_two: Path) -> None:
    odd = os.fsencode(photos_of_two) + b"/along/\xff\xfe \xe9.jpg"
    long = photos_of_two / "along" / ("n" * 251 + ".jpg")
    (photos_of_two / "along" / "000.jpg").rename(os.fsdecode(odd))
    (photos_of_two / "along" / "001.jpg").rename(long)
    os.rename(os.fsencode(photos_of_two / "across"), os.fsencode(photos_of_two) + b"/\xe9t\xe9")  # noqa: PTH104
    report, review = photos_of_two.parent / "r.html", photos_of_two.parent / "v.html"
    done, model = fits(headstart, photos_of_two, "--report", report, "--review", review)
    assert done.json["train_items"] == 12
    assert model.labels == ("\\udce9t\\udce9", "along")
    answers = headstart("predict", photos_of_two.parent / "fitted.headstart", photos_of_two, "--json")
    assert answers.code == 0
    assert len(answers.out.splitlines()) == 12
    table = photos_of_two.parent / "out.csv"
    assert (
        headstart("predict", photos_of_two.parent / "fitted.headstart", photos_of_two, "-o", table).code == 0
    )
    assert len(table.read_text(encoding="utf-8").splitlines()) == 13
    assert headstart("inspect", photos_of_two, "--html", photos_of_two.parent / "i.html").code in (0, 1)


def test_an_output_name_that_is_too_long(headstart: Run, photos_of_two: Path) -> None:
    done = headstart("fit", photos_of_two, "-o", photos_of_two.parent / ("x" * 300), "--json")
    assert done.code == 2
    assert ", to fix: " in done.json["error"]


def test_an_output_below_a_file(headstart: Run, photos_of_two: Path) -> None:
    done = headstart("fit", photos_of_two, "-o", photos_of_two / "along" / "000.jpg" / "m", "--json")
    assert done.code == 2
    assert ", to fix: " in done.json["error"]
    assert (photos_of_two / "along" / "000.jpg").stat().st_size > 0


LABELS = ("two words", "a/b", "🐈‍⬛ katze", "=1+1", "[bold]x[/bold]", "<script>alert(1)</script>")


def test_labels_of_every_kind_in_a_manifest(headstart: Run, write_pictures: Write, tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", across=12, along=12)
    files = sorted((tmp_path / "p").rglob("*.jpg"))
    manifest = tmp_path / "list.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows((path, LABELS[n % len(LABELS)]) for n, path in enumerate(files))
    report = tmp_path / "report.html"
    _, model = fits(headstart, manifest, "--report", report, "--review", tmp_path / "review.html")
    assert set(model.labels) == set(LABELS)
    assert "<script>alert(1)" not in report.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in (tmp_path / "review.html").read_text(encoding="utf-8")
    answer = headstart("predict", tmp_path / "fitted.headstart", files[0], "--json").json
    assert set(answer["probabilities"]) == set(LABELS)
    measured = headstart("evaluate", tmp_path / "fitted.headstart", manifest, "--json")
    assert measured.code == 0
    assert measured.json["items"] == 24
    assert headstart("inspect", manifest, "--html", tmp_path / "i.html", "--json").code in (0, 1)


def test_labels_that_are_class_folders(headstart: Run, write_pictures: Write, tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", across=5, along=5)
    (data / "across").rename(data / "🐈 katze")
    (data / "along").rename(data / "two  words ")
    _, model = fits(headstart, data)
    assert set(model.labels) == {"🐈 katze", "two  words "}


def manifest_of(folder: Path, text: str, **options: Any) -> Path:
    manifest = folder / "list.csv"
    manifest.write_text(text, **{"encoding": "utf-8", "newline": "", **options})
    return manifest


def rows_of(root: Path) -> list[str]:
    return [f"{file.relative_to(root.parent)},{file.parent.name}" for file in sorted(root.rglob("*.jpg"))]


def test_a_manifest_without_its_columns(headstart: Run, photos_of_two: Path) -> None:
    rows = "\n".join(["first,second,third", *(f"{row},1" for row in rows_of(photos_of_two))])
    refused(headstart, manifest_of(photos_of_two.parent, rows), "column")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_manifest_with_bom_and_crlf(headstart: Run, photos_of_two: Path, encoding: str, end: str) -> None:
    text = end.join(["path,label", *rows_of(photos_of_two), ""])
    done, model = fits(headstart, manifest_of(photos_of_two.parent, text, encoding=encoding))
    assert model.labels == ("across", "along")
    assert done.json["train_items"] == 12


def test_a_manifest_that_names_missing_files(headstart: Run, photos_of_two: Path) -> None:
    rows = ["path,label", *rows_of(photos_of_two), "data/along/gone.jpg,along", "/nowhere/x.jpg,across"]
    done, _ = fits(headstart, manifest_of(photos_of_two.parent, "\n".join(rows)))
    assert done.json["train_items"] == 12
    all_gone = "path,label\na.jpg,x\nb.jpg,y\n"
    refused(headstart, manifest_of(photos_of_two.parent, all_gone))


def test_a_manifest_with_values_of_several_types(headstart: Run, photos_of_two: Path) -> None:
    files = [str(file) for file in sorted(photos_of_two.rglob("*.jpg"))]
    values = [1, "1", 2.5, "cat", True, None, 1, "cat", 2.5, "cat", 1, True]
    lines = [json.dumps({"path": file, "label": v}) for file, v in zip(files, values, strict=True)]
    manifest = photos_of_two.parent / "list.jsonl"
    manifest.write_text(
        "\n".join([*lines, "{broken", json.dumps({"path": 7, "label": "cat"})]), encoding="utf-8"
    )
    done = headstart("fit", manifest, "-o", photos_of_two.parent / "m", "--json")
    assert "Traceback" not in done.err
    assert done.code in (0, 2)
    if done.code == 0:
        assert "cat" in hs.load(photos_of_two.parent / "m").labels
    else:
        assert ", to fix: " in done.json["error"]


_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from headstart.cli import main
main()
"""


def isolated(tmp_path: Path) -> dict[str, str]:
    """An environment with a feature store of its own; weights and networks are shared."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("weights", "networks"):
        (cache / name).symlink_to((cache_dir() / name).resolve(), target_is_directory=True)
    return {**os.environ, "HEADSTART_CACHE": str(cache)}


# 100 kB are too few for the store's rows, 5 MB for the model's network.
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs POSIX file size limits")
@pytest.mark.parametrize("limit", [100_000, pytest.param(5_000_000, marks=pytest.mark.slow)])
def test_a_full_disk_loses_nothing(write_pictures: Write, tmp_path: Path, limit: int) -> None:
    data = write_pictures(tmp_path / "data", across=30, along=30)
    model, environment = tmp_path / "out" / "m.headstart", isolated(tmp_path)
    arguments = ["fit", str(data), "-o", str(model), "--json"]
    run = [sys.executable, "-c", _LIMITED.format(limit=limit), *arguments]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    error = json.loads(done.stdout.splitlines()[-1])["error"]
    assert all(part in error for part in ("expected ", ", received ", ", to fix: ")), error
    assert not model.parent.exists() or not list(model.parent.iterdir())
    again = subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert again.returncode == 0, again.stderr
    assert [entry.name for entry in model.parent.iterdir()] == [model.name]
    assert not list(Path(environment["HEADSTART_CACHE"]).glob("features/**/*.tmp"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_what_was_computed_before_a_signal_is_not_computed_again(
    write_pictures: Write, tmp_path: Path
) -> None:
    data = write_pictures(tmp_path / "data", across=400, along=400)
    environment, model = isolated(tmp_path), tmp_path / "out" / "m.headstart"
    features = Path(environment["HEADSTART_CACHE"]) / "features"
    command = [*_COMMAND, "fit", str(data), "-o", str(model), "--json"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as run:
        until = time.monotonic() + 60
        while time.monotonic() < until and not any(f.stat().st_size for f in features.rglob("*.f32")):
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 143, err
    assert "Traceback" not in err
    assert not model.parent.exists()
    again = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    computed = next(line for line in again.stderr.splitlines() if line.startswith("features: "))
    assert 0 < int(computed.split()[1]) < 800
    assert json.loads(again.stdout)["train_items"] == 800


_EARLY = """
import os, sys
import headstart.cli as cli
class Sends:
    def find_spec(self, name, *_):
        if name == "headstart.cli.app":
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Sends())
sys.argv = ["headstart", "doctor"]
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_command_has_begun(number: signal.Signals, code: int) -> None:
    run = [sys.executable, "-c", _EARLY.format(number=int(number))]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
