"""Mixed precision: bfloat16 where it is faster, float32 where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from headstart.engines.openvino_engine import has_bf16
from headstart.training.plan import Precision

Autocast = Callable[[], contextlib.AbstractContextManager[None]]
"""Gives the context that a forward pass runs in."""


@contextlib.contextmanager
def mixed(network: nn.Module, precision: Precision) -> Iterator[Autocast]:
    """Prepare a network for training in a precision, and put it back as it was afterwards.

    On a CPU "bf16" takes effect only where the processor computes in it, and depthwise convolutions with
    strides or with kernels above 3 × 3 stay in float32: oneDNN's backward pass of these is 3 to 8 times, of a
    strided one up to 60 times slower in bfloat16 (measured: EfficientNet-Lite0's last stages take 0.8 of the
    time of float32 so, and 1.4 without).

    Args:
        network: What is trained; its weights stay in float32.
        precision: "bf16" or "fp32".

    Yields:
        A function that gives the context for a forward pass.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> with mixed(layer, "fp32") as autocast, autocast():
        ...     layer(torch.zeros(1, 2)).dtype
        torch.float32
    """
    device = next(network.parameters()).device.type
    half = precision == "bf16" and (device != "cpu" or has_bf16())
    exempt = [part for part in network.modules() if _slow_in_half(part)] if half and device == "cpu" else []
    for part in exempt:
        part.__class__ = _Float32Conv2d
    try:
        yield lambda: torch.autocast(device, torch.bfloat16, enabled=half)
    finally:
        for part in exempt:
            part.__class__ = nn.Conv2d


class _Float32Conv2d(nn.Conv2d):
    """A convolution that computes in float32 whatever surrounds it."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def _slow_in_half(part: nn.Module) -> bool:
    if type(part) is not nn.Conv2d or not part.groups == part.in_channels > 1:
        return False
    return max(part.kernel_size) > 3 or max(part.stride) > 1
