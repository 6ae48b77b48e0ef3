"""Pictures as a modality: what the rest of headstart calls."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.backbones.card import Preprocess
from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import DecodeError
from headstart.files import digest_bytes
from headstart.images.decode import decode, kind_of, read_bytes
from headstart.images.fingerprint import fingerprint
from headstart.images.preprocess import Kernel, field_of_view, needed_side, prepare, resize

# Enough for the fingerprint's 32 × 32 greys: larger JPEGs are decoded at a fraction of their size.
_FINGERPRINT_SIDE = 64
_GLIMPSE_SIDE = 160


class ImageModality:
    """Reads, describes and prepares pictures."""

    name = "image"
    noun = "pictures"
    default_backbone = "efficientnet_lite0"
    version = 1
    near = 4

    def read(self, source: Source) -> bytes | NDArray[np.uint8]:
        """Return a picture's encoded bytes, or the array it is given as."""
        if isinstance(source, np.ndarray):
            return source
        return read_bytes(Path(source) if isinstance(source, str) else source)

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of the encoded bytes, or of an array's shape and values."""
        if isinstance(content, bytes):
            return digest_bytes(content)
        return digest_bytes(repr(content.shape).encode() + np.ascontiguousarray(content).tobytes())

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Preprocess | None, kernel: Kernel
    ) -> tuple[Facts, list[NDArray[np.uint8]] | None]:
        """Decode a picture once for both its description and the network's input."""
        kind, width, height = kind_of(content)
        try:
            pixels = decode(content, at_least=needed_side(spec) if spec else _FINGERPRINT_SIDE)
        except DecodeError as error:
            return Facts(digest, None, (width, height), kind, error=f"{error.received}; {error.fix}"), None
        if not width:
            height, width = pixels.shape[:2]
        facts = Facts(digest, fingerprint(pixels), (width, height), kind, error=None)
        rows = [resize(field_of_view(pixels, spec), spec, kernel)] if spec else None
        return facts, rows

    def inputs(self, source: Source, spec: Preprocess, kernel: Kernel = "pillow") -> list[NDArray[np.uint8]]:
        """Return the network's input, one row, uint8 [side, side, 3]."""
        return [prepare(source, spec, kernel)]

    def glimpse(self, source: Source) -> bytes:
        """Return a small JPEG."""
        image = Image.fromarray(np.ascontiguousarray(decode(source, at_least=_GLIMPSE_SIDE)))
        image.thumbnail((_GLIMPSE_SIDE, _GLIMPSE_SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()
