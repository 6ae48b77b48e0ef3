"""A model for sounds outside of headstart: exported, and checked on what it is sure of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.audio.hearing import heard
from headstart.engines.openvino_engine import OpenVinoEngine
from toy_sounds import encoded, toy_sound


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_the_network_answers_other_programs_about_patches(noises: Path, to: str, tmp_path: Path) -> None:
    model = hs.load(noises)
    file = hs.export(model, tmp_path / "network", to)
    engine = OpenVinoEngine(file, "fp32", 1)
    sound = encoded(toy_sound("tone", 77))
    patches = heard(sound, model.front_end.preprocess)
    shares = np.mean([engine.one(patch, ("probabilities",))["probabilities"] for patch in patches], axis=0)
    assert model.labels[int(shares.argmax())] == model.predict([sound])[0].label == "tone"


def test_golden_vectors_are_no_silence(noises: Path) -> None:
    model = hs.load(noises)
    silence = np.zeros(32_000, np.float32)
    sound = np.concatenate([silence, toy_sound("tone", 78)])
    model.record_golden([encoded(sound)])
    assert model.golden is not None
    assert np.ptp(model.golden.inputs[0]) > 1
    alone = hs.load(noises)
    alone.record_golden([encoded(toy_sound("tone", 78))])
    assert alone.golden is not None
    assert model.golden.probabilities.max() == pytest.approx(alone.golden.probabilities.max(), abs=0.05)
