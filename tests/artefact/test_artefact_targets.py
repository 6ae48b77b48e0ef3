"""Models whose answers are several labels or a number: predicted, saved, loaded, exported, told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import FEATURES, LABELS, Tiny

from headstart import backbones
from headstart.artefact import export, load
from headstart.artefact.golden import TOLERANCE, Golden, choose_spread, tolerance
from headstart.artefact.model import Model
from headstart.artefact.prediction import predicted
from headstart.errors import ArtefactError, OptionError
from headstart.transfer.calibration import Calibration, Interval, Thresholds, sigmoid
from headstart.transfer.heads import Head

THRESHOLDS = Thresholds(0.8, (0.5, 0.4, 0.6))
INTERVAL = Interval(0.9, 2.5)


@pytest.fixture(scope="module")
def several(tiny: Tiny) -> Model:
    """A model that says "red" is class 2, "green" class 10 and "blue" both of the others."""
    weight, bias = tiny.head().layers[0]
    mixed = np.array([[1, -1, -1], [-1, 1, -1], [-1, 1, 1]], np.float32)
    return tiny.model(
        head=Head("linear", ((weight @ mixed, bias @ mixed - 1),)), calibration=THRESHOLDS, labels=LABELS
    )


@pytest.fixture(scope="module")
def numbers(tiny: Tiny) -> Model:
    """A model that says about 10 of red, 20 of green and 30 of blue."""
    weight, bias = tiny.head().layers[0]
    value = np.array([[10], [20], [30]], np.float32) / 8
    return tiny.model(
        head=Head("linear", ((weight @ value, bias @ value),)), calibration=INTERVAL, labels=("value",)
    )


def test_several_labels_are_those_above_their_thresholds(several: Model, tiny: Tiny) -> None:
    found = several.predict([*tiny.pictures, b"no picture"])
    sure = several.predict_proba(tiny.pictures)
    assert several.target == "labels"
    for answer, p in zip(found, sure, strict=False):
        expected = tuple(x for x, q, t in zip(LABELS, p, THRESHOLDS.thresholds, strict=True) if q >= t)
        assert (answer.labels, answer.label, answer.value) == (expected, None, None)
        assert answer.probabilities == dict(zip(LABELS, p.tolist(), strict=True))
        assert answer.to_json() == {
            "input": answer.input,
            "labels": list(expected),
            "probabilities": answer.probabilities,
        }
    assert [answer.labels for answer in found[:9:3]] == [(LABELS[0],), (LABELS[1],), LABELS[1:]]
    assert found[-1].labels is None
    assert set(found[-1].to_json()) == {"input", "error"}


def test_a_number_comes_with_its_interval(numbers: Model, tiny: Tiny) -> None:
    found = numbers.predict(tiny.pictures)
    values = np.array([answer.value for answer in found])
    np.testing.assert_allclose(values, np.repeat([10.0, 20.0, 30.0], 3), atol=3)
    for answer in found:
        assert answer.interval == pytest.approx((answer.value - 2.5, answer.value + 2.5))  # type: ignore[operator]
        assert set(answer.to_json()) == {"input", "value", "interval"}
        assert (answer.label, answer.labels, answer.probabilities) == (None, None, {})
    with pytest.raises(OptionError, match=r"\.value"):
        numbers.predict_proba(tiny.pictures)


def test_only_one_label_can_be_withheld(several: Model, numbers: Model, tiny: Tiny) -> None:
    for model in (several, numbers):
        with pytest.raises(OptionError, match="to abstain"):
            model.predict(tiny.pictures, abstain=True)


def test_saving_and_loading_keep_the_answers(
    several: Model, numbers: Model, tiny: Tiny, tmp_path: Path
) -> None:
    for model in (several, numbers):
        folder = model.save(tmp_path / f"{model.target}.headstart")
        again = load(folder)
        assert (again.target, again.calibration, again.labels) == (
            model.target,
            model.calibration,
            model.labels,
        )
        for before, after in zip(model.predict(tiny.pictures), again.predict(tiny.pictures), strict=True):
            assert after.labels == before.labels
            assert after.value == pytest.approx(before.value, abs=1e-3)
        assert again.save(folder) == folder


def test_what_the_json_says(several: Model, numbers: Model, tmp_path: Path) -> None:
    document = json.loads((several.save(tmp_path / "a") / "artefact.json").read_text())
    assert (document["target"], document["calibration"], document["abstain"]) == ("labels", None, None)
    assert document["thresholds"] == {"temperature": 0.8, "thresholds": [0.5, 0.4, 0.6]}
    assert document["golden"]["tolerance"] == TOLERANCE
    document = json.loads((numbers.save(tmp_path / "b") / "artefact.json").read_text())
    assert (document["target"], document["interval"]) == ("number", {"level": 0.9, "width": 2.5})
    assert document["labels"] == ["value"]
    assert [float(text) for text in document["golden"]["labels"]] == pytest.approx([10, 20, 30], abs=3)


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_exported_networks_answer_the_same(
    several: Model,
    numbers: Model,
    tiny: Tiny,
    tmp_path: Path,
    to: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backbones, "load", lambda name, offline=False: tiny.backbone)
    batch = np.stack([picture[2:18, 4:20] for picture in tiny.pictures])
    for model, last in ((several, "probabilities"), (numbers, "value")):
        written = export(model, tmp_path / model.target, to=to)
        compiled = openvino.Core().compile_model(str(written), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        assert compiled.outputs[-1].get_any_name() == last
        asked = model.predict([*batch])
        expected = [[x.value] if x.value is not None else list(x.probabilities.values()) for x in asked]
        np.testing.assert_allclose(compiled({"pixels": batch})[last], expected, atol=0.3)


def test_another_head_is_noticed(numbers: Model, several: Model, tmp_path: Path) -> None:
    golden = numbers.golden
    assert golden is not None
    golden.check(golden.probabilities + 0.9 * golden.tolerance, "a test")
    with pytest.raises(ArtefactError, match="a number by a test that is off by"):
        golden.check(golden.probabilities + 1.1 * golden.tolerance, "a test")
    labels = several.golden
    assert labels is not None
    # No argmax is looked at: two labels may both be there.
    Golden(labels.inputs, np.full((3, 3), 0.5), "labels").check(np.full((3, 3), 0.51), "a test")


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_golden_numbers_are_spread_out(values: list[float]) -> None:
    numbers = np.array(values)
    chosen = choose_spread(numbers)
    assert len(chosen) == len(set(chosen)) == min(4, len(values))
    if len(values) > 1:
        assert {numbers[chosen].min(), numbers[chosen].max()} == {numbers.min(), numbers.max()}
    assert tolerance(Interval(0.9, 0.0), numbers[:, None]) > 0  # also where all is the same


def test_cards_say_what_the_answers_are(several: Model, numbers: Model) -> None:
    assert "Says which of 3 labels" in several.card
    assert "sigmoid(logits / 0.8)" in several.card
    assert "class 10 0.4" in several.card
    assert ".labels\n" in several.card
    assert "Estimates a number" in numbers.card
    assert "its interval goes 2.5 to either side" in numbers.card
    assert "## Labels" not in numbers.card
    assert "grid, features and value" in numbers.card
    assert "a number" in repr(numbers)
    assert "3 labels" in repr(several)
    assert "a number" in numbers._repr_html_()


@settings(deadline=None, max_examples=50)
@given(logits=st.lists(st.floats(-20, 20), min_size=3, max_size=3), temperature=st.floats(0.1, 10))
def test_predictions_follow_the_calibration(logits: list[float], temperature: float) -> None:
    calibration = Thresholds(temperature, (0.2, 0.5, 0.9))
    answers = calibration.answers(np.array([logits]))[0]
    np.testing.assert_allclose(answers, sigmoid(np.array(logits), temperature))
    found = predicted("x", answers, "abc", calibration)
    assert found.labels == tuple(x for x, p, t in zip("abc", answers, (0.2, 0.5, 0.9), strict=True) if p >= t)
    assert {Calibration.target, Thresholds.target, Interval.target} == {"label", "labels", "number"}


def test_a_head_of_another_width_is_refused(numbers: Model, tiny: Tiny, tmp_path: Path) -> None:
    wide = tiny.model(calibration=INTERVAL, labels=("value",), golden=False)
    wide.golden = numbers.golden
    with pytest.raises(ArtefactError):
        wide.save(tmp_path / "wide")
    assert wide.head.layers[0][0].shape == (FEATURES, 3)
    assert not (tmp_path / "wide").exists()
