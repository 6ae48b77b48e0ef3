"""What a fit without options reaches on texts, beside the simple things that it must never lose to.

    HEADSTART_DATA=… python benchmarks/text_accuracy.py [--sets imdb1250 news6 mr imdb] [--cnn]

The simple things: TF-IDF (words and pairs of words) with scikit-learn's logistic regression and linear SVM,
their C by cross-validation on the training part; logistic regression on MiniLM's last layer; with --cnn the
document CNN, too. Everybody sees the same training and test texts; nothing was chosen on the test part.
"""

from __future__ import annotations

import argparse
import random
import runpy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.data.items import Dataset
from headstart.data.splits import make_folds
from headstart.text.decode import decode

STRENGTHS = {"c": [0.1, 1.0, 10.0, 100.0]}
LOSS_ALLOWED = 0.01


def imdb(seed: int) -> Dataset:
    """All training reviews."""
    del seed
    return hs.data.open(data_folder("imdb", "text"))


def imdb1250(seed: int) -> Dataset:
    """1,250 labelled reviews, 5 % of the official training part."""
    data = imdb(seed)
    train = [n for n, item in enumerate(data) if item.split != "test"]
    test = [n for n, item in enumerate(data) if item.split == "test"]
    return data.take(sorted(random.Random(seed).sample(train, 1250)) + test)


def news6(seed: int) -> Dataset:
    """Six broad newsgroups without headers, threads kept together."""
    recipe = runpy.run_path(str(Path(__file__).parents[1] / "recipes" / "newsgroups_six.py"))
    data: Dataset = recipe["by_thread"](recipe["messages"](data_folder("news20", "text")), seed)
    return data


def mr(seed: int) -> Dataset:
    """Sentences about films, a fifth of all 1,800 as test: seeds are folds."""
    data = hs.data.open(data_folder("mr", "text"))
    folds = make_folds([str(item.label) for item in data], None, folds=5, seed=0)
    return data.with_splits(["test" if fold == seed % 5 else "train" for fold in folds])


SETS: dict[str, tuple[Callable[[int], Dataset], bool, int, float]] = {
    "imdb1250": (imdb1250, False, 3, 0.87),
    "imdb": (imdb, False, 1, 0.90),
    "news6": (news6, True, 1, 0.86),
    "mr": (mr, False, 5, 0.76),
}
"""How each is opened, whether its texts are e-mails, how many seeds, the target."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, help="fewer than each set's own number")
    parser.add_argument("--cnn", action="store_true", help="also train the document CNN")
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = [("set", "what", "test", "each seed", "minutes")]
    claims: list[tuple[object, ...]] = [("claim", "measured", "target", "")]
    for name in options.sets:
        open_set, email, seeds, target = SETS[name]
        found: dict[str, list[float]] = {}
        minutes: dict[str, float] = {}
        for seed in range(min(seeds, options.seeds or seeds)):
            dataset = open_set(seed)
            for what, run in contenders(dataset, email, options.cnn).items():
                started = time.monotonic()
                found.setdefault(what, []).append(run())
                minutes[what] = (time.monotonic() - started) / 60
        means = {what: float(np.mean(each)) for what, each in found.items()}
        for what, each in found.items():
            listed = ", ".join(f"{value:.4f}" for value in each)
            rows.append((name, what, means[what], listed, minutes[what]))
        ours = means.pop("headstart")
        best = max(means, key=lambda what: means[what])
        behind = means[best] - ours
        claims.append((f"{name}: default", ours, target, verdict(ours, target)))
        fine = "met" if behind <= LOSS_ALLOWED else "missed"
        claims.append((f"{name}: behind {best}", behind, LOSS_ALLOWED, fine))
        record(
            "text_accuracy",
            {"set": name, "seeds": len(found[best]), "headstart": ours, "best_simple": best, **means},
            ("scikit-learn", "openvino"),
        )
    table("Accuracy on texts that nothing was chosen on", rows)
    table("Claims", claims)


def contenders(dataset: Dataset, email: bool, cnn: bool) -> dict[str, Callable[[], float]]:
    """Return what is compared, each giving its test accuracy."""

    def ours(**options: object) -> float:
        model = hs.fit(dataset, email=email, **options)  # type: ignore[arg-type]
        return float(model.metrics["test"]["accuracy"])

    def simple(kind: str) -> float:
        parts = {split: dataset.only(split) for split in ("test",)}
        train = dataset.take([n for n, item in enumerate(dataset) if item.split != "test"])
        texts = [decode(item.source, email=email) for item in train]  # type: ignore[arg-type]
        asked = [decode(item.source, email=email) for item in parts["test"]]  # type: ignore[arg-type]
        y = np.array([str(item.label) for item in train])
        truth = np.array([str(item.label) for item in parts["test"]])
        last = LogisticRegression(max_iter=1000) if kind == "logistic" else LinearSVC(max_iter=10_000)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        grid = {f"{type(last).__name__.lower()}__C": STRENGTHS["c"]}
        model = GridSearchCV(make_pipeline(words, last), grid, cv=3).fit(texts, y)
        return float(np.mean(model.predict(asked) == truth))

    def minilm() -> float:
        index = {s: hs.build_index(part, email=email) for s, part in _parts(dataset).items()}
        model = GridSearchCV(LogisticRegression(max_iter=1000), {"C": STRENGTHS["c"]}, cv=3)
        model.fit(index["train"].vectors, index["train"].labels)
        return float(np.mean(model.predict(index["test"].vectors) == np.array(index["test"].labels)))

    found: dict[str, Callable[[], float]] = {
        "TF-IDF, logistic regression": lambda: simple("logistic"),
        "TF-IDF, linear SVM": lambda: simple("svm"),
        "MiniLM, logistic regression": minilm,
        "headstart": ours,
    }
    if cnn:
        found["document CNN"] = lambda: ours(backbone="document_cnn")
    return found


def _parts(dataset: Dataset) -> dict[str, Dataset]:
    train = dataset.take([n for n, item in enumerate(dataset) if item.split != "test"])
    return {"train": train, "test": dataset.only("test")}


if __name__ == "__main__":
    main()
