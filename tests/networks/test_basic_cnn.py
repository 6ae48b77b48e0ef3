"""The small network that starts from random numbers, as a backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from headstart import backbones
from headstart.errors import BackboneError
from headstart.networks.basic_cnn import CHANNELS, BasicCNN


def test_every_load_is_the_same_network() -> None:
    first, second = backbones.load("basic_cnn").state_dict(), backbones.load("basic_cnn").state_dict()
    torch.manual_seed(1)  # what happened before must not matter
    third = backbones.load("basic_cnn").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(first[name], third[name]) for name in first)


def test_convolutions_start_as_he_says() -> None:
    network = BasicCNN()
    for channels, block in zip((3, *CHANNELS), network.blocks.values(), strict=False):
        conv = block[0]  # type: ignore[index]
        assert conv.weight.std().item() == pytest.approx((2 / (9 * channels)) ** 0.5, rel=0.05)
        assert conv.bias is None


def test_it_is_a_backbone_of_four_blocks() -> None:
    backbone = backbones.load("basic_cnn", offline=True)
    assert list(backbone.blocks) == ["block1", "block2", "block3", "block4"]
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        grid, features = backbone(pixels)
        middle = backbone.run_blocks(backbone.normalise(pixels), stop="block2")
        torch.testing.assert_close(backbone.run_blocks(middle, start="block3"), grid)
    assert (tuple(grid.shape), tuple(features.shape)) == ((2, 128, 4, 4), (2, 128))
    assert features.abs().mean() > 0.05  # the signal does not fade on its way


def test_there_is_one_for_sounds() -> None:
    backbone = backbones.load("log_mel_cnn", offline=True)
    with torch.no_grad():
        grid, features = backbone(torch.randn(2, 64, 64))
    assert (tuple(grid.shape), tuple(features.shape)) == ((2, 128, 4, 4), (2, 128))
    assert sum(weight.numel() for weight in backbone.parameters()) == backbone.card.parameters
    assert features.abs().mean() > 0.05


@pytest.mark.parametrize("name", ["basic_cnn", "log_mel_cnn"])
def test_its_card_says_that_it_knows_nothing(name: str) -> None:
    card = backbones.card(name)
    assert not card.pretrained
    assert "knows nothing" in card.notes
    assert card.doors == ()
    assert json.loads(json.dumps(card.to_json()))["digest"] == ""
    untrained = ("basic_cnn", "log_mel_cnn")
    others = [other for name, other in backbones.cards().items() if name not in untrained]
    assert all(other.pretrained or not other.features for other in others)  # terms are fitted from the start


def test_there_are_no_weights_to_fetch_add_or_name(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    attempts: list[Any] = [
        lambda: backbones.fetch("basic_cnn"),
        lambda: backbones.add("basic_cnn", file),
        lambda: backbones.load("basic_cnn", path=file),
    ]
    for attempt in attempts:
        with pytest.raises(BackboneError, match="starts from random numbers"):
            attempt()


@pytest.mark.usefixtures("one_thread")
def test_it_learns(pattern_pictures: Path) -> None:
    from PIL import Image

    pixels, y = [], []
    for label, name in enumerate(("across", "along", "checks")):
        for file in sorted((pattern_pictures / name).iterdir()):
            pixels.append(torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8))
            y.append(label)
    x, targets = torch.stack(pixels).view(-1, 64, 64, 3)[:, ::2, ::2], torch.tensor(y)
    backbone = backbones.load("basic_cnn").train()
    torch.manual_seed(0)
    head = torch.nn.Linear(128, 3)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(12):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(backbone(x)[1]), targets).backward()
        optimiser.step()
    assert (head(backbone(x)[1]).argmax(1) == targets).float().mean() > 0.9
