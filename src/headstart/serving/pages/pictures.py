"""Pictures that pages show: decoded and written anew, so that nothing of what was sent is passed on."""

from __future__ import annotations

import base64
import io

import numpy as np

from headstart.images.decode import decode


def small_jpeg(content: bytes, side: int) -> bytes:
    """Return a picture as a JPEG.

    Args:
        content: The encoded picture, bytes.
        side: Its longer side at most, int, pixels.

    Returns:
        The JPEG, without what else was in the file (place, camera, thumbnails).

    Raises:
        DecodeError: It cannot be read.

    Example:
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("RGB", (400, 200)).save(buffer, "PNG")
        >>> Image.open(io.BytesIO(small_jpeg(buffer.getvalue(), 100))).size
        (100, 50)
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(decode(content, at_least=side)))
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def data_address(content: bytes, kind: str) -> str:
    """Return a picture as an address that holds it.

    Example:
        >>> data_address(b"abc", "png")
        'data:image/png;base64,YWJj'
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
