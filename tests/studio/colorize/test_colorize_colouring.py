"""A colorizer applied: lightness and edges kept, strips without seams, folders, videos without flicker."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import ArtefactError, DataError, DecodeError, OptionError
from headstart.images.decode import decode
from headstart.studio.colorize import colorizer as colorizer_module
from headstart.studio.colorize.colorizer import Colorizer, has_colour, open_colorizer
from headstart.studio.colorize.colouring import colorize_files, steady_colours
from headstart.studio.colorize.hints import Hint
from headstart.studio.colorize.lab import lightness, rgb_to_lab
from headstart.studio.colorize.sheet import MOST, grey, row, sheet
from headstart.studio.video import read_video, write_video
from toy_colorizer import SIZE, toy_colorizer

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_colorizer(tmp_path_factory.mktemp("colorizers") / "toy.colorizer")


@pytest.fixture(scope="module")
def colorizer(folder: Path) -> Colorizer:
    return open_colorizer(folder, "fp32")


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(60, 200, (height, width, 3)).astype(np.uint8)


def halves(height: int = 64, width: int = 96) -> Pixels:
    """Dark on the left, light on the right, grey."""
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[:, width // 2 :] = 180
    return picture


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90))
def test_a_picture_stays_as_large_and_as_light(colorizer: Colorizer, height: int, width: int) -> None:
    picture = noise(height, width)
    coloured = colorizer.colorize(picture)
    assert coloured.shape == picture.shape
    assert coloured.dtype == np.uint8
    # the toy's colours all exist at these lightnesses
    assert np.abs(lightness(coloured) - lightness(picture)).max() < 1.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 3)])
def test_pictures_of_hardly_any_pixels(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    assert colorizer.colorize(noise(*shape)).shape == (*shape, 3)


def test_what_is_told_is_painted(colorizer: Colorizer) -> None:
    coloured = rgb_to_lab(colorizer.colorize(halves()))
    dark, light = coloured[32, 20], coloured[32, 80]
    assert dark[1] > 10
    assert dark[2] > 15
    assert light[2] < -20


def test_colours_stop_at_edges(colorizer: Colorizer) -> None:
    """The toy tells 8 × 8 colours: each for 12 pixels, and still the edge is where it was."""
    coloured = rgb_to_lab(colorizer.colorize(halves()))
    jump = np.abs(np.diff(coloured[32, :, 2]))
    assert jump.argmax() == 47
    assert jump[47] > 10 * np.delete(jump, 47).max()


def test_only_the_lightness_counts(colorizer: Colorizer, photos: dict[str, Pixels]) -> None:
    photo = photos["chelsea"][:120, :160]
    without = grey(photo)
    apart = np.abs(colorizer.colorize(photo).astype(int) - colorizer.colorize(without))
    assert apart.max() <= 12
    assert apart.mean() < 1


def test_vivid_and_expected(colorizer: Colorizer) -> None:
    picture = np.full((40, 40, 3), 125, np.uint8)  # in the middle: the toy is not sure
    expected = colorizer.ab(picture, how="expected")
    hot, cold = (colorizer.ab(picture, temperature=heat) for heat in (1.0, 0.05))
    assert expected.shape == (SIZE // 4, SIZE // 4, 2)
    chroma = [float(np.hypot(*each[4, 4])) for each in (expected, hot, cold)]
    assert chroma[0] < chroma[1] < chroma[2]  # rebalanced, then nearer to the mode
    with pytest.raises(OptionError, match="temperature"):
        colorizer.colorize(picture, temperature=0)


def test_a_classic_network_tells_colours_itself(tmp_path: Path) -> None:
    classic = open_colorizer(toy_colorizer(tmp_path / "classic", "classic"), "fp32")
    told = classic.ab(halves())
    assert told.shape == (SIZE // 4, SIZE // 4, 2)
    np.testing.assert_allclose(told[4, 1], (10 - 0.2 * 25.3, 35 - 0.7 * 25.3), atol=0.5)
    np.testing.assert_array_equal(told, classic.ab(halves(), how="expected"))


def test_a_hint_wins(colorizer: Colorizer) -> None:
    red = Hint(20, 30, (140, 60, 60))
    coloured = rgb_to_lab(colorizer.colorize(halves(), hints=[red]))
    assert np.abs(coloured[30, 20, 1:] - red.ab).max() < 12
    assert np.abs(coloured[30, 5, 1:] - red.ab).max() < 15
    without = rgb_to_lab(colorizer.colorize(halves()))
    np.testing.assert_allclose(coloured[:, 60:, 1:], without[:, 60:, 1:], atol=3)
    with pytest.raises(OptionError, match="96 × 64 pixels"):
        colorizer.colorize(halves(), hints=[Hint(96, 0, (0, 0, 0))])


def test_strips_show_no_seams(
    colorizer: Colorizer, photos: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = colorizer.colorize(photos["coffee"])
    monkeypatch.setattr(colorizer_module, "_STRIP", 7_000)
    in_strips = colorizer.colorize(photos["coffee"])
    assert np.abs(at_once.astype(int) - in_strips).max() <= 1


def test_what_is_no_colorizer(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="colorize-train"):
        open_colorizer(tmp_path)
    with pytest.raises(ArtefactError, match="colorize-train"):
        open_colorizer(tmp_path / "absent")
    shutil.copytree(folder, tmp_path / "copy")
    card = json.loads((folder / "colorizer.json").read_text())
    del card["prior"]
    (tmp_path / "copy" / "colorizer.json").write_text(json.dumps(card))
    with pytest.raises(ArtefactError, match="prior"):
        open_colorizer(tmp_path / "copy")
    (tmp_path / "copy" / "network.bin").write_bytes(b"other")
    with pytest.raises(ArtefactError, match=r"network\.bin"):
        open_colorizer(tmp_path / "copy")


def test_no_torch_is_needed(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(30, 40)).save(tmp_path / "old.png")
    code = (
        "import sys; from pathlib import Path\n"
        "from headstart.studio.colorize.colorizer import open_colorizer\n"
        "from headstart.studio.colorize.colouring import colorize_files\n"
        "colorize_files(Path(sys.argv[2]), open_colorizer(Path(sys.argv[1])), Path(sys.argv[3]))\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    names = [str(folder), str(tmp_path / "old.png"), str(tmp_path / "new.png")]
    subprocess.run([sys.executable, "-c", code, *names], check=True, timeout=120)
    assert decode(tmp_path / "new.png").shape == (30, 40, 3)


def test_what_is_grey() -> None:
    assert not has_colour(grey(noise(40, 40)))
    assert not has_colour(np.full((1, 1, 3), 7, np.uint8))
    assert has_colour(np.full((9, 9, 3), (112, 95, 70), np.uint8))  # sepia


def test_a_picture_and_its_sheet(colorizer: Colorizer, photos: dict[str, Pixels], tmp_path: Path) -> None:
    Image.fromarray(photos["coffee"]).save(tmp_path / "coffee.png")
    Image.fromarray(photos["coffee"]).convert("L").save(tmp_path / "grey.png")
    told: list[str] = []
    made = colorize_files(
        tmp_path / "coffee.png", colorizer, tmp_path / "out.png", beside=tmp_path / "s.png", say=told.append
    )
    assert made == {**made, "coloured": 1, "had_colour": ["coffee.png"], "failed": {}}
    assert "only how light it is" in told[0]
    made = colorize_files(
        tmp_path / "grey.png", colorizer, tmp_path / "out2.png", beside=tmp_path / "s2.png", say=told.append
    )
    assert made["had_colour"] == []
    assert len(told) == 1
    three, two = decode(tmp_path / "s.png"), decode(tmp_path / "s2.png")
    assert three.shape[1] > 1.4 * two.shape[1]
    assert has_colour(two)


def test_a_folder(colorizer: Colorizer, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "trip").mkdir(parents=True)
    Image.fromarray(noise(20, 30)).save(photos / "a.png")
    Image.fromarray(halves()).convert("L").save(photos / "trip" / "b.tif")
    (photos / "bad.jpg").write_bytes(b"no picture")
    made = colorize_files(photos, colorizer, tmp_path / "out", beside=tmp_path / "sheet.jpg")
    assert made["coloured"] == 2
    assert made["had_colour"] == ["a.png"]
    assert list(made["failed"]) == ["bad.jpg"]
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {"a.png", "trip/b.tif.png"}
    np.testing.assert_array_equal(decode(tmp_path / "out" / "a.png"), colorizer.colorize(noise(20, 30)))


def test_nothing_is_written_over(colorizer: Colorizer, tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(OptionError, match="names of their own"):
        colorize_files(tmp_path / "a.png", colorizer, tmp_path / "a.png")
    with pytest.raises(OptionError, match="names of their own"):
        colorize_files(tmp_path, colorizer, tmp_path)
    for output, beside in (("b.png", "b.png"), ("b.png", "a.png")):
        with pytest.raises(OptionError, match="names of their own"):
            colorize_files(tmp_path / "a.png", colorizer, tmp_path / output, beside=tmp_path / beside)
    assert not (tmp_path / "b.png").exists()
    assert (tmp_path / "a.png").read_bytes() == before


def test_what_cannot_be(colorizer: Colorizer, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    out = tmp_path / "out.png"
    with pytest.raises(DataError, match="none"):
        colorize_files(tmp_path / "photos", colorizer, tmp_path / "out")
    (tmp_path / "photos" / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.png"):
        colorize_files(tmp_path / "photos", colorizer, tmp_path / "out")
    with pytest.raises(DecodeError, match=r"absent\.jpg"):
        colorize_files(tmp_path / "absent.jpg", colorizer, out)
    with pytest.raises(OptionError, match="ending"):
        colorize_files(tmp_path / "photos" / "bad.png", colorizer, tmp_path / "out.doc")
    with pytest.raises(OptionError, match="one picture for hints"):
        colorize_files(tmp_path / "photos", colorizer, tmp_path / "out", hints=[Hint(0, 0, (1, 2, 3))])
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(DecodeError):
        colorize_files(tmp_path / "bad.mp4", colorizer, tmp_path / "out.mp4")
    with pytest.raises(OptionError, match="sheet"):
        colorize_files(tmp_path / "bad.mp4", colorizer, tmp_path / "out.mp4", beside=tmp_path / "s.png")
    with pytest.raises(OptionError, match="steadiness"):
        colorize_files(tmp_path / "bad.mp4", colorizer, tmp_path / "out.mp4", steady=1.0)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_video(colorizer: Colorizer, tmp_path: Path, ending: str) -> None:
    write_video(tmp_path / f"clip{ending}", [halves()] * 3 + [halves()[:, ::-1]] * 2, fps=10)
    made = colorize_files(tmp_path / f"clip{ending}", colorizer, tmp_path / "out.mp4")
    frames = list(read_video(tmp_path / "out.mp4"))
    assert made["coloured"] == len(frames)
    first, last = rgb_to_lab(frames[0]), rgb_to_lab(frames[-1])
    assert first[32, 80, 2] < -15 < last[32, 80, 2]  # another scene, other colours


def test_colours_do_not_flicker(colorizer: Colorizer) -> None:
    generator = np.random.default_rng(0)
    light = generator.uniform(112, 122, 20)  # where the toy's mind changes, as in a film of old
    frames = [np.full((48, 64, 3), round(each), np.uint8) for each in light]
    frames[10:] = [frame + np.uint8(100) for frame in frames[10:]]

    def flicker(steady: float) -> tuple[float, list[NDArray[np.float32]]]:
        shown = [rgb_to_lab(each) for each in steady_colours(frames, colorizer.ab, steady)]
        return float(np.mean([np.abs(a - b)[..., 1:].mean() for a, b in pairwise(shown[:10])])), shown

    (before, _), (after, shown) = flicker(0.0), flicker(0.8)
    assert after < 0.5 * before
    alone = rgb_to_lab(colorizer.colorize(frames[10]))
    np.testing.assert_allclose(shown[10], alone, atol=1e-3)  # nothing is kept from another scene


def test_a_sheet_has_an_end() -> None:
    picture = noise(30, 40)
    rows = [row(str(number), picture, picture, had_colour=False) for number in range(MOST + 3)]
    assert sheet(rows).shape == sheet(rows[:MOST]).shape
    with pytest.raises(DataError, match="none"):
        sheet([])
    assert sheet([row("dot", picture[:1, :1], picture[:1, :1], had_colour=True)]).ndim == 3


def test_a_scan_of_24_megapixels_takes_less_than_a_gigabyte(folder: Path, tmp_path: Path) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the resident memory is asked of Linux: elsewhere it also counts what the parent had")
    tile = np.asarray(Image.fromarray(noise(40, 60)).resize((6000, 4000), Image.Resampling.BICUBIC))
    Image.fromarray(tile).save(tmp_path / "scan.jpg", quality=85)
    code = (
        "import pathlib, sys\n"
        "from headstart.cli import run\n"
        "assert run(['colorize', *sys.argv[1:]]) == 0\n"
        "print(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    names = [str(folder), str(tmp_path / "scan.jpg"), "-o", str(tmp_path / "coloured.jpg")]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], check=True, timeout=120, capture_output=True, text=True
    )
    assert int(done.stdout.split()[-1]) * 1024 < 1e9
    with Image.open(tmp_path / "coloured.jpg") as image:
        assert image.size == (6000, 4000)
