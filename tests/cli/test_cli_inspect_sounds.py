"""`headstart inspect` on sounds: what is bad in them is named, nothing stops it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

Run = Callable[..., Any]
RATE = 16_000


def encoded(wave: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    soundfile.write(file := io.BytesIO(), wave, rate, format=kind, subtype=subtype)
    return file.getvalue()


def sound(number: int, seconds: float = 1.0) -> np.ndarray:
    """A melody of its own for each number, in noise."""
    generator = np.random.default_rng(number)
    time = np.arange(round(RATE * seconds)) / RATE
    notes = generator.uniform(150, 3_000, 8)
    note = notes[np.minimum((time * 8 / seconds).astype(int), 7)]
    loud = generator.uniform(0.05, 0.5, 8)[np.minimum((time * 8 / seconds).astype(int), 7)]
    return loud * np.sin(2 * np.pi * note * time) + generator.normal(0, 0.01, len(time))


@pytest.fixture
def sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    contents = {f"high/{n}.wav": encoded(sound(n)) for n in range(11)}
    contents |= {f"low/{n}.flac": encoded(sound(100 + n), kind="FLAC") for n in range(11)}
    long = encoded(sound(7, 4.0), kind="FLAC")
    contents |= {
        "high/copy.wav": contents["high/1.wav"],
        "high/again.ogg": encoded(sound(2), kind="OGG"),
        "high/empty.wav": b"",
        "high/header.wav": encoded(sound(0))[:44],
        "low/cut.flac": long[: len(long) // 2],
        "low/nan.wav": encoded(np.where(np.arange(RATE) == 9, np.nan, 0.1), subtype="FLOAT"),
        "low/text.wav": b"dear reader, this is no sound at all " * 20,
        "low/silent.wav": encoded(np.zeros(RATE)),
        "low/clipped.wav": encoded(np.clip(8 * sound(50), -1, 1)),
        "low/offset.wav": encoded(sound(51) * 0.5 + 0.2),
        "low/eight.wav": encoded(sound(52), 8_000, subtype="PCM_U8"),
        "low/six.wav": encoded(np.stack([sound(53)] * 6, 1), 96_000),
    }
    for name, content in contents.items():
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "sounds"


def test_everything_odd_is_named(headstart: Run, sounds: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ran = headstart("inspect", sounds, "--json", "--html", page)
    assert ran.code == 1
    found = ran.json
    assert found["modality"] == "audio"
    bad = {"high/empty.wav", "high/header.wav", "low/cut.flac", "low/nan.wav", "low/text.wav"}
    assert {problem["name"] for problem in found["corrupt"]} == bad
    copies = {
        frozenset((pair["first"], pair["second"])): pair["kind"]
        for pair in found["duplicates"]["within_splits"]
    }
    assert copies[frozenset(("high/1.wav", "high/copy.wav"))] == "exact"
    assert copies[frozenset(("high/2.wav", "high/again.ogg"))] == "near"
    said = " ".join(finding["sentence"] for finding in found["findings"])
    for words in (
        "5 items cannot be read",
        "1 sound holds nothing but silence: low/silent.wav",
        "low/clipped.wav (",
        "low/offset.wav (0.2",
        "differ in samples a second: 16000",
        "differ in channels: 1",
    ):
        assert words in said
    assert found["shapes"]["channels"]["max"] == 6
    html = page.read_text(encoding="utf-8")
    assert "Examples, drawn" in html
    assert "The mean of each class" in html
    assert html.count("data:image/jpeg") > 12
    assert "<audio" not in html


def test_sounds_without_classes_are_drawn(headstart: Run, sounds: Path, tmp_path: Path) -> None:
    ran = headstart("inspect", sounds / "high", "--json", "--html", tmp_path / "page.html")
    assert ran.json["classes"] == {}
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Examples, drawn" in html
    assert "The mean of each class" not in html
