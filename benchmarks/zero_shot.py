"""Classes from their names alone: accuracy on pictures and texts that played no part in making the model.

The rows "and items" were made with items of another split whose labels were not looked at.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
from support.common import data_folder, record, table, verdict

import headstart as hs
from headstart.data.items import Source
from headstart.text.mail import strip_email

Items = list[tuple[str, Source]]
VEHICLES = ("airplane", "automobile", "ship", "truck")
SENTIMENT = {"negative": "a bad film, boring, I hated it", "positive": "a great film, I loved it"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2000, help="at most, of a set")
    most = parser.parse_args().items
    rows: list[tuple[object, ...]] = [("set", "from", "items", "accuracy", "target")]

    def ask(
        name: str, labels: str | dict[str, str], items: Items, target: float, unlabelled: Items = ()
    ) -> None:
        kind = "text" if isinstance(items[0][1], str) else "image"
        sources = hs.data.open([source for _, source in unlabelled], modality=kind) if unlabelled else None
        model = hs.zero_shot(labels, sources, modality=kind, offline=True)
        chosen = np.random.default_rng(0).permutation(len(items))[:most]
        asked = [items[n] for n in np.sort(chosen)]
        answers = model.predict([source for _, source in asked])
        right = float(np.mean([a.label == label for a, (label, _) in zip(answers, asked, strict=True)]))
        how = "names and items" if unlabelled else "names"
        met = verdict(right, target) if target else ""
        rows.append((name, how, len(asked), right, f"{target} {met}" if target else ""))
        print(rows[-1], flush=True)
        record(
            "zero_shot", {"set": name, "from": how, "items": len(asked), "accuracy": right, "target": target}
        )

    cifar, train = (_pictures(data_folder("cifar10") / split) for split in ("test", "train"))
    ten = ", ".join(sorted({label for label, _ in cifar}))
    photographs = _monkeys_dogs_cats()
    four = "monkeys, dogs, cats, vehicles"
    trucks: Items = [
        ("vehicles", each) for _, each in _pictures(data_folder("imagenette160") / "val", "n03417042")
    ]
    small: Items = [("vehicles", each) for label, each in cifar if label in VEHICLES][:300]
    ask("monkeys, dogs, cats, vehicles (photographs)", four, photographs + trucks, 0.9)
    ask("monkeys, dogs, cats, vehicles (of 32 pixels)", four, photographs + small, 0.9)
    ask("cifar10", ten, cifar, 0.55)
    drawn = np.random.default_rng(1).permutation(len(train))[:most]
    ask("cifar10", ten, cifar, 0.55, [train[n] for n in drawn])
    groups = json.loads((data_folder("news20", "text") / "groups.json").read_text())
    news = [(groups[int(label)], text) for label, text in _texts("news20")]
    ask("news20", dict.fromkeys(groups, ""), news, 0.0)
    reviews: Items = [(list(SENTIMENT)[int(label)], text) for label, text in _texts("imdb")]
    ask("imdb", SENTIMENT, reviews, 0.0)
    table("from names alone", rows)


def _pictures(folder: Path, only: str = "*") -> Items:
    paths = (path for path in sorted(folder.glob(f"{only}/*")) if path.suffix in (".jpg", ".png", ".JPEG"))
    return [(path.parent.name, path) for path in paths]


def _monkeys_dogs_cats() -> Items:
    monkeys = [("monkeys", path) for _, path in _pictures(data_folder("monkeys10") / "val")]
    return [*monkeys, *_pictures(data_folder("dogs_vs_cats") / "test")]


def _texts(name: str) -> Items:
    with gzip.open(data_folder(name, "text") / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    # The headers of a posting name its group.
    return [(str(line["label"]), strip_email(line["text"])) for line in lines]


if __name__ == "__main__":
    main()
