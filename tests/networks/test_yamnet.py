"""YAMNet: its shape, and with published weights what it hears in real recordings."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headstart.audio.hearing import heard
from headstart.backbones.card import Waves
from headstart.networks.yamnet import LAYERS, SameConv, Yamnet, published_names

pytestmark = pytest.mark.usefixtures("one_thread")
# What AudioSet's ontology calls the classes of ESC-10, and what else is right to say.
HEARD = {
    "dog": {"Dog", "Bark", "Animal", "Domestic animals, pets", "Bow-wow", "Yip"},
    "rain": {"Rain", "Raindrop", "Rain on surface", "Water"},
    "sea_waves": {"Ocean", "Waves, surf", "Water", "Wind"},
    "baby_cry": {"Baby cry, infant cry", "Crying, sobbing", "Whimper"},
    "clock_tick": {"Tick", "Tick-tock", "Clock", "Mechanisms"},
    "helicopter": {"Helicopter", "Aircraft", "Vehicle", "Engine"},
    "chainsaw": {"Chainsaw", "Power tool", "Engine", "Lawn mower", "Vehicle"},
    "rooster": {"Chicken, rooster", "Crowing, cock-a-doodle-doo", "Fowl", "Animal"},
}  # fmt: skip


def test_blocks_halve_what_they_should() -> None:
    network = Yamnet().eval()
    x = torch.zeros(1, 1, 96, 64)
    shapes = []
    for block in network.blocks.values():
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes[0] == (32, 48, 32)
    assert shapes[-1] == (1024, 3, 2)
    assert len(shapes) == 1 + len(LAYERS)


def test_padding_is_tensorflows() -> None:
    """For an odd side one zero each, for an even one none before and one behind."""
    conv = SameConv(1, 1, 3, stride=2)
    with torch.no_grad():
        conv.conv.weight.fill_(0)
        conv.conv.weight[0, 0, 0, 0] = 1.0  # what lies above and to the left
        conv.conv.bias.zero_()  # type: ignore[union-attr]
    even = conv(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert even[0, 0].tolist() == [[0, 2], [8, 10]]
    odd = conv(torch.arange(1.0, 10.0).reshape(1, 1, 3, 3))
    assert odd[0, 0].tolist() == [[0, 0], [0, 5]]


def test_every_tensor_has_a_published_name() -> None:
    names = published_names(Yamnet())
    assert len(set(names.values())) == len(names) == 2 * (1 + 2 * len(LAYERS)) + 2
    assert names["blocks.layer1.conv.weight"] == "layer01_conv.weight"
    assert names["blocks.layer14.0.conv.bias"] == "layer14_dw.bias"


def test_it_hears_what_there_is(data_folder: Path) -> None:
    network = Yamnet().eval()
    published = load_file(data_folder / "weights" / "yamnet_dequant_fp16.safetensors")
    network.load_state_dict(
        {ours: published[name].float() for ours, name in published_names(network).items()}
    )
    with (data_folder / "weights" / "yamnet_class_map.csv").open(encoding="utf-8") as file:
        classes = [row["display_name"] for row in csv.DictReader(file)]
    with (data_folder / "audio" / "esc10" / "meta.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    right = []
    for category, wanted in HEARD.items():
        for row in [each for each in rows if each["category"].startswith(category)][:2]:
            path = next((data_folder / "audio" / "esc10" / "clips").rglob(row["filename"]))
            found = np.stack(heard(path.read_bytes(), Waves()))
            with torch.no_grad():
                scores = torch.sigmoid(network(torch.from_numpy(found)[:, None])).mean(0)
            top = [classes[place] for place in scores.argsort(descending=True)[:3]]
            right.append(bool(wanted & set(top)))
    assert len(right) >= 14
    assert np.mean(right) >= 0.8
