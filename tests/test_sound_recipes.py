"""The recipes for sounds: they open ESC-10's folder, and the demonstration demonstrates."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture(scope="module")
def leakage() -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / "window_leakage.py"))


@pytest.fixture(scope="module")
def environment() -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / "environment_sounds.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of three recordings, laid out as ESC-10 is."""
    path = tmp_path_factory.mktemp("esc")
    (path / "clips").mkdir()
    lines = ["filename,category,fold,freesound_id"]
    for number, (label, recording) in enumerate([("hum", 7), ("hum", 7), ("hiss", 8), ("hiss", 9)]):
        wave = np.random.default_rng(number).normal(0, 0.1, 8_000)
        soundfile.write(path / "clips" / f"{number}.wav", wave, 8_000)
        lines.append(f"{number}.wav,{label},{number // 2 + 1},{recording}")
    (path / "meta.csv").write_text("\n".join(lines))
    return path


def test_both_open_the_folder_and_a_manifest(
    leakage: dict[str, Any], environment: dict[str, Any], folder: Path
) -> None:
    for recipe in (leakage, environment):
        found = recipe["sounds"](folder)
        assert found.modality == "audio"
        assert [item.label for item in found] == ["hum", "hum", "hiss", "hiss"]
        assert [item.group for item in found] == ["7", "7", "8", "9"]
    assert [item.fold for item in environment["sounds"](folder)] == ["1", "1", "2", "2"]
    manifest = folder / "table.csv"
    manifest.write_text("path,label\nclips/0.wav,hum\nclips/2.wav,hiss\n")
    assert len(leakage["sounds"](manifest)) == 2


def test_a_recording_is_made_into_windows(environment: dict[str, Any], folder: Path) -> None:
    assert environment["windows"](folder / "clips" / "0.wav").shape == (1, 64, 64, 3)


def test_what_is_learned_by_heart_shows_only_where_recordings_are_held_out(leakage: dict[str, Any]) -> None:
    """Classes at random: nothing can be told about a new recording, all about one that was heard."""
    generator = np.random.default_rng(0)
    recordings, windows = 50, 6
    unit = np.repeat(np.arange(recordings), windows)
    y = generator.integers(0, 2, recordings)[unit]
    rows = generator.normal(0, 1, (recordings, 64))[unit] + generator.normal(0, 0.1, (len(unit), 64))
    rows = rows.astype(np.float32)
    accuracy = leakage["accuracy"]
    assert accuracy(rows, y, range(len(unit)), 2, 0) > 0.95
    assert accuracy(rows, y, unit.tolist(), 2, 0) < 0.75


def test_the_page_says_what_was_found(leakage: dict[str, Any]) -> None:
    scores = {"shuffled": [0.9, 0.92], "clips": [0.8, 0.8], "recordings": [0.7, 0.72]}
    html = leakage["page"](scores, 1_234, 56)
    assert "Shuffled windows promise 0.910; on new recordings it is 0.710." in html
    assert "1,234 half-overlapping windows of 56 clips" in html
    assert "<svg" in html
