"""From reviews of goods to reviews of films: knowledge carried over where one label in twenty is known.

The figures are those of "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 7): a
document CNN that learned from Amazon's reviews goes on with 5 % of IMDB's; an SVM on the same 5 %.

Data: a folder with amazon/ (manifests *_train.jsonl.gz) and imdb/ (train.jsonl.gz and test.jsonl.gz), reviews
in "text" and 0 or 1 in "label".
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean

import headstart as hs
from headstart.data.items import Dataset

PROTOCOL = (
    "The book: 3.6 million Amazon reviews, then 5 % of IMDB's 25,000, tested on 25,000. Here: the Amazon "
    "reviews in the folder (19,608 of 14 sorts of goods in the sample this was written with), then 1,250 of "
    "IMDB's, drawn anew for each draw, tested on all of the folder's test reviews (4,986)."
)
LABELS = 1250


def main() -> None:
    """Fit the source, then the target with and without it, for several draws; report on the last one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with amazon and imdb")
    parser.add_argument("--out", type=Path, default=Path("amazon-to-imdb"), help="where reports go")
    parser.add_argument("--labels", type=int, default=LABELS, help="labelled reviews of films")
    parser.add_argument("--draws", type=int, default=3, help="of those labels")
    parser.add_argument(
        "--minutes", type=float, help="also fine-tune the sentence encoder on Amazon this long"
    )
    options = parser.parse_args()
    amazon = joined(sorted((options.data / "amazon").glob("*_train.jsonl.gz")))
    imdb = hs.data.open(options.data / "imdb")
    sources = {"start": hs.fit(amazon, say=print)}
    sources["cnn"] = hs.fit(amazon, backbone="document_cnn", say=print)
    if options.minutes:
        sources["tuned"] = hs.fit(
            amazon, minutes=options.minutes, strategy="fine-tune-all", guard=False, say=print
        )
    found: dict[str, list[float]] = defaultdict(list)
    for draw in range(options.draws):
        study = hs.Study(f"Amazon to IMDB, draw {draw}", PROTOCOL)
        target = drawn(imdb, options.labels, draw)
        study.fit("terms, target alone", target, book=0.82, backbone="terms")
        study.fit("document CNN, target alone", target, backbone="document_cnn")
        study.fit(
            "document CNN, from Amazon", target, book=0.86, backbone="document_cnn", start=sources["cnn"]
        )
        study.fit("headstart, target alone", target)
        study.fit("headstart, from Amazon", target, start=sources["start"])
        if "tuned" in sources:
            study.fit("headstart, from Amazon, fine-tuned there", target, start=sources["tuned"])
        for rung in study.rungs:
            found[rung.name].append(rung.evaluation.accuracy)
    study.show(options.out)
    for name, accuracies in found.items():
        print(f"{name:45} {mean(accuracies):.3f} (of {', '.join(f'{each:.3f}' for each in accuracies)})")


def joined(manifests: list[Path]) -> Dataset:
    """Return several manifests as one data set, without their splits."""
    items = [
        replace(item, name=f"{path.name}:{item.name}", split=None)
        for path in manifests
        for item in hs.data.open(path)
    ]
    return Dataset(tuple(items), "text", manifests[0].parent)


def drawn(data: Dataset, labels: int, draw: int) -> Dataset:
    """Return some training items, chosen by the number of the draw, and all test items."""
    train = [n for n, item in enumerate(data) if item.split != "test"]
    test = [n for n, item in enumerate(data) if item.split == "test"]
    return data.take(sorted(random.Random(draw).sample(train, labels)) + test)


if __name__ == "__main__":
    main()
