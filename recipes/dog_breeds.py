"""120 breeds of dogs from a few photographs each: the head starts from what the network calls them.

The book "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 6) fits a head on
InceptionV3's features of all 10,222 photographs.

Data: a folder for every breed, or a manifest with the columns path and label.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headstart as hs

PROTOCOL = (
    "The book: InceptionV3, 10,222 photographs, 86 % on a part held out. Here: what is in the folder (749 in "
    "the sample this was written with), each answered by a model that has not seen it (cross-validation). "
    "These are photographs of ImageNet, and the breeds are among its classes: the backbones know them."
)


def main() -> None:
    """Fit the models and write their report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest")
    parser.add_argument("--out", type=Path, default=Path("dog-breeds-study"), help="where reports go")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument(
        "--backbones", default="efficientnet_lite0", help="with a hub: timm:inception_v3.tv_in1k, and others"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed, folds = hs.data.open(options.data), options.seed, options.folds
    study = hs.Study("Dog breeds", PROTOCOL)
    for name in options.backbones.split(","):
        book = 0.86 if "inception" in name else None
        nearest = {"backbone": name, "head": "centroid", "folds": folds, "seed": seed}
        study.fit(f"{name}, nearest class mean", data, **nearest)
        study.fit(f"{name}, headstart", data, book=book, backbone=name, folds=folds, seed=seed)
    study.show(options.out)


if __name__ == "__main__":
    main()
