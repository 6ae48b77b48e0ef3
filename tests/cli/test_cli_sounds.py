"""`headstart predict --timeline` and `headstart listen`: files, tables, pipes, Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.cli.timelines import clock
from toy_sounds import RATE, encoded, toy_scene, toy_sound

Run = Callable[..., Any]
_LISTEN = [sys.executable, "-c", "from headstart.cli import main; main()", "listen"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "scene.wav"
    path.parent.mkdir()
    path.write_bytes(encoded(toy_scene()))
    return path


def test_a_table_of_what_is_heard(headstart: Run, noises: Path, recording: Path) -> None:
    done = headstart("predict", noises, recording, "--timeline")
    assert done.code == 0
    title, *rows = (line.split("\t") for line in done.out.splitlines())
    assert title == [str(recording), "0:00:11.0", "2 segments"]
    assert [row[2] for row in rows] == ["hiss", "tone"]
    assert rows[0][0] == "0:00:00.0"
    assert rows[1][1] == "0:00:11.0"
    assert all(0.5 < float(row[3]) <= 1 for row in rows)
    assert list(recording.parent.iterdir()) == [recording], "nothing is written unasked"


def test_a_folder_with_everything(headstart: Run, noises: Path, recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "scene.flac"
    other.write_bytes(encoded(toy_sound("tone", 90, 3), "FLAC"))
    out = tmp_path / "new" / "out"
    done = headstart("predict", noises, recording, other, "--timeline", "--out", out, "--json")
    assert done.code == 0
    first, second = (json.loads(line) for line in done.out.splitlines())
    stems = {"scene", "scene-2"}
    assert {path.name for path in out.iterdir()} == {
        f"{stem}.{ending}" for stem in stems for ending in ("json", "csv", "txt", "png")
    }
    for value, stem in ((first, "scene"), (second, "scene-2")):
        written = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
        assert {key: written[key] for key in value} == value
        with (out / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
            assert [row["label"] for row in csv.DictReader(file)] == [x["label"] for x in value["segments"]]
        assert len((out / f"{stem}.txt").read_text().splitlines()) == len(value["segments"])
        with Image.open(out / f"{stem}.png") as picture:
            assert picture.format == "PNG"
            assert picture.width > 800


def test_one_that_cannot_be_read_does_not_stop_the_others(
    headstart: Run, noises: Path, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "note.wav").write_text("no sound at all")
    done = headstart("predict", noises, tmp_path / "note.wav", recording, "--timeline", "--json")
    assert done.code == 1
    bad, good = (json.loads(line) for line in done.out.splitlines())
    assert "error" in bad
    assert len(good["segments"]) == 2
    assert headstart("predict", noises, tmp_path / "note.wav", "--timeline").code == 2


def test_timelines_are_for_sounds(headstart: Run, fitted: Path, pattern_pictures: Path) -> None:
    done = headstart("predict", fitted, pattern_pictures / "along" / "01.jpg", "--timeline")
    assert done.code == 2
    assert "hears windows of sound" in done.err


@pytest.mark.parametrize("option", ["--tta", "--novelty"])
def test_options_that_timelines_know_nothing_of(
    headstart: Run, noises: Path, recording: Path, option: str
) -> None:
    done = headstart("predict", noises, recording, "--timeline", option)
    assert done.code == 2
    assert "leave them out" in done.err


def test_times_are_told_as_on_a_clock() -> None:
    assert [clock(x) for x in (0, 59.94, 59.96, 3600, 36_000.04)] == [
        "0:00:00.0", "0:00:59.9", "0:01:00.0", "1:00:00.0", "10:00:00.0"
    ]  # fmt: skip


def pcm(wave: np.ndarray) -> bytes:
    return (wave.clip(-1, 1) * 32_767).astype("<i2").tobytes()


def test_what_is_piped_in_is_answered(noises: Path) -> None:
    stereo = pcm(np.repeat(toy_scene(), 2))
    command = [*_LISTEN, str(noises), "--rate", str(RATE), "--channels", "2", "--json"]
    done = subprocess.run(command, input=stereo, capture_output=True, timeout=120, check=True)
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(moments) == 22
    assert {label for each in moments if 1 < each["start"] < 3 for label in each["labels"]} == {"hiss"}
    assert b"11.0 s heard; real-time factor 0." in done.stderr
    assert b"ms after a window's end" in done.stderr


@pytest.mark.parametrize(
    ("sound", "told"), [(b"", b"nothing was heard"), (encoded(toy_sound("hiss", 0)), b"without a header")]
)
def test_no_sound_is_piped_in(noises: Path, sound: bytes, told: bytes) -> None:
    done = subprocess.run([*_LISTEN, str(noises)], input=sound, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_ends_it_with_its_figures(noises: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*_LISTEN, str(noises)], **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"Ctrl-C ends it" in process.stderr.readline()
        process.stdin.write(pcm(toy_sound("tone", 91, 2)))
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(3)]  # while the pipe is open
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 0
    assert b"tone" in lines[2]
    assert b"real-time factor" in told
    assert b"Traceback" not in told
