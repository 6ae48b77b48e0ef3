"""Pictures for the loop: decoded once, the same in any batch, in memory or in a file."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart import data
from headstart.backbones import Preprocess
from headstart.data.items import Dataset, Item
from headstart.data.pipeline import Pipeline
from headstart.errors import DecodeError, OptionError, StorageError
from headstart.images.augment import augment
from headstart.images.augmentation import LIGHT, STANDARD, STRONG
from headstart.images.preprocess import prepare_canvas
from headstart.modalities import modality
from headstart.training import pixels as room
from headstart.training.inputs import Inputs
from headstart.training.pixels import Canvases, PixelInputs

SPEC = Preprocess(size=48, crop=0.75)  # canvases of 64: the pattern pictures as they are


@pytest.fixture(scope="module")
def patterns(pattern_pictures: Path) -> Dataset:
    return data.open(pattern_pictures)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every source that is decoded, in order."""
    seen: list[object] = []

    def counting(source: object, spec: Preprocess) -> np.ndarray:
        seen.append(source)
        return prepare_canvas(source, spec)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "prepare_canvas", counting)
    return seen


def positions(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_it_is_what_the_loop_reads(patterns: Dataset) -> None:
    inputs: Inputs = PixelInputs(Canvases(patterns.items, SPEC), STANDARD, seed=1)
    assert inputs.start is None
    batch = inputs.batch(positions(3, 1, 2), epoch=0)
    assert (batch.dtype, batch.shape) == (torch.uint8, (3, 48, 48, 3))
    assert batch.is_contiguous()


def test_the_plain_view_is_exactly_what_evaluation_sees(patterns: Dataset) -> None:
    inputs = PixelInputs(Canvases(patterns.items, SPEC), STRONG)
    everything = np.arange(len(patterns))
    expected = np.concatenate([modality("image").inputs(item.source, SPEC, "torch") for item in patterns])
    assert np.array_equal(inputs.batch(everything, None).numpy(), expected)
    plain = PixelInputs(Canvases(patterns.items, SPEC))
    assert np.array_equal(plain.batch(everything, 5).numpy(), expected)  # without augmentation all views are


def test_photographs_in_the_sizes_they_come_in(photos: dict[str, np.ndarray]) -> None:
    spec = Preprocess(size=224)
    items = [Item(name, photo) for name, photo in photos.items()]
    inputs = PixelInputs(Canvases(items, spec), STANDARD)
    for number, item in enumerate(items):
        expected = modality("image").inputs(item.source, spec, "torch")
        assert np.array_equal(inputs.batch(positions(number), None).numpy(), expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 41), min_size=1, max_size=12),
    st.integers(0, 9),
    st.integers(0, 2**33),
    st.booleans(),
)
def test_a_view_depends_on_seed_epoch_and_item(
    patterns: Dataset, some: list[int], epoch: int, seed: int, in_file: bool
) -> None:
    canvases = Canvases(patterns.items, SPEC, memory=0 if in_file else room.MEMORY)
    batch = PixelInputs(canvases, STANDARD, seed).batch(positions(*some), epoch)
    for item, view in zip(some, batch, strict=True):
        canvas = torch.from_numpy(prepare_canvas(patterns.items[item].source, SPEC))
        assert torch.equal(view, augment(canvas[None], STANDARD, [(seed, epoch, item)], 48)[0])


def test_each_picture_is_decoded_once(patterns: Dataset, counted: list[object]) -> None:
    canvases = Canvases(patterns.items, SPEC)
    assert not counted  # nothing before it is wanted
    inputs, later = PixelInputs(canvases, STANDARD), PixelInputs(canvases, LIGHT)
    inputs.batch(positions(1, 2, 2, 1), 0)
    assert len(counted) == 2
    for epoch in range(3):
        later.batch(positions(2, 3, 1), epoch)
    inputs.batch(positions(1, 2, 3), None)
    assert len(counted) == 3
    assert len(canvases) == 42


def test_threads_that_want_the_same_pictures(patterns: Dataset, counted: list[object]) -> None:
    canvases, everything = Canvases(patterns.items, SPEC), np.arange(42)
    with ThreadPoolExecutor(4) as pool:
        seen = list(
            pool.map(canvases.__getitem__, [everything, everything[::-1], everything, everything[:9]])
        )
    assert len(counted) == 42
    assert np.array_equal(seen[0], seen[1][::-1])
    assert np.array_equal(seen[0][:9], seen[3])


def test_what_is_handed_out_is_a_copy(patterns: Dataset) -> None:
    inputs = PixelInputs(Canvases(patterns.items, SPEC))
    first = inputs.batch(positions(0, 1), None)
    before = first.clone()
    first.zero_()
    assert torch.equal(inputs.batch(positions(0, 1), None), before)


def test_too_much_for_memory_goes_to_a_file_that_nobody_sees(
    patterns: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    needed = 42 * 64 * 64 * 3
    inside, outside = (
        Canvases(patterns.items, SPEC, memory=needed),
        Canvases(patterns.items, SPEC, memory=needed - 1),
    )
    assert (tmp_path / "cache").exists()
    if os.name != "nt":
        assert not list((tmp_path / "cache").iterdir())  # gone when the process is, even when it is killed
    assert not isinstance(inside._rows, np.memmap)
    assert isinstance(outside._rows, np.memmap)
    everything = np.arange(42)
    assert np.array_equal(inside[everything], outside[everything])
    assert not isinstance(outside[everything], np.memmap)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room on the disk is only reserved on Linux")
def test_a_full_disk_is_told_before_training(patterns: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="a full disk"):
        Canvases(patterns.items, SPEC, memory=0)


def test_a_cache_that_cannot_be_written(
    patterns: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError):
        Canvases(patterns.items, SPEC, memory=0)


@pytest.mark.parametrize("workers", [1, 2, "auto"])
def test_an_unreadable_picture_is_named_and_the_others_go_on(patterns: Dataset, workers: object) -> None:
    broken = (
        Item("cut.jpg", patterns.items[0].source.read_bytes()[:90]),
        Item("gone.jpg", Path("nowhere.jpg")),
    )  # type: ignore[union-attr]
    canvases = Canvases((*patterns.items[:4], *broken), SPEC, workers=workers)  # type: ignore[arg-type]
    inputs = PixelInputs(canvases, STANDARD)
    with pytest.raises(DecodeError, match=r"'cut\.jpg'.*to fix"):
        inputs.batch(positions(0, 4, 1), 0)
    with pytest.raises(DecodeError, match=r"'gone\.jpg'"):
        inputs.batch(positions(5), None)
    assert inputs.batch(positions(0, 1, 2, 3), 0).shape == (4, 48, 48, 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("headstart-map")]


def test_no_items_and_no_batch(patterns: Dataset) -> None:
    assert PixelInputs(Canvases((), SPEC), STANDARD).batch(positions(), 0).shape == (0, 48, 48, 3)
    assert PixelInputs(Canvases(patterns.items, SPEC)).batch(positions(), None).shape == (0, 48, 48, 3)


def test_the_next_batch_is_made_while_one_is_trained_on(patterns: Dataset) -> None:
    """`Pipeline.map` on one thread is all the prefetching that the loop needs."""
    inputs = PixelInputs(Canvases(patterns.items, SPEC), STANDARD)
    order = np.random.default_rng(0).permutation(42).reshape(6, 7)
    threads, started = [], []

    def prepare(items: np.ndarray) -> torch.Tensor:
        threads.append(threading.current_thread().name)
        started.append(time.monotonic())
        return inputs.batch(items, 2)

    ready: list[bool] = []
    batches = []
    for number, batch in enumerate(Pipeline(list(order)).map(prepare, workers=1)):
        batches.append(batch)
        time.sleep(0.05)  # the training
        ready.append(len(started) > number + 1)
    assert all(ready[:-1])
    assert set(threads) != {threading.current_thread().name}
    for items, batch in zip(order, batches, strict=True):
        assert torch.equal(batch, inputs.batch(items, 2))


def test_views_for_answering(patterns: Dataset) -> None:
    inputs = PixelInputs(Canvases(patterns.items, SPEC), STRONG, seed=3)
    items = positions(5, 9)
    views: list[Callable[[np.ndarray], torch.Tensor]] = inputs.tta_views(5)
    seen = [view(items) for view in views]
    assert torch.equal(seen[0], inputs.batch(items, None))
    assert torch.equal(seen[1], seen[0].flip(2))
    assert len({view.numpy().tobytes() for view in seen}) == 5
    for number in (2, 3, 4):
        assert torch.equal(seen[number], PixelInputs(inputs._canvases, LIGHT, 3).batch(items, number))
        assert torch.equal(views[number](items[1:]), seen[number][1:])
    assert [len(inputs.tta_views(count)) for count in (1, 2, 3)] == [1, 2, 3]
    for count in (0, -1):
        with pytest.raises(OptionError, match="at least one view"):
            inputs.tta_views(count)


def test_a_seed_below_zero(patterns: Dataset) -> None:
    with pytest.raises(OptionError, match="seed of 0 or more"):
        PixelInputs(Canvases(patterns.items, SPEC), STANDARD, seed=-1)
