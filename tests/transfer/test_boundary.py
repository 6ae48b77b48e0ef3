"""What is trained on stored outputs of the frozen blocks ends as if those had run in the loop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart import backbones, data
from headstart.backbones import Card, Preprocess
from headstart.backbones.backbone import AveragePool, Backbone, ClassToken
from headstart.data.items import Dataset
from headstart.engines.choosing import Choice
from headstart.errors import DataError, OptionError, StorageError
from headstart.images.augmentation import LIGHT, STANDARD, Augmentation
from headstart.images.preprocess import prepare
from headstart.training.loop import TrainingData, train
from headstart.training.network import Network, make_head
from headstart.training.pixels import Canvases, PixelInputs
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.transfer import boundary
from headstart.transfer.boundary import BoundaryInputs, boundary_inputs, budget, choose_views, row_bytes
from headstart.transfer.store import FeatureStore

pytestmark = pytest.mark.usefixtures("one_thread")

TRAIN, VAL = np.arange(0, 42, 2), np.arange(1, 42, 4)
IN_TORCH = {"engine": "torch", "precision": "fp32", "progress": False}


def toy(
    blocks: dict[str, nn.Module] | None = None, pool: nn.Module | None = None, width: int = 24
) -> Backbone:
    """A small network with batch norm and three blocks, random but always the same."""
    torch.manual_seed(3)
    blocks = blocks or {
        "stem": nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
        "body": nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        "top": nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU()),
    }
    spec = Preprocess(size=48, mean=(127.0,) * 3, std=(64.0,) * 3)
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, width, tuple(blocks), 1, "toy")
    return Backbone(card, blocks, pool or AveragePool())


@pytest.fixture(autouse=True)
def _own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:  # real weights stay in the shared cache
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(pattern_pictures: Path) -> Dataset:
    return data.open(pattern_pictures)


def pixels_of(dataset: Dataset, items: Sequence[int], backbone: Backbone) -> Tensor:
    inputs = [prepare(dataset.items[n].source, backbone.card.preprocess, "torch") for n in items]
    return torch.from_numpy(np.stack(inputs))


def in_the_loop(backbone: Backbone, stop: str, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return backbone.run_blocks(backbone.normalise(pixels), stop=stop)


def never(*_: object) -> NoReturn:
    pytest.fail("the frozen blocks ran although everything was stored")


def stored_only(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = boundary.choose
    monkeypatch.setattr(boundary, "choose", lambda *a, **k: Choice(choose(*a, **k).key, never))


# -- the same result ---------------------------------------------------------------------------------------


def trained(
    dataset: Dataset, store: FeatureStore | None, storage: str = "float32"
) -> tuple[Network, list[float]]:
    """Train body, top and head of the toy on pixels, or on what is stored behind the stem."""
    phases = (
        Phase("late", 3, {"top": 0.003, HEAD: 0.01}),
        Phase("later", 2, {"body": 1e-3, "top": 1e-3, HEAD: 3e-3}),
    )
    plan = Plan(
        "fine-tune-late", "toy", "top", 48, phases, settings=Settings(batch=8, precision="fp32"), seed=5
    )
    network = Network(toy(), make_head(plan, 24, 3))
    canvases = Canvases(dataset.items, network.backbone.card.preprocess)

    def inputs(phase: Phase) -> PixelInputs | BoundaryInputs:
        if store is None:
            return PixelInputs(canvases)
        stop = {"late": "body", "later": "stem"}[phase.name]
        return boundary_inputs(
            dataset, store, network.backbone, stop, train=TRAIN, val=VAL, storage=storage, **IN_TORCH
        )

    y = np.array([dataset.classes.index(item.label or "") for item in dataset])
    found = train(network, plan, TrainingData(inputs, y, TRAIN, VAL, 3, "patterns"), progress=False)
    return network, [line["val_loss"] for line in found.history if "val_loss" in line]


def distance(one: Network, other: Network) -> float:
    """The largest difference between two networks' weights, as a share of the largest of them."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs)


def test_training_on_stored_outputs_is_training_in_the_loop(pictures: Dataset, store: FeatureStore) -> None:
    expected, losses = trained(pictures, None)
    found, found_losses = trained(pictures, store)
    assert losses[-1] < 0.97 * losses[0], "nothing was learned"
    assert distance(found, expected) < 1e-5
    assert np.allclose(found_losses, losses, rtol=1e-5)


def test_float16_on_the_disk_hardly_matters(pictures: Dataset, store: FeatureStore) -> None:
    expected, losses = trained(pictures, None)
    found, found_losses = trained(pictures, store, "float16")
    assert 0 < distance(found, expected) < 0.05
    assert np.allclose(found_losses, losses, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "stop", "precision"),
    [("vgg16", 150, "block3", "bf16"), ("efficientnet_lite0", 224, "stage5", "fp32")],
)
def test_real_networks_by_openvino(
    name: str, size: int, stop: str, precision: str, photos: dict[str, NDArray[np.uint8]], store: FeatureStore
) -> None:
    backbone = backbones.load(name).at(size)
    dataset = data.open(list(photos.values()))
    expected = in_the_loop(backbone, stop, pixels_of(dataset, range(3), backbone))
    found = boundary_inputs(
        dataset, store, backbone, stop, train=np.arange(3), val=np.arange(3), precision=precision,
        engine="openvino", progress=False,
    )  # fmt: skip
    x = found.batch(np.arange(3), 0)
    assert x.shape == expected.shape
    assert x.is_contiguous(memory_format=torch.channels_last)
    error = (x - expected).norm() / expected.norm()
    assert error < (2e-3 if precision == "fp32" else 0.03)
    assert row_bytes(backbone, stop) == 2 * expected[0].numel()


# -- views -------------------------------------------------------------------------------------------------


def test_epochs_take_the_views_in_turn(pictures: Dataset, store: FeatureStore) -> None:
    found = boundary_inputs(
        pictures, store, toy(), "stem", train=TRAIN, val=VAL, augmentation=STANDARD, views=3, **IN_TORCH
    )
    some = TRAIN[[3, 0, 7]]
    views = [found.batch(some, epoch) for epoch in range(7)]
    assert all(torch.equal(views[n], views[n % 3]) for n in range(7))
    assert not any(torch.equal(views[n], views[m]) for n in range(3) for m in range(n))
    assert torch.equal(found.batch(some[::-1].copy(), 4), views[1].flip(0))
    expected = in_the_loop(toy(), "stem", pixels_of(pictures, VAL.tolist(), toy()))
    assert torch.allclose(found.batch(VAL, None), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(StorageError, match="a stored row for each item"):
        found.batch(some, None)  # training items are stored as they are trained on


def test_a_view_is_what_the_frozen_blocks_say_about_the_distorted_picture(
    pictures: Dataset, store: FeatureStore
) -> None:
    from headstart.images.augment import augment
    from headstart.images.preprocess import prepare_canvas

    backbone = toy()
    found = boundary_inputs(
        pictures,
        store,
        backbone,
        "stem",
        train=TRAIN,
        val=VAL,
        augmentation=LIGHT,
        views=2,
        seed=9,
        **IN_TORCH,
    )
    path = pictures.items[4].source
    assert isinstance(path, Path)
    canvas = torch.from_numpy(prepare_canvas(path, backbone.card.preprocess))[None]
    digest = data.items.digest(path) if hasattr(data.items, "digest") else _sha(path)
    distorted = augment(canvas, LIGHT, [(9, 1, int(digest[:15], 16))], 48)
    expected = in_the_loop(backbone, "stem", distorted)
    assert torch.allclose(found.batch(np.array([4]), 1), expected, rtol=1e-3, atol=1e-3)


def _sha(path: Path) -> str:
    from headstart.files import digest_file

    return digest_file(path)


def test_more_items_and_more_views_keep_what_is_there(
    pictures: Dataset, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, all_of_them = pictures.take(range(10, 20)), pictures
    options = {"augmentation": STANDARD, "val": np.array([0]), **IN_TORCH}
    first = boundary_inputs(few, store, toy(), "stem", train=np.arange(1, 10), views=1, **options)
    before = first.batch(np.arange(1, 10), 0)
    second = boundary_inputs(all_of_them, store, toy(), "stem", train=np.arange(1, 42), views=2, **options)
    assert torch.equal(second.batch(np.arange(11, 20), 0), before)
    stored_only(monkeypatch)
    boundary_inputs(few, store, toy(), "stem", train=np.arange(1, 10), views=2, **options)
    with pytest.raises(pytest.fail.Exception, match="although everything was stored"):
        boundary_inputs(few, store, toy(), "stem", train=np.arange(1, 10), views=3, **options)


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_without_augmentation_there_is_one_plain_view(
    augmentation: Augmentation | None, pictures: Dataset, store: FeatureStore
) -> None:
    found = boundary_inputs(
        pictures, store, toy(), "body", train=TRAIN, val=VAL, augmentation=augmentation, views=4, **IN_TORCH
    )
    assert torch.equal(found.batch(TRAIN, 0), found.batch(TRAIN, 3))
    assert torch.equal(found.batch(TRAIN, None), found.batch(TRAIN, 1))
    assert found.cost.bytes == (len(TRAIN) + len(VAL)) * row_bytes(toy(), "body")
    assert found.cost.words().startswith("each item through the frozen blocks, once: ")


# -- any cut, any network ----------------------------------------------------------------------------------


def test_behind_the_last_block_are_the_features(pictures: Dataset, store: FeatureStore) -> None:
    backbone = toy()
    found = boundary_inputs(pictures, store, backbone, "top", train=TRAIN, val=VAL, **IN_TORCH)
    with torch.inference_mode():
        expected = backbone(pixels_of(pictures, VAL.tolist(), backbone))[1]
    assert found.start == HEAD
    assert torch.allclose(found.batch(VAL, None), expected, rtol=1e-3, atol=1e-3)


def test_tokens_of_a_transformer(pictures: Dataset, store: FeatureStore) -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = nn.Conv2d(3, 12, 16, 16)

        def forward(self, x: Tensor) -> Tensor:
            x = self.cut(x).flatten(2).transpose(1, 2)
            return torch.cat([x.mean(1, keepdim=True), x], 1)

    torch.manual_seed(0)
    backbone = toy({"embed": Patches(), "layer": nn.Linear(12, 12)}, ClassToken(3), 12)
    found = boundary_inputs(pictures, store, backbone, "embed", train=TRAIN, val=VAL, **IN_TORCH)
    expected = in_the_loop(backbone, "embed", pixels_of(pictures, TRAIN.tolist(), backbone))
    x = found.batch(TRAIN, 0)
    assert x.shape == (len(TRAIN), 10, 12)
    assert torch.allclose(x, expected, rtol=1e-3, atol=1e-3)
    assert torch.allclose(
        backbone.run_blocks(x, found.start), backbone.run_blocks(expected, "layer"), atol=1e-2
    )


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_blocks_that_were_trained_are_other_blocks(
    engine: str, pictures: Dataset, store: FeatureStore
) -> None:
    backbone, options = toy(), {**IN_TORCH, "engine": engine}
    before = boundary_inputs(pictures, store, backbone, "stem", train=TRAIN, val=VAL, **options)
    with torch.no_grad():
        backbone.blocks["stem"][0].weight += 0.1  # type: ignore[index, operator]
    after = boundary_inputs(pictures, store, backbone, "stem", train=TRAIN, val=VAL, **options)
    expected = in_the_loop(backbone, "stem", pixels_of(pictures, TRAIN.tolist(), backbone))
    assert torch.allclose(after.batch(TRAIN, 0), expected, rtol=2e-3, atol=2e-3)
    assert not torch.allclose(before.batch(TRAIN, 0), expected, rtol=0.01, atol=0.01)
    with torch.no_grad():
        backbone.blocks["top"][0].weight += 0.1  # type: ignore[index, operator]
    again = boundary_inputs(pictures, store, backbone, "stem", train=TRAIN, val=VAL, **options)
    assert again.cost.seconds < after.cost.seconds or torch.equal(
        again.batch(TRAIN, 0), after.batch(TRAIN, 0)
    )


# -- faults ------------------------------------------------------------------------------------------------


def test_activations_that_float16_cannot_hold_saturate(pictures: Dataset, store: FeatureStore) -> None:
    backbone = toy()
    with torch.no_grad():
        backbone.blocks["stem"][1].weight *= 1e6  # type: ignore[index, operator]
    backbone.blocks["stem"][2] = nn.ReLU()  # type: ignore[index, operator]
    exact = in_the_loop(backbone, "stem", pixels_of(pictures, TRAIN.tolist(), backbone))
    assert exact.max() > 65_504
    half = boundary_inputs(pictures, store, backbone, "stem", train=TRAIN, val=VAL, **IN_TORCH).batch(
        TRAIN, 0
    )
    assert half.max() == 65_504
    assert torch.allclose(half, exact.clamp(max=65_504), rtol=1e-3)
    whole = boundary_inputs(
        pictures, store, backbone, "stem", train=TRAIN, val=VAL, storage="float32", **IN_TORCH
    )
    assert torch.allclose(whole.batch(TRAIN, 0), exact, rtol=1e-4)


def test_vgg16_which_is_real_stays_within_float16(photos: dict[str, NDArray[np.uint8]]) -> None:
    backbone = backbones.load("vgg16").at(150)
    checks = (np.indices((150, 150)).sum(0) // 4 % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    dataset = data.open([*photos.values(), checks])
    x = backbone.normalise(pixels_of(dataset, range(4), backbone))
    largest = {}
    with torch.inference_mode():
        for name, block in backbone.blocks.items():
            x = block(x)
            largest[name] = float(x.max())
    assert 10_000 < largest["block3"] < 65_504 / 2
    assert max(largest.values()) == largest["block3"]


def test_damaged_rows_are_computed_again(pictures: Dataset, store: FeatureStore, tmp_path: Path) -> None:
    options = {"train": TRAIN, "val": VAL, **IN_TORCH}
    before = boundary_inputs(pictures, store, toy(), "stem", **options).batch(TRAIN, 0)
    shard = next((tmp_path / "store").rglob("*.f16"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0x40
    shard.write_bytes(content)
    assert torch.equal(boundary_inputs(pictures, store, toy(), "stem", **options).batch(TRAIN, 0), before)


def test_an_item_that_cannot_be_read(tmp_path: Path, pictures: Dataset, store: FeatureStore) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    dataset = data.open([*(item.source for item in pictures.items[:5]), tmp_path / "bad.jpg"])
    with pytest.raises(DataError, match=r"bad\.jpg"):
        boundary_inputs(dataset, store, toy(), "stem", train=np.arange(5), val=np.array([5]), **IN_TORCH)
    boundary_inputs(dataset, store, toy(), "stem", train=np.arange(4), val=np.array([4]), **IN_TORCH)


@pytest.mark.parametrize(
    ("stop", "views", "what"), [("nowhere", 1, "a block of 'toy'"), ("stem", 0, "at least one view")]
)
def test_what_cannot_be_asked_for(
    stop: str, views: int, what: str, pictures: Dataset, store: FeatureStore
) -> None:
    with pytest.raises(OptionError, match=what):
        boundary_inputs(pictures, store, toy(), stop, train=TRAIN, val=VAL, views=views, **IN_TORCH)


# -- how many views ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    items=st.integers(1, 10**6),
    row=st.integers(1, 10**7),
    epochs=st.integers(1, 200),
    room=st.integers(0, 2**40),
)
def test_views_fit_the_disk_and_the_epochs(items: int, row: int, epochs: int, room: int) -> None:
    views = choose_views(items, row, epochs, room)
    assert 0 <= views <= epochs
    assert views * items * row <= room
    assert views <= choose_views(items, row, epochs + 1, room)
    assert views <= choose_views(items, row, epochs, room + items * row)
    if items * row <= room:
        assert views >= 1


def test_the_budget_leaves_three_quarters_of_the_free_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, expected in ((8 * 10**9, 2 * 10**9), (10**12, 4 * 2**30)):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(boundary.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert budget(tmp_path) == expected
