"""Distorted patches of sounds: what each distortion does, and that only the key decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.augment import augment, count
from headstart.audio.augmentation import LIGHT, NONE, PRESETS, STANDARD, STRONG, AudioAugmentation, preset
from headstart.audio.decode import decode
from headstart.audio.hearing import hear
from headstart.backbones.card import Waves
from headstart.errors import OptionError
from toy_sounds import RATE, encoded, toy_sound

SPEC = Waves()
SAMPLES = Waves(front="wave", size=4000, step=2000, window=1, hop=1, fft=1, bands=1)
KEY = (3, 1, 7)


def tone(hertz: float, seconds: float = 3.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def loudest_band(patch: np.ndarray) -> int:
    return int(patch.mean(0).argmax())


@settings(deadline=None, max_examples=25)
@given(seconds=st.floats(0.001, 3), size=st.integers(1, 120), step=st.integers(1, 60))
def test_undistorted_patches_are_those_that_are_answered_from_each_once(
    seconds: float, size: int, step: int
) -> None:
    spec = Waves(size=size, step=min(step, size))
    file = encoded(toy_sound("hiss", 1, seconds))
    wave = decode(file, spec.rate).wave
    plain = np.stack(list(hear(file, spec)))
    assert plain.shape == (count(len(wave), spec), size, SPEC.bands)
    drawn = [augment(wave, spec, NONE, (0, view, 5)) for view in range(len(plain))]
    order = [int(np.abs(plain - each).max((1, 2)).argmin()) for each in drawn]
    assert sorted(order) == list(range(len(plain)))
    np.testing.assert_allclose(drawn, plain[order], atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    seconds=st.floats(0.01, 2.5),
    name=st.sampled_from(sorted(PRESETS)),
    key=st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(0, 2**60)),
    spec=st.sampled_from([SPEC, Waves(size=10, step=7), SAMPLES]),
)
def test_the_key_decides_and_nothing_else(
    seconds: float, name: str, key: tuple[int, int, int], spec: Waves
) -> None:
    wave = toy_sound("hiss", 2, seconds)
    before = wave.copy()
    one, other = (augment(wave, spec, PRESETS[name], key) for _ in range(2))
    assert one.dtype == np.float32
    assert one.shape == (spec.size, spec.bands)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(wave, before)


def test_another_seed_view_or_item_is_distorted_otherwise() -> None:
    wave = toy_sound("hiss", 2)
    first = augment(wave, SPEC, STANDARD, (0, 0, 0))
    for key in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert np.abs(augment(wave, SPEC, STANDARD, key) - first).max() > 0.1


def test_pitch_moves_the_bands_and_stretch_does_not() -> None:
    wave = tone(1000)
    plain = loudest_band(augment(wave, SPEC, NONE, KEY))
    pitched = [loudest_band(augment(wave, SPEC, AudioAugmentation(pitch=12), (0, n, 0))) for n in range(20)]
    assert min(pitched) < plain - 3
    assert max(pitched) > plain + 3
    for n in range(5):
        assert loudest_band(augment(wave, SPEC, AudioAugmentation(stretch=1), (0, n, 0))) == plain


def test_stretch_changes_how_often_something_happens() -> None:
    wave = np.zeros(5 * RATE, np.float32)
    wave[:: RATE // 10] = 0.9  # ten clicks a second
    clicks = []
    for n in range(20):
        loud = augment(wave, Waves(size=300, step=150), AudioAugmentation(stretch=0.5), (0, n, 0)).mean(1)
        edges = np.diff((loud > loud.mean()).astype(int))
        clicks.append(int((edges > 0).sum()))
    assert min(clicks) < 25
    assert max(clicks) > 36


def test_a_short_sound_is_moved_within_its_patch() -> None:
    wave = tone(800, 0.3)
    wave[RATE // 20 :] *= 0.01  # what fills up is as quiet as the quietest
    room = SPEC.size - SPEC.frames(len(wave))

    def place(patch: np.ndarray) -> int:
        return int(np.flatnonzero(patch.max(1) > patch.max() - 1)[0])

    places = {place(augment(wave, SPEC, AudioAugmentation(shift=1), (0, n, 0))) for n in range(30)}
    assert min(places) < 15
    assert room - 15 < max(places) <= room
    assert place(augment(wave, SPEC, replace(LIGHT, shift=0), KEY)) == 0


def test_gain_and_noise() -> None:
    loud = [float(augment(tone(500), SPEC, AudioAugmentation(gain=12), (0, n, 0)).max()) for n in range(20)]
    plain = float(augment(tone(500), SPEC, NONE, KEY).max())
    assert min(loud) < plain - 0.5
    assert max(loud) > plain + 0.5
    assert max(loud) - plain < 12 / 20 * np.log(10) + 0.1
    quiet = augment(tone(500), SPEC, NONE, KEY)[:, 40:].mean()
    assert augment(tone(500), SPEC, AudioAugmentation(noise=1), KEY)[:, 40:].mean() > quiet + 1


@pytest.mark.parametrize(("name", "axis"), [("time_mask", 0), ("band_mask", 1)])
def test_masks_hide_one_stretch(name: str, axis: int) -> None:
    wave = toy_sound("hiss", 3)
    hidden = []
    for n in range(20):
        patch = augment(wave, SPEC, AudioAugmentation(**{name: 0.5}), (0, n, 0))
        flat = np.flatnonzero(patch.std(1 - axis) < 1e-4)
        assert len(flat) == 0 or len(flat) == flat[-1] - flat[0] + 1
        hidden.append(len(flat))
    assert max(hidden) > patch.shape[axis] * 0.3
    assert max(hidden) <= patch.shape[axis] * 0.5


def test_one_distortion_more_leaves_the_others_as_they_were() -> None:
    wave = tone(900)
    one = augment(wave, SPEC, AudioAugmentation(gain=6), KEY)
    both = augment(wave, SPEC, AudioAugmentation(gain=6, time_mask=0.2), KEY)
    same = np.abs(one - both).max(1) < 1e-6
    assert same.mean() >= 0.79


@pytest.mark.parametrize("key", [(-1, 0, 0), (0, -1, 0), (0, 0)])
def test_bad_keys(key: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="seed, view and item"):
        augment(tone(500), SPEC, NONE, key)  # type: ignore[arg-type]


def test_no_sound() -> None:
    with pytest.raises(OptionError, match="without samples"):
        augment(np.empty(0, np.float32), SPEC, NONE, KEY)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"flip": 0.5}, "flip"),
        ("standard", "shift, gain"),
        ({"gain": -1}, "gain from 0 to 60"),
        ({"pitch": True}, "pitch"),
        ({"stretch": "fast"}, "stretch"),
    ],
)
def test_descriptions_that_make_no_sense(value: object, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        AudioAugmentation.from_json(value)


def test_presets_and_words() -> None:
    assert preset("strong") is STRONG
    assert NONE.words() == "nothing"
    assert STANDARD.words().startswith("shift 1, gain 6")
    assert AudioAugmentation.from_json({"gain": 3}) == AudioAugmentation(gain=3)
    with pytest.raises(OptionError, match="none, light, standard, strong"):
        preset("loud")
