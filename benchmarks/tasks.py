"""What several tasks on one trunk gain or lose against heads of their own: CIFAR-10, three label columns.

    HEADSTART_DATA=… python benchmarks/tasks.py [--pictures 2000] [--draws 3]

Each picture has a kind (ten), lives or drives somewhere (air, water, road, wild, home), and is an animal or a
vehicle. The last is known of all, where of half, the kind of a tenth: what is known least should gain most.
Judged on the 2,000 test pictures; "control" is the same trunk with one task alone.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from support.common import data_folder, record, table

from headstart.process import tune_process

tune_process()  # as the command line does; it must come before torch

from headstart import data  # noqa: E402
from headstart.fitting.gathering import gather  # noqa: E402
from headstart.progress import tell  # noqa: E402
from headstart.transfer.features import Features  # noqa: E402
from headstart.transfer.heads import Head, Matrix  # noqa: E402
from headstart.transfer.selection import Labelled, one_core_each, select  # noqa: E402
from headstart.transfer.store import FeatureStore  # noqa: E402
from headstart.transfer.tasks.shared import UNKNOWN, fit_shared  # noqa: E402

PLACES = {
    "airplane": "air", "bird": "air", "ship": "water", "frog": "water", "automobile": "road", "truck": "road",
    "deer": "wild", "horse": "wild", "cat": "home", "dog": "home",
}  # fmt: skip
VEHICLES = ("airplane", "automobile", "ship", "truck")
KNOWN = {"kind": 0.1, "where": 0.5, "animal": 1.0}
Classes = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    dataset = data.open(data_folder("cifar10"))
    with FeatureStore() as store:
        found = gather(dataset, store, backbone=None, engine="auto", precision=None, offline=False, say=tell)
    rows = np.asarray(found.features.X, np.float32)
    split = np.array([item.split for item in found.dataset])
    answers = _answers([str(item.label) for item in found.dataset])
    test = np.flatnonzero(split == "test")
    drawn = []
    for seed in range(options.draws):
        train = np.random.default_rng(seed).permutation(np.flatnonzero(split == "train"))[: options.pictures]
        drawn.append(one_draw(rows, answers, train, test, seed))
        for task, figures in drawn[-1].items():
            record("tasks", {"pictures": options.pictures, "draw": seed, "task": task, **figures},
                   ("scikit-learn", "torch"))  # fmt: skip
    shown: list[tuple[object, ...]] = [("task", "known", "own head", "trunk", "control", "gain")]
    for task, share in KNOWN.items():
        own, shared, control = (
            float(np.mean([draw[task][name] for draw in drawn])) for name in ("own", "shared", "control")
        )
        shown.append((task, round(share * options.pictures), own, shared, control, shared - own))
    table("several tasks, CIFAR-10: test accuracy, mean over the draws", shown)


def one_draw(
    rows: Matrix, answers: dict[str, Classes], train: Classes, test: Classes, seed: int
) -> dict[str, dict[str, float]]:
    """Return each task's test accuracy by its own head, on the trunk of all, and on a trunk alone."""
    y = np.stack([answers[task][train] for task in KNOWN], 1)
    for column, share in enumerate(KNOWN.values()):
        y[round(share * len(train)) :, column] = UNKNOWN
    classes = [int(answers[task].max()) + 1 for task in KNOWN]
    found = {}
    with one_core_each():
        heads, _ = fit_shared(rows[train], y, classes, seed=seed)
        for column, task in enumerate(KNOWN):

            def right(head: Head, task: str = task) -> float:
                return float((head.logits(rows[test]).argmax(1) == answers[task][test]).mean())

            known = np.flatnonzero(y[:, column] != UNKNOWN)
            places = np.arange(len(known))
            features = Features(rows[train[known]], places, places)
            own = Labelled(features, y[known, column], classes[column])
            strength = select(own, "linear", seed=seed).strength
            (alone,), _ = fit_shared(features.X, y[known][:, [column]], [classes[column]], seed=seed)
            found[task] = {
                "known": len(known),
                "own": right(own.fit("linear", strength, None, seed)),
                "shared": right(heads[column]),
                "control": right(alone),
            }
    return found


def _answers(kinds: list[str]) -> dict[str, Classes]:
    named = {
        "kind": kinds,
        "where": [PLACES[kind] for kind in kinds],
        "animal": ["vehicle" if kind in VEHICLES else "animal" for kind in kinds],
    }
    return {task: np.unique(values, return_inverse=True)[1] for task, values in named.items()}


if __name__ == "__main__":
    main()
