"""AdaBN: batch statistics of the target, in a network that is otherwise the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch import nn

import headstart as hs
from headstart.artefact import Model, load
from headstart.data.items import Item
from headstart.fitting.adapting_norms import FEWEST, norms_of, recompute, with_norms_of

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = hs.Plan("freeze-all", "efficientnet_lite0", "stage4", 64)


def small_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), batches=st.integers(1, 4), scale=st.floats(0.5, 20), shift=st.floats(-9, 9))
def test_statistics_are_those_of_what_is_seen(seed: int, batches: int, scale: float, shift: float) -> None:
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rows = np.random.default_rng(seed).normal(shift, scale, (8 * batches, 3, 5, 5)).astype(np.float32)
    recompute(network, np.split(rows, batches))
    norm = norms_of(network)[0]
    with torch.no_grad():
        seen = network[0](torch.from_numpy(rows))  # type: ignore[index]
        given_on = network[1](seen)  # type: ignore[index]
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    # Normalised by these statistics the same rows have mean 0 and nearly spread 1.
    assert float(given_on.mean((0, 2, 3)).abs().max()) < 1e-2
    assert norm.momentum == 0.1
    assert not network.training
    assert not norm.training
    for name, tensor in network.state_dict().items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_networks_without_statistics_have_none() -> None:
    assert norms_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4), nn.GroupNorm(2, 4))) == []
    assert norms_of(nn.BatchNorm2d(4, track_running_stats=False)) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    return write_pictures(tmp_path_factory.mktemp("norms") / "day", across=16, along=16)


@pytest.fixture(scope="module")
def night(source: Path, write_pictures: Callable[..., Path]) -> list[Item]:
    """Dark negatives of other pictures."""
    root = write_pictures(source.parent / "night", 300, across=FEWEST // 2, along=FEWEST // 2)
    for file in root.rglob("*.jpg"):
        dark = ImageOps.invert(Image.open(file)).point(lambda grey: grey // 3)
        dark.save(file, quality=90)
    return list(hs.data.open(root))


@pytest.fixture(scope="module")
def model(source: Path) -> Model:
    return hs.fit(source, plan=SMALL)


def test_a_member_gets_a_network_of_its_own(model: Model, night: list[Item]) -> None:
    old = model.members[0]
    new = with_norms_of(old, night, seed=0, offline=True)
    assert new is not None
    assert new.weights is not None
    assert new.backbone.digest != old.backbone.digest
    assert (new.backbone.blocks, new.backbone.preprocess) == (old.backbone.blocks, old.backbone.preprocess)
    assert with_norms_of(old, night[: FEWEST - 1], seed=0, offline=True) is None
    # The network that others use is as it was.
    assert norms_of(model.torch_network(offline=True))[0].running_mean is not None
    assert model.torch_network(offline=True).card.digest == old.backbone.digest


def test_domains_come_closer_with_statistics_of_their_own(
    model: Model, source: Path, night: list[Item], tmp_path: Path
) -> None:
    day = list(hs.data.open(source))

    def normed(items: list[Item]) -> Model:
        new = with_norms_of(model.members[0], items, seed=0, offline=True)
        assert new is not None
        return Model(
            labels=model.labels, modality="image", front_end=new.front_end, backbone=new.backbone,
            network=new.network, weights=new.weights, head=new.head, calibration=model.calibration,
        )  # fmt: skip

    def apart(ours: Model, theirs: Model) -> float:
        one, other = ours.embed([item.source for item in day]), theirs.embed([item.source for item in night])
        return float((np.abs(one.mean(0) - other.mean(0)) / (one.std(0) + other.std(0) + 1e-3)).mean())

    dark = normed(night)
    assert apart(normed(day), dark) < 0.7 * apart(model, model)
    pictures = [item.source for item in night[:3]]
    dark.record_golden(pictures[:2])
    again = load(dark.save(tmp_path / "night.headstart"))
    np.testing.assert_allclose(again.embed(pictures), dark.embed(pictures), atol=1e-5)
    assert norms_of(again.torch_network(offline=True))


def test_it_is_a_candidate_where_there_is_batch_norm(model: Model, source: Path, night: list[Item]) -> None:
    target = hs.data.Dataset(tuple(night), "image")
    made = hs.adapt(model, target, source, methods=["AdaBN"])
    names = {each.name for each in made.report.tried}  # type: ignore[union-attr]
    assert names == {"source only", "AdaBN"}
