"""From photographs to edge maps: how much of what labelled edge maps would bring comes without their labels.

Dogs and cats: the source has photographs, the target edge maps (Canny, white on black) of other photographs,
and is judged on edge maps of yet others. The gap is between a head fitted on the source and one fitted on
the target's labels.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.data.items import Dataset, Item
from headstart.fitting.gathering import gather
from headstart.images.decode import decode
from headstart.transfer.domains.choosing import choose
from headstart.transfer.domains.distance import proxy_a_distance
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.methods import METHODS
from headstart.transfer.selection import Labelled, one_core_each, select
from headstart.transfer.store import FeatureStore

SIDE = 224
TARGET = 0.30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=600, help="of each part")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    photographs = hs.data.open(data_folder("dogs_vs_cats"))
    rows: list[tuple[object, ...]] = [("seed", "source only", "chosen", "supervised", "recovered", "method")]
    found: dict[str, list[float]] = {}
    shares, names = [], []
    for seed in range(options.seeds):
        run = measured(photographs, options.items, seed)
        floor, supervised = run["accuracy"]["source only"], run["supervised"]
        chosen = run["accuracy"][run["chosen"]]
        shares.append((chosen - floor) / max(supervised - floor, 1e-9))
        names.append(run["chosen"])
        rows.append((seed, floor, chosen, supervised, shares[-1], run["chosen"]))
        for name, value in {**run["accuracy"], "supervised": supervised, "distance": run["distance"]}.items():
            found.setdefault(name, []).append(value)
    table("Accuracy on edge maps", rows)
    table("Each method", [("method", "mean"), *((name, float(np.mean(v))) for name, v in found.items())])
    share = float(np.mean(shares))
    table(
        "Claim",
        [
            ("claim", "measured", "target", ""),
            ("share of the gap", share, TARGET, verdict(share, TARGET)),
        ],
    )
    record(
        "domains_edges",
        {
            "map": "Canny",
            "items": options.items,
            "seeds": options.seeds,
            "recovered": share,
            "chosen": "; ".join(names),
            **{f"mean {name}": float(np.mean(values)) for name, values in found.items()},
        },
    )


def measured(photographs: Dataset, count: int, seed: int) -> dict[str, Any]:
    """Adapt once with every method."""
    order = np.random.default_rng(seed).permutation(len(photographs))[: 3 * count]
    items = [photographs.items[n] for n in order]
    drawn = [
        Item(f"edges/{item.name}", edges(decode(item.source)), item.label)  # type: ignore[arg-type]
        for item in items[count:]
    ]
    both = Dataset((*items[:count], *drawn), "image")
    with FeatureStore() as store:
        gathered = gather(
            both, store, backbone=None, engine="auto", precision=None, offline=True, say=print, progress=False
        )
    labels = photographs.classes
    truth = np.array([labels.index(str(item.label)) for item in gathered.dataset])
    edge = np.array([item.name.startswith("edges/") for item in gathered.dataset])
    source = np.flatnonzero(~edge)
    target, held = np.split(np.flatnonzero(edge), [count])
    y = np.where(edge, -1, truth)
    data = Labelled(gathered.features, y, len(labels))
    with one_core_each():
        choice = choose(Domains(data, source, target), METHODS, seed)
        told = Labelled(gathered.features, truth, len(labels)).take(target)
        strength = select(told, "linear", seed=seed).strength
        supervised = told.fit("linear", strength, None, seed)

    def accuracy(head: Any) -> float:
        return float(np.mean(data.take(held).logits(head).argmax(1) == truth[held]))

    X = gathered.features.X
    return {
        "accuracy": {name: accuracy(head) for name, head in choice.heads.items()},
        "supervised": accuracy(supervised),
        "chosen": choice.method.name,
        "distance": proxy_a_distance(X[source], X[target], seed),
    }


def edges(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the edge map of a photograph, white on black, three channels.

    Canny: Sobel's gradient of the smoothed picture, thinned across the edge; what is strong, and what is weak
    and hangs together with it.
    """
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize((SIDE, SIDE)), np.float64)
    smooth = ndimage.gaussian_filter(grey, 1.4)
    across, down = ndimage.sobel(smooth, 1), ndimage.sobel(smooth, 0)
    length = np.hypot(across, down)
    sector = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    thin = np.zeros(length.shape, bool)
    for number, step in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        highest = (length >= np.roll(length, step, (0, 1))) & (
            length >= np.roll(length, (-step[0], -step[1]), (0, 1))
        )
        thin |= highest & (sector == number)
    strong, weak = (np.quantile(length, share) for share in (0.92, 0.80))
    parts, _ = ndimage.label(thin & (length > weak), np.ones((3, 3)))
    kept = np.unique(parts[thin & (length > strong)])
    white = np.where(np.isin(parts, kept[kept > 0]), 255, 0).astype(np.uint8)
    return np.repeat(white[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
