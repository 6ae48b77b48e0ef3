"""Whether an explanation points at the animal: the pointing game on photographs boxed by hand.

    HEADSTART_DATA=… python benchmarks/pointing.py [--methods hirescam,gradcam]

Fifty photographs of the test and val part of dogs_vs_cats, taken in a random order wherever there is one
animal whose box fills at most 40 % of the frame, and boxed by hand before any explanation was computed
(support/dogs_vs_cats_boxes.csv: edges as shares of width and height). The model is fitted on the training
part. A method scores where the maximum of its map for the true class lies in the box (Zhang et al.,
"Top-down Neural Attention by Excitation Backprop", ECCV 2016).

In nearly all of these the centre of the photograph is in the box: photographers centre animals, which leaves
little room above. So there is a second game, on pairs: a dog and a cat above each other on a grey square, and
the map of one class has to point at the one and not at the other (as in the grid pointing game of Böhle,
Fritz and Schiele, "Convolutional Dynamic Alignment Networks for Interpretable Classifications", CVPR 2021).
What needs no model there is always pointing at the centre of the upper photograph.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.artefact import Model
from headstart.explain.pictures import explain_picture
from headstart.images.decode import decode

METHODS = ("hirescam", "gradcam", "occlusion", "gradients")
SIDE = 480
GREY = 128
TARGET = 0.10


@dataclass(frozen=True)
class Boxed:
    """A picture, the class that is looked for, and where it is: left, top, right, bottom in pixels."""

    name: str
    picture: NDArray[np.uint8]
    label: str
    box: tuple[float, float, float, float]

    def holds(self, x: float, y: float) -> bool:
        """Return whether a place is in the box."""
        left, top, right, bottom = self.box
        return left <= x < right and top <= y < bottom

    @property
    def share(self) -> float:
        """The share of the frame that the box fills."""
        left, top, right, bottom = self.box
        height, width = self.picture.shape[:2]
        return (right - left) * (bottom - top) / (height * width)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    methods = parser.parse_args().methods.split(",")
    folder = data_folder("dogs_vs_cats")
    photographs = hs.data.open(folder)
    model = hs.fit(photographs.only("train"))
    singles = boxed(folder)
    paired = pairs(singles)
    centre = [each.holds(each.picture.shape[1] / 2, each.picture.shape[0] / 2) for each in singles]
    upper = [each.holds(SIDE / 2, SIDE / 4) for each in paired]
    figures: dict[str, Any] = {"photographs": len(singles), "questions_on_pairs": len(paired)}
    for what, game, simple, says in (
        ("photographs", singles, centre, "always the centre"),
        ("pairs", paired, upper, "always the centre of the upper photograph"),
    ):
        area = float(np.mean([each.share for each in game]))
        rows: list[tuple[object, ...]] = [
            ("points at", "hits", "of", "share", "95 % interval", "evidence in it")
        ]
        rows.append((says, *scored(simple), area))
        figures[f"{what}_simple"] = np.mean(simple)
        best = 0.0
        for method in methods:
            hits, inside = played(model, game, method)
            rows.append((method, *scored(hits), inside))
            figures |= {f"{what}_{method}": np.mean(hits), f"{what}_{method}_inside": inside}
            best = max(best, float(np.mean(hits)))
        table(f"Pointing game, {what} (a box fills {area:.0%} on average)", rows)
        above = best - float(np.mean(simple))
        room = 1 - float(np.mean(simple))
        print(f"  best: {above:+.0%} (room for {room:+.0%}); target {TARGET:+.0%}: {verdict(above, TARGET)}")
    record("pointing", figures)


def boxed(folder: Path) -> list[Boxed]:
    """Return the photographs with their boxes."""
    with (Path(__file__).parent / "support" / "dogs_vs_cats_boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        picture = decode(folder / row["name"])
        height, width = picture.shape[:2]
        left, top, right, bottom = (float(row[edge]) for edge in ("left", "top", "right", "bottom"))
        box = (left * width, top * height, right * width, bottom * height)
        found.append(Boxed(row["name"], picture, Path(row["name"]).parts[1], box))
    return found


def pairs(singles: Sequence[Boxed]) -> list[Boxed]:
    """Return a dog and a cat above each other on a grey square, once for each of the two questions."""
    dogs, cats = ([each for each in singles if each.label == label] for label in ("dogs", "cats"))
    found = []
    for number, pair in enumerate(zip(dogs, cats, strict=False)):
        square = np.full((SIDE, SIDE, 3), GREY, np.uint8)
        for place, each in enumerate(pair if number % 2 else pair[::-1]):
            height, width = each.picture.shape[:2]
            scale = min(SIDE / width, SIDE / 2 / height)
            small = Image.fromarray(each.picture).resize((round(width * scale), round(height * scale)))
            left, top = (SIDE - small.width) // 2, place * SIDE // 2 + (SIDE // 2 - small.height) // 2
            square[top : top + small.height, left : left + small.width] = np.asarray(small)
            edges = np.array(each.box) * scale + (left, top, left, top)
            found.append(Boxed(each.name, square, each.label, tuple(edges.tolist())))
    return found


def played(model: Model, game: Sequence[Boxed], method: str) -> tuple[list[bool], float]:
    """Return whether the maximum of each map is in the box, and the mean share of the evidence in it."""
    hits, shares = [], []
    for each in game:
        found = explain_picture(model, each.picture, method=method, label=each.label, name=each.name)
        left, top, right, bottom = found.box
        heat = found.heat(bottom - top, right - left)
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        hits.append(each.holds(left + x + 0.5, top + y + 0.5))
        positive = np.maximum(heat, 0)
        rows, columns = np.mgrid[top:bottom, left:right] + 0.5
        inside = (
            (each.box[0] <= columns) & (columns < each.box[2]) & (each.box[1] <= rows) & (rows < each.box[3])
        )
        shares.append(positive[inside].sum() / positive.sum() if positive.any() else 0.0)
    return hits, float(np.mean(shares))


def scored(hits: Sequence[bool]) -> tuple[int, int, float, str]:
    """Return hits, of how many, their share, and its exact binomial interval."""
    interval = stats.binomtest(sum(hits), len(hits)).proportion_ci()
    return sum(hits), len(hits), sum(hits) / len(hits), f"{interval.low:.2f}–{interval.high:.2f}"


if __name__ == "__main__":
    main()
