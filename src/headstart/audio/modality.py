"""Sounds as a modality: what the rest of headstart calls."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.audio.decode import Sound, decode, read_bytes, resample
from headstart.audio.fingerprint import fingerprint
from headstart.audio.mel import log_mel, patches
from headstart.backbones.card import Spec, Waves
from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import DecodeError, OptionError
from headstart.files import digest_bytes

_FINGERPRINT_RATE = 8_000
_GLIMPSE = (160, 100)


class AudioModality:
    """Reads, describes and prepares sounds."""

    name = "audio"
    noun = "sounds"
    default_backbone = "yamnet"
    version = 1
    near = 10

    def read(self, source: Source) -> bytes:
        """Return a sound's encoded bytes."""
        return read_bytes(source)

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of the bytes."""
        return digest_bytes(bytes(content))

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Spec | None, kernel: str
    ) -> tuple[Facts, list[NDArray[Any]] | None]:
        """Decode a sound once for both its description and the network's input."""
        del kernel
        try:
            sound = decode(bytes(content))
        except DecodeError as error:
            return Facts(digest, error=f"{error.received}; {error.fix}"), None
        printed = fingerprint(resample(sound.wave, sound.rate, _FINGERPRINT_RATE))
        shape = (round(1000 * sound.seconds), sound.rate)
        return Facts(digest, printed, shape, sound.kind), None if spec is None else prepare(sound, spec)

    def inputs(self, source: Source, spec: Spec, kernel: str = "pillow") -> list[NDArray[Any]]:
        """Return the network's input rows: log-mel patches, float32 [frames, bands]."""
        del kernel
        return prepare(decode(self.read(source)), spec)

    def glimpse(self, source: Source) -> bytes:
        """Return a small picture of the spectrogram, a JPEG."""
        spec = Waves()
        sound = decode(self.read(source))
        wave = resample(sound.wave, sound.rate, spec.rate)
        frames = log_mel(np.pad(wave, (0, max(0, spec.samples(2) - len(wave)))), spec)
        low, high = np.quantile(frames, (0.02, 0.995))
        grey = np.clip((frames.T[::-1] - low) / max(float(high - low), 1e-6), 0, 1) * 255
        image = Image.fromarray(grey.astype(np.uint8)).resize(_GLIMPSE, Image.Resampling.BOX)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()


def prepare(sound: Sound, spec: Spec) -> list[NDArray[Any]]:
    """Return the rows that a network hears of a decoded sound.

    Args:
        sound: The sound.
        spec: What is expected, Waves.

    Raises:
        OptionError: It is a specification for something else.
    """
    if not isinstance(spec, Waves):
        raise OptionError(
            "a backbone that hears sounds", "one for something else", "headstart backbones list"
        )
    wave = resample(sound.wave, sound.rate, spec.rate)
    if len(wave) < spec.samples(1):
        wave = np.pad(wave, (0, spec.samples(1) - len(wave)))
    return list(patches(log_mel(wave, spec), spec.size, spec.step))
