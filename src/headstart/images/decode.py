"""From an encoded picture to RGB pixels, whatever it is; every failure is a `DecodeError` with a reason."""

from __future__ import annotations

import io
import os
import struct
from functools import cache
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.data.items import Source
from headstart.errors import DecodeError

Pixels = NDArray[np.uint8]

DEFAULT_MAX_PIXELS = 80_000_000
"""A picture of 80 megapixels takes 240 MB decoded; what claims more is refused before it is decoded."""

_EXIF_SEARCH = 1 << 16
_ORIENTATION = 0x0112
_JPEG = b"\xff\xd8\xff"
# What Pillow and its plug-ins raise for damaged files, found by fuzzing (tests/images/test_decode.py).
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError)
_BROKEN_HEADER = (*_BROKEN, struct.error, RuntimeError, ZeroDivisionError)


def max_pixels() -> int:
    """Return the decompression-bomb limit in pixels: `HEADSTART_MAX_PIXELS`, or 80 million."""
    return int(os.environ.get("HEADSTART_MAX_PIXELS", DEFAULT_MAX_PIXELS))


def read_bytes(source: Path | bytes) -> bytes:
    """Return the encoded bytes of an item.

    Args:
        source: A file's Path, or the bytes themselves.

    Returns:
        The bytes, never empty.

    Raises:
        DecodeError: The file is missing, unreadable or empty.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = source.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError("a readable picture", reason, "check the file") from error
    if not data:
        raise DecodeError("a picture", "an empty file (0 bytes)", "remove it or get it again")
    return data


def decode(source: Source, *, at_least: int = 0) -> Pixels:
    """Decode a picture to RGB, upright.

    JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, HEIC and AVIF; EXIF orientation is applied, transparency
    is laid on white, 16-bit and float pictures are scaled to 8 bits, palettes and CMYK are converted.
    The type is told by the content, never by the name.

    Args:
        source: A Path, encoded bytes, or an array uint8 [h, w], [h, w, 1], [h, w, 3] or [h, w, 4].
        at_least: The short side that will be needed, int, pixels. A larger JPEG is decoded at 1/2, 1/4 or
            1/8 of its size as long as it stays above this (libjpeg's scaled decoding). Defaults to 0: whole.

    Returns:
        The pixels, uint8 [h, w, 3], RGB.

    Raises:
        DecodeError: The picture cannot be read, or is larger than `max_pixels()`.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("RGB", (4, 2), "red").save(buffer, "PNG")
        >>> decode(buffer.getvalue())[0, 0]
        array([255,   0,   0], dtype=uint8)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, str):
        source = Path(source)
    data = read_bytes(source)
    if data.startswith(_JPEG):
        pixels = _decode_jpeg(data, at_least)
        if pixels is not None:
            return pixels
    return _decode_with_pillow(data)


def decode_file(path: Path) -> Pixels:
    """Decode a picture; what is wrong with it is told by its name.

    Args:
        path: The file, one of several that a person named.

    Returns:
        The pixels, uint8 [h, w, 3], RGB.

    Raises:
        DecodeError: It cannot be read.
    """
    try:
        return decode(path)
    except DecodeError as error:
        raise DecodeError(error.expected, f"{path}: {error.received}", error.fix) from error


def kind_of(content: bytes | NDArray[np.uint8]) -> tuple[str, int, int]:
    """Return what a picture is, and its upright size, from its header alone.

    Args:
        content: Encoded bytes or an array.

    Returns:
        kind: Such as "JPEG", "PNG" or "array"; "unknown" when the header cannot be read.
        width, height: In pixels; 0 when unknown.
    """
    if isinstance(content, np.ndarray):
        return "array", *(content.shape[1::-1] if content.ndim > 1 else (0, 0))
    if content.startswith(_JPEG):
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(content)
        except ValueError:
            return "JPEG", 0, 0
        return "JPEG", *((height, width) if _orientation(content) >= 5 else (width, height))
    try:
        with open_image(content) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return image.format or "unknown", *(image.size[::-1] if turned else image.size)
    except (DecodeError, *_BROKEN_HEADER):
        return "unknown", 0, 0


def _from_array(array: NDArray[np.uint8]) -> Pixels:
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise DecodeError(
            "an array uint8 [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]",
            f"{array.dtype} {list(array.shape)}",
            "convert it, for example (255 * x).astype('uint8')",
        )
    if array.size == 0:
        raise DecodeError("a picture", f"an empty array {list(array.shape)}", "leave it out")
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    return _to_rgb(Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def _check_size(width: int, height: int) -> None:
    limit = max_pixels()
    if width * height > limit:
        raise DecodeError(
            f"at most {limit / 1e6:.0f} megapixels",
            f"{width} × {height} ({width * height / 1e6:.0f} megapixels)",
            "make the picture smaller, or set HEADSTART_MAX_PIXELS if you trust it",
        )


def _decode_jpeg(data: bytes, at_least: int) -> Pixels | None:
    """Decode with libjpeg-turbo directly; None where Pillow must decide (CMYK, damaged, odd headers)."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(width, height)
        if colours == "CMYK" or colours == "YCCK":
            return None
        scale = at_least if at_least and min(height, width) >= 2 * at_least else 0
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=scale, min_width=scale)
    except DecodeError:
        raise
    except ValueError:
        return None
    turn = _orientation(data)
    return pixels if turn == 1 else _upright(pixels, turn)


def _orientation(data: bytes) -> int:
    # Asking Pillow costs 0.2 ms; most pictures of a data set carry no orientation at all.
    head = data[:_EXIF_SEARCH]
    if b"Exif\0\0" not in head and b"tiff:Orientation" not in head:
        return 1
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN_HEADER:
        return 1


def _upright(pixels: Pixels, turn: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8)."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if turn in (2, 6, 7, 3):
        pixels = pixels[:, ::-1]
    if turn in (4, 8, 7, 3):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


@cache
def _register_heif() -> None:
    import pi_heif

    pi_heif.register_heif_opener()


def open_image(data: bytes) -> Image.Image:
    """Open a picture with Pillow without decoding it, checking its size against the bomb limit.

    Args:
        data: The encoded bytes.

    Returns:
        The lazy Pillow image.

    Raises:
        DecodeError: Not a picture, or too large.
    """
    if data[4:8] == b"ftyp":
        _register_heif()
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise DecodeError("a picture", _describe(data), "remove the file or name it by what it is") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DecodeError("a picture of sane size", str(error), "make the picture smaller") from error
    except _BROKEN_HEADER as error:
        raise DecodeError("a whole picture", f"a damaged header ({error})", "get the file again") from error
    _check_size(*image.size)
    return image


def _decode_with_pillow(data: bytes) -> Pixels:
    image = open_image(data)
    try:
        with image:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except _BROKEN_HEADER as error:
        raise DecodeError("a whole picture", f"a damaged one ({error})", "get the file again") from error


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_high_depth(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return np.array(image.convert("RGB"))


def _from_high_depth(values: NDArray[np.generic]) -> Pixels:
    """Scale 16-bit, 32-bit and float greys to 8 bits: by the type's range where the values fill it."""
    floats = np.nan_to_num(values.astype(np.float64))
    top = floats.max(initial=0.0)
    span = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 and values.dtype.kind == "f" else 65535.0
    grey = np.clip(floats * (255.0 / span), 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _describe(data: bytes) -> str:
    """Say what some bytes look like, for people who renamed a file."""
    signs = {
        b"%PDF": "a PDF",
        b"PK\x03\x04": "a zip archive",
        b"\x89PNG": "a damaged PNG",
        _JPEG: "a damaged JPEG",
        b"\x1f\x8b": "gzip data",
    }
    for sign, what in signs.items():
        if data.startswith(sign):
            return what
    if b"<svg" in data[:1024]:
        return "an SVG drawing"
    sample = data[:256]
    if all(byte >= 32 or byte in b"\t\r\n" for byte in sample):
        return "text: " + repr(sample[:40].decode("utf-8", "replace"))
    if not any(data[:4096]):
        return "only zero bytes"
    return f"{len(data)} bytes of an unknown kind"
