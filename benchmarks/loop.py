"""The training loop's overhead: its steps against bare forward, backward and optimiser steps.

    python benchmarks/loop.py [--steps 60]

The last blocks of EfficientNet-Lite0 (stage6, stage7, head: 2.9 million weights) are trained on cached grids
of 14 × 14, 32 at a time, once by `headstart.training.loop.train` with its default settings (clipping,
one-cycle, history, checkpoints) and once by the dozen lines that one would write by hand. The two take turns,
step by step, in one process, on two copies of the network: whatever else the machine does hits both alike.
CPU time counts, in stretches of nine steps: an epoch has ten, the first looks at gradients and updates,
and the last of which is not timed because a validation follows it. The same is done for the head alone, on
pooled features, where a step is so short that a loop in Python shows; that figure has no target.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from support.common import median, record, spread, table, verdict

from headstart import backbones
from headstart.process import tune_process

BACKBONE, START, BATCH, STRETCH = "efficientnet_lite0", "stage6", 32, 9
TARGET = 0.03
CLASSES, ITEMS = 10, 320


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60, help="of each, a multiple of ten")
    options = parser.parse_args()
    tune_process()
    suffix = measure(START, (112, 14, 14), options.steps)
    head = measure("new-head", (1280,), 20 * options.steps)
    rows = [("what is trained", "loop, ms", "bare, ms", "overhead", "of the stretches")]
    for name, (loop, bare) in (("stage6 to head", suffix), ("the head alone", head)):
        ratios = [mine / theirs - 1 for mine, theirs in zip(loop, bare, strict=True)]
        ms = (1000 * median(times) / STRETCH for times in (loop, bare))
        rows.append((name, *ms, f"{median(ratios):.2%}", spread(ratios)))
    table("CPU time of a training step", rows)
    overhead = overheads(suffix)
    print(
        f"\nOverhead {overhead:.2%}, at most {TARGET:.0%} wanted: {verdict(overhead, TARGET, at_least=False)}"
    )
    record(
        "loop",
        {
            "backbone": BACKBONE,
            "start": START,
            "batch": BATCH,
            "steps": options.steps,
            "loop_ms": 1000 * median(suffix[0]) / STRETCH,
            "bare_ms": 1000 * median(suffix[1]) / STRETCH,
            "overhead": overhead,
            "target": TARGET,
            "verdict": verdict(overhead, TARGET, at_least=False),
            "head_loop_ms": 1000 * median(head[0]) / STRETCH,
            "head_bare_ms": 1000 * median(head[1]) / STRETCH,
        },
        packages=("torch",),
    )


def overheads(times: tuple[list[float], list[float]]) -> float:
    """Return the median over the stretches of how much longer the loop takes, as a share."""
    return median(mine / theirs - 1 for mine, theirs in zip(*times, strict=True))


def measure(start: str, shape: tuple[int, ...], steps: int) -> tuple[list[float], list[float]]:
    """Return the CPU seconds of each stretch of steps: of the loop, and bare."""
    import torch

    from headstart.training.loop import TrainingData, train
    from headstart.training.network import Network, make_head
    from headstart.training.plan import HEAD, Phase, Plan
    from headstart.training.precision import mixed

    backbone = backbones.load(BACKBONE)
    blocks = backbone.card.blocks
    trained = blocks[blocks.index(start) :] if start in blocks else ()
    per_epoch = ITEMS // BATCH
    phase = Phase("all", steps // per_epoch + 1, {**dict.fromkeys(trained, 1e-4), HEAD: 1e-3})
    plan = Plan("fine-tune-late", BACKBONE, blocks[-1], 224, (phase,))
    network = Network(backbone, make_head(plan, backbone.card.features, CLASSES))
    rows = torch.rand(ITEMS, *shape, generator=torch.Generator().manual_seed(0))
    y = np.arange(ITEMS) % CLASSES
    twin, targets = copy.deepcopy(network), torch.from_numpy(y)
    mine: list[float] = []
    theirs: list[float] = []

    class Rows:
        """Gives rows of memory, and lets the bare loop do a step before each."""

        def __init__(self) -> None:
            self.start = start
            self.left = 0.0

        def batch(self, items: np.ndarray, epoch: int | None) -> torch.Tensor:
            if epoch is None:  # validation is nobody's step
                self.left = 0.0
                return rows[items]
            now = time.process_time()
            if self.left:
                mine.append(now - self.left)
            before = time.process_time()
            bare_step(items)
            if self.left:
                theirs.append(time.process_time() - before)
            self.left = time.process_time()
            return rows[items]

    items = np.arange(ITEMS)
    data = TrainingData(lambda _: Rows(), y, items, items[:BATCH], CLASSES, "random grids")
    with tempfile.TemporaryDirectory() as folder, mixed(twin, plan.settings.precision) as autocast:
        bare_step = bare(twin, plan, start, rows, targets, autocast)
        train(network, plan, data, run=Path(folder), progress=False)
    # The first stretch warms up.
    count = len(theirs) // STRETCH
    stretches = [slice(STRETCH * n, STRETCH * (n + 1)) for n in range(1, count)]
    return [sum(mine[part]) for part in stretches], [sum(theirs[part]) for part in stretches]


def bare(network, plan, start, rows, y, autocast) -> Callable[[np.ndarray], None]:
    """Return the step that one would write by hand, with the same precision and memory layout."""
    import torch

    from headstart.training.network import bind

    bind(network, plan, plan.phases[0])
    network.to(memory_format=torch.channels_last)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, 1e-4, fused=True)

    def step(items: np.ndarray) -> None:
        x = rows[items]
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast():
            logits = network(x, start)
        loss = torch.nn.functional.cross_entropy(logits.float(), y[items])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


if __name__ == "__main__":
    main()
