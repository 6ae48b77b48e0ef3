"""What 100 corrected items of a new appearance bring, and what learning from them costs on the old ones.

    HEADSTART_DATA=… python benchmarks/update.py [--seeds 3] [--appearances edges …] [--data dogs_vs_cats]

A model is fitted on half of ten kinds of monkeys. Then it is asked about pictures that look otherwise (at
night, pencil sketches, Canny edge maps, out of focus), made of photographs that it does not know; 100 of them
are corrected, and it is updated. It is judged on the others of the new appearance, and on photographs: the
test part, and those that the others were made of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from support.common import data_folder, record, table, verdict
from support.shifts import SHIFTS

import headstart as hs
from headstart.artefact import Model
from headstart.data.items import Dataset, Item
from headstart.fitting.evaluating import answers
from headstart.fitting.refitting import refit
from headstart.images.decode import decode

CORRECTED = 100
GAIN, LOSS = 10.0, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--appearances", nargs="*", default=list(SHIFTS))
    parser.add_argument("--data", default="monkeys10")
    options = parser.parse_args()
    known, others = divided(hs.data.open(data_folder(options.data)))
    model = hs.fit(known)
    rows: list[tuple[object, ...]] = [
        ("appearance", "seed", "new: before", "after", "old: before", "after", "promoted", "seconds")
    ]
    gains: dict[str, list[float]] = {}
    losses: list[float] = []
    for name in options.appearances:
        strange = altered(others, SHIFTS[name])
        for seed in range(options.seeds):
            order = np.random.default_rng(seed).permutation(len(strange))
            corrections = strange.take(order[:CORRECTED].tolist()).items
            judged = strange.take(order[CORRECTED:].tolist())
            found = refit(model, known, corrections, seed=seed)
            new = [accuracy(each, judged) for each in (model, found.model)]
            plain = others.take(order[CORRECTED:].tolist()).with_splits(["test"] * len(judged))
            asked = replace(known, items=(*known.only("test").items, *plain.items))
            old = [accuracy(each, asked) for each in (model, found.model)]
            gains.setdefault(name, []).append(100 * (new[1] - new[0]))
            losses.append(100 * (old[0] - old[1]))
            rows.append((name, seed, *new, *old, "yes" if found.better else "no", found.seconds))
    table(f"{CORRECTED} corrected items", rows)
    mean = {name: float(np.mean(values)) for name, values in gains.items()}
    claims: list[tuple[object, ...]] = [("claim", "measured", "target", "")]
    claims += [
        (f"points gained on {name}, mean", value, GAIN, verdict(value, GAIN)) for name, value in mean.items()
    ]
    claims.append(
        ("points lost on the old test, most", max(losses), LOSS, verdict(max(losses), LOSS, at_least=False))
    )
    table("Claims", claims)
    figures = {f"gain_{name}": value for name, value in mean.items()}
    record("update", {"data": options.data, "seeds": options.seeds, **figures, "loss_most": max(losses)})


def divided(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Return photographs to learn from and to test on, and others."""
    order = np.random.default_rng(0).permutation(len(dataset))
    ends = len(dataset) // 2, len(dataset) * 2 // 3
    splits = np.where(np.arange(len(dataset)) < ends[0], "train", "test")
    known = dataset.take(order[: ends[1]].tolist()).with_splits(splits[: ends[1]].tolist())
    return known, dataset.take(order[ends[1] :].tolist())


def altered(dataset: Dataset, shift: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Dataset:
    """Return photographs as something else, of no split."""

    def other(item: Item) -> Item:
        return replace(item, source=shift(decode(item.source)), split=None)

    return replace(dataset, items=tuple(map(other, dataset)))


def accuracy(model: Model, dataset: Dataset) -> float:
    """Return the share of items that a model is right about: of the test part, where there is one."""
    found = answers(model, dataset)
    return float((found.probabilities.argmax(1) == found.y).mean())


if __name__ == "__main__":
    main()
