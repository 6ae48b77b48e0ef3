"""From windows' answers to segments: what holds for any answers, and what single rules do."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.timeline import SWITCH, Course, Segment, Timeline, segments, window_starts
from headstart.errors import OptionError

LENGTH, STEP = 0.975, 0.48
LABELS = ("dog", "rain", "bell")


def answers(*parts: tuple[int, tuple[float, float, float]]) -> np.ndarray:
    """So many windows with these probabilities, part after part."""
    return np.concatenate([np.tile(row, (count, 1)) for count, row in parts])


def found(probabilities: np.ndarray, **options: object) -> tuple[Segment, ...]:
    seconds = (len(probabilities) - 1) * STEP + LENGTH
    starts = window_starts(len(probabilities), STEP, LENGTH, seconds)
    options = {"least": [0.7] * 3, **options}
    return segments(starts, LENGTH, seconds, probabilities, LABELS, **options)


UNSURE, DOG, RAIN = (0.34, 0.33, 0.33), (0.98, 0.01, 0.01), (0.01, 0.98, 0.01)


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(1, 40),
    seed=st.integers(0, 1000),
    sharp=st.floats(0.1, 12),
    least=st.floats(0, 1),
    overlapping=st.booleans(),
    loud=st.booleans(),
)
def test_what_holds_for_any_answers(
    rows: int, seed: int, sharp: float, least: float, overlapping: bool, loud: bool
) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, sharp, (rows, 3))
    shares = 1 / (1 + np.exp(-logits))
    if not overlapping:
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    levels = generator.normal(-40, 10, rows) if loud else None
    seconds = (rows - 1) * STEP + LENGTH
    some = found(shares, least=[least] * 3, overlapping=overlapping, levels=levels)
    assert list(some) == sorted(some, key=lambda each: (each.start, each.end, each.label))
    for each in some:
        assert 0 <= each.start < each.end <= seconds
        assert least <= each.confidence <= 1
        assert each.label in LABELS
    for label in [[each] for each in LABELS] if overlapping else [LABELS]:
        its = [each for each in some if each.label in label]
        assert all(one.end <= other.start for one, other in itertools.pairwise(its))
    if overlapping:  # whether one label sounds has nothing to do with the others
        alone = np.stack([shares[:, 1], *np.zeros((2, rows))], 1)
        again = found(alone[:, [1, 0, 2]], least=[least] * 3, overlapping=True, levels=levels)
        assert [each for each in some if each.label == "rain"] == [
            each for each in again if each.label == "rain"
        ]


@settings(deadline=None, max_examples=40)
@given(
    odds=st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=6),
)
def test_the_course_is_the_best_one_of_all(odds: list[tuple[float, float]]) -> None:
    def score(path: tuple[int, ...]) -> float:
        entered = sum(now not in (0, before) for before, now in itertools.pairwise((0, *path)))
        return sum(row[state - 1] for row, state in zip(odds, path, strict=True) if state) - SWITCH * entered

    course = Course(2)
    came = [course.step(np.array(row)) for row in odds]
    path = [course.state]
    for each in reversed(came[1:]):
        path.insert(0, int(each[path[0]]))
    best = max(score(each) for each in itertools.product(range(3), repeat=len(odds)))
    assert score(tuple(path)) == pytest.approx(best)


def test_two_sounds_with_background_between() -> None:
    first, second = found(answers((8, UNSURE), (10, DOG), (8, UNSURE), (6, RAIN), (5, UNSURE)))
    assert (first.label, second.label) == ("dog", "rain")
    assert first.start == pytest.approx(8 * STEP + LENGTH / 2 - STEP / 2, abs=STEP)
    assert first.end == pytest.approx(18 * STEP + LENGTH / 2 - STEP / 2, abs=STEP)
    assert first.confidence > 0.95


def test_a_sound_follows_another_without_a_pause() -> None:
    first, second = found(answers((8, DOG), (8, RAIN)))
    assert (first.start, first.end) == (0, second.start)
    assert second.end == pytest.approx(15 * STEP + LENGTH)


def test_a_single_window_neither_makes_a_segment_nor_cuts_one() -> None:
    assert found(answers((9, UNSURE), (1, (0.9, 0.05, 0.05)), (9, UNSURE))) == ()
    (whole,) = found(answers((9, DOG), (1, UNSURE), (9, DOG)))
    assert (whole.start, whole.label) == (0, "dog")


def test_the_same_sound_after_less_than_a_second_is_one_after_more_another() -> None:
    assert len(found(answers((9, DOG), (2, (0.02, 0.49, 0.49)), (9, DOG)))) == 1
    assert len(found(answers((9, DOG), (9, (0.02, 0.49, 0.49)), (9, DOG)))) == 2


def test_what_the_model_would_abstain_from_is_background() -> None:
    rather = answers((12, (0.8, 0.1, 0.1)))
    assert len(found(rather, least=[0.75] * 3)) == 1
    assert found(rather, least=[0.85] * 3) == ()


def test_what_hardly_stands_out_must_be_surer() -> None:
    levels = np.repeat([-60.0, -20.0, -60.0], 10)
    probabilities = answers((30, (0.9, 0.05, 0.05)))
    (loud,) = found(probabilities, levels=levels)
    assert 9 * STEP < loud.start < loud.end < 22 * STEP
    (steady,) = found(probabilities, levels=np.linspace(-33, -29, 30))
    assert steady.end == pytest.approx(29 * STEP + LENGTH)
    assert found(probabilities, levels=np.full(30, np.nan)) == found(probabilities)


def test_several_labels_may_sound_at_once() -> None:
    both = found(answers((10, (0.95, 0.02, 0.02)), (10, (0.95, 0.9, 0.02))), overlapping=True)
    assert [each.label for each in both] == ["dog", "rain"]
    assert both[0].end == both[1].end > both[1].start > both[0].start


def test_a_recording_that_is_shorter_than_a_window() -> None:
    (only,) = segments(np.zeros(1), LENGTH, 0.2, np.array([[0.99, 0.01]]), ("a", "b"), [0.5, 0.5])
    assert (only.start, only.end) == (0, 0.2)
    assert segments(np.zeros(0), LENGTH, 0.2, np.zeros((0, 2)), ("a", "b"), [0.5, 0.5]) == ()


def test_the_last_window_ends_with_the_recording() -> None:
    assert window_starts(4, STEP, LENGTH, 2.0).tolist() == pytest.approx([0, 0.48, 0.96, 1.025])
    assert window_starts(1, STEP, LENGTH, 0.1).tolist() == [0]


def test_answers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OptionError, match="a threshold for each label"):
        segments(np.zeros(2), LENGTH, 2.0, np.zeros((3, 2)), ("a", "b"), [0.5, 0.5])
    with pytest.raises(OptionError, match="1 thresholds"):
        segments(np.zeros(3), LENGTH, 2.0, np.zeros((3, 2)), ("a", "b"), [0.5])


@pytest.fixture
def timeline() -> Timeline:
    probabilities = answers((8, DOG), (8, RAIN))
    named = [Segment(0.0, 4.0875, 'a "dog",\tbarking', 0.98765), Segment(4.0875, 8.175, "rain", 0.5)]
    starts = window_starts(16, STEP, LENGTH, 8.175)
    return Timeline("yard.wav", 8.175, tuple(named), LABELS, starts, LENGTH, probabilities)


def test_a_timeline_as_files(timeline: Timeline, tmp_path: Path) -> None:
    paths = timeline.save(tmp_path / "new", "yard.1")
    assert [path.name for path in paths] == ["yard.1.json", "yard.1.csv", "yard.1.txt"]
    whole, rows, labels = (path.read_text(encoding="utf-8") for path in paths)
    value = json.loads(whole)
    assert value == timeline.to_json(windows=True)
    assert value["segments"][1] == {"start": 4.088, "end": 8.175, "label": "rain", "confidence": 0.5}
    assert len(value["windows"]["starts"]) == len(value["windows"]["probabilities"]) == 16
    assert [row["label"] for row in csv.DictReader(io.StringIO(rows))] == ['a "dog",\tbarking', "rain"]
    assert labels.splitlines() == ['0.000000\t4.087500\ta "dog", barking', "4.087500\t8.175000\train"]


def test_json_without_windows_is_short(timeline: Timeline) -> None:
    assert set(timeline.to_json()) == {"input", "seconds", "segments"}
