"""Evidence in sounds lies where what decides lies, in seconds and in Hz; long, silent and damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bursts import LENGTH, burst, fit_bursts
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import headstart as hs
from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.audio.hearing import heard
from headstart.backbones import load
from headstart.backbones.card import Waves
from headstart.engines.conversion import backbone_ir
from headstart.errors import DecodeError, OptionError
from headstart.explain import sound_gradients
from headstart.explain.explaining import explain
from headstart.explain.explanation import SoundExplanation
from headstart.explain.following import Followed
from headstart.explain.sounds import explain_sound, in_cells
from headstart.transfer.calibration import Abstention, Calibration, Conformal
from headstart.transfer.heads import Head
from toy_sounds import RATE, encoded

pytestmark = pytest.mark.usefixtures("one_thread")

AT, HERTZ = 2.3, 700.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> hs.Model:
    return fit_bursts(tmp_path_factory.mktemp("bursts") / "sounds")


@pytest.fixture(scope="module")
def sound() -> bytes:
    return encoded(burst(100, AT, HERTZ, 4.0))


@pytest.fixture(scope="module", params=["occlusion", "gradients"])
def found(model: hs.Model, sound: bytes, request: pytest.FixtureRequest) -> SoundExplanation:
    return explain_sound(model, sound, method=request.param, label="tone")


def test_the_evidence_is_where_the_tone_is(found: SoundExplanation) -> None:
    assert found.peak is not None
    start, end = found.moment()
    assert AT - 0.3 < start < end < AT + LENGTH + 0.3
    assert found.hertz is not None
    # A band's centre is told, and a cell is a few bands.
    low, high = found.band()  # type: ignore[misc]
    assert low - 200 < HERTZ < high + 200


def test_without_the_top_region_the_answer_falls(found: SoundExplanation) -> None:
    assert found.check is not None
    assert found.check.fall > 0.1
    assert found.check.confidence < found.confidence
    assert found.check.what == found.place


def test_the_evidence_is_as_long_as_the_sound(found: SoundExplanation) -> None:
    assert found.evidence.shape == found.spectrogram.shape
    assert found.evidence.shape == (Waves().frames(4 * RATE), 64)
    assert found.seconds == pytest.approx(4, abs=0.05)
    assert np.isfinite(found.evidence).all()


def test_gradients_add_up_to_what_the_networks_say_above_quiet(model: hs.Model, sound: bytes) -> None:
    (network,) = sound_gradients.networks(model, True)
    patch = heard(sound, Waves())[4]
    quiet = np.quantile(patch, 0.1, 0)
    with torch.no_grad():
        both = torch.from_numpy(np.stack([patch, np.broadcast_to(quiet, patch.shape)]).astype(np.float32))
        features = network(both)[1]
    ((slope,),) = Followed(model, 1).slopes({model.network: features[:1].numpy()})
    there, usual = features.double().numpy() @ slope
    brought = sound_gradients.integrated(network, patch, quiet, slope, steps=64)
    assert brought.sum() == pytest.approx(there - usual, rel=0.05)


def test_random_weights_destroy_the_map(model: hs.Model, sound: bytes) -> None:
    before = explain_sound(model, sound, method="gradients", label="tone").evidence
    (network,) = sound_gradients.networks(model, True)
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.empty_like(parameter).normal_(0, 0.05, generator=generator))
        after = explain_sound(model, sound, method="gradients", label="tone").evidence
    finally:
        network.load_state_dict(kept)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.3


def test_an_answer_is_that_of_the_model(model: hs.Model, sound: bytes) -> None:
    (wanted,) = model.predict([sound])
    found = explain(model, sound)
    assert (found.label, found.name) == (wanted.label, "input 1")
    assert found.confidence == pytest.approx(wanted.confidence, abs=1e-3)
    both = [explain_sound(model, sound, label=label).confidence for label in model.labels]
    assert sum(both) == pytest.approx(1)


def test_of_a_long_recording_the_strongest_moment_is_explained(model: hs.Model) -> None:
    wave = np.concatenate([burst(n, 1.0 if n == 7 else None, seconds=10.0) for n in range(10)])
    found = explain_sound(model, encoded(wave, "FLAC"), label="tone", name="long")
    assert found.seconds < 31
    assert found.start < 71 < found.start + found.seconds
    assert found.moment()[0] == pytest.approx(71, abs=0.5)
    assert "of 100 seconds" in found.method
    assert found.shown().shape[1] > 600


@pytest.mark.parametrize("seconds", [0.05, 0.4, 0.975, 1.3])
def test_short_sounds_are_explained(model: hs.Model, seconds: float) -> None:
    found = explain_sound(model, encoded(burst(5, seconds=seconds)))
    assert found.seconds == pytest.approx(seconds, abs=0.04)
    assert found.evidence.shape == found.spectrogram.shape
    assert found.shown().dtype == np.uint8


def test_of_silence_nothing_speaks_for_anything(model: hs.Model, tmp_path: Path) -> None:
    found = explain_sound(model, encoded(np.zeros(2 * RATE)))
    assert found.peak is None
    assert (found.top, found.check, found.share) == ("nothing speaks for it", None, 0.0)
    found.save(tmp_path / "silence.html")
    assert "nothing speaks for it" in (tmp_path / "silence.html").read_text()


def test_what_is_no_sound_is_told_with_its_name(model: hs.Model, sound: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF" + sound[40:80])
    for source in (tmp_path / "broken.wav", tmp_path / "absent.wav"):
        with pytest.raises(DecodeError, match=source.name):
            explain(model, source)
    with pytest.raises(DecodeError):
        explain(model, b"The man went home.")


def test_wrong_methods_labels_and_models_are_refused(model: hs.Model, sound: bytes) -> None:
    with pytest.raises(OptionError, match="gradients"):
        explain(model, sound, method="gradcam")
    with pytest.raises(OptionError, match="noise"):
        explain(model, sound, label="dog")
    members = model.members
    front = members[0].front_end
    other = type(front)(Waves(step=24), front.kernel)
    model.members = (members[0], type(members[0])(other, *list(vars(members[0]).values())[1:]))
    try:
        with pytest.raises(OptionError, match="2 kinds of input"):
            explain_sound(model, sound)
    finally:
        model.members = members


def test_it_is_saved_as_picture_page_and_json(found: SoundExplanation, tmp_path: Path) -> None:
    for ending in ("png", "html", "json"):
        found.save(tmp_path / f"why.{ending}")
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.size[0] > 1000
    assert "Without it" in (tmp_path / "why.html").read_text()
    told = json.loads((tmp_path / "why.json").read_text())
    assert {"label", "confidence", "moment", "band", "share", "check", "method"} < set(told)
    assert 0 < told["share"] <= 1


@given(rows=st.integers(1, 40), bands=st.integers(1, 20), frames=st.integers(1, 12), each=st.integers(1, 8))
@settings(deadline=None, max_examples=40)
def test_in_cells_the_sum_stays(rows: int, bands: int, frames: int, each: int) -> None:
    evidence = np.random.default_rng(rows).standard_normal((rows, bands))
    found = in_cells(evidence, frames, each)
    assert found.shape == evidence.shape
    assert found.sum() == pytest.approx(evidence.sum(), abs=1e-9)
    assert np.ptp(found[:frames, :each]) == pytest.approx(0)


@pytest.fixture
def waves(tmp_path: Path) -> Model:
    """A network with random weights that hears the wave itself, in windows of five seconds."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    convolutions = {"conv_dim": (8, 8), "conv_stride": (20, 16), "conv_kernel": (20, 16)}
    more = {"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    config = transformers.Wav2Vec2Config(**small, **convolutions, **more)
    transformers.Wav2Vec2Model(config).eval().save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    logging.enable_progress_bar()
    backbone = load(f"hf:{tmp_path}")
    card, generator = backbone.card, np.random.default_rng(0)
    head = Head("linear", ((generator.standard_normal((16, 2)).astype(np.float32), np.zeros(2, np.float32)),))
    return Model(
        labels=("noise", "tone"),
        modality="audio",
        front_end=FrontEnd(card.preprocess),
        backbone=card,
        network=backbone_ir(card, lambda: backbone),
        head=head,
        calibration=Calibration(1.0, Conformal(0.9, 0.2), Abstention(0.99, 0.6, 0.8)),
        precision="fp32",
    )


@pytest.mark.parametrize("method", ["occlusion", "gradients"])
def test_of_waves_there_are_moments_and_no_pitches(waves: Model, method: str) -> None:
    found = explain_sound(waves, encoded(burst(1, 6.0, seconds=7.0)), method=method)
    assert found.band() is None
    assert "Hz" not in found.place
    assert found.seconds == pytest.approx(7, abs=0.05)
    assert found.evidence.shape == found.spectrogram.shape
    assert np.ptp(found.evidence, axis=1).max() == pytest.approx(0, abs=1e-9)
    assert np.abs(found.evidence).max() > 0
    assert found.shown().shape[1] > 600


def test_followed_slopes_are_those_of_the_windows(model: hs.Model, sound: bytes) -> None:
    rows = {model.network: np.random.default_rng(0).random((3, model.backbone.features), np.float32)}
    followed = Followed(model, 0)
    (slopes,) = followed.slopes(rows)
    moved = {model.network: rows[model.network] + np.float32(1e-2) * slopes.astype(np.float32)}
    assert followed.score(moved) > followed.score(rows)
