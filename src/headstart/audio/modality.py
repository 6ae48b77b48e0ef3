"""Sounds as a modality: what the rest of headstart calls."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.audio.decode import Recording, decode, read_bytes
from headstart.audio.fingerprint import fingerprint
from headstart.audio.hearing import heard
from headstart.audio.measures import measure
from headstart.audio.mel import log_mel
from headstart.backbones.card import Spec, Waves
from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import DecodeError, OptionError
from headstart.files import digest_bytes

_FINGERPRINT_RATE = 8_000
_FINGERPRINTED, _GLIMPSED = 600, 60
"""Seconds that fingerprints and small pictures are made of."""
_GLIMPSE = (160, 100)


class AudioModality:
    """Reads, describes and prepares sounds."""

    name = "audio"
    noun = "sounds"
    default_backbone = "yamnet"
    version = 3
    near = 10

    def read(self, source: Source) -> bytes | NDArray[np.uint8]:
        """Return a sound's encoded bytes."""
        return read_bytes(source)

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of the bytes."""
        return digest_bytes(content if isinstance(content, bytes) else content.data)

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Spec | None, kernel: str
    ) -> tuple[Facts, list[NDArray[Any]] | None]:
        """Decode a sound once for both its description and the network's input."""
        del kernel
        try:
            with Recording(content) as recording:
                shape, kind = (round(1000 * recording.seconds), recording.rate), recording.kind
                measures = measure(recording.blocks(), recording.rate)
                printed = fingerprint(recording.wave(_FINGERPRINT_RATE, _FINGERPRINTED))
                rows = None if spec is None else list(heard(recording, _waves(spec)))
        except DecodeError as error:
            return Facts(digest, error=f"{error.received}; {error.fix}"), None
        return Facts(digest, printed, shape, kind, measures=measures), rows

    def inputs(self, source: Source, spec: Spec, kernel: str = "pillow") -> list[NDArray[Any]]:
        """Return the network's input rows: log-mel patches, float32 [frames, bands]."""
        del kernel
        return list(heard(self.read(source), _waves(spec)))

    def glimpse(self, source: Source) -> bytes:
        """Return a small picture of the spectrogram, a JPEG."""
        spec = Waves()
        wave = decode(self.read(source), spec.rate, _GLIMPSED).wave
        frames = log_mel(np.pad(wave, (0, max(0, spec.samples(2) - len(wave)))), spec)
        low, high = np.quantile(frames, (0.02, 0.995))
        grey = np.clip((frames.T[::-1] - low) / max(float(high - low), 1e-6), 0, 1) * 255
        image = Image.fromarray(grey.astype(np.uint8)).resize(_GLIMPSE, Image.Resampling.BOX)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()


def _waves(spec: Spec) -> Waves:
    if not isinstance(spec, Waves):
        raise OptionError(
            "a backbone that hears sounds", "one for something else", "headstart backbones list"
        )
    return spec
