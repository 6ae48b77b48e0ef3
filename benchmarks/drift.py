"""How often clean traffic raises the alarm, and after how many items traffic that has changed does.

    HEADSTART_DATA=… python benchmarks/drift.py [--draws 50] [--texts]

Dogs and cats: a model is fitted on the training photographs; what is asked are draws of 200 of 1,000 others.
Of changed traffic (out of focus, noisy, at night, dogs and cats replaced by monkeys) the alarm is looked for
after 25, 50, 100 and 200 items, in 10 draws. With --texts the same with movie reviews: misspelt, and replaced
by messages from newsgroups.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.artefact import Model
from headstart.data.items import Dataset, Item
from headstart.evaluation.drift import compare_traffic
from headstart.images.decode import decode
from headstart.serving.monitoring import reference_of, see
from headstart.serving.records import Traffic

WINDOW, LOOKS, CHANGED_DRAWS = 200, (25, 50, 100, 200), 10
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--changed", type=int, default=400, help="changed items that are drawn from")
    parser.add_argument("--texts", action="store_true", help="movie reviews instead of dogs and cats")
    options = parser.parse_args()
    name, model, clean, changed = (texts if options.texts else pictures)(options.changed)
    alarms = [alarm(model, clean, WINDOW, seed) for seed in range(options.draws)]
    rows: list[tuple[object, ...]] = [("traffic", "alarms", "draws", "first seen after, median", "most")]
    rows.append(("clean", sum(alarms), options.draws, "", ""))
    late = 0
    figures: dict[str, Any] = {"data": name, "draws": options.draws, "clean_alarms": sum(alarms)}
    for what, traffic in changed.items():
        firsts = [first_look(model, traffic, seed) for seed in range(CHANGED_DRAWS)]
        seen = [first for first in firsts if first is not None]
        late += CHANGED_DRAWS - len(seen)
        median = float(np.median(seen)) if seen else float("nan")
        rows.append((what, len(seen), CHANGED_DRAWS, median, max(seen, default="")))
        figures |= {f"{what}_alarms": len(seen), f"{what}_after": median}
    table(f"Drift on {name}, at the 5 % setting", rows)
    most = 7 * options.draws / 50
    table(
        "Claims",
        [
            ("claim", "measured", "target", ""),
            (
                "alarms on clean traffic",
                sum(alarms),
                f"≤ {most:g}",
                verdict(sum(alarms), most, at_least=False),
            ),
            (f"changed draws without alarm in {WINDOW} items", late, "0", verdict(late, 0, at_least=False)),
        ],
    )
    record("drift", figures)


def alarm(model: Model, traffic: Traffic, count: int, seed: int) -> bool:
    """Return whether a draw of traffic raises the alarm."""
    drawn = np.random.default_rng(seed).permutation(len(traffic))[:count]
    embeddings = None if traffic.embeddings is None else traffic.embeddings[drawn]
    answers = traffic.answers[drawn]
    found = compare_traffic(reference_of(model), embeddings, answers, labels=model.labels, seed=seed)
    return found.alarm


def first_look(model: Model, traffic: Traffic, seed: int) -> int | None:
    """Return the number of items at which a draw first raises the alarm; None if it never does."""
    return next((count for count in LOOKS if alarm(model, traffic, count, seed)), None)


def pictures(count: int) -> tuple[str, Model, Traffic, dict[str, Traffic]]:
    """Return a model for dogs and cats, clean traffic, and changed traffic by what was changed."""
    photographs = hs.data.open(data_folder("dogs_vs_cats"))
    model = hs.fit(photographs.only("train"))
    others = tuple(item for item in photographs if item.split != "train")
    clean = traffic_of(model, replace(photographs, items=others))
    part = others[:: max(1, len(others) // count)]
    changed = {
        what: traffic_of(model, replace(photographs, items=tuple(altered(item, change) for item in part)))
        for what, change in CHANGES.items()
    }
    changed["monkeys"] = traffic_of(model, evenly(data_folder("monkeys10"), count))
    return "dogs_vs_cats", model, clean, changed


def texts(count: int) -> tuple[str, Model, Traffic, dict[str, Traffic]]:
    """Return a model for movie reviews, clean traffic, and changed traffic by what was changed."""
    reviews = hs.data.open(data_folder("mr", "text"))
    model = hs.fit(replace(reviews, items=reviews.only("train").items[::4]))
    others = reviews.only("test").items
    clean = traffic_of(model, replace(reviews, items=others[:: max(1, len(others) // 1000)]))
    part = others[:: max(1, len(others) // count)]
    misspelt = tuple(
        replace(item, source=typos(str(item.source), number)) for number, item in enumerate(part)
    )
    changed = {
        "misspelt": traffic_of(model, replace(reviews, items=misspelt)),
        "newsgroups": traffic_of(model, evenly(data_folder("news20", "text"), count)),
    }
    return "mr", model, clean, changed


def evenly(folder: Path, count: int) -> Dataset:
    """Return some items of a data set, evenly."""
    found = hs.data.open(folder)
    return replace(found, items=found.items[:: max(1, len(found) // count)])


def traffic_of(model: Model, dataset: Dataset) -> Traffic:
    """Return what a model answers about all items."""
    return see(model, dataset, most=len(dataset))[0]


def altered(item: Item, change: Callable[[NDArray[np.floating], int], NDArray[np.floating]]) -> Item:
    """Return a photograph as something else."""
    pixels = Image.fromarray(decode(item.source)).convert("RGB").resize((SIDE, SIDE))
    seed = int(np.asarray(pixels).sum(dtype=np.int64))
    changed = change(np.asarray(pixels, np.float64), seed)
    return replace(item, source=np.clip(np.rint(changed), 0, 255).astype(np.uint8))


def blurred(pixels: NDArray[np.floating], _seed: int) -> NDArray[np.floating]:
    """Out of focus: a Gaussian of 3 pixels."""
    return np.asarray(ndimage.gaussian_filter(pixels, (3, 3, 0)))


def noisy(pixels: NDArray[np.floating], seed: int) -> NDArray[np.floating]:
    """A bad sensor: Gaussian noise of 30 grey levels."""
    return np.asarray(pixels + np.random.default_rng(seed).normal(0, 30, pixels.shape))


def dark(pixels: NDArray[np.floating], seed: int) -> NDArray[np.floating]:
    """At night: dark, bluish, noisy."""
    light = 255 * (pixels / 255) ** 1.6 * np.array((0.12, 0.14, 0.22))
    return np.asarray(light + np.random.default_rng(seed).normal(0, 6, pixels.shape))


CHANGES: dict[str, Callable[[NDArray[np.floating], int], NDArray[np.floating]]] = {
    "blurred": blurred, "noisy": noisy, "night": dark,
}  # fmt: skip


def typos(text: str, seed: int) -> str:
    """Return a text in which one letter of eight is another one."""
    chance = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join(
        letters[chance.integers(26)] if letter.isalpha() and chance.random() < 0.125 else letter
        for letter in text
    )


if __name__ == "__main__":
    main()
