"""VGG16's trunk: its layers, and that its published weights are Keras's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from headstart import backbones
from headstart.networks.vgg import VGG16, convolution_names, keras_digest

KERAS = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in backbones.load("vgg16").state_dict().items()}


def test_the_weights_are_those_of_keras(weights: dict[str, NDArray[np.float32]]) -> None:
    assert keras_digest(weights) == KERAS


def test_the_digest_notices_a_single_bit(weights: dict[str, NDArray[np.float32]]) -> None:
    name = "blocks.block3.block3_conv2.bias"
    changed = {**weights, name: np.nextafter(weights[name], np.float32(np.inf))}
    assert keras_digest(changed) != KERAS


def test_the_digest_notices_swapped_layers(weights: dict[str, NDArray[np.float32]]) -> None:
    first, second = "blocks.block5.block5_conv1.weight", "blocks.block5.block5_conv2.weight"
    assert keras_digest({**weights, first: weights[second], second: weights[first]}) != KERAS


def test_equals_convolutions_written_out() -> None:
    network = VGG16().eval()
    state = network.state_dict()
    x = expected = torch.randn(1, 3, 67, 45)
    for name in convolution_names():
        block = name.partition("_")[0]
        kernel, bias = state[f"blocks.{block}.{name}.weight"], state[f"blocks.{block}.{name}.bias"]
        if name.endswith("conv1") and block != "block1":
            expected = F.max_pool2d(expected, 2)
        expected = F.relu(F.conv2d(expected, kernel, bias, padding=1))
    with torch.no_grad():
        torch.testing.assert_close(network(x), F.max_pool2d(expected, 2))


def test_a_layer_is_addressed_by_its_keras_name() -> None:
    network = VGG16()
    seen: list[torch.Size] = []
    layer = network.blocks["block4"].block4_conv3
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    network(torch.zeros(1, 3, 64, 64))
    assert seen == [torch.Size([1, 512, 8, 8])]


def test_a_hook_sees_the_convolution_before_relu() -> None:
    network = VGG16().eval()
    seen: list[torch.Tensor] = []
    network.blocks["block1"].block1_conv1.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        network(torch.randn(1, 3, 32, 32))
    assert seen[0].min() < 0


def test_there_are_thirteen_convolutions() -> None:
    names = convolution_names()
    assert len(names) == 13
    found = [name for name, module in VGG16().named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert [name.rpartition(".")[2] for name in found] == list(names)
