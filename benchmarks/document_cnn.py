"""What the document CNN is worth: all reviews, few reviews with and without pretrained vectors, newsgroups.

    HEADSTART_DATA=… python benchmarks/document_cnn.py [--parts few full groups] [--seeds 3]

few     1,250 reviews of IMDB, drawn anew by each seed: word vectors from GloVe against random ones, otherwise
        the same network, settings and items.
full    all 9,985 training reviews of IMDB, GloVe.
groups  20 newsgroups in the six broad groups, headers, quotes and footers stripped, messages of one subject
        in one part, 6,000 to train and about 2,400 to test.

Every figure is the accuracy on test items that nothing was chosen by: the settings were chosen on a part of
the training reviews, and each training holds a tenth of its own items out to stop in time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.common import Stopwatch, median, record, spread, table, verdict

from headstart.process import tune_process

tune_process()  # as the command line does; it must come before torch
from headstart.text.decode import decode  # noqa: E402
from headstart.text.pretrained import glove_6b_50d  # noqa: E402
from headstart.text.vectors import WordVectors  # noqa: E402
from headstart.transfer.document_cnn import DocumentCnn  # noqa: E402
from headstart.transfer.features import Features  # noqa: E402

PACKAGES = ("torch", "tokenizers", "numpy")
FULL, GAIN, GROUPS = 0.86, 0.03, 0.86
FEW = 1250
BROAD = ("comp", "rec", "sci", "misc.forsale", "talk.politics")
"""Five of the broad groups, by how their names begin; the sixth is religion, all the others."""

Part = tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]
"""Texts, their classes, their groups."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", default=["few", "full", "groups"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    vectors = glove_6b_50d()
    if "few" in options.parts:
        few(reviews("train"), reviews("test"), vectors, options.seeds)
    if "full" in options.parts:
        whole("imdb, all reviews", reviews("train"), reviews("test"), vectors, options.seeds, FULL)
    if "groups" in options.parts:
        whole("newsgroups, six groups", *newsgroups(), vectors, options.seeds, GROUPS)


def few(train: Part, test: Part, vectors: WordVectors, seeds: int) -> None:
    """Train on few reviews, with pretrained and with random vectors."""
    found: dict[str, list[tuple[float, float]]] = {"glove": [], "random": []}
    for seed in range(seeds):
        drawn = np.sort(np.random.default_rng(seed).permutation(len(train[1]))[:FEW])
        part = tuple(train[0][item] for item in drawn), train[1][drawn], train[2][drawn]
        for name, start in (("glove", vectors), ("random", None)):
            found[name].append(accuracy(part, test, start, seed))
            print(f"{FEW} reviews, {name}, seed {seed}: {found[name][-1][0]:.4f}", flush=True)
    scores = {name: [score for score, _ in runs] for name, runs in found.items()}
    gain = float(np.mean(scores["glove"]) - np.mean(scores["random"]))
    rows: list[tuple[object, ...]] = [("vectors", "mean accuracy", "lowest–highest", "seconds")]
    rows += [
        (name, float(np.mean(each)), spread(each), median(s for _, s in found[name]))
        for name, each in scores.items()
    ]
    table(f"IMDB, {FEW} reviews, {seeds} seeds", rows)
    print(f"  pretrained − random: {gain:.4f}, wanted {GAIN}: {verdict(gain, GAIN)}")
    figures = {
        "part": "few",
        "train": FEW,
        "test": len(test[1]),
        "seeds": seeds,
        "accuracy": float(np.mean(scores["glove"])),
        "spread": spread(scores["glove"]),
        "random": float(np.mean(scores["random"])),
        "random_spread": spread(scores["random"]),
        "gain": gain,
        "ratio": gain / GAIN,
        "seconds": median(s for _, s in found["glove"]),
        "verdict": verdict(gain, GAIN),
    }
    record("document_cnn", figures, PACKAGES)


def whole(name: str, train: Part, test: Part, vectors: WordVectors, seeds: int, target: float) -> None:
    """Train on everything."""
    found = []
    for seed in range(seeds):
        found.append(accuracy(train, test, vectors, seed))
        print(f"{name}, seed {seed}: {found[-1][0]:.4f} in {found[-1][1]:.0f} s", flush=True)
    scores = [score for score, _ in found]
    mean = float(np.mean(scores))
    seconds = median(each for _, each in found)
    table(
        f"{name}, {len(train[1])} texts, {seeds} seeds",
        [
            ("mean accuracy", "lowest–highest", "target", "", "seconds"),
            (mean, spread(scores), target, verdict(mean, target), seconds),
        ],
    )
    figures: dict[str, Any] = {"part": name, "train": len(train[1]), "test": len(test[1]), "seeds": seeds}
    figures |= {"accuracy": mean, "spread": spread(scores), "target": target, "ratio": mean / target}
    record("document_cnn", {**figures, "seconds": seconds, "verdict": verdict(mean, target)}, PACKAGES)


def accuracy(train: Part, test: Part, vectors: WordVectors | None, seed: int) -> tuple[float, float]:
    """Fit on one part; return the accuracy on the other, and the seconds that fitting took."""
    texts, y, group = train
    features = Features(np.zeros((len(y), 0), np.float32), np.arange(len(y)), group)
    data = DocumentCnn(features, y, int(y.max()) + 1, texts, vectors)
    with Stopwatch() as watch:
        fitted = data.fit("linear", 0.01, None, seed)
    return float((fitted.logits(test[0]).argmax(1) == test[1]).mean()), watch.spent.wall


# -- the texts ---------------------------------------------------------------------------------------------


def lines(name: str) -> list[dict[str, Any]]:
    """Read a file of the text collections."""
    root = os.environ.get("HEADSTART_DATA")
    if not root:
        sys.exit(
            "Set HEADSTART_DATA to the folder that holds text/imdb and text/news20 (docs/benchmarks.md)."
        )
    with gzip.open(Path(root) / "text" / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def reviews(split: str) -> Part:
    """Return IMDB's reviews, each a group of its own."""
    found = lines(f"imdb/{split}.jsonl.gz")
    y = np.array([line["label"] for line in found], np.int64)
    return tuple(decode(line["text"]) for line in found), y, np.arange(len(y))


def newsgroups() -> tuple[Part, Part]:
    """Return messages to train and to test on; what shares a subject is in the same part."""
    found = lines("news20/train.jsonl.gz") + lines("news20/test.jsonl.gz")
    subjects = [subject(line["text"]) for line in found]
    order = {name: number for number, name in enumerate(dict.fromkeys(subjects))}
    group = np.array([order[name] for name in subjects], np.int64)
    y = np.array([broad(line["group"]) for line in found], np.int64)
    texts = tuple(decode(line["text"], email=True) for line in found)
    shuffled = np.random.default_rng(0).permutation(len(order))
    # Whole threads go to train until it has its share.
    before = np.cumsum(np.bincount(group, minlength=len(order))[shuffled])
    trained = shuffled[: int(np.searchsorted(before, round(len(y) * 5 / 7), "right"))]
    inside = np.isin(group, trained)

    def part(items: NDArray[np.int64]) -> Part:
        return tuple(texts[item] for item in items), y[items], group[items]

    return part(np.flatnonzero(inside)), part(np.flatnonzero(~inside))


def subject(text: str) -> str:
    """Return a message's subject without the marks of an answer."""
    match = re.search(r"^subject:(.*)$", text, re.IGNORECASE | re.MULTILINE)
    return re.sub(r"^(\s*(re|fwd?)\s*:)+", "", match[1].lower()).strip() if match else ""


def broad(name: str) -> int:
    """Return which of the six broad groups a newsgroup belongs to."""
    return next((number for number, start in enumerate(BROAD) if name.startswith(start)), len(BROAD))


if __name__ == "__main__":
    main()
