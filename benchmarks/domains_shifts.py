"""`headstart adapt` on pictures that look otherwise and on voices: what the choice without labels recovers.

    python benchmarks/domains_shifts.py --state shifts.json
    python benchmarks/domains_shifts.py --state shifts.json --develop

Photographs of dogs and cats to edge maps (Canny), pencil sketches, night and blur made from other
photographs; thumbnails (CIFAR-10) to photographs of the same kinds and back; spoken digits from one speaker
to the next (features: log-mel statistics; needs `pip install soundfile`). The rule of the choice was found
on the pairs of --develop (monkeys, ants and bees, imagenette) and on the ten of `domains.py --calibrate`.
Accuracy is that on the target's items; the gap is between the source's head and one that is fitted on the
target's labels (cross-validated). A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.common import data_folder, record, table, verdict
from support.shifts import SHIFTS
from support.voices import SPEAKERS, voices

import headstart as hs
from headstart.data.items import Dataset, Item
from headstart.evaluation.adaptation import Adaptation
from headstart.images.decode import decode
from headstart.transfer.domains.choosing import choose
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.methods import DEFAULT
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, one_core_each, select

TARGET = 0.30
"""Share of the gap that edge maps of dogs and cats are to recover."""
NEVER_BELOW = -0.005
KINDS = {"n02102040": "dog", "n03417042": "truck", "cats": "cat", "dogs": "dog"}
"""What CIFAR-10 calls classes of the other sets."""
Found = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two domains, by name, and what makes their items with a seed."""

    name: str
    make: Callable[[int], tuple[Dataset, Dataset]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--develop", action="store_true", help="the pairs that the rule was found on")
    parser.add_argument("--items", type=int, default=400, help="of each domain, at most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--state", type=Path, required=True, help="JSON of what is measured already")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing after so many")
    parser.add_argument("--only", help="pairs whose name holds this")
    options = parser.parse_args()
    done: dict[str, Found] = json.loads(options.state.read_text()) if options.state.exists() else {}
    stop = time.monotonic() + 60 * options.minutes
    runs: dict[str, Callable[[int], Found]] = {
        pair.name: partial(seen, pair) for pair in (developed if options.develop else judged)(options.items)
    }
    if not options.develop:
        following = zip(SPEAKERS, (*SPEAKERS[1:], SPEAKERS[0]), strict=True)
        runs |= {f"digits: {a} to {b}": partial(heard, a, b) for a, b in following}
    keys = [f"{name}, {seed}" for seed in range(options.seeds) for name in runs]
    for key in keys:
        name, _, seed = key.rpartition(", ")
        if key in done or time.monotonic() > stop or (options.only and options.only not in name):
            continue
        started = time.monotonic()
        done[key] = {**runs[name](int(seed)), "seconds": time.monotonic() - started}
        options.state.write_text(json.dumps(done, indent=1))
        keep(key, done[key], "developing" if options.develop else "judging")
        print(key, {name: round(value, 3) for name, value in done[key]["accuracy"].items()}, flush=True)
    report({key: done[key] for key in keys if key in done})


def judged(count: int) -> list[Pair]:
    """Return the pairs of pictures that the choice is judged on."""
    cats = ("cifar10/train", ("cat", "dog")), ("dogs_vs_cats/train", ("cats", "dogs"))
    trucks = ("cifar10/train", ("dog", "truck")), ("imagenette160", ("n02102040", "n03417042"))
    made = [Pair(f"dogs and cats to {shift}", changed("dogs_vs_cats", shift, count)) for shift in SHIFTS]
    for what, (small, large) in (("cats, dogs", cats), ("dogs, trucks", trucks)):
        made.append(Pair(f"{what}: thumbnails to photographs", alike(small, large, count)))
        made.append(Pair(f"{what}: photographs to thumbnails", alike(large, small, count)))
    return made


def developed(count: int) -> list[Pair]:
    """Return the pairs of pictures that the rule was found on."""
    sets = ("monkeys10", "hymenoptera", "imagenette160")
    return [Pair(f"{name} to {shift}", changed(name, shift, count)) for name in sets for shift in SHIFTS]


def changed(name: str, shift: str, count: int) -> Callable[[int], tuple[Dataset, Dataset]]:
    """Return what makes photographs, and others of the same set with another look."""

    def make(seed: int) -> tuple[Dataset, Dataset]:
        every = files(data_folder(name))
        order = np.random.default_rng(seed).permutation(len(every))
        most = min(count, len(every) // 2)
        first, second = ([every[n] for n in part] for part in (order[:most], order[most : 2 * most]))
        target = [
            Item(f"{shift}/{label}/{path.name}", SHIFTS[shift](decode(path)), KINDS.get(label, label))
            for path, label in second
        ]
        return photographs(first), Dataset(tuple(target), "image")

    return make


def alike(
    source: tuple[str, Sequence[str]], target: tuple[str, Sequence[str]], count: int
) -> Callable[[int], tuple[Dataset, Dataset]]:
    """Return what makes pictures of the same kinds from two sets."""

    def make(seed: int) -> tuple[Dataset, Dataset]:
        parts = []
        for name, labels in (source, target):
            root, _, part = name.partition("/")
            every = [each for each in files(data_folder(root) / part) if each[1] in labels]
            order = np.random.default_rng(seed).permutation(len(every))[:count]
            parts.append(photographs([every[n] for n in order]))
        return parts[0], parts[1]

    return make


def files(folder: Path) -> list[tuple[Path, str]]:
    """Return all pictures below a folder with the folders that they are in."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [(path, path.parent.name) for path in found]


def photographs(pairs: Sequence[tuple[Path, str]]) -> Dataset:
    """Return pictures as items, with CIFAR-10's names for their classes."""
    items = [Item(f"{label}/{path.name}", path, KINDS.get(label, label)) for path, label in pairs]
    return Dataset(tuple(items), "image")


def seen(pair: Pair, seed: int) -> Found:
    """Adapt once, as a user does; return what the report shows."""
    source, target = pair.make(seed)
    model = hs.fit(source, offline=True, seed=seed)
    made = hs.adapt(model, target, source, offline=True, seed=seed)
    report = made.report
    if not isinstance(report, Adaptation):
        raise TypeError(type(report))
    supervised = hs.fit(target, folds=5, offline=True, seed=seed).metrics["cross-validation"]["accuracy"]
    return {
        "accuracy": {each.name: each.accuracy for each in report.tried},
        "scores": {each.name: each.score for each in report.tried},
        "distances": {each.name: each.distance for each in report.tried},
        "supervised": supervised,
        "chosen": report.kept.name,
    }


def heard(source: str, target: str, seed: int) -> Found:
    """Adapt once from one speaker to another, on features."""
    parts = [voices(data_folder("fsdd", "audio"), who) for who in (source, target)]
    X = np.concatenate([rows for rows, _ in parts])
    truth = np.concatenate([digits for _, digits in parts])
    item = np.arange(len(X))
    ours, theirs = np.split(item, [len(parts[0][0])])
    data = Labelled(Features(X, item, item), np.where(item < len(ours), truth, -1), 10)
    with one_core_each():
        choice = choose(Domains(data, ours, theirs), DEFAULT, seed)
        told = select(data.relabel(truth).take(theirs), "linear", seed=seed)

    def right(logits: NDArray[np.floating]) -> float:
        return float((logits.argmax(1) == truth[theirs]).mean())

    return {
        "accuracy": {each.name: right(each.logits) for each in choice.candidates},
        "scores": choice.scores,
        "distances": {each.name: each.distance for each in choice.candidates},
        "supervised": right(told.logits),
        "chosen": choice.name,
    }


def recovered(run: Found) -> float:
    """Return the share of the gap; NaN where there is none to speak of."""
    floor = run["accuracy"]["source only"]
    gap = run["supervised"] - floor
    return (run["accuracy"][run["chosen"]] - floor) / gap if gap > 0.02 else float("nan")


def keep(key: str, run: Found, part: str) -> None:
    """Keep a row of the results."""
    figures = {name: run[name] for name in ("chosen", "supervised", "seconds")}
    accuracy = {f"accuracy {name}": value for name, value in run["accuracy"].items()}
    distance = run["distances"]["source only"]
    rest = {"recovered": recovered(run), "distance": distance, **accuracy}
    record("domains_shifts", {"part": part, "pair": key, **figures, **rest})


def report(done: dict[str, Found]) -> None:
    """Print each run and the claims."""
    heading = ("pair", "source only", "chosen", "oracle", "supervised", "recovered", "A-distance", "what")
    rows: list[tuple[object, ...]] = [heading]
    gains, regrets, shares = [], [], []
    for key, run in done.items():
        accuracy, share = run["accuracy"], recovered(run)
        floor, chosen, oracle = accuracy["source only"], accuracy[run["chosen"]], max(accuracy.values())
        distance = run["distances"]["source only"]
        rows.append((key, floor, chosen, oracle, run["supervised"], share, distance, run["chosen"]))
        gains.append(chosen - floor)
        regrets.append(oracle - chosen)
        if key.startswith("dogs and cats to edges"):
            shares.append(share)
    if not gains:
        return
    table("Accuracy on the target", rows)
    claims: list[tuple[object, ...]] = [("claim", "measured", "target", "")]
    if shares:
        share = float(np.mean(shares))
        claims.append(("share of the gap, edge maps of dogs and cats", share, TARGET, verdict(share, TARGET)))
    claims += [
        ("mean gain", float(np.mean(gains)), "", ""),
        ("worst pair", min(gains), NEVER_BELOW, verdict(min(gains), NEVER_BELOW)),
        ("behind the oracle choice", float(np.mean(regrets)), "", ""),
    ]
    table("Claims", claims)


if __name__ == "__main__":
    main()
