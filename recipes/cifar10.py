"""CIFAR-10's ten kinds of thumbnails: from scratch, on VGG16's features, and headstart's own choice.

The figures are those of "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 4): a
CNN from scratch, and a classifier on the features of VGG16's third block at 48 pixels.

Data: a folder with train and test, and in each a folder for every class.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headstart as hs

PROTOCOL = (
    "The book: all 50,000 pictures to learn from and 10,000 to test. Here: what is in the folder (10,000 and "
    "2,000 in the sample this was written with), a fifth of the training pictures held out for validation."
)


def main() -> None:
    """Fit the models and write their report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train and test")
    parser.add_argument("--out", type=Path, default=Path("cifar10-study"), help="where reports go")
    parser.add_argument("--epochs", type=int, default=15, help="of the network from scratch")
    parser.add_argument("--minutes", type=float, default=20, help="the budget of headstart's own choice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = hs.data.open(options.data), options.seed
    blocks = hs.backbones.card("basic_cnn").blocks
    phase = hs.Phase("from scratch", options.epochs, dict.fromkeys((*blocks, hs.HEAD), 2e-3))
    settings = hs.Settings(initialisation="he_normal", dropout=0.3)
    scratch = hs.Plan("scratch", "basic_cnn", blocks[-1], 48, (phase,), settings=settings, seed=seed)
    block3 = hs.Plan("cut-early", "vgg16", "block3", 48, head="mlp", seed=seed)
    study = hs.Study("CIFAR-10", PROTOCOL)
    study.fit("CNN from scratch", data, book=0.676, plan=scratch, guard=False, seed=seed)
    study.fit("VGG16 block 3 at 48 pixels, MLP", data, book=0.764, plan=block3, seed=seed)
    study.fit("headstart, unassisted", data, seed=seed)
    study.fit(f"headstart, {options.minutes:g} minutes", data, minutes=options.minutes, seed=seed)
    study.show(options.out)


if __name__ == "__main__":
    main()
