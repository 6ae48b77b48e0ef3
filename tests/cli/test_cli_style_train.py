"""`headstart style-train`, and `headstart stylize` with what it leaves: end to end, through VGG16."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.cli import run
from headstart.errors import BackboneError
from headstart.images.decode import decode
from headstart.studio.video import read_video, write_video

LITTLE = ["--size", "32", "--style-size", "64", "--batch", "1", "--every", "2"]


@pytest.fixture(scope="module")
def paths(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Photographs, a style picture, and a style that was trained for three steps."""
    from headstart import backbones

    try:
        backbones.fetch("vgg16")
    except BackboneError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("trained")
    generator = np.random.default_rng(0)
    style = folder / "style.png"
    Image.fromarray(generator.integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(style)
    trained = folder / "little.style"
    arguments = [pattern_pictures, style, "-o", trained, "--steps", "3", *LITTLE]
    assert run(["style-train", *map(str, arguments)]) == 0
    return pattern_pictures, style, trained


def test_what_is_left(paths: tuple[Path, Path, Path]) -> None:
    _, _, trained = paths
    card = json.loads((trained / "style.json").read_text())
    assert card["style"]["name"] == "style.png"
    assert card["training"]["steps"] == 3
    assert card["photographs"] == {**card["photographs"], "count": 42, "unread": 0}
    assert card["judge"]["name"] == "vgg16"
    run_folder = trained.with_name("little.style.run")
    assert decode(run_folder / "preview.jpg").shape == (32, 32, 3)
    assert list((run_folder / "checkpoints").glob("*.safetensors"))


def test_it_goes_on(paths: tuple[Path, Path, Path], headstart: Callable) -> None:  # type: ignore[type-arg]
    photos, style, trained = paths
    ran = headstart("style-train", photos, style, "-o", trained, "--steps", 5, *LITTLE, "--resume", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["training"]["steps"] == 5
    assert "step 4" in ran.err
    ran = headstart(
        "style-train", photos, style, "-o", trained, "--steps", 6, *LITTLE, "--resume", "--rate", 0.1
    )
    assert ran.code == 2
    assert "another rate" in ran.err


def test_what_was_cut_off_is_not_written_over(
    paths: tuple[Path, Path, Path],
    headstart: Callable,  # type: ignore[type-arg]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos, style, _ = paths

    looks: list[object] = []

    def cut(*seen: object) -> None:
        looks.append(seen)
        if len(looks) == 2:  # the first is before anything was kept
            raise KeyboardInterrupt

    monkeypatch.setattr("headstart.studio.fast_training._SAVE_EVERY", -1.0)  # after every step
    monkeypatch.setattr("headstart.studio.fast_making.save_picture", cut)
    arguments = ("style-train", photos, style, "-o", tmp_path / "cut.style", "--steps", 3, *LITTLE)
    assert headstart(*arguments, "--every", 3).code != 0
    monkeypatch.undo()
    ran = headstart(*arguments)
    assert ran.code == 2
    assert "--resume" in ran.err
    assert headstart(*arguments, "--resume").code == 0


def test_photographs_and_videos_are_painted(
    paths: tuple[Path, Path, Path],
    headstart: Callable,
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    photos, _, trained = paths
    ran = headstart("stylize", photos / "across" / "00.jpg", trained, "-o", tmp_path / "one.png", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["painted"] == 1
    assert decode(tmp_path / "one.png").shape == (64, 64, 3)
    ran = headstart("stylize", photos, trained, "-o", tmp_path / "all", "--size", 32)
    assert ran.code == 0, ran.err
    assert len(list((tmp_path / "all").rglob("*.jpg"))) == 42
    assert decode(tmp_path / "all" / "along" / "03.jpg").shape == (32, 32, 3)
    write_video(tmp_path / "clip.gif", [decode(photos / "checks" / f"0{n}.jpg") for n in range(3)])
    ran = headstart("stylize", tmp_path / "clip.gif", trained, "-o", tmp_path / "clip.mp4", "--steady", 0)
    assert ran.code == 0, ran.err
    assert len(list(read_video(tmp_path / "clip.mp4"))) >= 3


def test_what_was_left_out_is_told_and_counts(
    paths: tuple[Path, Path, Path],
    headstart: Callable,
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    _, _, trained = paths
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 20), "red").save(photos / "good.png")
    (photos / "bad.png").write_bytes(b"no picture")
    ran = headstart("stylize", photos, trained, "-o", tmp_path / "all")
    assert ran.code == 1
    assert "left out: bad.png" in ran.err


def test_what_cannot_be_done(
    paths: tuple[Path, Path, Path],
    headstart: Callable,
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    photos, style, trained = paths
    photo = photos / "across" / "00.jpg"
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out.style"
    for arguments, said in (
        (("style-train", empty, style, "-o", out), "empty"),
        (("style-train", photos, photos / "absent.jpg", "-o", out), "picture"),
        (("style-train", photos, style, "-o", out, "--resume"), "no checkpoint"),
        (("style-train", photos, style, "-o", out, "--minutes", 0), "above 0 minutes"),
        (("style-train", photos, style, "-o", out, "--size", 33), "multiple of 4"),
        (("style-train", photos, style, "-o", empty), "a place for a trained style"),
        (("stylize", photo, empty, "-o", tmp_path / "a.png"), "style-train"),
        (("stylize", photo, trained, style, "-o", tmp_path / "a.png"), "one trained style"),
        (("stylize", photo, trained, "-o", tmp_path / "a.mp3"), "correct the ending"),
        (
            ("stylize", photo, trained, "-o", tmp_path / "a.png", "--colours", "--every", 5),
            "--colours, --every",
        ),
        (("stylize", photo, style, "-o", tmp_path / "a.png", "--fast", "--mask", photo), "without --fast"),
    ):
        ran = headstart(*arguments)
        assert ran.code == 2, (arguments, ran.err)
        assert said in ran.err, (said, ran.err)
        assert "to fix:" in ran.err
    assert not out.exists()


def test_any_style_from_the_command_line(
    paths: tuple[Path, Path, Path],
    headstart: Callable,
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    photos, style, _ = paths
    if headstart("backbones", "fetch", "magenta-stylize").code:
        pytest.skip("magenta-stylize cannot be had here")
    photo = photos / "across" / "00.jpg"
    ran = headstart("stylize", photo, style, photo, "--fast", "--weights", "2,1", "-o", tmp_path / "a.png")
    assert ran.code == 0, ran.err
    assert decode(tmp_path / "a.png").shape == (64, 64, 3)
