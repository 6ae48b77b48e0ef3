"""`headstart diagnose` on runs that the training loop wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones import Card, Preprocess
from headstart.backbones.backbone import Backbone
from headstart.errors import OptionError
from headstart.training.loop import TrainingData, train
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Optimiser, Phase, Plan, Settings

pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., Any]


class _Colours:
    """Pictures with one bright colour channel, which is the class; the last tenth of the labels is wrong."""

    start = None

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.y = np.arange(200) % 3
        pixels = generator.integers(0, 120, (200, 8, 8, 3))
        pixels[np.arange(200), :, :, self.y] += 80
        self.pixels = torch.from_numpy(pixels.astype(np.uint8))

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> torch.Tensor:
        return self.pixels[items]


def trained(
    folder: Path,
    rates: dict[str, float],
    optimiser: Optimiser = "adamw",
    epochs: int = 4,
    data: _Colours | None = None,
) -> Path:
    """Train two blocks and a head, and return the folder of the run."""
    torch.manual_seed(0)
    blocks = {
        "one": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()),
        "two": nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU()),
    }
    spec = Preprocess(size=8, mean=(100.0,) * 3, std=(50.0,) * 3)
    backbone = Backbone(
        Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 8, tuple(blocks), 0, ""), blocks
    )
    settings = Settings(
        optimiser=optimiser, batch=8, precision="fp32", clip=0.0, dropout=0.0, schedule="constant"
    )
    phases = (Phase("head", 1, {HEAD: 1e-2}), Phase("late", epochs, rates))
    plan = Plan("fine-tune-all", "toy", "two", 8, phases, settings=settings)
    data, items = data or _Colours(), np.arange(200)
    wanted = TrainingData(lambda phase: data, data.y, items[:150], items[150:], 3, "colours")
    train(Network(backbone, make_head(plan, 8, 3)), plan, wanted, run=folder, progress=False)
    return folder


def test_a_run_that_went_well(headstart: Run, tmp_path: Path) -> None:
    run = trained(tmp_path / "good", {"one": 3e-4, "two": 1e-3, HEAD: 3e-3}, epochs=6)
    done = headstart("diagnose", run)
    assert "hurts" not in done.out, done.out
    assert done.code == 0
    assert "The best epoch was" in done.out


def test_a_block_whose_rate_is_far_too_low(headstart: Run, tmp_path: Path) -> None:
    run = trained(tmp_path / "slow", {"one": 1e-9, "two": 1e-3, HEAD: 3e-3}, epochs=2)
    done = headstart("diagnose", run, "-o", tmp_path / "page.html", "--json")
    assert done.code == 1
    assert "one is not: raise its rate" in done.json["findings"][0]["sentence"]
    assert "raise its rate" in done.err
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<svg") == 4


def test_a_run_whose_rate_is_far_too_high(headstart: Run, tmp_path: Path) -> None:
    run = trained(tmp_path / "wild", {"one": 1e4, "two": 1e4, HEAD: 1e4}, optimiser="sgd")
    done = headstart("diagnose", run, "--json")
    assert done.code == 1
    assert done.json["findings"][0]["kind"] == "blown-up"
    assert "Lower the learning rates" in done.json["findings"][0]["sentence"]


def test_a_run_that_never_finished_an_epoch(headstart: Run, tmp_path: Path) -> None:
    class Broken(_Colours):
        def batch(self, items: NDArray[np.int64], epoch: int | None) -> torch.Tensor:
            return torch.full((len(items), 8, 8, 3), float("nan"))

    with pytest.raises(OptionError, match="became nan"):
        trained(tmp_path / "nan", {"one": 1e-3, "two": 1e-3, HEAD: 1e-3}, data=Broken())
    done = headstart("diagnose", tmp_path / "nan", "--json")
    assert done.code == 1
    assert [finding["kind"] for finding in done.json["findings"]] == ["blown-up"]
    assert "epoch 1, step 1" in done.json["findings"][0]["sentence"]
    assert headstart("diagnose", tmp_path / "nan", "-o", tmp_path / "page.html").code == 1


def test_what_is_no_run(headstart: Run, tmp_path: Path) -> None:
    done = headstart("diagnose", tmp_path, "--json")
    assert done.code == 2
    assert all(part in done.json["error"] for part in ("expected ", ", received ", ", to fix: "))
    run = trained(tmp_path / "run", {"two": 1e-3, HEAD: 1e-3}, epochs=1)
    history = run / "history.jsonl"
    with history.open("a", encoding="utf-8") as file:
        file.write('{"phase": "la')
    assert headstart("diagnose", run).code in (0, 1)
    with history.open("a", encoding="utf-8") as file:
        file.write("\n{}\n")
    damaged = headstart("diagnose", run)
    assert damaged.code == 2
    assert "which is damaged" in damaged.err
    assert headstart("diagnose", run, "-o", tmp_path / "run" / "plan.json" / "page.html").code == 2
