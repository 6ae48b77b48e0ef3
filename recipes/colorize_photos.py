"""Grey photographs in colour: two networks learn it, and what their colours are worth is measured.

The classic (encoder, fusion with a pretrained embedding, decoder, mean squared error) is that of the book
"Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 12), which shows pictures and
has no figure; the other one tells how likely each colour is (Zhang, Isola and Efros 2016) from all scales of
the backbone. Both learn from the same photographs and are tested on others: how far off their colours are, as
a share of the error of the best constant colour; how colourful they are, as a share of the originals; and
whether a linear probe, on the backbone's features, classifies coloured photographs better than grey ones.

Data: a folder with captions/flickr8k, images/dogs_vs_cats and images/imagenette160, as far as they are there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headstart as hs
from headstart import pages
from headstart.backbones.card import Preprocess
from headstart.data.items import Dataset, Split
from headstart.engines.choosing import choose
from headstart.files import write_text
from headstart.images.decode import Pixels, decode
from headstart.images.preprocess import prepare
from headstart.images.resizing import shrunk
from headstart.images.saving import save_picture
from headstart.progress import tell, track
from headstart.studio.colorize.colorizer import Colorizer, open_colorizer
from headstart.studio.colorize.lab import colourfulness
from headstart.studio.colorize.making import make_colorizer
from headstart.studio.colorize.photographs import view_of
from headstart.studio.colorize.sheet import grey, row, sheet

PROTOCOL = (
    "Tested on photographs that neither network has seen. Error: of the expected colour, mean squared in a "
    "and b, divided by that of the best constant colour of the tested photographs. Colourfulness (Hasler and "
    "Süsstrunk): the annealed colours', divided by the originals'. Probe: logistic regression on the "
    "backbone's features of labelled photographs, five folds, three times; once each on grey, coloured and "
    "original ones."
)
SIDE = 320
"""Longer side at which photographs are compared, in pixels."""


def main() -> None:
    """Train both, measure, and write a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADSTART_DATA"), help="see above")
    parser.add_argument("--out", type=Path, default=Path("colorize-photos"), help="where everything goes")
    parser.add_argument("--minutes", type=float, default=25, help="of training, for each of the two")
    parser.add_argument("--most", type=int, default=1000, help="photographs that are tested, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.data is None:
        print("skipped: no photographs; name their folder with --data, or in HEADSTART_DATA")
        return
    data, labelled = photographs(options.data)
    if not data.items:
        wanted = "captions/flickr8k, images/dogs_vs_cats, images/imagenette160"
        print(f"skipped: {options.data} has none of {wanted}")
        return
    networks = {}
    for kind in ("classic", "unet"):
        folder = options.out / f"{kind}.colorizer"
        if not folder.exists():
            make_colorizer(data, folder, kind=kind, minutes=options.minutes, seed=options.seed, say=tell)
        networks[kind] = open_colorizer(folder)
    tested = [Path(str(item.source)) for item in data.items if item.split == "test"][: options.most]
    rows = [[name, *map("{:.3f}".format, told(each, tested))] for name, each in networks.items()]
    probes = [
        [name, *map("{:.3f}".format, probed(networks["unet"], files[: options.most], labels[: options.most]))]
        for name, (files, labels) in labelled.items()
    ]
    for line in (*rows, *probes):
        print("  ".join(line))
    print(f"wrote {page(options.out, networks, tested, rows, probes, len(data.items) - len(tested))}")


def photographs(root: Path) -> tuple[Dataset, dict[str, tuple[list[Path], list[str]]]]:
    """Return all photographs with their splits, and labelled ones that are not learned from.

    Flickr8k has official splits. Of dogs_vs_cats the split "train" is learned from; of imagenette, which may
    be a sample of one split, the one half; the rest is labelled and never seen.
    """
    splits: dict[Path, Split] = {}
    captions = root / "captions" / "flickr8k"
    names: tuple[tuple[Split, str], ...] = (("train", "train"), ("val", "dev"), ("test", "test"))
    for split, name in names:
        listed = captions / f"{name}Images.txt"
        if listed.is_file():
            splits.update({captions / "images" / line: split for line in listed.read_text().split()})
    pets, things = root / "images" / "dogs_vs_cats", root / "images" / "imagenette160"
    splits.update(dict.fromkeys(sorted(pets.glob("train/*/*.jpg")), "train"))
    found = sorted(things.glob("*/*/*.*"))
    splits.update(dict.fromkeys(found[::2], "train"))
    unseen = {"dogs and cats": sorted(pets.glob("test/*/*.jpg")), "imagenette": found[1::2]}
    if "val" in splits.values():
        unseen["dogs and cats"] += sorted(pets.glob("val/*/*.jpg"))
    else:
        splits.update(dict.fromkeys(sorted(pets.glob("val/*/*.jpg")), "val"))
    if "test" not in splits.values():
        splits.update(dict.fromkeys([path for paths in unseen.values() for path in paths], "test"))
    data = hs.data.open(sorted(splits), modality="image") if splits else Dataset((), "image", root)
    labels = {name: (paths, [path.parent.name for path in paths]) for name, paths in unseen.items() if paths}
    return data.with_splits([splits[Path(str(item.source))] for item in data]), labels


def told(colorizer: Colorizer, files: Iterable[Path]) -> tuple[float, float]:
    """Return the error and the colourfulness, as shares of the best constant colour's and the originals'."""
    errors, truths, colours = [], [], []
    for file in track(list(files), "colours"):
        picture = shrunk(decode(file), SIDE)
        _, truth = view_of(picture, colorizer.card["size"])
        errors.append(np.square(colorizer.ab(picture, how="expected") - truth).mean())
        truths.append(truth)
        colours.append((colourfulness(colorizer.colorize(picture)), colourfulness(picture)))
    painted, original = np.mean(colours, axis=0)
    return float(np.mean(errors) / np.var(truths, axis=(0, 1, 2)).mean()), float(painted / original)


def probed(colorizer: Colorizer, files: list[Path], labels: list[str]) -> list[float]:
    """Return how often a linear probe is right about grey, coloured and original photographs."""
    pictures = [shrunk(decode(file), SIDE) for file in files]
    versions: tuple[Callable[[Pixels], Pixels], ...] = (grey, colorizer.colorize, lambda picture: picture)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
    found = []
    for version in versions:
        rows = features([version(picture) for picture in pictures])
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        found.append(float(cross_val_score(probe, rows, labels, cv=folds).mean()))
    return found


def features(pictures: list[Pixels]) -> NDArray[np.float32]:
    """Return the backbone's features of pictures."""
    network = hs.backbones.load("efficientnet_lite0")
    engine, spec = choose(network.card, lambda: network).start(), network.card.preprocess
    if not isinstance(spec, Preprocess):
        raise TypeError("efficientnet_lite0 reads pictures")
    seen = ((place, prepare(each, spec)) for place, each in enumerate(pictures))
    return np.stack([outputs["features"] for _, outputs in engine.run(seen, ("features",))])


def page(
    out: Path,
    networks: dict[str, Colorizer],
    tested: list[Path],
    rows: list[list[str]],
    probes: list[list[str]],
    learned: int,
) -> Path:
    """Write the page and the sheet beside it, and return where the page is."""
    lines = []
    for file in tested[:: max(1, len(tested) // 12)][:12]:
        picture = shrunk(decode(file), SIDE)
        lines.append(row(file.name, picture, networks["unet"].colorize(picture), had_colour=True))
    save_picture(out / "sheet.jpg", sheet(lines))
    lead = " ".join(
        f"The {name}'s error is {error} of the best constant colour's." for name, error, _ in rows
    )
    found = pages.Page("Grey photographs in colour", f"{lead} Learned from {learned:,} photographs.")
    found.section("Colours", pages.table(("network", "error", "colourfulness"), rows))
    found.section("A linear probe", pages.table(("photographs", "grey", "coloured", "original"), probes))
    found.section("Photographs never seen", pages.sheet((out / "sheet.jpg").read_bytes(), "Three columns."))
    found.section("Protocol", pages.paragraph(PROTOCOL))
    write_text(out / "colorize-photos.html", found.html())
    return out / "colorize-photos.html"


if __name__ == "__main__":
    main()
