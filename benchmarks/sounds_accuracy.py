"""How good `fit` is on sounds: ESC-10 by its official folds, spoken digits at random and by speaker.

    HEADSTART_DATA=… python benchmarks/sounds_accuracy.py [--seeds 1] [--speakers theo …] [--ways planned …]

Protocol: ESC-10 with no options, leave one official fold out, and how far the folds are apart. FSDD at
random: a fifth is the test. By speaker: all recordings of one speaker are the test, for each speaker in turn;
of the others one is the val part (speakers are groups). "frozen" is `fit` without options, "planned" is what
the planner makes of YAMNet in so many minutes, "cnn" is the log-mel CNN from scratch. Nothing is chosen on a
test.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from support.common import data_folder, record, spread, table, verdict
from support.sounds import esc10

from headstart.data.items import Dataset, Item
from headstart.evaluation import Evaluation
from headstart.fitting import Report, fit
from headstart.transfer.store import FeatureStore

TARGETS = {"esc10": 0.97, "fsdd_random": 0.96, "fsdd_speaker": 0.75}
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
WAYS = ("frozen", "planned", "cnn")
CNN = {"backbone": "log_mel_cnn", "strategy": "scratch", "guard": False}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--speakers", nargs="*", default=SPEAKERS, choices=SPEAKERS)
    parser.add_argument("--ways", nargs="*", default=WAYS, choices=WAYS)
    parser.add_argument("--minutes", type=float, default=4, help="for the planner's way")
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = [("set", "way", "accuracy", "lowest–highest", "target", "")]
    figures: dict[str, object] = {"seeds": options.seeds, "minutes": options.minutes}

    def tell(name: str, way: str, found: list[float], apart: str) -> None:
        value, target = float(np.mean(found)), TARGETS[name]
        rows.append((name, way, value, apart, target, verdict(value, target)))
        figures.update({f"{name}_{way}": value, f"{name}_{way}_spread": apart})

    with FeatureStore() as store:
        found = [by_folds(esc10(), seed, store) for seed in range(options.seeds)]
        folds = [each for _, its in found for each in its]
        tell("esc10", "default", [accuracy for accuracy, _ in found], spread(folds))
        digits = data_folder("fsdd", "audio")
        ways: dict[str, dict[str, object]] = {
            "frozen": {},
            "planned": {"minutes": options.minutes},
            "cnn": CNN,
        }
        for way in options.ways:
            how = ways[way]
            at_random = [tested(fsdd(digits, None, seed), seed, store, how) for seed in range(options.seeds)]
            tell("fsdd_random", way, at_random, spread(at_random))
            by_speaker = {each: tested(fsdd(digits, each, 0), 0, store, how) for each in options.speakers}
            tell("fsdd_speaker", way, list(by_speaker.values()), spread(by_speaker.values()))
            figures |= {f"{each}_{way}": accuracy for each, accuracy in by_speaker.items()}
    table(f"Sounds, {options.seeds} seeds", rows)
    record("sounds_accuracy", figures, ("openvino", "torch", "scikit-learn"))


def by_folds(data: Dataset, seed: int, store: FeatureStore) -> tuple[float, list[float]]:
    """Return the accuracy over the given folds, and that of each."""
    evaluation = evaluated(data, "cross-validation", seed, store, {})
    fold = {item.name: item.fold for item in data}
    right = np.asarray(evaluation.y) == np.asarray(evaluation.probabilities).argmax(1)
    of_each = [fold[name] for name in evaluation.names]
    return evaluation.accuracy, [
        float(right[[each == one for each in of_each]].mean()) for one in sorted(set(of_each), key=str)
    ]


def tested(data: Dataset, seed: int, store: FeatureStore, how: dict[str, object]) -> float:
    """Return the accuracy on the test part."""
    return evaluated(data, "test", seed, store, how).accuracy


def evaluated(
    data: Dataset, split: str, seed: int, store: FeatureStore, how: dict[str, object]
) -> Evaluation:
    """Return the first evaluation of a fit; it must be the one that was meant."""
    report = fit(data, seed=seed, store=store, **how).report  # type: ignore[arg-type]
    found = report.content.evaluation if isinstance(report, Report) else None
    if not isinstance(found, Evaluation) or report.content.split != split:  # type: ignore[union-attr]
        raise SystemExit(f"expected the {split} of a classifier")
    return found


def fsdd(folder: Path, speaker: str | None, seed: int) -> Dataset:
    """Return the digits, a random fifth or all of one speaker as the test."""
    paths = sorted(folder.glob("*.flac"))
    chosen = set(random.Random(seed).sample(paths, len(paths) // 5))
    items = []
    for path in paths:
        digit, who, _ = path.stem.split("_")
        test = path in chosen if speaker is None else who == speaker
        group = None if speaker is None else who
        items.append(Item(path.name, path, label=digit, group=group, split="test" if test else None))
    return Dataset(tuple(items), "audio", folder)


if __name__ == "__main__":
    main()
