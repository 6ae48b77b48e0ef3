"""Cards are plain data that survive JSON and refuse nonsense."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart import backbones
from headstart.backbones import Preprocess
from headstart.errors import BackboneError, MissingExtraError

grey = st.floats(0, 255, allow_nan=False)
positive = st.floats(0.01, 255)
preprocesses = st.builds(
    Preprocess,
    size=st.integers(1, 1000),
    resize=st.sampled_from(["crop", "squash"]),
    crop=st.floats(0.01, 1.0),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    mean=st.tuples(grey, grey, grey),
    std=st.tuples(positive, positive, positive),
    channels=st.sampled_from(["RGB", "BGR"]),
)


@given(preprocesses)
def test_preprocessing_survives_json(spec: Preprocess) -> None:
    assert Preprocess.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"crop": 0.0},
        {"crop": 1.5},
        {"std": [1.0, 0.0, 1.0]},
        {"mean": [1.0, 2.0]},
        {"resize": "stretch"},
        {"interpolation": "nearest"},
        {"channels": "GRB"},
        {"version": 2},
        {"colour": "red"},
        {"mean": "dark"},
        {"size": "large"},
    ],
)
def test_preprocessing_refuses_what_it_cannot_do(change: dict[str, Any]) -> None:
    value = {**Preprocess(size=8).to_json(), **change}
    with pytest.raises(BackboneError, match=r"expected .* received .* to fix"):
        Preprocess.from_json(value)


def test_preprocessing_needs_every_value_that_has_no_default() -> None:
    value = Preprocess(size=8).to_json()
    del value["mean"]
    with pytest.raises(BackboneError, match="mean"):
        Preprocess.from_json(value)


def test_every_card_is_complete_and_json() -> None:
    cards = backbones.cards()
    assert next(iter(cards)) == backbones.DEFAULT == "efficientnet_lite0"
    for name, card in cards.items():
        assert card.name == name
        value = json.loads(json.dumps(card.to_json()))
        assert value["preprocess"] == card.preprocess.to_json()
        assert len(card.digest) == (64 if card.pretrained else 0)
        assert len(set(card.blocks)) == len(card.blocks)
        assert len(card.blocks) > 1 or not card.features  # what is fitted from the start is one
        for text in (card.architecture, card.source, card.licence, card.training_data):
            assert text
        for door in card.doors:
            assert len(door.sha256) == 64
            assert value["doors"][0]["sha256"] == card.doors[0].sha256
    digests = [card.digest for card in cards.values() if card.pretrained]
    assert len(set(digests)) == len(digests)


def test_the_cards_of_the_design() -> None:
    lite = [backbones.card(f"efficientnet_lite{n}").preprocess for n in range(3)]
    assert [spec.size for spec in lite] == [224, 240, 260]
    assert all(spec.mean == (127.0,) * 3 and spec.std == (128.0,) * 3 for spec in lite)
    vgg = backbones.card("vgg16").preprocess
    assert (vgg.channels, vgg.mean, vgg.std) == ("BGR", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(BackboneError, match="did you mean 'efficientnet_lite0'"):
        backbones.card("efficientnet_lite_0")


def test_changing_the_returned_cards_changes_nothing() -> None:
    cards = backbones.cards()
    cards["vgg16"] = replace(cards["vgg16"], licence="mine")
    del cards["efficientnet_lite0"]
    assert backbones.card("vgg16").licence != "mine"
    assert "efficientnet_lite0" in backbones.cards()


def test_reading_cards_loads_nothing_heavy() -> None:
    heavy = ("torch", "openvino", "transformers", "huggingface_hub", "timm", "onnx", "safetensors.torch")
    code = (
        "import sys; from headstart import backbones; backbones.card('vgg16').to_json();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_torch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"headstart\[train\]"):
        backbones.load("vgg16")
