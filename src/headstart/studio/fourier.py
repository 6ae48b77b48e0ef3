"""Pictures as waves in decorrelated colours: what is easy to change is then what photographs are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# How the colours of ImageNet's photographs go together: the square root of their covariance, as in Lucid.
# Brightness varies most, then blue against orange, then green against magenta.
_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_SPREAD = 0.01


class FourierPictures(nn.Module):
    """Pictures whose free numbers are the waves that they are made of.

    Long waves are given more weight, as photographs do; so gradient ascent makes shapes before noise.

    Args:
        count: How many pictures, int.
        size: Their side, int, in pixels.
        seed: Of the waves that they begin with, int; each picture has others. Defaults to 0.
        decay: How much less a wave counts for each time that it is shorter, float. Defaults to 1.

    References:
        Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017.

    Example:
        >>> tuple(FourierPictures(2, 32)().shape)
        (2, 3, 32, 32)
    """

    weight: Tensor
    colours: Tensor

    def __init__(self, count: int, size: int, *, seed: int = 0, decay: float = 1.0) -> None:
        super().__init__()
        self._size = size
        frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])
        self.register_buffer("weight", size / frequency.clamp(min=1 / size) ** decay)
        self.register_buffer("colours", _COLOURS / _COLOURS.norm(dim=0).max())
        # A generator for each picture: it does not depend on how many are made beside it.
        waves = [
            torch.randn(
                3, *frequency.shape, 2, generator=torch.Generator().manual_seed(seed * 65_537 + number)
            )
            for number in range(count)
        ]
        self.waves = nn.Parameter(_SPREAD * torch.stack(waves))

    def forward(self) -> Tensor:
        """Return the pictures, float [count, 3, size, size], RGB in grey levels."""
        waves = torch.view_as_complex(self.waves) * self.weight
        plain = torch.fft.irfft2(waves, s=(self._size, self._size)) / 4
        mixed = torch.einsum("oc,nchw->nohw", self.colours, plain)
        return 255 * torch.sigmoid(mixed)
