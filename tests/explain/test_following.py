"""What is followed: the log-odds of a label or the number, and how it depends on the features."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.artefact.members import Member
from headstart.artefact.schema import FrontEnd
from headstart.backbones.card import Verbatim
from headstart.backbones.catalogue import CARDS, TERMS
from headstart.errors import OptionError
from headstart.explain.following import Followed
from headstart.transfer.calibration import Abstention, AnyCalibration, Calibration, Conformal
from headstart.transfer.heads import Head
from written_models import model_of

SURE = Calibration(1.0, Conformal(0.9, 0.2), Abstention(0.99, 0.6, 0.8))


def following(
    logits: list[NDArray[np.float64]],
    calibration: AnyCalibration = SURE,
    combine: str = "mean",
    label: str | None = None,
) -> tuple[Followed, dict[Path, NDArray[np.float32]]]:
    """Follow the answer of members whose features are their logits."""
    size = len(logits[0])
    same = Head("linear", ((np.eye(size, dtype=np.float32), np.zeros(size, np.float32)),))
    networks = [Path(f"{number}.json") for number in range(len(logits))]
    members = [Member(FrontEnd(Verbatim()), CARDS[TERMS], network, same) for network in networks]
    labels = [f"label {number}" for number in range(size)]
    model = model_of(members, combine=combine, calibration=calibration, labels=labels)
    features = {n: z[None].astype(np.float32) for n, z in zip(networks, logits, strict=True)}
    return Followed.of(model, features, label), features


def slopes(*given: NDArray[np.float64], calibration: AnyCalibration = SURE, combine: str = "mean") -> list:
    """Return how the followed number depends on each member's logits."""
    followed, features = following(list(given), calibration, combine)
    return [each[0] for each in followed.slopes(features)]


def test_of_two_classes_the_odds_follow_the_difference() -> None:
    (slope,) = slopes(np.array([0.3, 2.0]))
    assert slope == pytest.approx([-1, 1], abs=1e-6)
    (slope,) = slopes(np.array([0.3, 2.0]), calibration=Calibration(2.0, SURE.conformal, SURE.abstention))
    assert slope == pytest.approx([-0.5, 0.5], abs=1e-6)


def test_of_many_classes_the_likely_others_count() -> None:
    z = np.array([3.0, 2.0, -5.0])
    (slope,) = slopes(z)
    others = np.exp(z[1:]) / np.exp(z[1:]).sum()
    assert slope == pytest.approx([1, *-others], abs=1e-5)


def test_summed_members_share_one_slope_and_averaged_ones_split_it() -> None:
    logits = np.array([0.0, 1.0]), np.array([0.5, 2.0])
    first, second = slopes(*logits, combine="sum")
    assert first == pytest.approx([-1, 1], abs=1e-6)
    assert second == pytest.approx(first)
    first, second = slopes(*logits)
    assert first[1] + second[1] < 1.001
    assert min(first[1], second[1]) > 0


def test_another_label_can_be_followed() -> None:
    followed, features = following([np.array([3.0, 1.0])], label="label 0")
    assert followed.score(features) == pytest.approx(2)
    assert followed.confidence(features) == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    with pytest.raises(OptionError, match="label 1"):
        following([np.array([3.0, 1.0])], label="cat")


@given(seed=st.integers(0, 1000), count=st.integers(1, 4), deep=st.booleans())
@settings(deadline=None, max_examples=20)
def test_through_a_head_as_torch_does(seed: int, count: int, deep: bool) -> None:
    chance = np.random.default_rng(seed)
    widths = [5, 7, 2] if deep else [5, 2]
    layers = [
        (chance.standard_normal((a, b), np.float32), chance.standard_normal(b, np.float32))
        for a, b in pairwise(widths)
    ]
    rows = chance.standard_normal((count, 5)).astype(np.float32)
    x = torch.from_numpy(rows).double().requires_grad_()
    z = x
    for number, (weight, bias) in enumerate(layers):
        z = (z.relu() if number else z) @ torch.from_numpy(weight).double() + torch.from_numpy(bias).double()
    (wanted,) = torch.autograd.grad(z.mean(0) @ torch.tensor([-1.0, 1.0]).double(), x)
    network = Path("0.json")
    member = Member(FrontEnd(Verbatim()), CARDS[TERMS], network, Head("mlp", tuple(layers)))
    (found,) = Followed(model_of([member]), 1).slopes({network: rows})
    assert found == pytest.approx(wanted.numpy(), abs=1e-4)
