"""The picture of a caption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.studio.caption.captioner import Caption
from headstart.studio.caption.strip import lights, lit, strip


def caption(words: list[str], attention: np.ndarray | None = None) -> Caption:
    logs = tuple(-0.1 * (n + 1) for n in range(len(words)))
    return Caption("photo.jpg", " ".join(words), tuple(words), sum(logs), logs, attention)


def looking(words: int, cell: tuple[int, int]) -> np.ndarray:
    attention = np.zeros((words, 7, 7), np.float32)
    attention[(slice(None), *cell)] = 1
    return attention


def test_what_is_looked_at_is_light():
    grey = np.full((70, 140, 3), 200, np.uint8)
    seen = lit(grey, lights(looking(1, (0, 6)))[0])
    assert seen.shape == grey.shape
    assert seen[2, 137].min() > 190
    assert seen[35:, :70].max() < 50  # 0.2 of 200, and the filter's edges


def test_looking_nowhere_in_particular_is_half_light():
    even = np.full((1, 7, 7), 1 / 49, np.float32)
    assert np.allclose(lights(even), 0.5)
    assert np.allclose(lights(np.zeros((2, 7, 7), np.float32)), 0.5)
    both = lights(np.concatenate([even, looking(1, (3, 3))]))
    assert np.allclose(both[0], 0.5)
    assert both[1, 3, 3] == 1
    assert both[1, 0, 0] == 0


def test_slight_preferences_are_seen_and_noise_is_not_blown_up():
    attention = np.full((1, 7, 7), 1.0, np.float32)
    attention[0, 2, 2] = 1.3
    light = lights(attention)[0]
    assert light[2, 2] == 1
    assert 0.4 < light[0, 0] < 0.5
    attention[0, 2, 2] = 1.01
    assert 0.5 < lights(attention)[0, 2, 2] < 0.56


def test_a_strip_shows_every_word_with_its_place():
    white = np.full((100, 150, 3), 255, np.uint8)
    words = ["a", "dog", "runs"]
    drawn = strip(white, caption(words, looking(3, (3, 3))))
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] == 10 + 4 * 160  # four cells: the photograph and three words
    dark = (drawn.max(2) < 120).mean(0)  # share of dark pixels in each column
    whole, first = dark[10:160], dark[170:320]
    assert whole.mean() < 0.1 < first.mean()


def test_more_words_than_fit_go_into_rows():
    photo = np.full((100, 150, 3), 255, np.uint8)
    few = strip(photo, caption(["a"] * 4, looking(4, (0, 0))))
    many = strip(photo, caption(["a"] * 12, looking(12, (0, 0))))
    assert many.shape[1] == few.shape[1]  # five beside each other
    assert many.shape[0] > 2.4 * few.shape[0]


def test_without_attention_the_photograph_is_shown_once():
    photo = np.full((300, 400, 3), 90, np.uint8)
    short = strip(photo, caption(["a", "dog"]))
    long = strip(photo, caption(["a", "dog", "and", "another"] * 4))
    assert short.shape[1] == long.shape[1] == 500
    assert long.shape[0] > short.shape[0] > 300
    assert (np.abs(short.astype(int) - 90) < 2).all(2).sum() >= 300 * 400


@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    words=st.lists(st.sampled_from(["a", "dog", "ünïcode", "w" * 60]), min_size=0, max_size=14),
    attends=st.booleans(),
)
def test_every_photograph_and_caption_can_be_drawn(height, width, words, attends):
    photo = np.zeros((height, width, 3), np.uint8)
    drawn = strip(photo, caption(words, looking(len(words), (1, 1)) if attends else None))
    assert drawn.ndim == 3
    assert drawn.shape[2] == 3
    assert drawn.shape[1] <= 1100


@pytest.mark.parametrize("attends", [True, False])
def test_the_words_are_really_written(attends):
    photo = np.full((60, 200, 3), 255, np.uint8)
    drawings = [
        strip(photo, caption([word], np.ones((1, 7, 7), np.float32) if attends else None))
        for word in ("dog", "cat")
    ]
    assert drawings[0].shape == drawings[1].shape
    assert (drawings[0] != drawings[1]).any()
