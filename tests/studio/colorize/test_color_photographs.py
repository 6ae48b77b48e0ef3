"""What colours are learned from: the grey, the tiny, the damaged are left out; views are reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart import data
from headstart.data.items import Split
from headstart.errors import DataError
from headstart.studio.colorize import photographs
from headstart.studio.colorize.lab import rgb_to_lab
from headstart.studio.colorize.photographs import Photographs, usable, view_of


def smooth(seed: int, shape: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """A picture of soft colours."""
    few = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(few).resize(shape[::-1], Image.Resampling.BICUBIC))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(smooth(number)).save(folder / f"{number:02}.png")
    grey = smooth(50).mean(2).astype(np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    sepia = (grey[..., None] * np.array([1, 0.97, 0.93])).astype(np.uint8)
    Image.fromarray(sepia).save(folder / "sepia.png")
    Image.fromarray(smooth(51, (1, 1))).save(folder / "pixel.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    (folder / "empty.png").write_bytes(b"")
    return folder


def test_what_has_no_colours_is_left_out_with_its_reason(mixed: Path) -> None:
    found = usable(data.open(mixed, unlabelled=True))
    reasons = {problem.name: problem.reason for problem in found.left_out}
    assert sorted(reasons) == ["empty.png", "grey.png", "pixel.png", "sepia.png", "torn.jpg"]
    assert "no colours" in reasons["grey.png"]
    assert "one tint" in reasons["sepia.png"]
    assert "1 × 1 pixels" in reasons["pixel.png"]
    assert "0 bytes" in reasons["empty.png"]
    assert (len(found.train), len(found.held_out)) == (10, 2)
    assert float(found.prior.sum()) == pytest.approx(1, abs=1e-4)


def test_what_is_held_out_is_a_matter_of_the_seed_alone(mixed: Path) -> None:
    dataset = data.open(mixed, unlabelled=True)
    held_out = [{item.name for item in usable(dataset, seed).held_out} for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]
    found = usable(dataset, 1)
    assert not {item.name for item in found.train} & held_out[2]


def test_official_splits_are_kept_and_the_test_photographs_not_looked_at(mixed: Path) -> None:
    dataset = data.open(sorted(mixed.glob("[01]*.png")))
    train: list[Split] = ["train"] * 8
    splits: list[Split] = [*train, "val", "val", "val", "test"]
    (mixed / "11.png").unlink()  # nobody notices: it is a test photograph
    found = usable(dataset.with_splits(splits))
    assert (len(found.train), len(found.held_out), found.left_out) == (8, 3, ())
    assert {Path(item.name).name for item in found.held_out} == {"08.png", "09.png", "10.png"}


def test_a_folder_without_colours_is_refused_with_a_reason(mixed: Path) -> None:
    for path in mixed.glob("[01]*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"photographs with colours.*0 of 5"):
        usable(data.open(mixed, unlabelled=True))
    with pytest.raises(DataError, match="kind 'text'"):
        usable(data.open(["a text", "another"], modality="text"))


def test_a_view_is_lightness_and_the_mean_colours_of_its_pixels() -> None:
    picture = smooth(3, (64, 64))
    lightness, ab = view_of(picture, 64)
    lab = rgb_to_lab(picture)
    np.testing.assert_array_equal(lightness[0], lab[..., 0])
    np.testing.assert_allclose(ab[2, 3], lab[8:12, 12:16, 1:].mean((0, 1)), atol=1e-3)
    left = view_of(picture, 32, (0, 0, 32, 64))
    np.testing.assert_array_equal(left[0], view_of(np.ascontiguousarray(picture[:, :32]), 32)[0])


def test_views_are_the_same_for_the_same_seed_and_number_and_differ_in_all_else(mixed: Path) -> None:
    items = usable(data.open(mixed, unlabelled=True)).train
    lightness, ab = Photographs(items, 32, seed=5).view(3, 1)
    again = Photographs(items, 32, seed=5).view(3, 1)
    np.testing.assert_array_equal(lightness, again[0])
    np.testing.assert_array_equal(ab, again[1])
    assert (lightness.shape, ab.shape) == ((1, 32, 32), (8, 8, 2))
    assert lightness.dtype == ab.dtype == np.float32
    assert 0 <= lightness.min() <= lightness.max() <= 100.01
    for seed, photograph, number in ((6, 3, 1), (5, 4, 1), (5, 3, 2)):
        assert np.abs(Photographs(items, 32, seed).view(photograph, number)[1] - ab).max() > 1


def test_an_epoch_sees_each_photograph_once_in_an_order_of_its_own(mixed: Path) -> None:
    photographs = Photographs(usable(data.open(mixed, unlabelled=True)).train, 32, seed=0)
    orders = [photographs.order(epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_photograph_that_vanishes_is_replaced_by_another(mixed: Path) -> None:
    items = usable(data.open(mixed, unlabelled=True)).train
    for item in items[:9]:
        Path(str(item.source)).unlink()
    assert np.isfinite(Photographs(items, 32, 0).view(0, 0)[0]).all()
    Path(str(items[9].source)).unlink()
    with pytest.raises(DataError, match="at least one photograph"):
        Photographs(items, 32, 0).view(0, 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(32, 500), st.integers(32, 500))
def test_crops_lie_in_the_picture_and_keep_their_share(seed: int, height: int, width: int) -> None:
    left, top, right, bottom = photographs._crop(np.random.default_rng(seed), (height, width))
    assert 0 <= left < right <= width + 1e-6
    assert 0 <= top < bottom <= height + 1e-6
    assert (right - left) * (bottom - top) >= 0.35 * height * width
