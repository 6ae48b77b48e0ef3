"""Ten environmental sounds by their official folds: VGG16 on feature maps, the classic way, and YAMNet.

The classic route is that of "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter
8): windows of 64 x 64 x 3 after Piczak, VGG16's bottleneck features of them, a network of four hidden layers.

Data: ESC-10's folder, meta.csv (filename, category, fold, freesound_id) beside clips/; or a manifest with
path, label, fold and group.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import headstart as hs
from headstart.audio.decode import decode, read_bytes
from headstart.audio.feature_maps import RATE, bottleneck_features, feature_maps, vgg16_engine
from headstart.data.items import Dataset, Item, Source, natural_order
from headstart.evaluation import Evaluation, evaluate
from headstart.evaluation.report import report_html
from headstart.evaluation.sections import ReportInput
from headstart.files import write_text
from headstart.progress import track
from headstart.studies import Rung
from headstart.transfer.calibration import softmax
from headstart.transfer.deep_head import fit_deep_head
from headstart.transfer.heads import Head

PROTOCOL = (
    "Leave one fold out: the official folds keep the clips of one recording together. The answer about a "
    "clip is the mean over its windows. The book has .887, for windows of UrbanSound8K that were shuffled "
    "before they were split (see window-leakage); humans are right about 95.7 % of ESC-10 (Piczak 2015)."
)


def main() -> None:
    """Go both routes, print the spread over folds, and write the reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="ESC-10's folder, or a manifest")
    parser.add_argument("--out", type=Path, default=Path("environment-sounds"), help="where reports go")
    parser.add_argument("--predict", type=Path, nargs="*", default=[], help="recordings to answer about")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = sounds(options.data), options.seed
    study = hs.Study("Environmental sounds", PROTOCOL)

    classic, evaluation = go_classic(data, seed)
    study.rungs.append(Rung("VGG16 on feature maps, four hidden layers", "cross-validation", evaluation))
    tell(data, evaluation, "classic route")
    page = report_html(ReportInput("The classic route", {"cross-validation": evaluation}, noun="clips"))
    write_text(options.out / "classic.html", page)

    model = study.fit("YAMNet, headstart unassisted", data, seed=seed)
    tell(data, study.rungs[-1].evaluation, "YAMNet")
    model.report.save(options.out / "yamnet.html")
    model.save(options.out / "model")
    study.show(options.out)
    for path in options.predict:
        label, confidence = classic.predict(path)
        own = model.predict([path])[0]
        print(f"{path}: classic {label} ({confidence:.2f}), YAMNet {own.label} ({own.confidence:.2f})")


def sounds(path: Path) -> Dataset:
    """Open ESC-10 or a manifest."""
    if not (path / "meta.csv").is_file():
        return hs.data.open(path)
    with (path / "meta.csv").open(newline="", encoding="utf-8") as file:
        items = tuple(
            Item(
                name=row["filename"],
                source=path / "clips" / row["filename"],
                label=row["category"],
                group=row["freesound_id"],
                fold=row["fold"],
            )
            for row in csv.DictReader(file)
        )
    return Dataset(items, "audio", path)


@dataclass(frozen=True)
class Classic:
    """The prediction pipeline: recording → feature maps → bottleneck features → network → one answer."""

    head: Head
    labels: tuple[str, ...]

    def predict(self, source: Source) -> tuple[str, float]:
        """Return the label of a new recording, and how sure it is, the mean over its windows."""
        rows = bottleneck_features(windows(source), vgg16_engine())
        mean = softmax(self.head.logits(rows)).mean(0)
        return self.labels[int(mean.argmax())], float(mean.max())


def windows(source: Source) -> NDArray[np.uint8]:
    """Return the feature maps of a recording."""
    return feature_maps(decode(read_bytes(source), RATE).wave)


def go_classic(data: Dataset, seed: int) -> tuple[Classic, Evaluation]:
    """Answer each fold by a network fitted on the others; then fit one on all."""
    engine = vgg16_engine()
    each = [bottleneck_features(windows(item.source), engine) for item in track(data, "feature maps")]
    rows, item = np.concatenate(each), np.repeat(np.arange(len(each)), [len(part) for part in each])
    labels = tuple(natural_order({str(item.label) for item in data}))
    y = np.array([labels.index(str(item.label)) for item in data])
    folds = np.array([str(item.fold) for item in data])
    answers = np.zeros((len(data), len(labels)))
    for fold in np.unique(folds):
        known = folds[item] != fold
        head = fit_deep_head(rows[known], y[item[known]], len(labels), seed=seed)
        said = softmax(head.logits(rows[~known]))
        np.add.at(answers, item[~known], said)
    answers /= answers.sum(1, keepdims=True)
    names = [item.name for item in data]
    groups = [item.group for item in data]
    found = evaluate(labels, y, answers, names=names, groups=groups, seed=seed)
    return Classic(fit_deep_head(rows, y[item], len(labels), seed=seed), labels), found


def tell(data: Dataset, evaluation: Evaluation, name: str) -> None:
    """Print the accuracy, fold by fold, and the classes."""
    fold_of = {item.name: str(item.fold) for item in data}
    folds = np.array([fold_of[name] for name in evaluation.names])
    by_fold = [evaluation.right[folds == fold].mean() for fold in np.unique(folds)]
    spread = ", ".join(f"{share:.3f}" for share in by_fold)
    mean, deviation = np.mean(by_fold), np.std(by_fold, ddof=1)
    print(f"\n{name}: {mean:.3f} ± {deviation:.3f} over folds ({spread})")
    print(f"{'class':18} precision  recall    f1")
    for score in evaluation.per_class:
        figures = "   ".join(f"{value or 0:.3f}" for value in (score.precision, score.recall, score.f1))
        print(f"{score.label:18} {figures}")


if __name__ == "__main__":
    main()
