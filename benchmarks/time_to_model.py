"""From photographs to a model: headstart against the classic recipe, on the same machine, in the same run.

    HEADSTART_DATA=… python benchmarks/time_to_model.py [--epochs 10] [--state FOLDER] [--refits 3]

The classic recipe keeps VGG16 (150 px) frozen in the training loop: support/classic_recipe.py. Beside it
stands the honest row: the same recipe with headstart's own backbone. headstart's time is that of a process,
from the command to the saved model, with an empty feature store and no converted network; the weights are on
the disk, as they are for the recipe. Then the same command again, with the store warm.

With fewer than ten epochs the recipe's time (not its accuracy) is extrapolated to ten; the row says how many
were run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from support.common import Stopwatch, data_folder, median, record, spread, table, verdict

from headstart import backbones
from headstart.process import tune_process

EPOCHS, RATIO, WARM = 10, 50.0, 3.0
FIT = [sys.executable, "-c", "from headstart.cli import main; main()", "fit"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of the classic recipe to run")
    parser.add_argument("--state", type=Path, help="folder with the finished epochs of an interrupted run")
    parser.add_argument("--refits", type=int, default=3, help="repetitions of headstart's fits")
    options = parser.parse_args()
    data = data_folder("dogs_vs_cats")
    for name in ("efficientnet_lite0", "vgg16"):
        backbones.fetch(name)
    tune_process()  # before torch comes: it helps the recipe more than it helps headstart
    from support import classic_recipe

    with tempfile.TemporaryDirectory() as temporary:
        state = options.state or Path(temporary)
        state.mkdir(parents=True, exist_ok=True)
        ours = headstart(data, Path(temporary), options.refits)
        vgg = classic_recipe.run(data, "vgg16", 150, options.epochs, state / "vgg16.pt")
        lite = classic_recipe.run(data, "efficientnet_lite0", 224, options.epochs, state / "lite0.pt")
        ours += headstart(data, Path(temporary), options.refits)  # before and after: the machine is shared
    for recipe in (vgg, lite):
        recipe["seconds"] *= EPOCHS / options.epochs
    cold, warm = (median(walls) for walls in zip(*((c, w) for c, w, _ in ours), strict=True))
    test = ours[0][2]
    table(
        f"dogs_vs_cats, 2,000 training photographs, {EPOCHS} epochs, {options.epochs} of them run",
        [
            ("way", "seconds", "test accuracy", "ratio", ""),
            ("VGG16 frozen in the loop", vgg["seconds"], vgg["test"], 1.0, ""),
            ("Lite0 frozen in the loop", lite["seconds"], lite["test"], vgg["seconds"] / lite["seconds"], ""),
            ("headstart, cold", cold, test, vgg["seconds"] / cold, verdict(vgg["seconds"] / cold, RATIO)),
            ("headstart, warm", warm, test, vgg["seconds"] / warm, verdict(warm, WARM, at_least=False)),
        ],
    )
    record(
        "time_to_model",
        {
            "epochs_run": options.epochs,
            "vgg16_s": vgg["seconds"],
            "vgg16_test": vgg["test"],
            "lite0_s": lite["seconds"],
            "lite0_test": lite["test"],
            "cold_s": cold,
            "cold_spread": spread(c for c, _, _ in ours),
            "warm_s": warm,
            "warm_spread": spread(w for _, w, _ in ours),
            "headstart_test": test,
            "ratio": vgg["seconds"] / cold,
            "ratio_same_backbone": lite["seconds"] / cold,
        },
        ("openvino", "torch", "scikit-learn", "pillow"),
    )


def headstart(data: Path, temporary: Path, times: int) -> list[tuple[float, float, float]]:
    """Return (cold seconds, warm seconds, test accuracy) of pairs of fits, each pair in its own cache."""
    weights = backbones.fetch("efficientnet_lite0")
    pairs = []
    for _ in range(times):
        cache = Path(tempfile.mkdtemp(dir=temporary))
        (cache / "weights").mkdir()
        shutil.copy(weights, cache / "weights")
        cold, test = fit(data, cache)
        warm, _ = fit(data, cache)
        pairs.append((cold, warm, test))
    return pairs


def fit(data: Path, cache: Path) -> tuple[float, float]:
    """Run `headstart fit` as a process; return its wall seconds and the model's test accuracy."""
    command = [*FIT, str(data), "-o", str(cache / "model.headstart"), "--json"]
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    with Stopwatch() as watch:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"headstart fit failed:\n{done.stderr}")
    return watch.spent.wall, json.loads(done.stdout.strip().splitlines()[-1])["test_accuracy"]


if __name__ == "__main__":
    main()
