"""Batches as the encoder sees them: every epoch sees each photograph once, and never the same view."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.data.items import Item
from headstart.studio.colorize.photographs import Photographs
from headstart.studio.colorize.seen import Stream

Floats = NDArray[np.float32]


def eye(lightness: Floats) -> tuple[Floats, ...]:
    """An encoder."""
    return lightness[:, :, ::4, ::4] * np.float32(0.01), lightness[:, 0, 0]


@pytest.fixture
def photographs() -> Photographs:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(7)]
    return Photographs([Item(f"{number}", picture) for number, picture in enumerate(pictures)], 32, 0)


def test_a_batch_holds_what_the_encoder_gives_for_its_views(photographs: Photographs) -> None:
    stream = Stream(photographs, eye, 4)
    assert stream.epoch == 2
    batch = stream.batch(2)  # the eighth to the eleventh: places 1 to 4 of epoch 1
    for row, place in enumerate(range(1, 5)):
        lightness, ab = photographs.view(photographs.order(1)[place], 1)
        np.testing.assert_array_equal(batch.seen[0][row], lightness[:, ::4, ::4] * np.float32(0.01))
        np.testing.assert_array_equal(batch.ab[row], ab)


def test_batches_ahead_are_the_batches(photographs: Photographs) -> None:
    stream = Stream(photographs, eye, 3)
    for step, batch in zip(range(4, 9), stream.batches(4, 9), strict=True):
        np.testing.assert_array_equal(batch.ab, stream.batch(step).ab)
        np.testing.assert_array_equal(batch.seen[1], stream.batch(step).seen[1])


def test_an_epoch_sees_each_photograph_once_and_no_view_comes_again(photographs: Photographs) -> None:
    stream = Stream(photographs, eye, 7)
    rows = np.concatenate([stream.batch(epoch).ab.reshape(7, -1) for epoch in range(3)])
    apart = np.abs(rows[:, None] - rows[None]).max(2)
    assert apart[~np.eye(21, dtype=bool)].min() > 1
