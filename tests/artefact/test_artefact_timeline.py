"""What a real model hears in recordings and in sounds that go on."""

from __future__ import annotations

import io
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart as hs
from headstart.artefact import Model
from headstart.artefact.listening import Listening, Moment
from headstart.artefact.streaming import Asked
from headstart.artefact.timeline import Listener, timeline
from headstart.audio.capture import pcm
from headstart.audio.decode import resample
from headstart.errors import DecodeError, OptionError
from toy_sounds import RATE, encoded, toy_scene, toy_sound, write_sounds


@pytest.fixture(scope="module")
def model(noises: Path) -> Model:
    return hs.load(noises)


def test_the_scene_is_heard_where_it_is(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "scene.flac"
    path.write_bytes(encoded(toy_scene(), "FLAC"))
    found = timeline(model, path)
    first, second = found.segments
    assert (first.label, second.label) == ("hiss", "tone")
    assert (first.start, first.end) == pytest.approx((0, 4), abs=0.7)
    assert (second.start, second.end) == pytest.approx((7, 11), abs=0.7)
    assert (found.name, found.seconds) == (str(path), pytest.approx(11))
    assert len(found.starts) == len(found.probabilities) == 22
    assert found.to_json()["segments"] == timeline(model, path.read_bytes()).to_json()["segments"]


def test_windows_answer_as_clips_of_their_own(model: Model) -> None:
    wave = toy_scene()
    found = timeline(model, encoded(wave))
    for number in (0, 5, 17):
        start = round(found.starts[number] * RATE)
        clip = encoded(wave[start : start + round(found.length * RATE)])
        np.testing.assert_allclose(model.predict_proba([clip])[0], found.probabilities[number], atol=0.02)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.975, 1.2])
def test_short_recordings(model: Model, seconds: float) -> None:
    found = timeline(model, encoded(toy_sound("hiss", 60, seconds)))
    assert found.seconds == pytest.approx(seconds, abs=1e-3)
    assert all(each.end <= found.seconds for each in found.segments)


def test_silence_is_background(model: Model) -> None:
    assert timeline(model, encoded(np.zeros(20 * RATE))).segments == ()


def test_windows_are_let_go_of(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Asked] = weakref.WeakSet()
    most = 0
    windows = Listener.windows

    def watched(self: Listener, content: Any) -> Iterator[Asked]:
        nonlocal most
        for item in windows(self, content):
            alive.add(item)
            most = max(most, len(alive))
            yield item

    monkeypatch.setattr(Listener, "windows", watched)
    found = timeline(model, encoded(np.tile(toy_scene(), 20)))
    assert len(found.starts) > 450
    assert most <= 4, "all windows of a long recording are held at once"
    assert len(found.segments) >= 35


def test_what_cannot_be_heard_is_told(model: Model, tmp_path: Path) -> None:
    (tmp_path / "note.wav").write_text("no sound")
    for source in (tmp_path / "note.wav", tmp_path / "nowhere.wav", b"", encoded(np.zeros(0))):
        with pytest.raises(DecodeError):
            timeline(model, source)


def test_listening_answers_like_the_timeline(model: Model) -> None:
    wave = toy_scene()
    moments = heard(model, wave, 800)
    starts = timeline(model, encoded(wave)).starts.tolist()
    assert [each.start for each in moments] == pytest.approx(starts)
    named = {label for each in moments if 1 < each.start < 3 for label in each.labels}
    assert named == {"hiss"}
    assert {label for each in moments if 8 < each.start < 10 for label in each.labels} == {"tone"}
    assert not any(each.labels for each in moments if 4.1 < each.start < 6)
    assert moments[0].to_json().keys() == {"start", "end", "labels", "probabilities"}


def heard(model: Model, wave: np.ndarray, size: int, rate: int = RATE) -> list[Moment]:
    return list(Listening(model, (wave[n : n + size] for n in range(0, len(wave), size)), rate))


@pytest.mark.parametrize("size", [160, 5_001, 200_000])
def test_the_portions_make_no_difference(model: Model, size: int) -> None:
    wave = toy_scene()[: 5 * RATE]
    for one, other in zip(heard(model, wave, size), heard(model, wave, 1600), strict=True):
        assert one.labels == other.labels
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-3)


def test_another_rate_is_resampled_on_the_way(model: Model) -> None:
    wave = resample(toy_sound("tone", 70, 5), RATE, 44_100)
    moments = heard(model, wave, 2_205, 44_100)
    assert {label for each in moments[3:] for label in each.labels} == {"tone"}
    assert moments[-1].end == pytest.approx(5, abs=0.01)


def test_how_fast_it_was_is_known(model: Model) -> None:
    listening = Listening(model, [toy_sound("tone", 71, 3)], RATE)
    count = sum(1 for _ in listening)
    assert listening.seconds == pytest.approx(3)
    assert len(listening.delays) == count == 6
    assert 0 < listening.real_time_factor < 5
    assert all(0 < delay < 60 for delay in listening.delays)


def test_nothing_comes(model: Model) -> None:
    listening = Listening(model, pcm(io.BytesIO(), RATE), RATE)
    assert list(listening) == []
    assert listening.real_time_factor == 0


@pytest.fixture(scope="module")
def mixing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with several labels: hiss, tone, or both."""
    folder = tmp_path_factory.mktemp("mixing")
    write_sounds(folder)
    lines = ["path,label"]
    lines += [f"{label}/{n:02d}.wav,{label}" for label in ("hiss", "tone", "clicks") for n in range(10)]
    for number in range(10):
        both = toy_sound("hiss", number) / 2 + toy_sound("tone", number)
        (folder / f"both{number}.wav").write_bytes(encoded(both))
        lines.append(f"both{number}.wav,hiss|tone")
    (folder / "all.csv").write_text("\n".join(lines))
    return hs.fit(hs.data.open(folder / "all.csv", target="labels"))


def test_labels_that_sound_at_once_overlap(mixing: Model) -> None:
    hiss, tone = toy_sound("hiss", 80, 8) / 2, toy_sound("tone", 80, 4)
    wave = hiss.copy()
    wave[4 * RATE :] += tone
    found = {each.label: each for each in timeline(mixing, encoded(wave)).segments}
    assert set(found) == {"hiss", "tone"}
    assert found["hiss"].end > found["tone"].start + 2
    moments = heard(mixing, wave, 1600)
    assert set(moments[-1].labels) == {"hiss", "tone"}


def test_numbers_have_no_timeline(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    rows = [f"{label}/{n:02d}.wav,{n + 0.5}" for label in ("hiss", "tone") for n in range(10)]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *rows]))
    model = hs.fit(hs.data.open(tmp_path / "all.csv", target="number"))
    with pytest.raises(OptionError, match="one for numbers"):
        timeline(model, encoded(toy_scene()))
