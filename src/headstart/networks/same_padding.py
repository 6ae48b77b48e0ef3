"""TensorFlow's "SAME" padding for strided convolutions, which torch has no name for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_for_stride_2(x: Tensor, kernel: int) -> Tensor:
    """Add the zeros of "SAME" for stride 2: one more for an odd side, the odd one at the end.

    Args:
        x: float [n, channels, h, w].
        kernel: Side of the kernel, int.

    Returns:
        What a convolution without padding makes [n, out, ceil(h / 2), ceil(w / 2)] of.

    Example:
        >>> import torch
        >>> tuple(pad_for_stride_2(torch.zeros(1, 1, 4, 5), 3).shape)
        (1, 1, 5, 7)
    """
    height, width = (kernel - 2 + side % 2 for side in x.shape[2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
