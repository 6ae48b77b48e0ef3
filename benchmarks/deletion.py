"""How faithful explanations are: deletion and insertion curves against random maps and edges.

    HEADSTART_DATA=… python benchmarks/deletion.py [--items 100] [--methods hirescam,occlusion]

A model is fitted on the training part of dogs_vs_cats; photographs of its test part are covered with their
mean colour, the strongest evidence for the answer first (deletion: the probability should fall at once, a
small area below the curve is good), or appear out of their blur in the same order (insertion: a large area is
good). A map of chance, or of edges, is ordered in the same way; both are made on grids as coarse as those of
the methods, for what is deleted pixel by pixel confuses a network by its texture alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.artefact import Model
from headstart.data.items import Source
from headstart.explain.faithfulness import deletion, insertion
from headstart.explain.pictures import explain_picture
from headstart.images.preprocess import prepare

METHODS = ("hirescam", "gradcam", "occlusion", "gradients")
COARSE, FINE = 7, 14
Map = Callable[[Source, NDArray[np.uint8]], NDArray[np.floating]]
"""From a photograph and what the network sees of it to evidence, for what it sees."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    options = parser.parse_args()
    methods = options.methods.split(",")
    photographs = hs.data.open(data_folder("dogs_vs_cats"))
    model = hs.fit(photographs.only("train"))
    others = photographs.only("test").items
    items = others[:: max(1, len(others) // options.items)][: options.items]
    ways: dict[str, Map] = {
        **{method: by_method(model, method) for method in methods},
        f"random {COARSE} × {COARSE}": by_chance(COARSE),
        f"random {FINE} × {FINE}": by_chance(FINE),
        f"edges {COARSE} × {COARSE}": by_edges(COARSE),
        f"edges {FINE} × {FINE}": by_edges(FINE),
    }
    areas = {way: np.array([[0.0, 0.0]] * len(items)) for way in ways}
    for number, item in enumerate(items):
        pixels = prepare(item.source, model.front_end.preprocess)  # type: ignore[arg-type]
        column = int(model.answer_inputs(pixels[None])[0].argmax())
        for way, made in ways.items():
            evidence = made(item.source, pixels)
            for place, curve in enumerate((deletion, insertion)):
                found = curve(lambda seen, n=column: model.answer_inputs(seen)[:, n], pixels, evidence, 10)
                areas[way][number, place] = found.area
    report(areas, methods, len(items))


def report(areas: dict[str, NDArray[np.float64]], methods: list[str], items: int) -> None:
    """Print the areas and what they claim, and keep them."""
    rows: list[tuple[object, ...]] = [("order", "deletion", "±", "insertion", "±")]
    figures: dict[str, Any] = {"items": items}
    for way, its in areas.items():
        mean, error = its.mean(0), its.std(0, ddof=1) / len(its) ** 0.5
        rows.append((way, mean[0], error[0], mean[1], error[1]))
        figures |= {f"{way}_deletion": mean[0], f"{way}_insertion": mean[1]}
    table(f"Areas below the curves, {items} photographs (mean and its standard error)", rows)
    plain = [its.mean(0) for way, its in areas.items() if way not in methods]
    lowest, highest = min(mean[0] for mean in plain), max(mean[1] for mean in plain)
    claims: list[tuple[object, ...]] = [("claim", "measured", "best of random and edges", "")]
    for method in methods:
        down, up = areas[method].mean(0)
        claims.append(
            (f"{method}: deletion falls faster", down, lowest, verdict(down, lowest, at_least=False))
        )
        claims.append((f"{method}: insertion rises faster", up, highest, verdict(up, highest)))
    table("Claims", claims)
    record("deletion", figures)


def by_method(model: Model, method: str) -> Map:
    """Return the evidence of an explanation."""
    return lambda source, _pixels: explain_picture(model, source, method=method).evidence


def by_chance(side: int) -> Map:
    """Return random evidence, the same whenever a photograph comes again."""
    return lambda _source, pixels: np.random.default_rng(int(pixels.sum(dtype=np.int64))).random((side, side))


def by_edges(side: int) -> Map:
    """Return how strong edges are, by Sobel, in each cell of a grid."""

    def evidence(_source: Source, pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
        grey = pixels.mean(2)
        strength = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
        cells = strength.reshape(side, len(grey) // side, side, -1)
        return np.asarray(cells.mean((1, 3)))

    return evidence


if __name__ == "__main__":
    main()
