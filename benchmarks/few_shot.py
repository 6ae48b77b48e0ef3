"""Few items a class: what `fit` chooses below ten, against plain logistic regression, over random draws.

Plain is scikit-learn's logistic regression on the raw features, as it comes. Dog breeds are classes that the
backbone was trained to name, so its classifier knows them; of the ten monkeys it knows two by name.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from support.common import data_folder, photographs, record, table, verdict

import headstart as hs
from headstart import backbones
from headstart.fitting.gathering import gather
from headstart.progress import quiet
from headstart.transfer.features import Features
from headstart.transfer.heads import silent_solvers
from headstart.transfer.selection import Labelled, one_core_each
from headstart.transfer.shots.choices import few_choices
from headstart.transfer.source_head import SourceStart, select_start, source_start
from headstart.transfer.store import FeatureStore

SHOTS, TARGET = (1, 2, 4, 8, 16), 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    rows: list[tuple[object, ...]] = [("set", "shots", "plain", "chosen", "gain", "95 % interval", "by")]
    gains: dict[int, list[float]] = {}
    for name, classes, sources in (_breeds(), _monkeys()):
        data, start = _features(classes, sources)
        for shots in SHOTS:
            if np.bincount(data.y).min() < shots + 1:
                continue
            found = [_draw(data, start, shots, seed) for seed in range(draws)]
            plain, chosen = (np.array([each[n] for each in found]) for n in (0, 1))
            gain = chosen - plain
            low, high = np.quantile(_means(gain), (0.025, 0.975))
            gains.setdefault(shots, []).append(float(gain.mean()))
            ways = [each[2] for each in found]
            by = max(set(ways), key=ways.count)
            figures = (float(plain.mean()), float(chosen.mean()), float(gain.mean()))
            rows.append((name, shots, *figures, f"{low:.3f} to {high:.3f}", by))
            record("few_shot", {
                "set": name, "shots": shots, "draws": draws, "plain": figures[0], "chosen": figures[1],
                "gain": figures[2], "low": float(low), "high": float(high), "by": by,
            }, packages=("scikit-learn", "openvino"))  # fmt: skip
    table("few items a class", rows)
    average = float(np.mean([np.mean(gains[shots]) for shots in (1, 4, 16) if shots in gains]))
    print(f"  average gain at 1, 4, 16 shots {average:.3f}: {verdict(average, TARGET)}")


def _breeds() -> tuple[str, list[str], list[Path]]:
    folder = data_folder("dog_breeds120")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        pairs = [(line["breed"], folder / f"{line['id']}.jpg") for line in csv.DictReader(file)]
    named = [breed for breed, _ in pairs]
    kept = [(breed, path) for breed, path in pairs if named.count(breed) > 4]
    return "dog_breeds120", [breed for breed, _ in kept], [path for _, path in kept]


def _monkeys() -> tuple[str, list[str], list[Path]]:
    folder = data_folder("monkeys10")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        named = {line["class"]: line["common_name"] for line in csv.DictReader(file)}
    paths = photographs(folder)
    return "monkeys10", [named[path.parent.name] for path in paths], paths


def _features(classes: list[str], sources: list[Path]) -> tuple[Labelled, SourceStart | None]:
    dataset = hs.data.open(sources, labels=classes)
    with FeatureStore() as store:
        found = gather(
            dataset,
            store,
            backbone=None,
            engine="auto",
            precision=None,
            offline=True,
            say=quiet,
            progress=False,
        )
    names = found.dataset.classes
    y = np.array([names.index(str(item.label)) for item in found.dataset])
    rows = found.features.pool(np.asarray(found.features.X, np.float32))
    features = Features(rows, np.arange(len(rows)), np.arange(len(rows)))
    start = source_start(backbones.card("efficientnet_lite0"), names, offline=True)
    return Labelled(features, y, len(names)), start


def _draw(data: Labelled, start: SourceStart | None, shots: int, seed: int) -> tuple[float, float, str]:
    generator = np.random.default_rng(seed)
    each = [generator.permutation(np.flatnonzero(data.y == label))[:shots] for label in range(data.classes)]
    known = np.sort(np.concatenate(each))
    asked = data.take(np.setdiff1d(np.arange(len(data.y)), known))
    choices = few_choices(data, start, data.take(known))
    with silent_solvers(), one_core_each():
        model = LogisticRegression(max_iter=300).fit(data.features.X[known], data.y[known])
        chosen, selection, losses = select_start(choices, known, "linear", seed=seed)
        head = chosen.take(known).fit("linear", selection.strength, None, seed)
    plain = float((model.predict(asked.features.X) == asked.y).mean())
    by = min(losses, key=lambda name: losses[name]) if losses else next(iter(choices))
    return plain, float((asked.logits(head).argmax(1) == asked.y).mean()), by


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2,000 bootstrap samples."""
    chosen = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    means: NDArray[np.float64] = values[chosen].mean(1)
    return means


if __name__ == "__main__":
    main()
