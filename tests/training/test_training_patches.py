"""Sounds in the training loop: a patch in each epoch, all of them where it is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headstart.audio.augment import augment
from headstart.audio.augmentation import NONE, STANDARD
from headstart.audio.hearing import hear
from headstart.backbones import Card
from headstart.backbones.audio_backbone import AudioBackbone
from headstart.backbones.card import Waves
from headstart.data.items import Item
from headstart.errors import DecodeError, OptionError
from headstart.training.data import Trained, TrainingData
from headstart.training.loop import train
from headstart.training.network import Network, make_head
from headstart.training.patches import PLAIN, Clips, PatchInputs
from headstart.training.plan import HEAD, Phase, Plan, Settings
from toy_sounds import LABELS, encoded, toy_sound

SPEC = Waves(size=32, step=16)
COUNT = 24
PHASE = Phase("all", 12, {"one": 5e-3, "two": 5e-3, HEAD: 2e-2}, STANDARD)


def sounds(seconds: float = 0.8) -> list[Item]:
    return [
        Item(f"{n}.wav", encoded(toy_sound(LABELS[n % 3], n, seconds + 0.1 * (n % 2)))) for n in range(COUNT)
    ]


def toy() -> AudioBackbone:
    """Two blocks over patches of 32 frames."""
    card = Card(
        "toy", "toy", "here", "CC0-1.0", "nothing", SPEC, 12, ("one", "two"), 0, "toy", modality="audio"
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = {
            name: nn.Sequential(nn.Conv2d(width, out, 3, 2, 1), nn.BatchNorm2d(out), nn.ReLU())
            for name, width, out in (("one", 1, 6), ("two", 6, 12))
        }
    return AudioBackbone(card, blocks)


def test_an_epoch_shows_a_patch_of_each_sound() -> None:
    items = sounds()
    inputs, all_of = PatchInputs(Clips(items, SPEC), seed=4), np.arange(COUNT)
    assert Clips(items, SPEC).most(all_of) > 3
    own = np.stack(list(hear(items[3].source, SPEC)))  # type: ignore[arg-type]
    seen = np.stack([inputs.batch(np.array([3]), epoch)[0].numpy() for epoch in range(len(own))])
    order = [int(np.abs(own - each).max((1, 2)).argmin()) for each in seen]
    assert sorted(order) == list(range(len(own)))
    np.testing.assert_allclose(seen, own[order], atol=1e-5)
    whole = inputs.batch(all_of, 7)
    assert whole.dtype == torch.float32
    assert whole.shape == (COUNT, SPEC.size, SPEC.bands)
    assert inputs.batch(all_of[:2], None).shape == (2 * PLAIN, SPEC.size, SPEC.bands)


def test_what_is_distorted_is_a_matter_of_seed_epoch_and_item() -> None:
    clips = Clips(sounds(), SPEC)
    inputs = PatchInputs(clips, STANDARD, seed=2)
    batch = inputs.batch(np.array([5, 9, 5]), 3)
    torch.testing.assert_close(batch[0], batch[2], rtol=0, atol=0)
    torch.testing.assert_close(inputs.batch(np.array([9]), 3)[0], batch[1], rtol=0, atol=0)
    np.testing.assert_array_equal(batch[0], augment(clips[5], SPEC, STANDARD, (2, 3, 5)))
    plain = inputs.batch(np.array([5]), None)
    np.testing.assert_array_equal(plain[0], augment(clips[5], SPEC, NONE, (2, 0, 5)))


def test_what_memory_has_no_room_for_is_decoded_again() -> None:
    items = sounds()
    room = Clips(items, SPEC)[0].nbytes
    small, large = Clips(items, SPEC, memory=room), Clips(items, SPEC)
    assert len(small) == COUNT
    for _ in range(2):
        for position in (0, 1):
            np.testing.assert_array_equal(small[position], large[position])
    assert small[0] is small[0]
    assert small[1] is not small[1]


def test_an_unreadable_sound_is_named() -> None:
    with pytest.raises(DecodeError, match=r"in the item 'odd\.wav'"):
        Clips([Item("odd.wav", b"no sound at all")], SPEC)[0]
    with pytest.raises(OptionError, match="seed of 0 or more"):
        PatchInputs(Clips([], SPEC), seed=-1)


def trained(run: Path | None = None, resume: bool = False, stop: int = 0) -> tuple[Network, Trained]:
    """Train on distorted patches, maybe only for some epochs."""
    plan = Plan(
        "fine-tune-all", "toy", "two", SPEC.size, (PHASE,), seed=1, modality="audio",
        settings=Settings(batch=8, precision="fp32", mixup=0.1),
    )  # fmt: skip
    network = Network(toy(), make_head(plan, 12, 3))
    clips = Clips(sounds(), SPEC)
    y = np.arange(COUNT) % 3
    data = TrainingData(
        lambda phase: PatchInputs(clips, STANDARD, plan.seed, 3),
        y,
        np.arange(15),
        np.arange(15, COUNT),
        3,
        "s",
    )
    seen: list[object] = []

    def enough(line: object) -> bool:
        seen.append(line)
        return len(seen) != stop

    found = train(network, plan, data, run=run, resume=resume, on_epoch=enough, progress=False, every=0)
    return network, found


def test_it_learns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    network, found = trained()
    assert found.val_accuracy is not None
    assert found.val_accuracy > 0.6
    assert found.val_loss < 0.9  # of chance it is 1.1
    trained(tmp_path / "run", stop=3)
    again, resumed = trained(tmp_path / "run", resume=True)
    assert resumed.val_loss == found.val_loss
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight, rtol=0, atol=0)


def test_a_plan_for_sounds_is_read_and_said() -> None:
    plan = Plan("fine-tune-all", "toy", "two", SPEC.size, (PHASE,), modality="audio")
    assert Plan.from_json(plan.to_json()) == plan
    words = plan.words()
    assert "on patches of 32 frames" in words
    assert "a distorted patch of each sound in turn" in words
    assert "picture" not in words
    assert "pixel" not in words
    by_name = plan.to_json()
    by_name["phases"][0]["augment"] = "strong"
    assert Plan.from_json(by_name).phases[0].augment.pitch == 3  # type: ignore[union-attr]
    by_name["phases"][0]["augment"] = {"flip": 0.5}
    with pytest.raises(OptionError, match="augmentation of sounds"):
        Plan.from_json(by_name)
