"""`headstart colorize-train`, end to end, through the frozen backbone: what is left, resumed, and refused."""

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

LITTLE = ["--size", "32", "--batch", "8"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photographs, one of them grey, and a colorizer that was trained for two epochs."""
    from headstart import backbones

    try:
        backbones.fetch("efficientnet_lite0")
    except BackboneError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("colours")
    photos = folder / "photos"
    (photos / "holiday").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(20):
        few = Image.fromarray(generator.integers(0, 256, (4, 5, 3)).astype(np.uint8))
        few.resize((60, 48), Image.Resampling.BICUBIC).save(photos / "holiday" / f"{number:02}.png")
    Image.new("L", (60, 48), 90).save(photos / "holiday" / "grandmother.png")
    trained = folder / "little.colorizer"
    assert run(["colorize-train", str(photos), "-o", str(trained), "--epochs", "2", *LITTLE]) == 1
    return photos, trained


def test_what_is_left(paths: tuple[Path, Path]) -> None:
    _, trained = paths
    card = json.loads((trained / "colorizer.json").read_text())
    assert card["kind"] == "unet"
    assert card["encoder"]["name"] == "efficientnet_lite0"
    found = {name: card["photographs"][name] for name in ("train", "held_out", "left_out")}
    assert found == {"train": 18, "held_out": 2, "left_out": 1}
    assert card["training"]["epochs"] == len(card["training"]["errors"]) == 2
    preview = decode(trained.with_name("little.colorizer.run") / "preview.jpg")
    assert preview.shape[1] > 3 * 60  # grey, coloured, original


def test_it_goes_on(paths: tuple[Path, Path], headstart: Callable) -> None:  # type: ignore[type-arg]
    photos, trained = paths
    arguments = ("colorize-train", photos, "-o", trained, *LITTLE, "--resume", "--json")
    ran = headstart(*arguments, "--epochs", 3)
    assert ran.code == 1, ran.err
    assert ran.json["training"]["epochs"] == 3
    assert "epoch 3" in ran.err
    assert "left out: holiday/grandmother.png: grey" in ran.err
    ran = headstart(*arguments, "--epochs", 4, "--rate", 0.1)
    assert ran.code == 2
    assert "another rate" in ran.err


def test_what_was_cut_off_is_not_written_over_and_goes_on(
    paths: tuple[Path, Path],
    headstart: Callable,  # type: ignore[type-arg]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos, _ = paths
    out = tmp_path / "cut.colorizer"
    arguments = ("colorize-train", photos, *LITTLE, "--epochs", 3, "--kind", "classic", "-o", out)
    looks: list[object] = []

    def cut(*seen: object) -> None:
        looks.append(seen)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("headstart.studio.colorize.training._SAVE_EVERY", -1.0)  # after every step
    monkeypatch.setattr("headstart.studio.colorize.making.save_picture", cut)
    assert headstart(*arguments).code != 0
    monkeypatch.undo()
    assert not out.exists()
    ran = headstart(*arguments)
    assert ran.code == 2
    assert "--resume" in ran.err
    assert headstart(*arguments, "--resume").code == 1
    assert json.loads((out / "colorizer.json").read_text())["training"]["epochs"] == 3


def test_what_cannot_be_done(
    paths: tuple[Path, Path],
    headstart: Callable,  # type: ignore[type-arg]
    tmp_path: Path,
) -> None:
    photos, _ = paths
    empty = tmp_path / "empty"
    empty.mkdir()
    grey = tmp_path / "grey"
    grey.mkdir()
    Image.new("L", (60, 48), 90).save(grey / "a.png")
    Image.new("RGB", (1, 1), "red").save(grey / "b.png")
    out = tmp_path / "out.colorizer"
    for arguments, message in [
        ((empty, "-o", out), "empty"),
        ((grey, "-o", out), "photographs with colours"),
        ((photos, "-o", out, "--resume"), "no checkpoint"),
        ((photos, "-o", out, "--minutes", 0), "above 0 minutes"),
        ((photos, "-o", out, "--size", 100), "multiple of 32"),
        ((photos, "-o", out, "--kind", "gan"), "unet or classic"),
        ((photos, "-o", empty), "a place for a colorizer"),
    ]:
        ran = headstart("colorize-train", *arguments, *(LITTLE[2:] if "--size" in arguments else LITTLE))
        assert ran.code == 2
        assert message in ran.err
    assert not out.exists()
