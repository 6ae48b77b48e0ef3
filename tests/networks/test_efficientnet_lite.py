"""EfficientNet-Lite against the reference package, and its padding against TensorFlow's rule."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart import backbones
from headstart.networks.efficientnet_lite import ConvNorm, EfficientNetLite, reference_names

MULTIPLIERS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}


@pytest.fixture(scope="module")
def reference(unpacked_wheel: Callable[[str, str, str | None], Path]) -> Iterator[ModuleType]:
    """The package efficientnet_lite_pytorch, importable only here."""
    sha256 = "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41"
    folder = str(unpacked_wheel("efficientnet_lite_pytorch", "0.1.0", sha256))
    sys.path.insert(0, folder)
    try:
        import efficientnet_lite_pytorch

        yield efficientnet_lite_pytorch
    finally:
        sys.path.remove(folder)


def batch_of(photos: dict[str, NDArray[np.uint8]], size: int) -> torch.Tensor:
    squares = [np.asarray(Image.fromarray(photo).resize((size, size))) for photo in photos.values()]
    return torch.from_numpy(np.stack(squares))


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_logits_equal_the_reference_package(
    variant: int, reference: ModuleType, photos: dict[str, NDArray[np.uint8]]
) -> None:
    backbone = backbones.load(f"efficientnet_lite{variant}")
    published = reference.EfficientNet.from_name(f"efficientnet-lite{variant}").eval()
    names = reference_names(EfficientNetLite(*MULTIPLIERS[variant]))
    ours = backbone.state_dict()
    missing, unexpected = published.load_state_dict(
        {theirs: ours[name] for name, theirs in names.items()}, strict=False
    )
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)

    pixels = batch_of(photos, backbone.card.preprocess.size)
    with torch.no_grad():
        _, features = backbone(pixels)
        expected = published((pixels.permute(0, 3, 1, 2).float() - 127) / 128)
        received = backbone.logits(features)
    assert expected.std() > 0.5  # the comparison is about something
    torch.testing.assert_close(received, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_every_tensor_has_one_published_name(variant: int) -> None:
    with torch.device("meta"):
        network = EfficientNetLite(*MULTIPLIERS[variant])
    names = reference_names(network)
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(names) == wanted
    assert len(set(names.values())) == len(names)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(5, 40),
    width=st.integers(5, 40),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
)
def test_padding_is_tensorflows_same(height: int, width: int, kernel: int, stride: int) -> None:
    if kernel == 1:
        stride = 1  # the network has no other
    layer = ConvNorm(2, 3, kernel, stride, act=False).eval()
    layer.norm.eps = 0.0
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height * width))
    total = [max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in (height, width)]
    before = [pad // 2 for pad in total]
    padded = F.pad(x, (before[1], total[1] - before[1], before[0], total[0] - before[0]))
    with torch.no_grad():
        expected = F.conv2d(padded, layer.conv.weight, stride=stride)
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    assert expected.shape[2:] == (math.ceil(height / stride), math.ceil(width / stride))


def test_relu6_bounds_what_a_stage_passes_on_inside() -> None:
    network = EfficientNetLite().eval()
    with torch.no_grad():
        stem = network.blocks["stem"](torch.randn(2, 3, 32, 32) * 1000)
    assert stem.min() == 0.0
    assert stem.max() == 6.0


def test_deeper_and_wider_variants_keep_stem_and_head() -> None:
    with torch.device("meta"):
        small, wide = EfficientNetLite(1.0, 1.0), EfficientNetLite(1.1, 1.2)
    for name in ("stem", "head"):
        assert small.blocks[name].conv.out_channels == wide.blocks[name].conv.out_channels
    assert [len(wide.blocks[f"stage{n}"]) for n in range(1, 8)] == [1, 3, 3, 4, 4, 5, 1]
    assert [len(small.blocks[f"stage{n}"]) for n in range(1, 8)] == [1, 2, 2, 3, 3, 4, 1]


def test_gradients_reach_every_weight() -> None:
    network = EfficientNetLite(classes=3)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
