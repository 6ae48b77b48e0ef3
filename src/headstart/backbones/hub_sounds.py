"""Sound encoders of transformers, from the hub or a folder, as ordered blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from headstart.backbones.audio_backbone import AudioBackbone
from headstart.backbones.backbone import AveragePool
from headstart.backbones.card import Waves
from headstart.backbones.hub_cards import hub_card
from headstart.errors import BackboneError

KINDS = ("audio-spectrogram-transformer", "wav2vec2", "hubert", "whisper")
"""The families that are understood, by their `model_type`."""
ABSENT = {"masked_spec_embed"}
"""Weights that a file may lack: only pretraining uses them."""
_WINDOW = 5
"""Seconds in a patch of what hears waves of any length."""
_HEARD = 600
"""Seconds of one sound that are heard at most, spread evenly."""


def build(name: str, config: Mapping[str, Any], settings: Mapping[str, Any], model: Any) -> AudioBackbone:
    """Cut an encoder into blocks.

    Args:
        name: What `load` was called with, without "hf:", str.
        config: Content of its config.json.
        settings: Content of its preprocessor_config.json.
        model: The model, loaded by transformers.

    Returns:
        The AudioBackbone; its features are the mean over time, of AST its two summarising tokens.

    Raises:
        BackboneError: Its front end is none that is understood.
    """
    kind = str(config["model_type"])
    pool: nn.Module = AveragePool()
    if kind == "whisper":
        spec, blocks = _whisper(settings, model.encoder)
    elif kind == "audio-spectrogram-transformer":
        spec, blocks = _ast(name, settings, model)
        pool = _FirstTwo()
    else:
        spec, blocks = _waves(name, settings, model)
    features = int(config.get("d_model") or config["hidden_size"])
    card = hub_card(name, config, spec, blocks, pool, features, modality="audio")
    return AudioBackbone(card, blocks, pool)


def _ast(name: str, settings: Mapping[str, Any], model: Any) -> tuple[Waves, dict[str, nn.Module]]:
    size, rate = int(settings.get("max_length", 1024)), int(settings.get("sampling_rate", 16_000))
    if not settings.get("do_normalize", True):
        raise _other(name, "spectrograms that are not normalised")
    spec = Waves(
        "ast", size, size // 2, rate, bands=int(settings.get("num_mel_bins", 128)),
        lowest=20.0, highest=rate / 2, rows=max(1, _HEARD * rate // 160 // (size // 2)),
    )  # fmt: skip
    mean, std = float(settings.get("mean", -4.2677393)), float(settings.get("std", 4.5689974))
    blocks: dict[str, nn.Module] = {"embeddings": _AstStart(model.embeddings, mean, 2 * std)}
    return spec, blocks | _layers(model.layers, model.layernorm)


def _waves(name: str, settings: Mapping[str, Any], model: Any) -> tuple[Waves, dict[str, nn.Module]]:
    rate = int(settings.get("sampling_rate", 16_000))
    if not settings.get("do_normalize", True):
        raise _other(name, "waves that are not normalised")
    size = _WINDOW * rate
    spec = Waves(
        "wave", size, size // 2, rate, window=1, hop=1, fft=1, bands=1,
        lowest=0.0, highest=rate / 2, rows=_HEARD * rate // (size // 2),
    )  # fmt: skip
    stable = bool(model.config.do_stable_layer_norm)
    norm = model.encoder.layer_norm
    start = _WaveStart(model, None if stable else norm)
    return spec, {"features": start} | _layers(model.encoder.layers, norm if stable else None)


def _whisper(settings: Mapping[str, Any], encoder: Any) -> tuple[Waves, dict[str, nn.Module]]:
    rate, hop = int(settings.get("sampling_rate", 16_000)), int(settings.get("hop_length", 160))
    window = int(settings.get("n_fft", 400))
    size = 2 * int(encoder.config.max_source_positions)
    spec = Waves(
        "whisper", size, size // 2, rate, window, hop, window, int(encoder.config.num_mel_bins),
        lowest=0.0, highest=rate / 2, rows=max(1, _HEARD * rate // hop // (size // 2)),
    )  # fmt: skip
    blocks: dict[str, nn.Module] = {"embeddings": _WhisperStart(encoder)}
    return spec, blocks | _layers(encoder.layers, encoder.layer_norm)


def _layers(layers: Any, norm: nn.Module | None) -> dict[str, nn.Module]:
    last = len(layers) - 1
    return {
        f"layer{number + 1}": _Layer(layer, norm if number == last else None)
        for number, layer in enumerate(layers)
    }


class _AstStart(nn.Module):
    """From patches [n, 1, frames, bands] to tokens [n, d, 1, t]."""

    def __init__(self, embeddings: nn.Module, mean: float, scale: float) -> None:
        super().__init__()
        self.embeddings, self.mean, self.scale = embeddings, mean, scale

    def forward(self, x: Tensor) -> Tensor:
        return _grid(self.embeddings((x[:, 0] - self.mean) / self.scale))


class _WaveStart(nn.Module):
    """From waves [n, 1, samples, 1] to tokens [n, d, 1, t]."""

    def __init__(self, model: Any, norm: nn.Module | None) -> None:
        super().__init__()
        self.extractor, self.projection = model.feature_extractor, model.feature_projection
        self.positions, self.norm = model.encoder.pos_conv_embed, norm

    def forward(self, x: Tensor) -> Tensor:
        found = self.projection(self.extractor(x[:, 0, :, 0]).transpose(1, 2))
        found = found[0] if isinstance(found, tuple) else found
        found = found + self.positions(found)
        return _grid(found if self.norm is None else self.norm(found))


class _WhisperStart(nn.Module):
    """From patches [n, 1, frames, bands] to tokens [n, d, 1, t]."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.conv1, self.conv2, self.positions = encoder.conv1, encoder.conv2, encoder.embed_positions

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.conv1((x[:, 0].transpose(1, 2) + 4) / 4))
        x = nn.functional.gelu(self.conv2(x)).transpose(1, 2)
        return _grid(x + self.positions.weight)


class _Layer(nn.Module):
    """A layer of transformers that takes and gives [n, d, 1, t]."""

    def __init__(self, layer: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, x: Tensor) -> Tensor:
        found = self.layer(x[:, :, 0].transpose(1, 2), None)
        found = found[0] if isinstance(found, tuple) else found
        return _grid(found if self.norm is None else self.norm(found))


class _FirstTwo(nn.Module):
    """Features are the mean of AST's class and distillation tokens."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (the other tokens [n, d, 1, t], features [n, d]) of tokens [n, d, 1, t + 2]."""
        return x[..., 2:], x[:, :, 0, :2].mean(2)


def _grid(tokens: Tensor) -> Tensor:
    """Return tokens [n, t, d] as a grid of one row, [n, d, 1, t]."""
    return tokens.transpose(1, 2).unsqueeze(2)


def _other(name: str, received: str) -> BackboneError:
    return BackboneError(
        "a front end that normalises", f"'hf:{name}', which wants {received}", "choose another"
    )
