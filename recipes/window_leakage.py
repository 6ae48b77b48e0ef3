"""What shuffling windows before splitting them is worth: one model, three ways to hold out a fifth.

Half-overlapping windows of a clip share half of their sound, and all of its recording: where windows are
shuffled and then split, nearly every window that is tested has a twin that was learned from. The figure for
VGG16 on feature maps in "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 8),
.887 on UrbanSound8K, was obtained so. Here the same model answers about windows, about clips it has not
heard, and about recordings it has not heard.

Data: ESC-10's folder, meta.csv (filename, category, freesound_id) beside clips/; or a manifest with path,
label and group.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import headstart as hs
from headstart import figures, pages
from headstart.audio.decode import decode, read_bytes
from headstart.audio.feature_maps import RATE, bottleneck_features, feature_maps, vgg16_engine
from headstart.data.items import Dataset, Item
from headstart.data.splits import make_folds
from headstart.files import write_text
from headstart.progress import track
from headstart.transfer.deep_head import fit_deep_head

TESTED = 5
"""One part of so many is tested."""


def main() -> None:
    """Measure the three ways, print them side by side and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="ESC-10's folder, or a manifest")
    parser.add_argument("--out", type=Path, default=Path("window-leakage"), help="where the page goes")
    parser.add_argument("--seeds", type=int, default=3, help="how many splits are drawn in each way")
    options = parser.parse_args()
    data = sounds(options.data)
    rows, item = features(data)
    names, y = np.unique([str(each.label) for each in data], return_inverse=True)
    units: dict[str, Sequence[object]] = {
        "windows shuffled (the classic protocol)": range(len(rows)),
        "whole clips held out": item.tolist(),
        "whole recordings held out": [data.items[each].group or each for each in item.tolist()],
    }
    scores = {
        name: [accuracy(rows, y[item], unit, len(names), seed) for seed in range(options.seeds)]
        for name, unit in units.items()
    }
    for name, values in scores.items():
        mean = np.mean(values)
        print(f"{name:42} {mean:.3f}  ({min(values):.3f} to {max(values):.3f} over {len(values)} splits)")
    place = options.out / "window-leakage.html"
    write_text(place, page(scores, len(rows), len(data)))
    print(f"wrote {place}")


def sounds(path: Path) -> Dataset:
    """Open ESC-10 or a manifest."""
    if not (path / "meta.csv").is_file():
        return hs.data.open(path)
    with (path / "meta.csv").open(newline="", encoding="utf-8") as file:
        items = tuple(
            Item(
                row["filename"],
                path / "clips" / row["filename"],
                label=row["category"],
                group=row["freesound_id"],
            )
            for row in csv.DictReader(file)
        )
    return Dataset(items, "audio", path)


def features(data: Dataset) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return VGG16's bottleneck features of all windows, and to which clip each belongs."""
    engine = vgg16_engine()
    each = [
        bottleneck_features(feature_maps(decode(read_bytes(item.source), RATE).wave), engine)
        for item in track(data, "feature maps")
    ]
    return np.concatenate(each), np.repeat(np.arange(len(each)), [len(rows) for rows in each])


def accuracy(
    rows: NDArray[np.float32], y: NDArray[np.int64], unit: Sequence[object], classes: int, seed: int
) -> float:
    """Return the share of tested windows that are answered right, where units are held out as a whole."""
    number = {each: place for place, each in enumerate(dict.fromkeys(unit))}
    groups = [number[each] for each in unit]
    folds = np.array(make_folds(y.astype(str).tolist(), groups, folds=TESTED, seed=seed))
    head = fit_deep_head(rows[folds != 0], y[folds != 0], classes, seed=seed)
    return float((head.logits(rows[folds == 0]).argmax(1) == y[folds == 0]).mean())


def page(scores: dict[str, list[float]], windows: int, clips: int) -> str:
    """Return what was found as a page."""
    shuffled, *_, honest = (float(np.mean(values)) for values in scores.values())
    lead = f"Shuffled windows promise {shuffled:.3f}; on new recordings it is {honest:.3f}."
    words = (
        f"{windows:,} half-overlapping windows of {clips:,} clips; one model, VGG16's bottleneck features of "
        "their feature maps behind four hidden layers; a fifth is tested. Where windows are shuffled, nearly "
        "every tested window overlaps one that was learned from."
    )
    return pages.Page("Window leakage", lead).section("Accuracy on windows", chart(scores), words).html()


def chart(scores: dict[str, list[float]]) -> pages.Markup:
    """Draw the three figures side by side."""
    figure, axes = figures.plot(7.6, 2.6)
    means = [float(np.mean(values)) for values in scores.values()]
    axes.barh(range(len(means)), means, 0.6, color=[pages.SECOND, *[pages.ACCENT] * (len(means) - 1)])
    for place, values in enumerate(scores.values()):
        axes.plot(values, [place] * len(values), "o", color=pages.INK, markersize=3)
        axes.text(0.02, place, f"{means[place]:.3f}", va="center", color=pages.SURFACE)
    axes.set_yticks(range(len(means)), list(scores))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of windows that are answered right; a dot for each split")
    rows = [[name, float(np.mean(each)), min(each), max(each)] for name, each in scores.items()]
    alt = "; ".join(f"{name}: {mean:.3f}" for name, mean in zip(scores, means, strict=True))
    return figures.chart(figure, alt, pages.table(["held out", "mean", "lowest", "highest"], rows))


if __name__ == "__main__":
    main()
