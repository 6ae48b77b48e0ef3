"""The network in torch follows the same number as the saved model, however many members and of what kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headstart.artefact.members import Member
from headstart.artefact.schema import FrontEnd
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.explain.following import Followed
from headstart.explain.network import ScoreNetwork
from headstart.transfer.calibration import (
    Abstention,
    AnyCalibration,
    Calibration,
    Conformal,
    Interval,
    Thresholds,
)
from headstart.transfer.heads import Head
from written_models import model_of

pytestmark = pytest.mark.usefixtures("one_thread")

CALIBRATIONS: dict[str, AnyCalibration] = {
    "label": Calibration(1.7, Conformal(0.9, 0.2), Abstention(0.99, 0.6, 0.8)),
    "labels": Thresholds(0.6, (0.5, 0.5, 0.5)),
    "number": Interval(0.9, 1.0),
}
SPEC = Preprocess(size=8, mean=(0.0, 0.0, 0.0), std=(64.0, 64.0, 64.0))
CARD = Card("toy", "toy", "here", "CC0-1.0", "nothing", SPEC, 5, ("stem",), 140, "")


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(CALIBRATIONS)),
    st.sampled_from(["mean", "sum"]),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_number_and_its_gradient_are_the_models_own(
    target: str, combine: str, count: int, deep: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)

    def layer(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        return generator.normal(size=shape).astype(np.float32), generator.normal(size=shape[1]).astype("f")

    columns = 1 if target == "number" else 3
    heads = [
        Head("mlp", (layer(5, 4), layer(4, columns))) if deep else Head("linear", (layer(5, columns),))
        for _ in range(count)
    ]
    files = [Path(f"{number}.xml") for number in range(count)]
    members = [Member(FrontEnd(SPEC), CARD, *pair) for pair in zip(files, heads, strict=True)]
    labels = [f"label {number}" for number in range(columns)]
    model = model_of(members, combine=combine, calibration=CALIBRATIONS[target], labels=labels)
    rows = [generator.normal(size=(1, 5)).astype(np.float32) for _ in heads]
    backbones = [Backbone(CARD, {"stem": nn.Conv2d(3, 5, 3)}) for _ in heads]
    temperature = getattr(model.calibration, "temperature", 1.0)
    network = ScoreNetwork(backbones, heads, model.target, model.combine, temperature)
    features = dict(zip(files, rows, strict=True))
    for column in range(columns):
        followed = Followed(model, column)
        points = [torch.from_numpy(each).requires_grad_() for each in rows]
        score = network.score(points, column)
        assert score.item() == pytest.approx(followed.score(features), abs=1e-4)
        slopes = torch.autograd.grad(score.sum(), points)
        for found, wanted in zip(followed.slopes(features), slopes, strict=True):
            assert np.allclose(found, wanted.numpy(), atol=2e-3)


def test_pixels_are_whole_or_broken_numbers() -> None:
    """uint8 as pictures come, float where a gradient is wanted: the same answer."""
    torch.manual_seed(0)
    weight = np.eye(5, 2, dtype=np.float32)
    head = Head("linear", ((weight, np.zeros(2, np.float32)),))
    network = ScoreNetwork([Backbone(CARD, {"stem": nn.Conv2d(3, 5, 3)})], [head], "label", "mean")
    pixels = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8)
    assert network(pixels, column=1).shape == (3,)
    assert torch.allclose(network(pixels, column=1), network(pixels.float(), column=1))
    assert torch.allclose(network(pixels, column=0), -network(pixels, column=1))
    assert not any(parameter.requires_grad for parameter in network.parameters())
