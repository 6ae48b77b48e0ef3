"""Kills a training at many steps, resumes it, and prints whether the weights are the same to the bit.

    python killed.py FOLDER

Everything happens in children forked from this process, in which torch is loaded and has one thread; a run
then takes a fraction of a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from toy_training import ALL, LATE, Pictures, toy_data, toy_network, toy_plan

from headstart.backbones import tensors
from headstart.training.loop import train
from headstart.training.plan import Plan

EVERYTHING = {"ema": 0.9, "mixup": 0.3, "dropout": 0.3, "l1": 1e-4, "accumulate": 2}
MOMENTUM = {"optimiser": "nesterov", "schedule": "plateau", "patience": 1}
RMSPROP = {"optimiser": "rmsprop", "sampling": "balanced", "clip": 0.0, "cutmix": 1.0}
PLANS = {
    # name: (phases, settings, how many kills at a batch, how many while files are written)
    "everything": ((), EVERYTHING, 20, 8),
    "momentum": ((), MOMENTUM, 6, 0),
    "rmsprop": ((LATE, ALL), RMSPROP, 4, 0),
}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    chance = random.Random(0)
    report = []
    for name, (phases, settings, at_batches, at_files) in PLANS.items():
        plan = toy_plan(*phases, **settings)
        reference = folder / name / "reference"
        # Here and not in a child: what torch loads on its first step is then loaded for all children.
        counted = count_batches(None)
        run(plan, reference, every=1e9)
        moments = [("batch", moment) for moment in chance.sample(range(2, counted()), at_batches)]
        moments += [("file", moment) for moment in chance.sample(range(7, 100), at_files)]
        for number, moment in enumerate(moments):
            every = (0.0, 0.03)[number % 2]  # after every step, or now and then
            outcome = kill_and_resume(plan, folder / name / str(number), reference, moment, every)
            report.append([name, *moment, *outcome])
    # The comparison must be able to fail: the same without the random numbers of the checkpoint.
    plan, reference = toy_plan(**PLANS["everything"][1]), folder / "everything" / "reference"
    torch.set_rng_state = lambda state: None
    report.append(
        ["control", "batch", 33, *kill_and_resume(plan, folder / "c", reference, ("batch", 33), 0.0)]
    )
    print(json.dumps(report))


def kill_and_resume(
    plan: Plan, folder: Path, reference: Path, moment: tuple[str, int], every: float
) -> tuple[bool, bool, bool]:
    """Return whether the run was killed, had a checkpoint to go on from, and ended like the reference."""
    killed = in_child(lambda: run(plan, folder, every=every, die=moment))
    resumed = any((folder / "checkpoints").glob("*.json"))
    in_child(lambda: run(plan, folder, resume=resumed, every=every))
    files = ("final", "history.jsonl")
    same = all((folder / file).read_bytes() == (reference / file).read_bytes() for file in files)
    return killed, resumed, same


def run(
    plan: Plan,
    folder: Path,
    *,
    every: float,
    resume: bool = False,
    die: tuple[str, int] = ("", 0),
) -> None:
    """Train, and write down what came out."""
    kind, moment = die
    if kind == "batch":
        count_batches(moment)
    os.fsync = lambda file: None  # it is for power cuts, and slow
    if kind == "file":
        die_at_file(moment)
    network = toy_network(plan)
    trained = train(network, plan, toy_data(plan), run=folder, resume=resume, every=every)
    state = {**network.state_dict(), "logits": torch.from_numpy(trained.val_logits)}
    (folder / "final").write_text(tensors.digest(state))


def count_batches(last: int | None) -> Callable[[], int]:
    """Count the batches that are asked for, and die at one of them."""
    plain, asked = Pictures.batch, 0

    def batch(self, items, epoch):
        nonlocal asked
        asked += 1
        if asked == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, items, epoch)

    Pictures.batch = batch
    return lambda: asked


def die_at_file(last: int) -> None:
    """Die in the middle of writing, when a file is about to be renamed or flushed."""
    calls = 0

    def counted(plain):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*arguments, **options)

        return call

    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
    Path.unlink = counted(Path.unlink)


def in_child(work: Callable[[], None]) -> bool:
    """Run something in a forked child; return whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("a child failed")
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
