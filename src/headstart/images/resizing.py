"""Pictures of another size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from headstart.images.decode import Pixels


def shrunk(picture: Pixels, size: int | None) -> Pixels:
    """Return a picture whose longer side has at most so many pixels.

    Args:
        picture: uint8 [h, w, 3].
        size: int, in pixels; 0 or None leaves it whole.

    Returns:
        uint8 [h', w', 3]: the picture itself where it is no larger.

    Example:
        >>> shrunk(np.zeros((60, 90, 3), np.uint8), 45).shape
        (30, 45, 3)
    """
    height, width = picture.shape[:2]
    if not size or max(height, width) <= size:
        return picture
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.LANCZOS))
