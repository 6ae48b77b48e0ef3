"""How good `fit` is with no options: accuracy, coverage of prediction sets, the search for label errors.

    HEADSTART_DATA=… python benchmarks/accuracy.py [--seeds 3]

Protocol: given test where there is one, given val for monkeys10 (it has no test; its val is not looked at
when the head is chosen), 5-fold cross-validation for hymenoptera (it has no splits). The seed moves the folds
that choose the regularisation, and the flipped labels; given splits do not move.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from support.common import data_folder, median, record, spread, table, verdict

from headstart import data
from headstart.evaluation import Evaluation
from headstart.fitting import Report, fit
from headstart.transfer.store import FeatureStore

TARGETS = {"dogs_vs_cats": 0.985, "monkeys10": 0.97, "hymenoptera": 0.91, "cifar10": 0.77}
FOLDS = {"hymenoptera": 5}
LEVEL = 0.9
FLIPPED, LOOKED_AT, FOUND = 0.05, 0.10, 0.70


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    rows: list[tuple[object, ...]] = [
        ("set", "estimate", "n", "accuracy", "lowest–highest", "95 % interval", "target", "")
    ]
    covered: list[tuple[object, ...]] = [
        ("set", "n", "coverage of 90 % sets", "lowest–highest", "standard error", "mean size", "")
    ]
    figures: dict[str, object] = {"seeds": len(seeds)}
    with FeatureStore() as store:
        for name, target in TARGETS.items():
            found = [evaluation(data_folder(name), name, seed, store) for seed in seeds]
            estimate, first = found[0]
            accuracies = [e.accuracy for _, e in found]
            low, high = first.accuracy_interval
            rows.append((
                name, estimate, len(first.y), median(accuracies), spread(accuracies), f"{low:.3f}–{high:.3f}",
                target, verdict(median(accuracies), target),
            ))  # fmt: skip
            coverage = [e.sets.coverage for _, e in found if e.sets]
            size = median(e.sets.mean_size for _, e in found if e.sets)
            error = math.sqrt(LEVEL * (1 - LEVEL) / len(first.y))
            near = abs(median(coverage) - LEVEL) <= 0.02
            said = "met" if near else f"missed by {abs(median(coverage) - LEVEL) - 0.02:.3f}"
            covered.append((name, len(first.y), median(coverage), spread(coverage), error, size, said))
            figures |= {
                name: median(accuracies),
                f"{name}_spread": spread(accuracies),
                f"{name}_ratio": median(accuracies) / target,
                f"{name}_coverage": median(coverage),
            }
        shares = [flips_found(data_folder("dogs_vs_cats"), seed, store) for seed in seeds]
    table(f"Accuracy, {len(seeds)} seeds (median)", rows)
    table("Prediction sets that promise 90 %", covered)
    table(
        f"Labels flipped on purpose, {FLIPPED:.0%} of dogs_vs_cats train",
        [
            ("in the first 10 % of the list", "lowest–highest", "target", ""),
            (median(shares), spread(shares), FOUND, verdict(median(shares), FOUND)),
        ],
    )
    record(
        "accuracy",
        {**figures, "flips_found": median(shares), "flips_spread": spread(shares)},
        ("openvino", "scikit-learn"),
    )


def evaluation(folder: Path, name: str, seed: int, store: FeatureStore) -> tuple[str, Evaluation]:
    """Fit with no options but the seed (and the folds); return what was estimated on what."""
    found = report(data.open(folder), seed, store, FOLDS.get(name)).evaluations
    return next(iter(found.items()))


def flips_found(folder: Path, seed: int, store: FeatureStore) -> float:
    """Flip labels of training items; return the share of flips among the most suspicious tenth."""
    train = data.open(folder / "train")
    rng = np.random.default_rng(seed)
    flipped = set(rng.choice(len(train), round(FLIPPED * len(train)), replace=False).tolist())
    other = dict(zip(train.classes, reversed(train.classes), strict=True))
    items = tuple(
        replace(item, label=other[item.label or ""]) if n in flipped else item for n, item in enumerate(train)
    )
    names = {items[n].name for n in flipped}
    ranked = report(replace(train, items=items), seed, store, 5).content.label_issues
    looked_at = {issue.name for issue in ranked[: round(LOOKED_AT * len(items))]}
    return len(names & looked_at) / len(names)


def report(dataset: data.Dataset, seed: int, store: FeatureStore, folds: int | None) -> Report:
    """Fit and return the report."""
    found = fit(dataset, seed=seed, folds=folds, store=store).report
    if not isinstance(found, Report):
        raise SystemExit("fit gave no report")
    return found


if __name__ == "__main__":
    main()
