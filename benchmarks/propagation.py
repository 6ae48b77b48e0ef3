"""Do labels that spread to unlabelled items replace labels? CIFAR-10, 1 % of the labels against 10 %.

    HEADSTART_DATA=… python benchmarks/propagation.py [--pool 8000] [--draws 3] [--backbone NAME]

10,000 training pictures by the backbone's features, judged on the 2,000 test pictures: a head on 1 % of the
labels (10 of each class), on 1 % with so many pictures whose labels are not looked at, and on 10 %. The
target is that 1 % with unlabelled pictures is within 3 points of 10 %.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from support.common import data_folder, record, table, verdict

from headstart.process import tune_process

tune_process()  # as the command line does; it must come before torch

from headstart import backbones, data  # noqa: E402
from headstart.fitting.gathering import gather  # noqa: E402
from headstart.progress import tell  # noqa: E402
from headstart.transfer.features import Features  # noqa: E402
from headstart.transfer.selection import Labelled, one_core_each  # noqa: E402
from headstart.transfer.shots.answers import SourceSpace, source_space  # noqa: E402
from headstart.transfer.shots.choices import few_choices  # noqa: E402
from headstart.transfer.source_head import select_start  # noqa: E402
from headstart.transfer.store import FeatureStore  # noqa: E402
from headstart.transfer.unlabelled.spreading import Spread  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=int, default=8000)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    options = parser.parse_args()
    dataset = data.open(data_folder("cifar10"))
    with FeatureStore() as store:
        gathered = gather(
            dataset, store, backbone=options.backbone, engine="auto", precision=None, offline=False, say=tell
        )
    y = np.array([dataset.classes.index(item.label) for item in gathered.dataset if item.label])
    split = np.array([item.split for item in gathered.dataset])
    rows = np.asarray(gathered.features.X, np.float32)
    space = source_space(backbones.card(options.backbone))
    found = []
    with one_core_each():
        for draw in range(options.draws):
            found.append(one_draw(rows, y, split, options.pool, draw, space))
            tell(f"draw {draw}: {found[-1]}")
            record(
                "propagation",
                {"backbone": options.backbone, "pool": options.pool, "draw": draw, **found[-1]},
                ("scikit-learn", "scipy"),
            )
    mean = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    gap = 100 * (mean["10 %"] - mean["1 % and unlabelled"])
    rows_shown: list[tuple[object, ...]] = [("labels", "test accuracy")]
    rows_shown += [(name, mean[name]) for name in ("1 %", "1 % and unlabelled", "10 %")]
    table("CIFAR-10, mean over the draws", rows_shown)
    print(f"  10 % is {gap:.1f} points better: {verdict(gap, 3, at_least=False)} (at most 3)")
    print(f"  probability of spread labels {mean['probability']:.3f}, right {mean['spread right']:.3f}")


def one_draw(
    rows: np.ndarray, y: np.ndarray, split: np.ndarray, pool: int, seed: int, space: SourceSpace | None
) -> dict[str, float]:
    """Return the accuracies of one draw of labelled and unlabelled pictures."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(split == "train"))
    test = np.flatnonzero(split == "test")
    classes = int(y.max()) + 1

    def view(items: np.ndarray) -> Labelled:
        places = np.arange(len(items))
        return Labelled(Features(rows[items], places, places), y[items], classes)

    def labelled(share: float) -> np.ndarray:
        per_class = round(share * len(order) / classes)
        return np.concatenate([order[y[order] == label][:per_class] for label in range(classes)])

    def right(choices: dict[str, Labelled]) -> float:
        items = np.arange(len(next(iter(choices.values())).y))
        chosen, selection, _ = select_start(choices, items, "linear", seed=seed)
        head = chosen.fit("linear", selection.strength, None, seed)
        return float((head.logits(rows[test]).argmax(1) == y[test]).mean())

    few = labelled(0.01)
    others = np.setdiff1d(order[: pool + len(few)], few)[:pool]
    began = time.perf_counter()
    spread = Spread.of(view(few), view(others).features, seed)
    known = spread.pool.spread(spread.places, spread.y, classes) if spread.pool else None
    seconds = time.perf_counter() - began
    return {
        "1 %": right(few_choices(view(few), None, view(few), space)),
        "1 % and unlabelled": right({"spread": spread}),
        "10 %": right({"zero": view(labelled(0.1))}),
        "spread right": float((known.y[len(few) :] == y[others]).mean()) if known else float("nan"),
        "probability": float(known.probabilities[len(few) :].max(1).mean()) if known else float("nan"),
        "spread_seconds": seconds,
    }


if __name__ == "__main__":
    main()
