"""A network learns colours: its error falls, an interruption changes nothing, the best epoch is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from vgg_like import vgg_like

from headstart import data
from headstart.errors import OptionError
from headstart.studio.colorize import training
from headstart.studio.colorize.making import build
from headstart.studio.colorize.photographs import Photographs, Views, stacked, usable, view_of
from headstart.studio.colorize.seen import Batch, See, Stream
from headstart.studio.colorize.training import ColorTraining, Look, TrainOptions
from headstart.training.checkpoints import Checkpoints, Identity

toy = vgg_like(4, 6, 8)
SMALL: dict[str, Any] = {"size": 32, "batch": 4, "rate": 0.01}


def fields(number: int) -> NDArray[np.uint8]:
    """Dark is blue, light is yellow: a picture whose lightness tells its colours."""
    generator = np.random.default_rng(number)
    light = np.asarray(
        Image.fromarray(generator.integers(0, 2, (4, 4)).astype(np.uint8) * 255).resize(
            (48, 40), Image.Resampling.BOX
        )
    )
    dark, bright = np.array([20, 30, 150]), np.array([240, 220, 40])
    picture = np.where(light[..., None] > 0, bright, dark) + generator.normal(0, 5, (40, 48, 3))
    return picture.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fields")
    for number in range(20):
        Image.fromarray(fields(number)).save(root / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def held_out() -> list[Views]:
    return [stacked([view_of(fields(number), 32) for number in range(100, 106)])]


def started(held_out: list[Views], where: Path, **options: Any) -> ColorTraining:
    wanted = TrainOptions(**{**SMALL, **options})
    checkpoints = Checkpoints(where, Identity("", "toy", "photos", ()))
    return ColorTraining(build(toy, wanted)[1], encoded(wanted), held_out, wanted, checkpoints)


def encoded(options: TrainOptions) -> See:
    encoder, _ = build(toy, options)

    def see(lightness: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        with torch.no_grad():
            return tuple(part.numpy() for part in encoder(torch.from_numpy(lightness)))

    return see


def go(learned: ColorTraining, folder: Path, minutes: float = 5, **see: Any) -> None:
    photographs = Photographs(usable(data.open(folder, unlabelled=True)).train, 32, 0)
    learned.go(Stream(photographs, encoded(learned.options), 4), minutes, **see)


@pytest.mark.parametrize(("kind", "rate", "epochs"), [("unet", 0.01, 16), ("classic", 0.003, 40)])
def test_the_error_falls_far_below_the_constant_colours(
    kind: str, rate: float, epochs: int, folder: Path, held_out: list[Views], tmp_path: Path
) -> None:
    looks: list[Look] = []
    learned = started(held_out, tmp_path, kind=kind, rate=rate, epochs=epochs, patience=epochs)
    go(learned, folder, see=looks.append)
    assert [look.epoch for look in looks] == list(range(1, epochs + 1))
    assert looks[-1].loss < 0.7 * looks[0].loss
    assert min(learned.errors) < 0.4
    assert learned.errors == [look.error for look in looks]
    assert looks[-1].told.shape == ((6, 261, 8, 8) if kind == "unet" else (6, 2, 8, 8))


def test_what_is_finished_is_the_average_of_the_best_epoch(
    folder: Path, held_out: list[Views], tmp_path: Path
) -> None:
    learned = started(held_out, tmp_path, epochs=4)
    go(learned, folder)
    found = learned._error(learned.told(learned.finished()))
    assert found == pytest.approx(min(learned.errors), rel=1e-6)
    assert learned.best == int(np.argmin(learned.errors)) + 1


@pytest.mark.parametrize("kind", ["unet", "classic"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    kind: str, folder: Path, held_out: list[Views], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = started(held_out, tmp_path / "whole", kind=kind, epochs=3)
    go(whole, folder)

    class Killed(BaseException):
        pass

    descend = ColorTraining._descend

    def fail(self: ColorTraining, batch: Batch) -> float:
        if self.step == 7:
            raise Killed
        return descend(self, batch)

    monkeypatch.setattr(training, "_SAVE_EVERY", -1.0)  # after every step
    monkeypatch.setattr(ColorTraining, "_descend", fail)
    first = started(held_out, tmp_path / "cut", kind=kind, epochs=3)
    with pytest.raises(Killed):
        go(first, folder)
    monkeypatch.setattr(ColorTraining, "_descend", descend)
    second = started(held_out, tmp_path / "cut", kind=kind, epochs=3)
    second.resume()
    assert second.step == 7
    assert len(second.errors) == 1
    go(second, folder)
    assert second.errors == whole.errors
    assert (second.step, second.best) == (whole.step, whole.best)
    for mine, its in ((second.network, whole.network), (second.finished(), whole.finished())):
        for name, value in its.state_dict().items():
            torch.testing.assert_close(mine.state_dict()[name], value, rtol=0, atol=0)


def test_it_ends_when_nothing_gets_better(
    folder: Path, held_out: list[Views], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([0.9, 0.8, 0.85, 0.81, 0.7])
    monkeypatch.setattr(ColorTraining, "_error", lambda _self, told: (len(list(told)), next(errors))[1])
    learned = started(held_out, tmp_path, patience=2)
    go(learned, folder)
    assert learned.errors == [0.9, 0.8, 0.85, 0.81]
    assert learned.best == 2
    go(learned, folder)  # nor does it go on after that
    assert len(learned.errors) == 4


def test_when_the_time_is_up_what_there_is_is_measured_and_kept(
    folder: Path, held_out: list[Views], tmp_path: Path
) -> None:
    first = started(held_out, tmp_path)
    go(first, folder, 1e-6)
    assert (first.step, len(first.errors), first.best) == (1, 1, 1)
    second = started(held_out, tmp_path)
    second.resume()
    assert (second.step, second.errors, second.seconds) == (1, first.errors, first.seconds)


def test_another_run_or_none_is_not_gone_on_with(folder: Path, held_out: list[Views], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no checkpoint"):
        started(held_out, tmp_path).resume()
    go(started(held_out, tmp_path), folder, 1e-6)
    with pytest.raises(OptionError, match="another rate, seed"):
        started(held_out, tmp_path, rate=0.02, seed=3).resume()
    started(held_out, tmp_path, epochs=99, patience=1).resume()  # these may change


def test_a_rate_that_explodes_is_told(folder: Path, held_out: list[Views], tmp_path: Path) -> None:
    exploded = started(held_out, tmp_path, epochs=5)
    with torch.no_grad():
        next(exploded.network.parameters()).fill_(torch.nan)
    with pytest.raises(OptionError, match=r"loss that is a number.*lower rate"):
        go(exploded, folder)


def test_a_run_cut_off_early_goes_on_from_its_first_step(
    folder: Path, held_out: list[Views], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    descend = ColorTraining._descend

    def fail(self: ColorTraining, batch: Batch) -> float:
        if self.step == 2:
            raise Killed
        return descend(self, batch)

    monkeypatch.setattr(ColorTraining, "_descend", fail)
    with pytest.raises(Killed):
        go(started(held_out, tmp_path, epochs=3), folder)
    again = started(held_out, tmp_path, epochs=3)
    again.resume()
    assert again.step == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "gan"}, "unet or classic"),
        ({"size": 100}, "multiple of 32"),
        ({"size": 0}, "multiple of 32"),
        ({"batch": 0}, "from 1 on"),
        ({"rate": 0}, "above 0"),
        ({"rate": float("nan")}, "above 0"),
        ({"rate": 1e9}, "up to 1"),
        ({"weight_decay": -1}, "0 or more"),
        ({"weight_decay": float("nan")}, "0 or more"),
    ],
)
def test_options_outside_their_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainOptions(**wrong)
