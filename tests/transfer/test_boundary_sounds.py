"""Sounds behind the frozen blocks: what is stored is what the loop would compute, patch by patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headstart.audio.augment import augment
from headstart.audio.augmentation import NONE, STANDARD, AudioAugmentation
from headstart.audio.decode import decode
from headstart.backbones import Card
from headstart.backbones.audio_backbone import AudioBackbone
from headstart.backbones.card import Waves
from headstart.data.items import Dataset, Item
from headstart.engines.torch_engine import TorchEngine
from headstart.files import digest_bytes
from headstart.training.plan import HEAD, Phase, Plan
from headstart.transfer.boundary import boundary_inputs
from headstart.transfer.cost import measure
from headstart.transfer.store import FeatureStore
from toy_sounds import LABELS, encoded, toy_sound

SPEC = Waves(size=32, step=16)
TRAIN, VAL = np.arange(0, 8), np.arange(8, 12)
VIEWS, PLAIN, SEED = 3, 4, 5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


def sounds() -> Dataset:
    items = [Item(f"{n}.wav", encoded(toy_sound(LABELS[n % 3], n, 0.2 + 0.3 * (n % 3)))) for n in range(12)]
    return Dataset(tuple(items), "audio")


def toy() -> AudioBackbone:
    card = Card(
        "toy", "toy", "here", "CC0-1.0", "nothing", SPEC, 6, ("one", "two"), 0, "toy", modality="audio"
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = {
            name: nn.Sequential(nn.Conv2d(width, out, 3, 2, 1), nn.ReLU())
            for name, width, out in (("one", 1, 4), ("two", 4, 6))
        }
    return AudioBackbone(card, blocks).eval()


def behind(backbone: AudioBackbone, item: Item, how: AudioAugmentation, view: int) -> np.ndarray:
    """What the first block says about a patch, as training with the key of the content computes it."""
    assert isinstance(item.source, bytes)
    key = (SEED, view, int(digest_bytes(item.source)[:15], 16))
    patch = augment(decode(item.source, SPEC.rate).wave, SPEC, how, key)
    with torch.inference_mode():
        return backbone.run_blocks(backbone.normalise(torch.from_numpy(patch[None])), stop="one")[0].numpy()


def test_stored_patches_are_those_that_the_keys_choose(store: FeatureStore) -> None:
    backbone, dataset = toy(), sounds()
    inputs = boundary_inputs(
        dataset, store, backbone, "one", train=TRAIN, val=VAL, augmentation=STANDARD, views=VIEWS,
        plain=PLAIN, seed=SEED, engine="torch", precision="fp32", storage="float32", progress=False,
    )  # fmt: skip
    assert inputs.start == "two"
    assert inputs.cost.views == VIEWS
    for epoch in range(2 * VIEWS):
        batch = inputs.batch(TRAIN[:3], epoch)
        for row, n in zip(batch, TRAIN[:3], strict=True):
            expected = behind(backbone, dataset.items[n], STANDARD, epoch % VIEWS)
            np.testing.assert_allclose(row, expected, atol=1e-4)
    plain = inputs.batch(VAL, None)
    assert len(plain) == len(VAL) * PLAIN
    for place, n in enumerate(VAL):
        for view in range(PLAIN):
            expected = behind(backbone, dataset.items[n], NONE, view)
            np.testing.assert_allclose(plain[place * PLAIN + view], expected, atol=1e-4)


def test_undistorted_patches_are_stored_too(store: FeatureStore) -> None:
    inputs = boundary_inputs(
        sounds(), store, toy(), "two", train=TRAIN, val=VAL, views=2, plain=2,
        engine="torch", precision="fp32", progress=False,
    )  # fmt: skip
    assert inputs.start == HEAD
    assert inputs.batch(TRAIN, 1).shape == (len(TRAIN), 6)
    assert inputs.batch(VAL, None).shape == (2 * len(VAL), 6)


def test_the_cost_of_sounds_counts_their_patches() -> None:
    backbone = toy()
    cost, inputs = measure(sounds(), backbone, lambda: TorchEngine(backbone, "fp32"), precision="fp32")
    assert inputs.shape[1:] == (SPEC.size, SPEC.bands)
    assert cost.passages is not None
    assert 1 < cost.passages < 6
    assert cost.augment > 0
    phase = Phase("late", 4, {"two": 1e-3, HEAD: 1e-3}, STANDARD, 2)
    plan = Plan("fine-tune-late", "toy", "two", SPEC.size, (phase,), modality="audio")
    longer = plan.replace(phases=(Phase("late", 40, phase.rates, STANDARD, 2),))
    assert 0 < cost.minutes(plan, 1000, 200) < cost.minutes(longer, 1000, 200)
