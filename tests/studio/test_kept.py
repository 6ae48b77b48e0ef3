"""A painting that was interrupted goes on to the same picture, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from vgg_like import vgg_like

from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.studio import kept as kept_module
from headstart.studio.kept import Kept
from headstart.studio.layers import Layers
from headstart.studio.style import Seen, StyleOptions, stylize


class Power(Exception):
    """It is out."""


def layers(names: Sequence[str]) -> Layers:
    return Layers(vgg_like(6, 8), names)


def paint(options: StyleOptions, kept: Kept, stop: int | None = None) -> Pixels:
    generator = np.random.default_rng(0)
    content, style = (generator.integers(0, 255, (40, 52, 3), dtype=np.uint8) for _ in range(2))

    def see(seen: Seen) -> None:
        kept.losses.append((seen.step, seen.loss))
        if stop is not None and seen.step >= stop:
            raise Power

    return stylize(content, [(style, 1.0)], layers, options, see=see, kept=kept)


def options(optimiser: str, coarse: float) -> StyleOptions:
    return StyleOptions(
        size=52, steps=120, coarse=coarse, optimiser=optimiser, content_layer="block2_conv1",
        style_layers={"block1_conv1": 1.0},
    )  # fmt: skip


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("coarse", [0.0, 0.5])
@pytest.mark.parametrize("stop", [25, 55, 70, 95])
def test_it_goes_on_bit_for_bit(
    optimiser: str, coarse: float, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_EVERY", 0.0)
    how = options(optimiser, coarse)
    whole = Kept(tmp_path / "whole.png", "same")
    wanted = paint(how, whole)
    first = Kept(tmp_path / "a.png", "same")
    with pytest.raises(Power):
        paint(how, first, stop)
    second = Kept(tmp_path / "a.png", "same", resume=True)
    made_before = len(second.losses)
    assert (paint(how, second) == wanted).all()
    assert second.losses == whole.losses
    assert made_before < len(whole.losses)


def test_what_cannot_be_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "a.png"
    with pytest.raises(OptionError, match="was interrupted"):
        Kept(output, "same", resume=True)
    monkeypatch.setattr(kept_module, "_EVERY", 0.0)
    with pytest.raises(Power):
        paint(options("adam", 0.0), kept := Kept(output, "same"), 60)
    with pytest.raises(OptionError, match="other pictures or options"):
        Kept(output, "another", resume=True)
    kept.path.write_bytes(kept.path.read_bytes()[:50])
    with pytest.raises(OptionError, match="damaged"):
        Kept(output, "same", resume=True)
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_written_all_the_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.png", "same")
    paint(options("adam", 0.0), kept)
    assert not kept.path.exists()


def test_a_new_painting_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "_EVERY", 0.0)
    torch.manual_seed(0)
    how = options("adam", 0.0)
    wanted = paint(how, Kept(tmp_path / "a.png", "same"))
    again = Kept(tmp_path / "a.png", "same")
    assert (paint(how, again) == wanted).all()
    assert again.losses[0][0] == 20
