"""All depths come from one pass, are probed honestly, and say how unlike the source the data are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_backbone import toy_backbone

from headstart.backbones.backbone import Backbone, Depths
from headstart.data.items import Dataset, Item
from headstart.transfer import passes
from headstart.transfer.depths import (
    DEPTHS,
    chosen_depths,
    depth_features,
    probe_depths,
    source_distances,
)
from headstart.transfer.features import Features
from headstart.transfer.label_sets import LabelSets
from headstart.transfer.numbers import Numbers
from headstart.transfer.selection import Labelled
from headstart.transfer.store import FeatureStore


def pictures(n: int, side: int = 32, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(side // 8, 1).repeat(side // 8, 2)


def nothing_left(inputs: Iterator[object], *_: object) -> int:
    assert next(inputs, None) is None, "computed again"
    return 0


def test_one_pass_gives_every_depth_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = toy_backbone()
    sources = pictures(5)
    broken = Item("broken.jpg", b"no picture")
    items = [Item(f"{n}", source) for n, source in enumerate(sources)]
    dataset = Dataset((items[0], broken, *items[1:]), "image")
    with FeatureStore(tmp_path) as store:
        features, missing = depth_features(
            dataset, backbone, store, engine="openvino", precision="fp32", progress=False
        )
        monkeypatch.setattr(passes, "_compute", nothing_left)
        again, _ = depth_features(
            dataset, backbone, store, engine="openvino", precision="fp32", progress=False
        )
        assert missing == [1]
        network = Depths(backbone)
        with torch.no_grad():
            wanted = network(torch.from_numpy(sources)).numpy()
        for name, columns in network.columns.items():
            np.testing.assert_allclose(features[name].X, wanted[:, columns], atol=1e-3)
            np.testing.assert_array_equal(again[name].X, features[name].X)
            assert len(features[name]) == 5


def labelled(y: np.ndarray, classes: int) -> Labelled:
    items = np.arange(len(y))
    return Labelled(Features(np.zeros((len(y), 1), np.float32), items, items), y, classes)


def rows(X: np.ndarray) -> Features:
    items = np.arange(len(X))
    return Features(X.astype(np.float32), items, items)


def test_the_informative_depth_wins_by_every_measure() -> None:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    noise = generator.normal(size=(120, 6))
    features = {"first": rows(noise), "second": rows(noise + 3 * np.eye(3, 6)[y]), "last": rows(noise * 2)}
    found = {d.block: d for d in probe_depths(features, labelled(y, 3), distances={"second": 0.1})}
    assert list(found) == ["first", "second", "last"]
    for measure in ("accuracy", "logme", "h_score"):
        values = {name: getattr(depth, measure) for name, depth in found.items()}
        assert max(values, key=lambda name: values[name]) == "second", measure
    assert found["second"].accuracy > 0.9
    assert found["first"].accuracy < 0.6
    assert (found["second"].distance, found["last"].distance) == (0.1, None)
    assert 0 < found["first"].error < 0.06


def test_copies_in_one_group_do_not_flatter_the_probe() -> None:
    """Each item is there twice: noise could be learned by heart if the copies lay in two folds."""
    generator = np.random.default_rng(1)
    X = np.repeat(generator.normal(size=(60, 300)), 2, axis=0)
    y = np.repeat(generator.permutation(60) % 2, 2)
    features = {"only": rows(X)}
    honest = labelled(y, 2)
    honest = replace(honest, features=replace(honest.features, group=np.repeat(np.arange(60), 2)))
    (apart,) = probe_depths(features, labelled(y, 2))
    (together,) = probe_depths(features, honest)
    assert apart.accuracy > together.accuracy + 0.15


def test_numbers_and_label_sets_are_probed_too() -> None:
    generator = np.random.default_rng(2)
    X = generator.normal(size=(90, 5))
    blank = labelled(np.zeros(90, int), 1).features
    values = Numbers(blank, X[:, 0] * 3 + 1, 1)
    (depth,) = probe_depths({"only": rows(X)}, values)
    assert depth.accuracy > 0.9
    assert depth.h_score is None
    sets = LabelSets(blank, X[:, :2] > 0.8, 2)
    (depth,) = probe_depths({"only": rows(X)}, sets)
    assert 0.3 < depth.accuracy <= 1
    (chance,) = probe_depths({"only": rows(generator.normal(size=(90, 5)))}, values)
    assert chance.accuracy < 0.2


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 60))
def test_depths_are_spread_evenly_and_end_with_the_last(count: int) -> None:
    blocks = [f"b{n}" for n in range(count)]
    found = chosen_depths(blocks)
    assert len(found) == min(DEPTHS, count) == len(set(found))
    assert (found[0], found[-1]) == (blocks[0] if count > 1 else blocks[-1], blocks[-1])
    assert found == sorted(found, key=blocks.index)


def adapted(pixels: np.ndarray) -> Backbone:
    """A toy whose batch norms hold the statistics of these pictures."""
    backbone = toy_backbone()
    for _ in range(60):
        for block in backbone.blocks.values():
            block.train()
        with torch.no_grad():
            backbone.run_blocks(backbone.normalise(torch.from_numpy(pixels)))
    return backbone.eval()


def test_the_data_that_a_network_knows_are_near() -> None:
    known = pictures(24)
    backbone = adapted(known)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    near, far = source_distances(backbone, known), source_distances(backbone, known // 4)
    assert list(near) == list(backbone.card.blocks)
    assert max(near.values()) < 0.05
    assert all(far[name] > near[name] + 0.1 for name in near)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not any(module._forward_pre_hooks for module in backbone.modules())


def test_the_distance_is_the_divergence_of_two_normal_distributions() -> None:
    backbone = toy_backbone()
    pixels = pictures(20)
    found = source_distances(backbone, pixels)["first"]
    convolution, norm, _ = backbone.blocks["first"].children()
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        x = convolution(backbone.normalise(torch.from_numpy(pixels))).double()
    slow = []
    for channel in range(x.shape[1]):
        values = x[:, channel].flatten().numpy()
        mean, var = values.mean(), values.var() + norm.eps
        other_mean, other = float(norm.running_mean[channel]), float(norm.running_var[channel]) + norm.eps
        slow.append(0.5 * (var / other + (mean - other_mean) ** 2 / other - 1 - np.log(var / other)))
    # torch's median is the lower of two
    assert found == pytest.approx(sorted(slow)[(len(slow) - 1) // 2], rel=1e-4)


def test_networks_without_batch_norms_have_no_distance() -> None:
    assert source_distances(toy_backbone(norm=False), pictures(4)) == {}
