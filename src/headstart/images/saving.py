"""Writing pictures: to files, the format by the name's ending, and as a JPEG in memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import OptionError
from headstart.files import atomic_file, storage_errors

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
PICTURE_ENDINGS = tuple(_FORMATS)
"""What can be written."""


def check_picture_name(path: Path) -> None:
    """Make sure, before long work, that a picture can be written under that name.

    Args:
        path: Where a picture will go.

    Raises:
        OptionError: Its ending is none of .png, .jpg, .jpeg and .webp.
    """
    if path.suffix.lower() not in _FORMATS:
        raise OptionError(f"a picture named {', '.join(_FORMATS)}", path.name, "correct the ending")


def save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture, whole or not at all.

    Args:
        path: Where, a .png, .jpg, .jpeg or .webp.
        picture: RGB, uint8 [h, w, 3], or grey, uint8 [h, w].

    Raises:
        OptionError: Another ending.
        StorageError: It cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> save_picture(path, np.full((2, 3, 3), 128, np.uint8))
        >>> path.stat().st_size > 0
        True
    """
    check_picture_name(path)
    with storage_errors(path), atomic_file(path) as temporary:
        Image.fromarray(picture).save(temporary, _FORMATS[path.suffix.lower()], quality=92)


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    """Return a picture as JPEG, to be shown in a page.

    Args:
        image: An RGB or grey picture.
        quality: int, up to 95. Defaults to 88.

    Returns:
        The encoded bytes.

    Example:
        >>> jpeg(Image.new("RGB", (4, 2)))[:2]
        b'\\xff\\xd8'
    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
