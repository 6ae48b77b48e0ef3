"""Few items a class: what `fit` chooses below twenty, against plain logistic regression, over random draws.

Plain is scikit-learn's logistic regression as it comes (C = 1), on the raw features and on standardised ones,
as most people do. Raw is the better of the two, so the target is judged against that. Dog breeds are classes
that the backbone was trained to name, so its classifier knows them; of the ten monkeys it knows two by name.
The methods were developed on imagenette, ants and bees, cats and dogs, and CIFAR-10.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.common import data_folder, photographs, record, table, verdict

import headstart as hs
from headstart import backbones
from headstart.fitting.gathering import gather
from headstart.progress import quiet
from headstart.transfer.features import Features
from headstart.transfer.heads import silent_solvers
from headstart.transfer.selection import Labelled, one_core_each
from headstart.transfer.shots.answers import SourceSpace, source_space
from headstart.transfer.shots.choices import few_choices
from headstart.transfer.source_head import SourceStart, select_start, source_start
from headstart.transfer.store import FeatureStore

SHOTS, TARGET = (1, 2, 4, 8, 16), 0.03


@dataclass(frozen=True)
class Drawn:
    """How one draw of items did: accuracies, and what was chosen."""

    raw: float
    standardised: float
    chosen: float
    by: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    options = parser.parse_args()
    draws = options.draws
    rows: list[tuple[object, ...]] = [
        ("set", "shots", "plain", "standardised", "chosen", "gain", "95 % interval", "by")
    ]
    gains: dict[int, list[float]] = {}
    for name, classes, sources in (SETS[each]() for each in options.sets):
        data, known = _features(classes, sources)
        for shots in SHOTS:
            if np.bincount(data.y).min() < shots + 1:
                continue
            found = [_draw(data, known, shots, seed) for seed in range(draws)]
            gain = np.array([each.chosen - each.raw for each in found])
            low, high = np.quantile(_means(gain), (0.025, 0.975))
            gains.setdefault(shots, []).append(float(gain.mean()))
            ways = [each.by for each in found]
            by = max(set(ways), key=ways.count)
            means = {
                "plain": float(np.mean([each.raw for each in found])),
                "standardised": float(np.mean([each.standardised for each in found])),
                "chosen": float(np.mean([each.chosen for each in found])),
                "gain": float(gain.mean()),
            }
            rows.append((name, shots, *means.values(), f"{low:.3f} to {high:.3f}", by))
            print(rows[-1], flush=True)
            record("few_shot", {
                "set": name, "shots": shots, "draws": draws, **means, "low": float(low), "high": float(high),
                "by": by,
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


SETS = {"dog_breeds120": _breeds, "monkeys10": _monkeys}
Known = tuple[SourceStart | None, SourceSpace | None]


def _features(classes: list[str], sources: list[Path]) -> tuple[Labelled, Known]:
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
    card = backbones.card("efficientnet_lite0")
    return Labelled(features, y, len(names)), (
        source_start(card, names, offline=True),
        source_space(card, offline=True),
    )


def _draw(data: Labelled, what: Known, shots: int, seed: int) -> Drawn:
    generator = np.random.default_rng(seed)
    each = [generator.permutation(np.flatnonzero(data.y == label))[:shots] for label in range(data.classes)]
    known = np.sort(np.concatenate(each))
    asked = data.take(np.setdiff1d(np.arange(len(data.y)), known))
    start, space = what
    choices = few_choices(data, start, data.take(known), space)
    with silent_solvers(), one_core_each():
        plain = LogisticRegression(max_iter=300), make_pipeline(StandardScaler(), LogisticRegression())
        fitted = [model.fit(data.features.X[known], data.y[known]) for model in plain]
        raw, standardised = (float((m.predict(asked.features.X) == asked.y).mean()) for m in fitted)
        chosen, selection, losses = select_start(choices, known, "linear", seed=seed)
        head = chosen.take(known).fit("linear", selection.strength, None, seed)
    by = min(losses, key=lambda name: losses[name]) if losses else next(iter(choices))
    return Drawn(raw, standardised, float((asked.logits(head).argmax(1) == asked.y).mean()), by)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2,000 bootstrap samples."""
    chosen = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    means: NDArray[np.float64] = values[chosen].mean(1)
    return means


if __name__ == "__main__":
    main()
