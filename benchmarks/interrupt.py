"""Exact resume on a real network: killed with SIGKILL at many steps, resumed, the same weights to the bit.

    python benchmarks/interrupt.py [--kills 20]

EfficientNet-Lite0 at 64 pixels on generated pictures, three random views of each: first the new head alone,
on pooled features, then with the last two blocks, from the grid before them (mixed precision where the CPU
has it, mixup, dropout, a running average of the weights). Children are forked from a process in which
everything is loaded and torch has one thread. A checkpoint is written after every step, or about every tenth
of a second. The small network of tests/training/test_interruption.py is killed while files are written, too.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from support.common import Stopwatch, record, table, verdict

from headstart import backbones
from headstart.backbones import tensors
from headstart.training.loop import TrainingData, train
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Phase, Plan, Settings

BACKBONE, SIDE, ITEMS, CLASSES, VIEWS = "efficientnet_lite0", 64, 48, 3, 3
BOUNDARY = "stage6"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = Source()
    with tempfile.TemporaryDirectory() as name, Stopwatch() as watch:
        folder = Path(name)
        source.run(folder / "reference", every=1e9)
        moments = random.Random(0).sample(range(2, source.asked), options.kills)
        outcomes = [
            source.kill_and_resume(folder, moment, every=(0.0, 0.1)[number % 2])
            for number, moment in enumerate(moments)
        ]
    same, killed = (sum(column) for column in zip(*outcomes, strict=True))
    table(
        "Killed and resumed",
        [
            ("kills", "of batches", "same weights and history", "seconds"),
            (killed, source.asked, same, watch.spent.wall),
        ],
    )
    met = verdict(same, options.kills)
    print(f"\n{met}: all {options.kills} wanted")
    figures = {"backbone": BACKBONE, "kills": killed, "identical": same, "seconds": watch.spent.wall}
    record("interrupt", {**figures, "verdict": met}, packages=("torch",))


class Source:
    """The pictures as the network's frozen blocks see them, and runs on them."""

    def __init__(self) -> None:
        chance = np.random.default_rng(0)
        self.y = np.arange(ITEMS) % CLASSES
        pixels = chance.integers(0, 170, (1 + VIEWS, ITEMS, SIDE, SIDE, 3))
        pixels[:, np.arange(ITEMS), :, :, self.y] += 60
        backbone = backbones.load(BACKBONE).at(SIDE)
        self.rows: dict[str, list[torch.Tensor]] = {HEAD: [], "stage7": []}
        with torch.no_grad():
            for view in torch.from_numpy(pixels.astype(np.uint8)):
                grid = backbone.run_blocks(backbone.normalise(view), stop=BOUNDARY)
                self.rows["stage7"].append(grid)
                self.rows[HEAD].append(backbone.pool(backbone.run_blocks(grid, "stage7"))[1])
        self.asked = 0
        self.last = 0  # the batch at which a child dies
        rates = {"stage7": 1e-3, "head": 1e-3, HEAD: 1e-2}
        phases = (Phase("the head", 2, {HEAD: 1e-2}, views=VIEWS), Phase("late", 4, rates, views=VIEWS))
        settings = Settings(batch=8, mixup=0.3, ema=0.9)
        self.plan = Plan("fine-tune-late", BACKBONE, "head", SIDE, phases, settings=settings)

    def kill_and_resume(self, folder: Path, moment: int, every: float) -> tuple[bool, bool]:
        """Return whether the run ended like the reference, and whether it was killed."""
        run, reference = folder / str(moment), folder / "reference"
        self.last = moment
        killed = in_child(lambda: self.run(run, every=every))
        self.last = 0
        resume = any((run / "checkpoints").glob("*.json"))
        in_child(lambda: self.run(run, every=every, resume=resume))
        files = ("final", "history.jsonl")
        return all((run / file).read_bytes() == (reference / file).read_bytes() for file in files), killed

    def run(self, folder: Path, *, every: float, resume: bool = False) -> None:
        """Train, and write down the digest of the weights."""
        self.asked = 0
        backbone = backbones.load(BACKBONE).at(SIDE)
        network = Network(backbone, make_head(self.plan, backbone.card.features, CLASSES))
        items, edge = np.arange(ITEMS), ITEMS * 3 // 4
        data = TrainingData(self.inputs, self.y, items[:edge], items[edge:], CLASSES, "generated")
        train(network, self.plan, data, run=folder, resume=resume, every=every, progress=False)
        (folder / "final").write_text(tensors.digest(network.state_dict()))

    def inputs(self, phase: Phase) -> Rows:
        """Return what gives the batches of a phase."""
        return Rows(self, "stage7" if phase.trainable else HEAD)


class Rows:
    """Batches of one of the two kinds of rows."""

    def __init__(self, source: Source, start: str) -> None:
        self.source, self.start = source, start

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> torch.Tensor:
        """Return the rows of a view; at the chosen moment, die."""
        self.source.asked += 1
        if self.source.asked == self.source.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.source.rows[self.start][0 if epoch is None else 1 + epoch % VIEWS][items]


def in_child(work: Callable[[], None]) -> bool:
    """Run something in a forked child; return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
