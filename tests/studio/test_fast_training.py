"""A network learns to paint: its loss falls, an interruption changes nothing, what is kept paints alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from vgg_like import vgg_like

from headstart import data
from headstart.backbones.backbone import Backbone
from headstart.errors import DataError, OptionError
from headstart.networks.style_network import StyleNetwork
from headstart.studio import fast_training
from headstart.studio.fast_making import save_style
from headstart.studio.fast_style import open_style, read_card
from headstart.studio.fast_training import Look, Photographs, StyleTraining, TrainOptions
from headstart.studio.layers import Layers
from headstart.training.checkpoints import Checkpoints, Identity

Pixels = NDArray[np.uint8]
SMALL: dict[str, Any] = {
    "size": 32, "style_size": 48, "width": 4, "blocks": 1, "rate": 0.01, "content_layer": "block2_conv1",
    "style_layers": {"block1_conv1": 0.5, "block2_conv1": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def judge() -> Backbone:
    return vgg_like(8, 16)


@pytest.fixture(scope="module")
def photographs(pattern_pictures: Path) -> data.Dataset:
    return data.open(pattern_pictures)


def stripes(side: int = 48) -> Pixels:
    lines = np.where(np.arange(side) // 3 % 2, 250, 20).astype(np.uint8)
    grey = np.tile(lines, (side, 1))
    return np.stack([grey, grey, 255 - grey], 2)


def training(judge: Backbone, folder: Path, style: Pixels | None = None, **options: Any) -> StyleTraining:
    wanted = TrainOptions(**{**SMALL, **options})
    checkpoints = Checkpoints(folder, Identity("", "toy", "photos", ()))
    picture = stripes() if style is None else style
    return StyleTraining(picture, lambda names: Layers(judge, names), wanted, checkpoints)


def weights(trained: StyleTraining) -> dict[str, Tensor]:
    return trained.finished().state_dict()


def test_twenty_steps_lower_the_loss(judge: Backbone, photographs: data.Dataset, tmp_path: Path) -> None:
    looks: list[Look] = []
    learned = training(judge, tmp_path, steps=40)
    learned.go(Photographs(photographs, 32, 0), 5, every=20, see=looks.append)
    assert [look.step for look in looks] == [1, 20, 40]
    assert looks[2].loss < looks[1].loss < 0.8 * looks[0].loss
    assert learned.loss == looks[2].loss
    assert looks[0].picture.shape == (32, 32, 3)
    assert np.abs(looks[0].picture.astype(int) - looks[2].picture).mean() > 2


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    judge: Backbone, photographs: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training(judge, tmp_path / "whole", steps=7)
    whole.go(Photographs(photographs, 32, 0), 5)

    class Killed(BaseException):
        pass

    def kill(look: Look) -> None:
        if look.step == 4:
            raise Killed

    monkeypatch.setattr(fast_training, "_SAVE_EVERY", -1.0)  # after every step
    first = training(judge, tmp_path / "cut", steps=7)
    with pytest.raises(Killed):
        first.go(Photographs(photographs, 32, 0), 5, every=1, see=kill)
    second = training(judge, tmp_path / "cut", steps=7)
    second.resume()
    assert second.step == 3
    second.go(Photographs(photographs, 32, 0), 5)
    assert second.step == whole.step == 7
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(second)[name], value, rtol=0, atol=0)


def test_more_steps_go_on_and_time_counts_from_the_start(
    judge: Backbone, photographs: data.Dataset, tmp_path: Path
) -> None:
    first = training(judge, tmp_path, steps=2)
    first.go(Photographs(photographs, 32, 0), 5)
    second = training(judge, tmp_path, steps=3)
    second.resume()
    assert second.step == 2
    assert second.seconds == first.seconds > 0
    second.go(Photographs(photographs, 32, 0), first.seconds / 60)  # the time is up: one step, no more
    assert second.step == 3


def test_nothing_or_another_run_is_not_gone_on_with(
    judge: Backbone, photographs: data.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="no checkpoint"):
        training(judge, tmp_path).resume()
    training(judge, tmp_path, steps=1).go(Photographs(photographs, 32, 0), 5)
    with pytest.raises(OptionError, match="another rate, seed"):
        training(judge, tmp_path, rate=0.02, seed=3).resume()


def test_the_same_seed_gives_the_same_crops(photographs: data.Dataset) -> None:
    one, other = Photographs(photographs, 32, 0), Photographs(photographs, 32, 0)
    later = list(one.batches(5, 8, 2))
    for step, batch in zip((5, 6, 7), later, strict=True):
        assert batch.shape == (2, 32, 32, 3)
        torch.testing.assert_close(other.batch(step, 2), batch)
    assert not torch.equal(Photographs(photographs, 32, 1).batch(5, 2), later[0])
    # an epoch sees each photograph once
    seen = {one.batch(step, 1).numpy().tobytes() for step in range(len(photographs.items))}
    assert len(seen) == len(photographs.items)


def test_odd_photographs_and_damaged_ones(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    Image.new("RGB", (400, 20), "green").save(tmp_path / "panorama.png")
    Image.new("RGBA", (40, 50), (0, 0, 255, 100)).save(tmp_path / "alpha.png")
    Image.new("CMYK", (40, 50), (10, 20, 30, 40)).save(tmp_path / "print.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    photographs = Photographs(data.open(tmp_path), 32, 0)
    assert photographs.batch(0, 5).shape == (5, 32, 32, 3)
    assert list(photographs.unread) == ["bad.jpg"]
    assert {side % 4 for side in photographs.sample().shape[:2]} == {0}
    assert max(photographs.sample().shape) <= 64


def test_only_damaged_photographs_and_other_kinds(tmp_path: Path, folder_of_texts: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.jpg"):
        Photographs(data.open(tmp_path, modality="image"), 32, 0).batch(0, 2)
    with pytest.raises(DataError, match="photographs"):
        Photographs(data.open(folder_of_texts), 32, 0)


@pytest.mark.parametrize("wrong", [{"size": 30}, {"size": 33}, {"batch": 0}, {"rate": 0.0}, {"width": 0}])
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        TrainOptions(**wrong)


def test_what_is_kept_paints_as_torch_does(photos: dict[str, Pixels], tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = StyleNetwork(8, 2).eval()
    folder = tmp_path / "some.style"
    card = save_style(network, folder, {"style": {"name": "some.jpg", "digest": "0" * 64}})
    assert read_card(folder) == card
    brush = open_style(folder, "fp32")
    for picture in (photos["chelsea"], photos["coffee"][:80, :120]):
        picture = picture[: picture.shape[0] // 4 * 4, : picture.shape[1] // 4 * 4]
        around = np.pad(picture, ((16, 16), (16, 16), (0, 0)), mode="symmetric")
        with torch.no_grad():
            wanted = network(torch.from_numpy(around)[None])[0, 16:-16, 16:-16].numpy()
        found = brush.paint(picture)
        assert wanted.std() > 3  # it is not one grey
        assert np.abs(found - wanted).max() <= 2
    half = open_style(folder).paint(picture)
    assert np.abs(half.astype(int) - found).mean() < 3
