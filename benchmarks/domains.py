"""Domain adaptation on twelve pairs of sorts of goods: what it gains, and whether the choice is a good one.

    python benchmarks/domains.py --state pairs.json

The source has 1,300 labelled reviews, the target its own 1,350 or so without labels. Accuracy is that on the
target's reviews; held-out is that on 300 more, which no method has seen. Defaults and the rule of the choice
were found on ten pairs of ten other sorts (--calibrate). A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import defaultdict
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.common import data_folder, record, table, verdict

from headstart.data.items import Dataset, Item
from headstart.fitting.gathering import Gathered, gather
from headstart.fitting.views import AtBlock
from headstart.text.terms import TermsSettings
from headstart.transfer.domains.choosing import choose
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.methods import DEFAULT
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, one_core_each
from headstart.transfer.stacking import select_view
from headstart.transfer.store import FeatureStore
from headstart.transfer.terms import Terms

JUDGED = tuple(permutations(("books", "dvd", "electronics", "kitchen_housewares"), 2))
CALIBRATED = (
    ("music", "apparel"),
    ("apparel", "software"),
    ("toys_games", "video"),
    ("camera_photo", "health_personal_care"),
    ("video", "camera_photo"),
    ("baby", "music"),
    ("health_personal_care", "magazines"),
    ("software", "baby"),
    ("magazines", "sports_outdoors"),
    ("sports_outdoors", "toys_games"),
)
SOURCE_ITEMS = 1300
GAIN, NEVER_BELOW, REGRET = 0.015, -0.005, 0.01
FLOOR = "source only"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibrate", action="store_true", help="the pairs that defaults were chosen on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--state", type=Path, required=True, help="JSON of what is measured already")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so many")
    options = parser.parse_args()
    pairs = CALIBRATED if options.calibrate else JUDGED
    done: dict[str, Any] = json.loads(options.state.read_text()) if options.state.exists() else {}
    reviews = Reviews()
    stop = time.monotonic() + 60 * options.minutes
    for seed in range(options.seeds):
        for source, target in pairs:
            key = f"{source} to {target}, {seed}"
            if key in done or time.monotonic() > stop:
                continue
            done[key] = measured(reviews, source, target, seed)
            options.state.write_text(json.dumps(done, indent=1))
            print(key, {name: round(value, 4) for name, value in done[key]["accuracy"].items()}, flush=True)
    report(done, pairs, "calibrating" if options.calibrate else "judging")


class Reviews:
    """All reviews with their features, in memory."""

    def __init__(self) -> None:
        lines: list[tuple[dict[str, Any], str]] = []
        for path in sorted(data_folder("amazon", "text").glob("*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines += [(json.loads(line), path.name) for line in file]
        items = [
            Item(f"{name}:{number}", line["text"], str(line["label"]), group=line["domain"])
            for number, (line, name) in enumerate(lines)
            if line["text"].strip()
        ]
        with FeatureStore() as store:
            self.gathered: Gathered = gather(
                Dataset(tuple(items), "text"),
                store,
                backbone=None,
                engine="auto",
                precision=None,
                offline=True,
                say=print,
            )
        kept = self.gathered.dataset
        self.domain = np.array([item.group for item in kept])
        self.test = np.array(["_test." in item.name for item in kept])
        self.y = np.array([int(str(item.label)) for item in kept])

    def views(self, items: NDArray[np.int64], y: NDArray[np.int64]) -> dict[str, list[Labelled]]:
        """Return what a fit of these texts chooses from by default."""
        alone = np.arange(len(items))
        depths: list[Labelled] = []
        for block, its in self.gathered.depths.items():
            part = its.take(items)
            depths.append(AtBlock(Features(part.X, part.item, alone), y, 2, block))
        texts = tuple(str(self.gathered.dataset.items[n].source) for n in items)
        none = Features(np.zeros((len(items), 0), np.float32), alone, alone)
        return {"encoder": depths, "terms": [Terms(none, y, 2, texts, TermsSettings())]}


def measured(reviews: Reviews, source: str, target: str, seed: int) -> dict[str, Any]:
    """Adapt one pair with every method; return accuracies, scores and the choice."""
    draw = np.random.default_rng(seed)
    of = {part: np.flatnonzero(reviews.domain == part) for part in (source, target)}
    ours = draw.permutation(of[source][~reviews.test[of[source]]])[:SOURCE_ITEMS]
    items = np.sort(np.concatenate([ours, of[target]]))
    truth = reviews.y[items]
    theirs = np.isin(items, of[target])
    place, held = np.flatnonzero(theirs & ~reviews.test[items]), np.flatnonzero(theirs & reviews.test[items])
    known = np.flatnonzero(~theirs)
    started = time.monotonic()
    with one_core_each():
        view, selection, _ = select_view(
            reviews.views(items, np.where(theirs, -1, truth)), known, "linear", seed=seed
        )
        choice = choose(Domains(view, known, place), DEFAULT, seed, strength=selection.strength)
    found: dict[str, Any] = {
        "accuracy": {},
        "held": {},
        "scores": choice.scores,
        "chosen": choice.name,
    }
    for each in choice.candidates:
        for what, asked in (("accuracy", place), ("held", held)):
            right = view.take(asked).logits(each.head).argmax(1) == truth[asked]
            found[what][each.name] = float(right.mean()) if len(asked) else 0.0
    return {**found, "seconds": time.monotonic() - started}


def report(done: dict[str, Any], pairs: tuple[tuple[str, str], ...], part: str) -> None:
    """Print each pair's mean over the seeds, and the claims."""
    rows: list[tuple[object, ...]] = [("pair", "seeds", FLOOR, "chosen", "gain", "oracle", "what was chosen")]
    gains, regrets, held = [], [], []
    means: dict[str, list[float]] = defaultdict(list)
    for source, target in pairs:
        runs = [run for key, run in done.items() if key.rpartition(",")[0] == f"{source} to {target}"]
        if not runs:
            continue
        accuracy = [run["accuracy"] for run in runs]
        floor = float(np.mean([each[FLOOR] for each in accuracy]))
        chosen = float(np.mean([run["accuracy"][run["chosen"]] for run in runs]))
        oracle = float(np.mean([max(each.values()) for each in accuracy]))
        gains.append(chosen - floor)
        regrets.append(oracle - chosen)
        held.append(float(np.mean([run["held"][run["chosen"]] - run["held"][FLOOR] for run in runs])))
        for name in accuracy[0]:
            means[name].append(float(np.mean([each[name] for each in accuracy])))
        listed = ", ".join(run["chosen"] for run in runs)
        rows.append((f"{source} to {target}", len(runs), floor, chosen, chosen - floor, oracle, listed))
    if not gains:
        return
    table("Accuracy on the target", rows)
    table("Each method", [("method", "mean"), *((name, float(np.mean(v))) for name, v in means.items())])
    gain, worst, regret = float(np.mean(gains)), min(gains), float(np.mean(regrets))
    table(
        "Claims",
        [
            ("claim", "measured", "target", ""),
            ("mean gain over source only", gain, GAIN, verdict(gain, GAIN)),
            ("worst pair", worst, NEVER_BELOW, "met" if worst >= NEVER_BELOW else "missed"),
            ("behind the oracle choice", regret, REGRET, "met" if regret <= REGRET else "missed"),
        ],
    )
    record(
        "domains",
        {
            "part": part,
            "pairs": len(gains),
            "runs": len(done),
            "gain": gain,
            "worst": worst,
            "regret": regret,
            "gain_held_out": float(np.mean(held)),
            "seconds_each": float(np.median([run["seconds"] for run in done.values()])),
            **{f"mean {name}": float(np.mean(values)) for name, values in means.items()},
        },
        ("scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()
