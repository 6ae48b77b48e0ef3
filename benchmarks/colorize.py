"""How near colours that were told from grey photographs are to the true ones, and how vivid they are.

    HEADSTART_DATA=… python benchmarks/colorize.py [--minutes 20] [--unet FOLDER] [--classic FOLDER]

A U-Net that classifies colours and the classic encoder, fusion and decoder learn from the 2,000 training
photographs of flickr8k, one after the other, each until its error on the 300 photographs of the official dev
split no longer falls or the time is up; the 500 test photographs are looked at once, at the end. Folders of
`headstart colorize-train` on the same photographs can be named instead. The error is the mean squared
distance of a and b at the network's 56 × 56 places, as a share of that of the best constant colour of all
test photographs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.common import Stopwatch, data_folder, record, table, verdict

from headstart.process import tune_process

tune_process()

from headstart import data  # noqa: E402
from headstart.data.items import Split  # noqa: E402
from headstart.images.decode import Pixels, decode  # noqa: E402
from headstart.images.resizing import shrunk  # noqa: E402
from headstart.progress import tell, track  # noqa: E402
from headstart.studio.colorize.card import read_card  # noqa: E402
from headstart.studio.colorize.colorizer import Colorizer, open_colorizer  # noqa: E402
from headstart.studio.colorize.lab import colourfulness, rgb_to_lab  # noqa: E402
from headstart.studio.colorize.making import make_colorizer  # noqa: E402
from headstart.studio.colorize.photographs import view_of  # noqa: E402

ERROR, BELOW_CLASSIC, VIVID = 0.71, 0.08, 0.35
SPLITS: dict[Split, str] = {"train": "trainImages.txt", "val": "devImages.txt", "test": "testImages.txt"}
SIDE = 320
"""Longer side at which whole pictures are coloured and compared."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Told:
    """What one network makes of the test photographs.

    Args:
        error: At the network's places, as a share of the best constant colour's.
        picture_error: The same at every pixel of the coloured picture.
        vivid: Colourfulness, as a share of the originals'.
        other: The error where each is given the colours told for another one.
    """

    error: float
    picture_error: float
    vivid: float
    other: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20, help="for each training")
    parser.add_argument("--unet", type=Path, help="a trained folder, instead of training one")
    parser.add_argument("--classic", type=Path, help="a trained folder, instead of training one")
    arguments = parser.parse_args()
    photos = flickr8k()
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("unet", "classic"):
            if getattr(arguments, kind) is None:
                setattr(arguments, kind, Path(folder) / f"{kind}.colorizer")
                make_colorizer(
                    photos, getattr(arguments, kind), kind=kind, minutes=arguments.minutes, say=tell
                )
        sources = [item.source for item in photos.only("test").items]
        pictures = [shrunk(decode(source), SIDE) for source in track(sources, "decoding")]
        report(pictures, arguments.unet, arguments.classic)


def report(pictures: Sequence[Pixels], unet_folder: Path, classic_folder: Path) -> None:
    """Say and record how the two compare."""
    unet, classic = open_colorizer(unet_folder), open_colorizer(classic_folder)
    truth = np.stack([view_of(picture, 224)[1] for picture in pictures])
    own = share(np.broadcast_to(truth.mean((1, 2), keepdims=True), truth.shape), truth)
    with Stopwatch() as watch:
        annealed = judged(pictures, truth, unet, "annealed")
    expected, plain = (judged(pictures, truth, network, "expected") for network in (unet, classic))
    below = 1 - expected.error / plain.error
    cards = [read_card(folder) for folder in (unet_folder, classic_folder)]
    table(
        f"Colours of {len(pictures)} test photographs of flickr8k",
        [
            ("", "error", "of pixels", "colourfulness", "of another photograph"),
            ("best constant colour", 1, 1, 0, ""),
            ("classic, least squares", *rounded(plain)),
            ("unet, expected colour", *rounded(expected)),
            ("unet, annealed", *rounded(annealed)),
            ("its own mean colour, were it known", f"{own:.3f}", "", "", ""),
            ("expected colour's error", verdict(expected.error, ERROR, at_least=False), "", "", ""),
            ("below the classic", f"{below:.1%}, {verdict(below, BELOW_CLASSIC)}", "", "", ""),
            ("annealed as colourful", verdict(abs(annealed.vivid - 1), VIVID, at_least=False), "", "", ""),
        ],
    )
    figures: dict[str, Any] = {
        "photographs": len(pictures),
        "unet_epochs": cards[0]["training"]["best_epoch"],
        "unet_minutes": cards[0]["training"]["minutes"],
        "classic_epochs": cards[1]["training"]["best_epoch"],
        "classic_minutes": cards[1]["training"]["minutes"],
        "unet_dev": round(min(cards[0]["training"]["errors"]), 4),
        "classic_dev": round(min(cards[1]["training"]["errors"]), 4),
        "own_mean": round(own, 4),
        "mix": cards[0]["mix"],
        "unet_error": round(expected.error, 4),
        "classic_error": round(plain.error, 4),
        "below_classic": round(below, 4),
        "annealed_error": round(annealed.error, 4),
        "unet_picture_error": round(expected.picture_error, 4),
        "classic_picture_error": round(plain.picture_error, 4),
        "annealed_colourfulness": round(annealed.vivid, 4),
        "expected_colourfulness": round(expected.vivid, 4),
        "classic_colourfulness": round(plain.vivid, 4),
        "other_photograph": round(expected.other, 4),
        "seconds_a_photograph": round(watch.spent.wall / len(pictures), 4),
        "cpu_seconds_a_photograph": round(watch.spent.cpu / len(pictures), 4),
    }
    record("colorize", figures, ("openvino", "torch"))


def judged(pictures: Sequence[Pixels], truth: Floats, network: Colorizer, how: Any) -> Told:
    """Return how near a network's colours are, coarse and painted, and how vivid."""
    told = np.stack([network.ab(picture, how=how) for picture in pictures])
    errors, spreads, made, were = 0.0, [], 0.0, 0.0
    for picture in track(pictures, f"colouring, {how}"):
        painted = network.colorize(picture, how=how)
        made, were = made + colourfulness(painted), were + colourfulness(picture)
        right, found = (rgb_to_lab(each)[..., 1:] for each in (picture, painted))
        errors += float(((right - found) ** 2).mean())
        spreads.append((right.mean((0, 1)), (right**2).mean((0, 1))))
    means, squares = (np.mean(each, axis=0) for each in zip(*spreads, strict=True))
    constant = float((squares - means**2).mean())
    return Told(
        share(told, truth), errors / len(pictures) / constant, made / were, share(np.roll(told, 1, 0), truth)
    )


def share(told: Floats, truth: Floats) -> float:
    """Return the mean squared error as a share of the best constant colour's."""
    return float(((told - truth) ** 2).mean() / truth.var((0, 1, 2)).mean())


def rounded(told: Told) -> tuple[str, ...]:
    return tuple(f"{value:.3f}" for value in (told.error, told.picture_error, told.vivid, told.other))


def flickr8k() -> data.Dataset:
    """Return the photographs with their official splits."""
    root = data_folder("flickr8k", "captions")
    splits = {name: split for split, file in SPLITS.items() for name in (root / file).read_text().split()}
    names = sorted(splits)
    return data.open([root / "images" / name for name in names]).with_splits([splits[name] for name in names])


if __name__ == "__main__":
    main()
