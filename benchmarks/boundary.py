"""What an epoch takes when the frozen blocks are cached, against the plain run with them in the loop.

    HEADSTART_DATA=… python benchmarks/boundary.py [--items 400] [--epochs 3] [--seeds 3] [--state FOLDER]

VGG16's blocks 4 and 5 at 150 px, and EfficientNet-Lite0's stages 6, 7 and head at 224 px, on dogs_vs_cats.
Three runs a seed, with the same items in the same order, the same schedule and first weights; each looks at
the validation photographs after every epoch:

    in the loop   torch eager in fp32, Pillow in a DataLoader with two workers, the frozen blocks every time
    cached        the same on the stored outputs of the frozen blocks: what caching alone brings
    headstart     `training.loop.train` on them: channels_last, bfloat16 where it is faster, a fused optimiser

The prediction for caching alone: decoding, measured alone, goes away; what is left shrinks by the share of
the multiply-adds. With --state a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.common import Spent, Stopwatch, data_folder, record, table, timed, verdict

from headstart import backbones, data
from headstart.data.items import Dataset
from headstart.files import write_json
from headstart.process import tune_process

tune_process()  # as the command line does; it must come before torch
from support.plain_training import Items, Photographs, train_plainly  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from headstart.backbones.backbone import Backbone  # noqa: E402
from headstart.training.loop import TrainingData, train  # noqa: E402
from headstart.training.network import Network, make_head  # noqa: E402
from headstart.training.plan import HEAD, Phase, Plan, Settings  # noqa: E402
from headstart.transfer.boundary import BoundaryInputs, boundary_inputs  # noqa: E402
from headstart.transfer.store import FeatureStore  # noqa: E402

LOOP, CACHED, OURS = ARMS = ("in the loop", "cached", "headstart")
BATCH = 32
OF_PREDICTION = 0.85


@dataclass(frozen=True)
class Case:
    """A network, its input size, the last frozen block, the rates of what is trained, the ratio wanted."""

    name: str
    size: int
    stop: str
    rates: dict[str, float]
    target: float


CASES = (
    Case("vgg16", 150, "block3", {"block4": 2e-5, "block5": 2e-5, HEAD: 1e-3}, 2.7),
    Case(
        "efficientnet_lite0",
        224,
        "stage5",
        dict.fromkeys(("stage6", "stage7", "head"), 2e-4) | {HEAD: 1e-3},
        3,
    ),
)


@dataclass(frozen=True)
class Photos:
    """The photographs, which of them are trained on, and which are looked at."""

    dataset: Dataset
    train: Items
    val: Items

    @classmethod
    def of(cls, folder: Path, count: int) -> Photos:
        """Take some evenly from both classes, half as many to look at."""
        dataset = data.open(folder)
        parts = []
        for split, wanted in (("train", count), ("val", count // 2)):
            there = np.array([n for n, item in enumerate(dataset) if item.split == split], np.int64)
            parts.append(there[np.linspace(0, len(there) - 1, min(wanted, len(there))).astype(np.int64)])
        kept = dataset.take(np.concatenate(parts).tolist())
        return cls(kept, np.arange(len(parts[0])), np.arange(len(parts[0]), len(kept)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=400, help="training photographs; half as many validate")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--state", type=Path, help="folder with what an interrupted run finished")
    options = parser.parse_args()
    photos = Photos.of(data_folder("dogs_vs_cats"), options.items)
    with tempfile.TemporaryDirectory() as temporary:
        for case in (case for case in CASES if case.name in options.networks):
            file = f"boundary-{case.name}-{options.items}-{options.epochs}.json"
            file = (options.state or Path(temporary)) / file
            found = json.loads(file.read_text()) if file.exists() else {}
            runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
            for seed in range(options.seeds):
                for arm in ARMS:  # one after the other, so that other work on the machine disturbs all alike
                    key = f"{arm}, seed {seed}"
                    if key not in found:
                        found[key] = run(case, arm, photos, seed, options.epochs)
                        write_json(file, found)
                    runs[arm].append(found[key])
                    walls = ", ".join(f"{epoch['wall']:.1f}" for epoch in found[key]["epochs"])
                    print(f"{case.name}, {key}: {walls} s, accuracy {found[key]['accuracy']:.3f}", flush=True)
            report(case, photos, runs)


# -- the three runs ----------------------------------------------------------------------------------------


def run(case: Case, arm: str, photos: Photos, seed: int, epochs: int) -> dict[str, Any]:
    """Train once; return what each epoch took, the best accuracy, and what the cache took."""
    backbone = backbones.load(case.name).at(case.size)
    phases, settings = (Phase("late", epochs, case.rates),), Settings(batch=BATCH)
    last = backbone.card.blocks[-1]
    plan = Plan("fine-tune-late", case.name, last, case.size, phases, settings=settings, seed=seed)
    network = Network(backbone, make_head(plan, backbone.card.features, 2))
    y = np.array([photos.dataset.classes.index(item.label or "") for item in photos.dataset])
    if arm == LOOP:
        pixels = _photographs(photos, backbone).batches
        spent, accuracy = train_plainly(network, plan, y, photos.train, photos.val, pixels, None)
        return {"epochs": _json(spent), "accuracy": accuracy}
    # A store of its own: what the cache takes is measured, not found done.
    with tempfile.TemporaryDirectory() as temporary, FeatureStore(Path(temporary)) as store:

        def cache(train: Items, val: Items) -> BoundaryInputs:
            return boundary_inputs(
                photos.dataset, store, backbone, case.stop, train=train, val=val, progress=False
            )

        cache(photos.val[-1:], photos.val[:0])  # the network is converted once ever
        with Stopwatch() as watch:
            inputs = cache(photos.train, photos.val)
        build = {"build": asdict(watch.spent), "bytes": inputs.cost.bytes}
        if arm == CACHED:

            def stored(parts: list[Items]) -> Iterator[Tensor]:
                return (inputs.batch(part, None).contiguous() for part in parts)

            spent, accuracy = train_plainly(network, plan, y, photos.train, photos.val, stored, inputs.start)
        else:
            clocked = Clocked(inputs)
            training = TrainingData(lambda _: clocked, y, photos.train, photos.val, 2, "dogs_vs_cats")
            history = train(network, plan, training, progress=False).history
            spent = clocked.finish()
            accuracy = max(line.get("val_accuracy", 0.0) for line in history)
    return {"epochs": _json(spent), "accuracy": accuracy, **build}


class Clocked:
    """Inputs that note when an epoch begins; validation belongs to the epoch before it."""

    def __init__(self, inputs: BoundaryInputs) -> None:
        self.start = inputs.start
        self._inputs, self._epoch = inputs, -1
        self._watch = Stopwatch()
        self._spent: list[Spent] = []

    def batch(self, items: Items, epoch: int | None) -> Tensor:
        """Return the batch."""
        if epoch is not None and epoch != self._epoch:
            self._stop()
            self._epoch = epoch
            self._watch.__enter__()
        return self._inputs.batch(items, epoch)

    def finish(self) -> list[Spent]:
        """Return what each epoch took."""
        self._stop()
        return self._spent

    def _stop(self) -> None:
        if self._epoch >= 0:
            self._watch.__exit__()
            self._spent.append(self._watch.spent)


def _photographs(photos: Photos, backbone: Backbone) -> Photographs:
    return Photographs([item.source for item in photos.dataset], backbone.card.preprocess)


def _json(spent: list[Spent]) -> list[dict[str, float]]:
    return [asdict(each) for each in spent]


# -- what is to be expected, and what came of it -----------------------------------------------------------


def multiply_adds(backbone: Backbone, stop: str) -> tuple[float, float]:
    """Count those of the frozen blocks and of the others, for one picture forwards."""
    counted = dict.fromkeys(backbone.blocks, 0.0)

    def count(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(layer: nn.Module, _: Any, out: Tensor) -> None:
            counted[name] += out.numel() * layer.weight[0].numel()  # type: ignore[index, operator]

        return hook

    hooks = [
        layer.register_forward_hook(count(name))
        for name, block in backbone.blocks.items()
        for layer in block.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    backbone.widths()  # one picture
    for hook in hooks:
        hook.remove()
    frozen = list(counted).index(stop) + 1
    counts = list(counted.values())
    return sum(counts[:frozen]), sum(counts[frozen:])


def report(case: Case, photos: Photos, runs: dict[str, list[dict[str, Any]]]) -> None:
    """Print and record what the runs say about a network."""
    backbone = backbones.load(case.name).at(case.size)
    frozen, behind = multiply_adds(backbone, case.stop)
    looked_at = len(photos.val) / len(photos.train)
    # For each training item; backwards is twice forwards, and validation goes forwards only.
    kept = behind * (3 + looked_at)
    share = kept / (kept + frozen * (1 + looked_at))
    parts = np.array_split(photos.train, max(1, len(photos.train) // BATCH))
    decoding = timed(lambda: list(_photographs(photos, backbone).batches(parts)))
    figures: dict[str, Any] = {"network": case.name, "items": len(photos.train), "val": len(photos.val)}
    ratios: dict[str, dict[str, float]] = {}
    for kind, alone in asdict(decoding).items():
        spent = {arm: statistics.median(e[kind] for r in runs[arm] for e in r["epochs"]) for arm in ARMS}
        predicted = spent[LOOP] / (share * (spent[LOOP] - alone * (1 + looked_at)))
        ratios[kind] = {
            OURS: spent[LOOP] / spent[OURS],
            "predicted": predicted,
            CACHED: spent[LOOP] / spent[CACHED],
            "ours of it": spent[LOOP] / spent[OURS] / predicted,
            "cached of it": spent[LOOP] / spent[CACHED] / predicted,
        }
        figures |= {f"{arm} {kind}": seconds for arm, seconds in spent.items()}
        figures |= {f"ratio {name} {kind}": value for name, value in ratios[kind].items()}
    scores = {arm: [result["accuracy"] for result in runs[arm]] for arm in ARMS}
    rows: list[tuple[object, ...]] = [("an epoch", "wall s", "CPU s", "accuracy", "spread over seeds")]
    for arm in ARMS:
        mean, spread = statistics.mean(scores[arm]), f"{min(scores[arm]):.3f}–{max(scores[arm]):.3f}"
        rows.append((arm, figures[f"{arm} wall"], figures[f"{arm} cpu"], mean, spread))
        figures[f"{arm} accuracy"] = mean
    table(f"{case.name} at {case.size} px, trained behind {case.stop}", rows)

    build = statistics.median(result["build"]["wall"] for result in runs[OURS])
    saved = figures[f"{LOOP} wall"] - figures[f"{OURS} wall"]
    pays = build / saved if saved > 0 else float("inf")
    noise = _noise([scores[LOOP], scores[OURS]], len(photos.val))
    difference = figures[f"{OURS} accuracy"] - figures[f"{LOOP} accuracy"]
    table(
        "Claims",
        [
            ("claim", "wall", "CPU", "target", ""),
            ("headstart against in the loop", *_line(ratios, OURS, case.target)),
            ("predicted for caching alone", *_line(ratios, "predicted")),
            ("caching alone", *_line(ratios, CACHED)),
            ("headstart, of the prediction", *_line(ratios, "ours of it", OF_PREDICTION)),
            ("caching alone, of the prediction", *_line(ratios, "cached of it", OF_PREDICTION)),
            ("the cache has paid for itself after epochs", pays, "", "", ""),
            ("accuracy against in the loop", difference, "", f"± {noise:.3f}", _within(difference, noise)),
        ],
    )
    megabytes = runs[OURS][0]["bytes"] / 1e6
    print(
        f"  Million multiply-adds: {frozen / 1e6:,.0f} frozen, {behind / 1e6:,.0f} behind. Decoding: "
        f"{1000 * decoding.cpu / len(photos.train):.1f} ms CPU. Cache: {megabytes:.0f} MB in {build:.1f} s."
    )
    figures |= {"epochs": len(runs[OURS][0]["epochs"]), "seeds": len(runs[OURS])}
    figures |= {"frozen Mmac": frozen / 1e6, "behind Mmac": behind / 1e6, "decode cpu": decoding.cpu}
    figures |= {
        "build s": build,
        "cache MB": megabytes,
        "pays after": pays,
        "difference": difference,
        "noise": noise,
    }
    columns = {name.replace(" ", "_"): value for name, value in figures.items()}
    record("boundary", columns, ("openvino", "torch", "pillow"))


def _line(ratios: dict[str, dict[str, float]], name: str, target: float | None = None) -> tuple[object, ...]:
    wall, cpu = ratios["wall"][name], ratios["cpu"][name]
    return wall, cpu, *(("", "") if target is None else (target, verdict(wall, target)))


def _within(difference: float, noise: float) -> str:
    return verdict(abs(difference), noise, at_least=False)


def _noise(scores: list[list[float]], val: int) -> float:
    """Two standard errors of the difference of two mean accuracies: of seeds, or of items if that is more."""
    seeds = len(scores[0])
    mean = min(statistics.mean(scores[0] + scores[1]), 1 - 0.5 / val)
    spread = sum(statistics.variance(each) / seeds for each in scores) if seeds > 1 else 0.0
    return float(2 * max(spread, 2 * mean * (1 - mean) / (val * seeds)) ** 0.5)


if __name__ == "__main__":
    main()
