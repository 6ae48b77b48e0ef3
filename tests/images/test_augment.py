"""Augmentation: the same pixels whatever the batch, and each distortion is what it is called."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from headstart.backbones import Preprocess
from headstart.errors import DecodeError, OptionError
from headstart.images import augment as room
from headstart.images.augment import augment
from headstart.images.augmentation import NONE, PRESETS, STANDARD, STRONG, Augmentation, canvas, preset
from headstart.images.preprocess import prepare, prepare_canvas

Photos = dict[str, NDArray[np.uint8]]
SPEC = Preprocess(size=96, crop=0.75)  # canvases of 128


@pytest.fixture(scope="module")
def canvases(photos: Photos) -> torch.Tensor:
    """32 different canvases of 128 pixels, cut from three photographs."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(32):
        photo = list(photos.values())[number % 3]
        top, left = rng.integers(0, 100, 2)
        found.append(prepare_canvas(photo[top : top + 200, left : left + 240], SPEC))
    return torch.from_numpy(np.stack(found))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def one(pixels: torch.Tensor, augmentation: Augmentation, *key: int, size: int = SPEC.size) -> np.ndarray:
    return augment(pixels[None], augmentation, [(key or (0, 0, 0))], size)[0].numpy()  # type: ignore[list-item]


def pillow(pixels: np.ndarray, place: np.ndarray, size: int) -> np.ndarray:
    """What Pillow makes of the same affine map, which it counts from the corner."""
    corner = place @ np.array([[1, 0, -size / 2], [0, 1, -size / 2], [0, 0, 1]])
    image = Image.fromarray(pixels)
    how = (Image.Transform.AFFINE, corner[:2].ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(image.transform((size, size), *how))


augmentations = st.builds(
    Augmentation,
    flip=st.floats(0, 1),
    flip_vertical=st.floats(0, 1),
    crop=st.floats(0.05, 1),
    zoom=st.floats(0, 0.5),
    rotation=st.floats(0, 180),
    translation=st.floats(0, 0.3),
    shear=st.floats(0, 40),
    brightness=st.floats(0, 1),
    contrast=st.floats(0, 1),
    saturation=st.floats(0, 1),
    hue=st.floats(0, 0.5),
    randaugment=st.integers(0, 4),
    magnitude=st.floats(0, 10),
    erasing=st.floats(0, 1),
)


# The same pixels whatever the batch, the order and the threads


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(augmentations, st.integers(0, 2**40), st.integers(0, 200), st.randoms(use_true_random=False))
def test_a_picture_depends_on_its_key_alone(
    canvases: torch.Tensor, augmentation: Augmentation, seed: int, epoch: int, random: object
) -> None:
    keys = [(seed, epoch, item) for item in range(32)]
    torch.set_num_threads(1)
    alone = torch.cat([augment(canvases[i : i + 1], augmentation, keys[i : i + 1], 96) for i in range(32)])
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for count in (3, 17, 32):
            order = random.sample(range(32), count)  # type: ignore[attr-defined]
            batch = augment(canvases[order], augmentation, [keys[i] for i in order], 96)
            assert torch.equal(batch, alone[order])


def test_at_the_size_of_real_networks_too(photos: Photos) -> None:
    """Large enough for torch to divide a single picture among its threads."""
    spec = Preprocess(size=224)
    pictures = torch.from_numpy(np.stack([prepare_canvas(photo, spec) for photo in photos.values()] * 3))
    keys = [(5, 1, item) for item in range(9)]
    results = []
    for threads, batches in (
        (1, [[i] for i in range(9)]),
        (2, [[0, 1, 2, 3, 4, 5, 6, 7, 8]]),
        (2, [[i] for i in range(9)]),
    ):
        torch.set_num_threads(threads)
        parts = [augment(pictures[some], STRONG, [keys[i] for i in some], 224) for some in batches]
        results.append(torch.cat(parts))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_seed_epoch_and_item_each_matter(canvases: torch.Tensor) -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    views = augment(canvases[:1].expand(5, -1, -1, -1), STANDARD, keys, 96)
    assert len({view.numpy().tobytes() for view in views}) == 5


def test_what_is_drawn_stays_the_same_between_versions() -> None:
    """A run that is resumed after an update must go on with the views that it would have seen."""
    view = room._draw(STANDARD, (7, 3, 11), 256, 224)
    place = [
        -0.9379556231921615,
        -0.21905961529489865,
        131.09319879842175,
        -0.21422250505775295,
        1.1152266395736836,
        128.0,
    ]
    colour = [
        1.0059106229403432,
        0.11421046081282685,
        0.011707554327187022,
        0.048940922376830724,
        1.0564376729867098,
        0.026450042716816318,
        0.07825583413740758,
        0.08864533970996187,
        0.9649274642329873,
    ]
    np.testing.assert_allclose(view.place[:2].ravel(), place, rtol=1e-9)
    assert view.colour is not None
    np.testing.assert_allclose(view.colour.ravel(), colour, rtol=1e-9)


def test_switching_one_distortion_off_leaves_the_others(canvases: torch.Tensor) -> None:
    plain = Augmentation(rotation=20, brightness=0.5)
    both = replace(plain, erasing=1)
    assert np.mean(one(canvases[0], plain) == one(canvases[0], both)) > 0.6
    turned = room._draw(replace(plain, brightness=0.0), (0, 0, 0), 128, 96).place
    assert np.array_equal(turned, room._draw(plain, (0, 0, 0), 128, 96).place)


# The identity, and the canvas


@settings(max_examples=30, deadline=None)
@given(
    *(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["crop", "squash"])),
    *(st.sampled_from([0.5, 0.7, 0.875, 0.95, 1.0]), st.integers(17, 70)),
)
def test_the_middle_of_a_canvas_is_what_evaluation_sees(
    width: int, height: int, how: str, crop: float, size: int
) -> None:
    spec = Preprocess(size=size, resize=how, crop=crop)  # type: ignore[arg-type]
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    drawn = torch.from_numpy(prepare_canvas(pixels, spec))
    assert drawn.shape == (canvas(spec).size,) * 2 + (3,)
    for augmentation in (NONE, Augmentation(randaugment=0, magnitude=7)):
        seen = one(drawn, augmentation, 4, 2, 9, size=size)
        assert np.array_equal(seen, prepare(pixels, spec, "torch"))
        assert np.abs(seen.astype(int) - prepare(pixels, spec, "pillow")).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(301, 240), (200, 333), (113, 113), (60, 40)])
def test_the_canvas_goes_on_at_the_same_scale_and_place(width: int, height: int) -> None:
    """On a ramp every pixel tells where in the source it came from."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    ramp = np.stack([x * 250 / width, y * 250 / height, 0 * x], -1).round().astype(np.uint8)
    drawn = prepare_canvas(ramp, SPEC).astype(float)
    side = round(min(width, height) * SPEC.crop)
    step, edge = side / SPEC.size, (128 - SPEC.size) // 2
    for channel, length in ((0, width), (1, height)):
        start = (length - side) // 2
        source = start + (np.arange(128) - edge + 0.5) * step - 0.5
        inside = (source > step) & (source < length - 1 - step)
        expected = source * 250 / length
        line = drawn[64, :, 0] if channel == 0 else drawn[:, 64, 1]
        assert inside.sum() > 100
        assert np.abs(line - expected)[inside].max() <= 0.5 + 0.5 * 250 / length


def test_a_canvas_of_what_cannot_be_read() -> None:
    with pytest.raises(DecodeError):
        prepare_canvas(b"not a picture", SPEC)


def test_squashing_networks_have_no_room_around() -> None:
    assert canvas(Preprocess(size=60, resize="squash", crop=0.5)).size == 60
    assert canvas(Preprocess(size=60, crop=0.5)).size == 120


# Each distortion is what it is called


def test_flips_mirror(canvases: torch.Tensor) -> None:
    plain = one(canvases[0], NONE)
    assert np.array_equal(one(canvases[0], Augmentation(flip=1)), plain[:, ::-1])
    assert np.array_equal(one(canvases[0], Augmentation(flip_vertical=1)), plain[::-1])
    assert np.array_equal(one(canvases[0], Augmentation(flip=1, flip_vertical=1)), plain[::-1, ::-1])


def test_a_flip_of_one_half_comes_every_other_time(canvases: torch.Tensor) -> None:
    keys = [(0, epoch, item) for epoch in range(20) for item in range(20)]
    small = canvases[:1, :16, :16].expand(400, -1, -1, -1)
    flipped = augment(small, Augmentation(flip=0.5), keys, 16)
    share = float((flipped == small.flip(2)).flatten(1).all(1).float().mean())
    assert 0.43 < share < 0.57  # 2.8 standard deviations of 400 fair coins


@pytest.mark.parametrize("item", range(5))
def test_rotation_is_pillows(canvases: torch.Tensor, item: int) -> None:
    place = room._draw(Augmentation(rotation=40), (0, 0, item), 128, 128).place
    angle = math.degrees(math.atan2(place[1, 0], place[0, 0]))
    assert 0 < abs(angle) <= 40
    turned = Image.fromarray(canvases[item].numpy()).rotate(angle, Image.Resampling.BILINEAR)
    y, x = np.mgrid[:128, :128] - 63.5
    disc = np.hypot(x, y) < 60
    ours = one(canvases[item], Augmentation(rotation=40), 0, 0, item, size=128).astype(int)
    assert (
        np.abs(ours - np.asarray(turned))[disc].max() <= 2
    )  # Pillow rounds, and computes with less precision


@pytest.mark.parametrize(
    ("augmentation", "low", "high"),
    [
        (Augmentation(zoom=0.25), 1 / 1.25, 1.25),
        (Augmentation(crop=0.2), 0.2**0.5 * 128 / 96 * 0.75, 128 / 96),
        (Augmentation(shear=30), 1, 1 / math.cos(math.radians(30))),
        (Augmentation(translation=0.2), 1, 1),
        (STANDARD, 0.5, 1.7),
        (Augmentation(randaugment=3, magnitude=5), 0.5, 1.6),
    ],
)
def test_moves_are_pillows_affine_map_and_within_their_range(
    canvases: torch.Tensor, augmentation: Augmentation, low: float, high: float
) -> None:
    moving = replace(augmentation, brightness=0, contrast=0, saturation=0, hue=0, erasing=0)
    scales, seen = [], []
    for item in range(40):
        view = room._draw(moving, (1, 0, item), 128, 96)
        scales += np.linalg.norm(view.place[:2, :2], axis=0).tolist()
        seen.append(view.place)
        if item >= 8 or view.operations:
            continue
        corners = view.place @ np.array([[-48, 48, -48, 48], [-48, -48, 48, 48], [1, 1, 1, 1]])
        ours = one(canvases[item], moving, 1, 0, item).astype(int)
        theirs = pillow(canvases[item].numpy(), view.place, 96)
        u, v = np.meshgrid(np.arange(96) - 47.5, np.arange(96) - 47.5)
        at = np.einsum("ij,jhw->ihw", view.place[:2], np.stack([u, v, np.ones_like(u)]))
        inside = ((at > 1) & (at < 127)).all(0)
        assert inside.any()
        assert corners.min() > -128
        assert np.abs(ours - theirs)[inside].max() <= 2
    assert low - 1e-9 <= min(scales)
    assert max(scales) <= high + 1e-9
    assert len({place.tobytes() for place in seen}) > 20


def test_translation_shifts_by_up_to_its_share(canvases: torch.Tensor) -> None:
    moves = np.array(
        [room._draw(Augmentation(translation=0.2), (0, 0, i), 128, 96).place[:2, 2] for i in range(300)]
    )
    away = moves - 64
    assert np.abs(away).max() <= 0.2 * 96
    assert (np.abs(away).max(axis=0) > 0.18 * 96).all()
    assert np.abs(away.mean(axis=0)).max() < 2


def test_crops_stay_inside_the_picture_and_keep_their_share() -> None:
    for item in range(300):
        place = room._draw(Augmentation(crop=0.3), (0, 0, item), 128, 96).place
        corners = place @ np.array([[-48, 48], [-48, 48], [1, 1]])
        assert corners[:2].min() > -1e-9
        assert corners[:2].max() < 128 + 1e-9
        width, height = corners[:2, 1] - corners[:2, 0]
        assert 0.75 * 0.3 <= width * height / 128**2 <= 1 + 1e-9
        assert 3 / 4 - 1e-9 <= width / height <= 4 / 3 + 1e-9


@settings(max_examples=15, deadline=None)
@given(augmentations, st.integers(0, 1000))
def test_there_are_no_black_corners(augmentation: Augmentation, item: int) -> None:
    """However far a view reaches beyond a white picture, it sees white: the edge is mirrored."""
    moving = replace(augmentation, brightness=0, contrast=0, saturation=0, hue=0, erasing=0, randaugment=0)
    white = torch.full((40, 40, 3), 255, dtype=torch.uint8)
    assert (one(white, moving, 0, 0, item, size=32) == 255).all()


@pytest.mark.parametrize("name", ["brightness", "saturation"])
def test_colours_are_pillows(canvases: torch.Tensor, name: str) -> None:
    enhance = {"brightness": ImageEnhance.Brightness, "saturation": ImageEnhance.Color}[name]
    plain = Image.fromarray(one(canvases[1], NONE))
    changed = 0
    for item in range(6):
        view = room._draw(Augmentation(**{name: 0.8}), (0, 0, item), 128, 96)
        assert view.colour is not None
        # A factor f scales the distance between two channels by f, whichever of the two it is.
        factor = float(view.colour[0, 0] - view.colour[1, 0])
        assert 0.2 <= factor <= 1.8
        ours = one(canvases[1], Augmentation(**{name: 0.8}), 0, 0, item).astype(int)
        assert np.abs(ours - np.asarray(enhance(plain).enhance(factor))).max() <= 2
        changed += np.abs(ours - np.asarray(plain)).mean() > 3
    assert changed >= 3


def test_contrast_keeps_the_mean_and_scales_the_spread(canvases: torch.Tensor) -> None:
    soft = (canvases[2] // 4 + 96).contiguous()  # nothing reaches black or white
    plain = one(soft, NONE, size=128).astype(float)
    for item in range(6):
        factor = room._draw(Augmentation(contrast=0.6), (0, 0, item), 128, 128).contrast
        ours = one(soft, Augmentation(contrast=0.6), 0, 0, item, size=128).astype(float)
        assert abs(factor - 1) <= 0.6
        assert ours.std() / plain.std() == pytest.approx(factor, abs=0.03)
        grey = [0.299, 0.587, 0.114]
        assert (ours @ grey).mean() == pytest.approx((plain @ grey).mean(), abs=1)


def test_hue_turns_the_colours_and_leaves_brightness_and_greys() -> None:
    colour = np.array([150, 110, 90])
    grey = np.full(3, 120)
    picture = torch.from_numpy(
        np.stack([colour, grey]).astype(np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    )
    seen = [
        one(picture[0], Augmentation(hue=0.3), 0, 0, item, size=8)[0, 0].astype(int) for item in range(12)
    ]
    luma = np.array([0.299, 0.587, 0.114])
    assert all(abs(luma @ got - luma @ colour) <= 1 for got in seen)
    assert np.ptp(np.array(seen), axis=0).min() > 10
    assert np.abs(one(picture[1], Augmentation(hue=0.5), 0, 0, 1, size=8).astype(int) - 120).max() <= 1
    thirds = room._turn(1 / 3)
    np.testing.assert_allclose(thirds @ thirds @ thirds, np.eye(3), atol=1e-9)


def test_erasing_replaces_one_rectangle_by_noise(canvases: torch.Tensor) -> None:
    plain = one(canvases[3], NONE).astype(int)
    shares = []
    for item in range(40):
        erased = one(canvases[3], Augmentation(erasing=1), 0, 0, item).astype(int)
        changed = (erased != plain).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        box = changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.98  # noise may hit a pixel's own value
        assert erased[changed].std() > 60
        shares.append(box.size / changed.size)
    assert 0.015 < min(shares) < 0.1
    assert 0.2 < max(shares) < 0.35
    untouched = [one(canvases[3], Augmentation(erasing=0.25), 0, 0, item) for item in range(100)]
    assert 10 <= sum((view != plain).any() for view in untouched) <= 42


@pytest.mark.parametrize("name", sorted(room._COLOURS))
def test_every_colour_operation_of_randaugment_shows(photos: Photos, name: str) -> None:
    # Neither black nor white occurs: autocontrast and equalize have work to do.
    dull = (photos["chelsea"][60:188, 120:248] // 2 + 60).astype(np.uint8)
    changed = np.asarray(room._COLOURS[name](0.9)(Image.fromarray(dull))).astype(int)
    assert np.abs(changed - dull).mean() > 1
    assert changed.std() > 0


@pytest.mark.parametrize("name", sorted(room._MOVES))
def test_every_move_of_randaugment_is_undone_by_its_opposite(name: str) -> None:
    there, back = room._MOVES[name](0.6, 96), room._MOVES[name](-0.6, 96)
    assert not np.allclose(there, np.eye(3), atol=0.05)
    np.testing.assert_allclose(there @ back, np.eye(3), atol=1e-9)


def test_randaugment_draws_every_operation(canvases: torch.Tensor) -> None:
    augmentation = Augmentation(randaugment=1, magnitude=6)
    views = [room._draw(augmentation, (0, 0, item), 128, 96) for item in range(400)]
    moved = sum(not np.array_equal(view.place, room._shift(64, 64)) for view in views)
    coloured = sum(bool(view.operations) for view in views)
    assert 400 * 5 / 14 - 40 < moved < 400 * 5 / 14 + 40
    assert 400 * 8 / 14 - 40 < coloured < 400 * 8 / 14 + 40
    assert all(len(view.operations) <= 1 for view in views)
    pictures = {one(canvases[4], augmentation, 0, 0, item).tobytes() for item in range(60)}
    assert len(pictures) >= 14


def test_randaugments_strength_is_its_magnitude(canvases: torch.Tensor) -> None:
    def away(magnitude: float) -> float:
        """How far operations that have a strength take a picture from itself, on average."""
        plain = Image.fromarray(one(canvases[5], NONE))
        names = ("brightness", "contrast", "saturation", "sharpness", "posterize", "solarize")
        changed = [np.asarray(room._COLOURS[name](magnitude / 10)(plain)).astype(int) for name in names]
        return float(np.mean([np.abs(picture - np.asarray(plain)).mean() for picture in changed]))

    assert away(0) == 0
    assert 0 < away(3) < away(6) < away(10)


# As plain data


@given(augmentations)
def test_json_and_back(augmentation: Augmentation) -> None:
    assert Augmentation.from_json(augmentation.to_json()) == augmentation


def test_presets() -> None:
    assert set(PRESETS) == {"none", "light", "standard", "strong"}
    for name, augmentation in PRESETS.items():
        assert preset(name) is augmentation
        assert Augmentation.from_json(augmentation.to_json()) == augmentation
    assert preset("none").words() == "nothing"
    assert "randaugment 2" in preset("strong").words()
    assert "magnitude" not in preset("standard").words()
    assert Augmentation.from_json({"flip": 1}) == Augmentation(flip=1)
    with pytest.raises(OptionError, match="none, light, standard, strong"):
        preset("mild")


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation)])
@pytest.mark.parametrize("value", [-0.1, 1000, math.nan, math.inf, "0.5", None, True, [0.5]])
def test_values_out_of_range(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} from .*, received .*to fix"):
        Augmentation(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        Augmentation.from_json({name: value})


@pytest.mark.parametrize(
    "value", [None, "light", 3, [], {"flipp": 1}, {"flip": 1, 2: 3}, {"randaugment": 1.5}]
)
def test_json_that_is_no_augmentation(value: object) -> None:
    with pytest.raises(OptionError):
        Augmentation.from_json(value)


def test_arguments_that_cannot_be_used(canvases: torch.Tensor) -> None:
    key = [(0, 0, 0)]
    for pixels, keys, size, match in (
        (canvases[0], key, 96, "uint8 .n, side, side, 3"),
        (canvases[:1].float(), key, 96, "float32"),
        (canvases[:1, :, :100], key, 96, "128, 100"),
        (canvases[:1, ..., :2], key, 96, "128, 2"),
        (canvases[:1].to("meta"), key, 96, "meta"),
        (canvases[:1], key, 129, "canvas's 128"),
        (canvases[:1], key, 0, "received 0"),
        (canvases[:2], key, 96, "each of 2 pictures"),
        (canvases[:1], [(0, -1, 0)], 96, "0 or more"),
        (canvases[:1], [(0, 1)], 96, "seed, epoch, item"),
    ):
        with pytest.raises(OptionError, match=match):
            augment(pixels, STANDARD, keys, size)  # type: ignore[arg-type]


def test_no_pictures_at_all(canvases: torch.Tensor) -> None:
    assert augment(canvases[:0], STRONG, [], 96).shape == (0, 96, 96, 3)


def test_canvases_are_left_as_they_are(canvases: torch.Tensor) -> None:
    before = canvases.clone()
    augment(canvases, STRONG, [(0, 0, item) for item in range(32)], 96)
    assert torch.equal(canvases, before)
