"""Ten species of monkeys: fine-grained, on frozen features and with what ten minutes of training add.

Data: a folder with train, val and test, and in each a folder for every species.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headstart as hs

PROTOCOL = (
    "The book has no figure for this set; its fine-grained studies use InceptionV3, which comes from a hub "
    "(--backbones timm:inception_v3.tv_in1k, needs headstart[timm])."
)


def main() -> None:
    """Fit the models and write their report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test")
    parser.add_argument("--out", type=Path, default=Path("monkeys-study"), help="where reports go")
    parser.add_argument("--backbones", default="efficientnet_lite0,vgg16")
    parser.add_argument("--minutes", type=float, default=5, help="the budget of headstart's own choice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = hs.data.open(options.data), options.seed
    names = options.backbones.split(",")
    study = hs.Study("Ten species of monkeys", PROTOCOL)
    for name in names:
        study.fit(f"{name}, frozen", data, backbone=name, seed=seed)
    minutes = options.minutes
    study.fit(f"{names[0]}, {minutes:g} minutes", data, backbone=names[0], minutes=minutes, seed=seed)
    study.show(options.out)


if __name__ == "__main__":
    main()
