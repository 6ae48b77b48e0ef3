"""What the encoder gives is computed once for each view, and the same is read again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.data.items import Item
from headstart.errors import StorageError
from headstart.studio.colorize.photographs import Photographs
from headstart.studio.colorize.seen import Stream

Floats = NDArray[np.float32]


class Eye:
    """An encoder that counts how often it looks."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, lightness: Floats) -> tuple[Floats, ...]:
        self.looks += len(lightness)
        return lightness[:, :, ::4, ::4] * np.float32(0.01), lightness[:, 0, 0]


@pytest.fixture
def photographs() -> Photographs:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(7)]
    return Photographs([Item(f"{number}", picture) for number, picture in enumerate(pictures)], 32, 0)


MakeStream = Callable[..., Stream]


@pytest.fixture
def streamed(photographs: Photographs, tmp_path: Path) -> Iterator[MakeStream]:
    """A function (encoder, batch, views, …) → stream, closed after the test."""
    with contextlib.ExitStack() as opened:

        def make(eye: Eye, batch: int, views: int, **options: int) -> Stream:
            return opened.enter_context(
                contextlib.closing(Stream(photographs, eye, batch, views, tmp_path, **options))
            )

        yield make


def test_later_epochs_read_what_the_first_ones_computed(streamed: MakeStream) -> None:
    eye = Eye()
    stream = streamed(eye, 3, 2)
    assert (stream.epoch, stream.views) == (3, 2)
    batches = list(stream.batches(0, 14))  # six epochs of seven
    assert eye.looks == 1 + 2 * 7
    fresh = streamed(Eye(), 3, 2)
    for step in (13, 4, 9):
        for mine, its in zip(fresh.batch(step).seen, batches[step].seen, strict=True):
            np.testing.assert_array_equal(mine, its)
        np.testing.assert_array_equal(fresh.batch(step).ab, batches[step].ab)


def test_a_batch_holds_what_the_encoder_gives_for_these_views(
    photographs: Photographs, streamed: MakeStream
) -> None:
    batch = streamed(Eye(), 4, 3).batch(2)  # photographs 8 to 11: places 1 to 4 of epoch 1
    for row, place in enumerate(range(1, 5)):
        photograph = photographs.order(1)[place]
        lightness, ab = photographs.view(photograph, 1)
        np.testing.assert_array_equal(
            batch.seen[0][row], (lightness[:, ::4, ::4] * np.float32(0.01)).astype(np.float16)
        )
        np.testing.assert_array_equal(batch.ab[row], ab.astype(np.float16))


def test_where_views_do_not_fit_every_epoch_has_its_own(streamed: MakeStream) -> None:
    eye = Eye()
    stream = streamed(eye, 7, 4, budget=1000)
    assert stream.views is None
    first, second, fifth = (stream.batch(epoch) for epoch in (0, 1, 4))
    assert eye.looks == 1 + 3 * 7
    for other in (second, fifth):
        assert np.abs(np.sort(first.ab, 0) - np.sort(other.ab, 0)).max() > 1
    some = streamed(eye, 7, 4, budget=2 * 7 * stream._bytes + 5)
    assert some.views == 2


def test_a_full_disk_is_told(streamed: MakeStream) -> None:
    stream = streamed(Eye(), 2, 1)

    class Full:
        def seek(self, _place: int) -> None: ...

        def write(self, _row: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    stream.close()
    stream._file = Full()  # type: ignore[assignment]
    with pytest.raises(StorageError, match="room on the disk"):
        stream.batch(0)
