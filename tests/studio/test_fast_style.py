"""Styles in one pass: pictures of any shape, tiles without seams, folders, videos that do not flicker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import ArtefactError, BackboneError, DataError, DecodeError, OptionError
from headstart.images.decode import decode
from headstart.networks.style_network import StyleNetwork
from headstart.studio import any_style as any_style_module
from headstart.studio import fast_style
from headstart.studio.any_style import any_style
from headstart.studio.fast_making import save_style
from headstart.studio.fast_painting import paint_fast, steadied
from headstart.studio.fast_style import Brush, is_style, open_style
from headstart.studio.video import read_video, write_video

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A style network with random weights, kept."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("styles") / "random.style"
    save_style(StyleNetwork(8, 2).eval(), path, {"style": {"name": "none", "digest": "0" * 64}})
    return path


@pytest.fixture(scope="module")
def brush(folder: Path) -> Brush:
    return open_style(folder, "fp32")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70))
def test_a_painting_is_as_large_as_the_picture(brush: Brush, height: int, width: int) -> None:
    painted = brush.paint(noise(height, width))
    assert painted.shape == (height, width, 3)
    assert painted.dtype == np.uint8


def test_a_panorama(brush: Brush) -> None:
    assert brush.paint(noise(20, 400)).shape == (20, 400, 3)


def test_pictures_come_out_in_order_whatever_their_sizes(brush: Brush) -> None:
    pictures = [noise(side, 2 * side, seed) for seed, side in enumerate((40, 33, 64, 40, 8))]
    together = list(brush.stream(iter(pictures)))
    for picture, painted in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(brush.paint(picture), painted)


def test_tiles_show_no_seams(
    brush: Brush, photos: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photos["china"][:301, :402]
    at_once = brush.paint(picture)
    monkeypatch.setattr(fast_style, "AT_ONCE", 1000)
    monkeypatch.setattr(fast_style, "_TILE", 128)
    monkeypatch.setattr(fast_style, "_OVERVIEW", picture.shape[0] * picture.shape[1])
    tiles = brush.paint(picture)
    assert tiles.shape == picture.shape
    assert np.abs(tiles.astype(int) - at_once).max() <= 2
    # a smaller copy to norm by changes tones a little, for all tiles alike
    monkeypatch.setattr(fast_style, "_OVERVIEW", 20_000)
    nearly = brush.paint(picture)
    assert np.abs(nearly.astype(int) - at_once).mean() < 25


def test_what_is_no_style(folder: Path, tmp_path: Path) -> None:
    assert is_style(folder)
    assert not is_style(tmp_path)
    with pytest.raises(ArtefactError, match="style-train"):
        open_style(tmp_path)
    (tmp_path / "style.json").write_text("{")
    with pytest.raises(ArtefactError, match="JSON"):
        open_style(tmp_path)
    (tmp_path / "style.json").write_text('{"schema": 99}')
    with pytest.raises(ArtefactError, match="schema 1"):
        open_style(tmp_path)


@pytest.mark.parametrize("name", ["network.xml", "network.bin", "weights.safetensors"])
def test_a_damaged_style_is_found(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes((folder / name).read_bytes()[:-7])
    with pytest.raises(ArtefactError, match=name):
        open_style(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtefactError, match="no such file"):
        open_style(tmp_path)


def test_torch_is_not_needed(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(30, 40)).save(tmp_path / "photo.png")
    code = (
        "import sys; from pathlib import Path\n"
        "from headstart.studio.fast_style import open_style\n"
        "from headstart.studio.fast_painting import paint_fast\n"
        "import headstart.studio.any_style\n"
        "paint_fast(Path(sys.argv[2]), open_style(Path(sys.argv[1])), Path(sys.argv[3]))\n"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules\n"
    )
    names = [str(folder), str(tmp_path / "photo.png"), str(tmp_path / "painted.png")]
    subprocess.run([sys.executable, "-c", code, *names], check=True, timeout=120)
    assert size_of(tmp_path / "painted.png") == (40, 30)


def test_pictures_of_every_kind(brush: Brush, tmp_path: Path) -> None:
    Image.new("RGBA", (41, 30), (0, 0, 255, 100)).save(tmp_path / "alpha.png")
    Image.new("CMYK", (40, 30), (10, 20, 30, 40)).save(tmp_path / "print.jpg")
    Image.new("L", (1, 1), 7).save(tmp_path / "dot.png")
    for name in ("alpha.png", "print.jpg", "dot.png"):
        made = paint_fast(tmp_path / name, brush, tmp_path / "out" / f"{name}.png")
        assert made["painted"] == 1
        wanted = size_of(tmp_path / name)
        assert size_of(tmp_path / "out" / f"{name}.png") == wanted
    paint_fast(tmp_path / "alpha.png", brush, tmp_path / "small.jpg", size=20)
    assert size_of(tmp_path / "small.jpg") == (20, 15)


def test_a_folder_is_painted_and_what_cannot_be_is_told(brush: Brush, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "trip").mkdir(parents=True)
    Image.fromarray(noise(20, 30)).save(photos / "a.png")
    Image.fromarray(noise(30, 20)).save(photos / "trip" / "b.jpg")
    Image.fromarray(noise(8, 8)).save(photos / "c.tif")
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("no picture, and none is claimed")
    made = paint_fast(photos, brush, tmp_path / "painted")
    found = {
        path.relative_to(tmp_path / "painted").as_posix() for path in (tmp_path / "painted").rglob("*.*")
    }
    assert found == {"a.png", "trip/b.jpg", "c.tif.png"}
    assert made["painted"] == 3
    assert list(made["failed"]) == ["bad.jpg"]
    np.testing.assert_array_equal(decode(tmp_path / "painted" / "a.png"), brush.paint(noise(20, 30)))


def test_folders_without_pictures(brush: Brush, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none"):
        paint_fast(tmp_path / "empty", brush, tmp_path / "out")
    (tmp_path / "empty" / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.jpg"):
        paint_fast(tmp_path / "empty", brush, tmp_path / "out")
    Image.fromarray(noise(8, 8)).save(tmp_path / "empty" / "good.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="folder for what is made"):
        paint_fast(tmp_path / "empty", brush, tmp_path / "file")


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_video_is_painted(brush: Brush, tmp_path: Path, ending: str) -> None:
    still = noise(32, 48)
    write_video(tmp_path / f"clip{ending}", [still] * 3 + [255 - still] * 2, fps=10)
    told: list[str] = []
    made = paint_fast(tmp_path / f"clip{ending}", brush, tmp_path / "out.mp4", steady=0.5, say=told.append)
    frames = list(read_video(tmp_path / "out.mp4"))
    assert made["fps"] == pytest.approx(10)
    assert len(frames) == made["painted"]
    assert frames[0].shape == (32, 48, 3)
    # the picture changed in the video, so it does in the painting
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 5


def test_a_still_gif_may_become_a_picture(brush: Brush, tmp_path: Path) -> None:
    Image.fromarray(noise(20, 20)).save(tmp_path / "still.gif")
    paint_fast(tmp_path / "still.gif", brush, tmp_path / "out.png")
    assert size_of(tmp_path / "out.png") == (20, 20)


def test_a_video_that_cannot_be_read_or_named(brush: Brush, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(DecodeError):
        paint_fast(tmp_path / "bad.mp4", brush, tmp_path / "out.mp4")
    with pytest.raises(OptionError, match=r"\.mp4 or \.gif"):
        paint_fast(tmp_path / "bad.mp4", brush, tmp_path / "out.png")
    for steady in (-0.1, 1.0):
        with pytest.raises(OptionError, match="steadiness"):
            paint_fast(tmp_path / "bad.mp4", brush, tmp_path / "out.mp4", steady=steady)
    assert not (tmp_path / "out.mp4").exists()


def test_still_places_are_steady_and_moving_ones_new() -> None:
    scenes = [np.full((64, 64, 3), 100, np.uint8) for _ in range(12)]
    scenes[6:] = [scene.copy() for scene in scenes[6:]]
    for scene in scenes[6:]:
        scene[:, 32:] = 200  # the right half jumps once
    generator = np.random.default_rng(0)
    flicker = [generator.integers(80, 120, (64, 64, 3)).astype(np.uint8) for _ in scenes]
    shown = list(steadied(scenes, flicker, 0.8))
    assert [frame.shape for frame in shown] == [(64, 64, 3)] * 12

    def change(frames: list[Pixels], part: slice) -> float:
        pairs = pairwise(frames)
        return float(np.mean([np.abs(a[:, part].astype(int) - b[:, part]).mean() for a, b in pairs]))

    assert change(shown, slice(0, 16)) < 0.5 * change(flicker, slice(0, 16))
    np.testing.assert_array_equal(shown[6][:, 48:], flicker[6][:, 48:])  # where it moved, nothing is kept
    assert np.abs(shown[6][:, :16].astype(int) - flicker[6][:, :16]).mean() > 1


def test_no_steadiness_changes_nothing() -> None:
    frames = [noise(16, 16, seed) for seed in range(3)]
    for shown, frame in zip(steadied([frames[0]] * 3, frames, 0.0), frames, strict=True):
        np.testing.assert_array_equal(shown, frame)


@pytest.fixture(scope="module")
def painters() -> Callable[..., Brush]:
    """A function from styles to what paints like them; skipped where the networks cannot be had."""
    try:
        any_style_module.fetch()
    except BackboneError as error:
        pytest.skip(str(error))
    return lambda *styles, **options: any_style(styles, precision="fp32", **options)


def test_any_style_gives_its_colours(photos: dict[str, Pixels], painters: Callable[..., Brush]) -> None:
    scene = photos["chelsea"][::2, ::2]
    blue = np.full((60, 60, 3), (20, 40, 200), np.uint8) ^ (noise(60, 60) >> 4)
    red = blue[..., ::-1].copy()
    as_blue, as_red = (painters(style).paint(scene).astype(int) for style in (blue, red))
    assert as_blue.shape == scene.shape
    assert as_blue[..., 2].mean() - as_blue[..., 0].mean() > 20
    assert as_red[..., 0].mean() - as_red[..., 2].mean() > 20


def test_styles_blend_between_their_ends(photos: dict[str, Pixels], painters: Callable[..., Brush]) -> None:
    scene, one, other = photos["chelsea"][:96, :96], photos["coffee"], photos["china"]
    brushes = [painters(one, other, weights=weights) for weights in ([3, 0], [1, 1], [0, 1])]
    first, middle, last = (brush.paint(scene).astype(int) for brush in brushes)
    apart = np.abs(first - last).mean()
    assert 0 < np.abs(middle - first).mean() < apart
    assert 0 < np.abs(middle - last).mean() < apart
    for shape in ((1, 1), (5, 100)):
        assert brushes[0].paint(noise(*shape)).shape == (*shape, 3)


def test_any_style_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    style = noise(8, 8)
    with pytest.raises(OptionError, match="weight for each"):
        any_style([style], [1, 2])
    with pytest.raises(OptionError, match="weight for each"):
        any_style([])
    with pytest.raises(OptionError, match="none below 0"):
        any_style([style, style], [1, -1])
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match="backbones fetch magenta-stylize"):
        any_style([style], offline=True)


def test_a_card_is_json_that_says_where_it_comes_from(folder: Path) -> None:
    card = json.loads((folder / "style.json").read_text())
    assert set(card["versions"]) == {"headstart", "torch", "openvino"}
    assert set(card["files"]) == {"network.xml", "network.bin", "weights.safetensors"}
