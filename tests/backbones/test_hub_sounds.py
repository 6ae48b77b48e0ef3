"""Sound encoders of transformers in a folder: the same numbers from the same wave, and bad folders."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from headstart import backbones
from headstart.audio.hearing import heard
from headstart.backbones.audio_backbone import AudioBackbone
from headstart.backbones.card import Waves
from headstart.engines.conversion import convert
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import BackboneError

_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_CONVS = {
    "conv_dim": (8, 8), "conv_stride": (20, 16), "conv_kernel": (20, 16), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "ast": ("ASTConfig", "ASTFeatureExtractor", {**_SMALL, "max_length": 128}, {"max_length": 128}),
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2FeatureExtractor", {**_SMALL, **_CONVS}, {}),
    "wav2vec2 stable": (
        "Wav2Vec2Config", "Wav2Vec2FeatureExtractor",
        {**_SMALL, **_CONVS, "do_stable_layer_norm": True, "feat_extract_norm": "layer"}, {},
    ),
    "hubert": ("HubertConfig", "Wav2Vec2FeatureExtractor", {**_SMALL, **_CONVS}, {}),
    "whisper": (
        "WhisperConfig", "WhisperFeatureExtractor",
        {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
         "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 60,
         "max_source_positions": 100, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
         "decoder_start_token_id": 1, "suppress_tokens": [], "begin_suppress_tokens": []},
        {"chunk_length": 2},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    yield
    logging.enable_progress_bar()
    logging.set_verbosity(verbosity)


def encoder(folder: Path, family: str) -> tuple[Any, Any]:
    """A random encoder and its front end, saved as transformers does."""
    import transformers

    config, front, changes, options = FAMILIES[family]
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(getattr(transformers, config)(**changes)).eval()
    model.save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 128 bands are more than 257 frequencies fill
        extractor = getattr(transformers, front)(**options)
    extractor.save_pretrained(folder)
    return model, extractor


def sound(seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(16_000 * seconds)) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.02, len(time))
    return (0.3 * np.sin(2 * np.pi * (300 + 500 * time) * time) + noise).astype(np.float32)


def encoded(wave: np.ndarray) -> bytes:
    soundfile.write(file := io.BytesIO(), wave, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_gets_the_numbers_that_transformers_gives(family: str, tmp_path: Path) -> None:
    model, extractor = encoder(tmp_path, family)
    backbone = backbones.load(f"hf:{tmp_path}")
    assert isinstance(backbone, AudioBackbone)
    assert backbone.card.modality == "audio"
    assert backbone.card.blocks[-2:] == ("layer1", "layer2")
    spec = backbone.spec
    wave = sound()
    patches = heard(encoded(wave), spec)
    assert len(patches) == 1
    theirs = extractor(wave, sampling_rate=16_000, return_tensors="np")
    values = next(iter(theirs.values()))[0]
    if family == "ast":
        mean, scale = extractor.mean, 2 * extractor.std
        np.testing.assert_allclose((patches[0] - mean) / scale, values, atol=2e-3)
    elif family == "whisper":
        np.testing.assert_allclose((patches[0].T + 4) / 4, values, atol=2e-3)
    else:
        np.testing.assert_allclose(patches[0][:16_000, 0], values, atol=1e-4)
        values = np.pad(values, (0, spec.size - len(values)))
    body = model.encoder if family == "whisper" else model
    with torch.no_grad():
        expected = body(torch.from_numpy(np.asarray(values, np.float32))[None])
        _, features = backbone(torch.from_numpy(np.stack(patches)))
    hidden = expected.last_hidden_state
    wanted = hidden[:, :2].mean(1) if family == "ast" else hidden.mean(1)
    np.testing.assert_allclose(features.numpy(), wanted.numpy(), atol=5e-3)


@pytest.mark.parametrize("family", ["ast", "wav2vec2", "whisper"])
def test_openvino_runs_it_and_it_can_be_cut(family: str, tmp_path: Path) -> None:
    encoder(tmp_path, family)
    backbone = backbones.load(f"hf:{tmp_path}")
    assert isinstance(backbone, AudioBackbone)
    patch = heard(encoded(sound()), backbone.spec)[0]
    engine = OpenVinoEngine(convert(backbone, backbone.card), "fp32", 1)
    with torch.no_grad():
        expected = backbone(torch.from_numpy(patch)[None])[1][0].numpy()
    np.testing.assert_allclose(engine.one(patch, ("features",))["features"], expected, atol=2e-3)
    early = backbone.cut("layer1")
    assert early.widths()["layer1"] == early.card.features == 16


@pytest.mark.parametrize("family", ["ast", "wav2vec2"])
def test_a_front_end_that_does_not_normalise_is_refused(family: str, tmp_path: Path) -> None:
    encoder(tmp_path, family)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": False}))
    with pytest.raises(BackboneError, match="normalise"):
        backbones.load(f"hf:{tmp_path}")


def test_longer_sounds_are_heard_in_windows_that_overlap_by_half(tmp_path: Path) -> None:
    encoder(tmp_path, "wav2vec2")
    backbone = backbones.load(f"hf:{tmp_path}")
    spec = backbone.card.preprocess
    assert isinstance(spec, Waves)
    assert [patch.shape for patch in heard(encoded(sound(7.6)), spec)] == [(80_000, 1)] * 3
