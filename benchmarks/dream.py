"""How long a dream takes, against the classic octave loop in torch; and how much memory 12 megapixels need.

    python benchmarks/dream.py [--size 384] [--steps 12] [--repeats 3]

The peer (support/classic_dream.py) translates the Keras example. Both dream on the same photograph with the
same layers, octaves, steps and rate; they take turns in one process, and the median counts. How excited both
pictures make the layers is judged by the peer's loss in fp32, in whole grey levels, as they are and shifted:
headstart shifts at random before each step, the peer never does. Memory is the peak resident set of a process
of its own, from the start to one step on a whole picture of 4,000 × 3,000 pixels.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import numpy as np
from support.common import Stopwatch, median, record, spread, table, verdict

from headstart.images.decode import Pixels
from headstart.process import tune_process

tune_process()
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from support.classic_dream import ClassicDream  # noqa: E402

from headstart import backbones  # noqa: E402
from headstart.studio.dream import DreamOptions, dream  # noqa: E402
from headstart.studio.layers import Layers  # noqa: E402

FASTER, MEBIBYTES = 2.0, 2000 * 1e6 / 2**20
LARGE = (3000, 4000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=384, help="longer side in pixels")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        one_large_step()
        return
    figures = measure_time(options.size, options.steps, options.repeats)
    peak = measure_memory()
    rows = [
        ("", "value", "target", ""),
        ("times as fast", figures["ratio"], FASTER, verdict(figures["ratio"], FASTER)),
        ("peak MiB at 12 megapixels", peak, MEBIBYTES, verdict(peak, MEBIBYTES, at_least=False)),
    ]
    table("Claims", rows)
    record("dream", {**figures, "peak_mib_12_megapixels": peak}, packages=("torch",))


def photograph(height: int, width: int) -> Pixels:
    """Return scikit-learn's photograph of a temple in China, at another size."""
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("china.jpg"))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def measure_time(size: int, steps: int, repeats: int) -> dict[str, float]:
    content = photograph(size * 2 // 3, size)
    wanted = DreamOptions(steps=steps)
    network = backbones.load("vgg16")
    # Both share no module: one is channels first, the other channels last.
    classic = ClassicDream(wanted.layers)
    walls: dict[str, list[float]] = {"classic": [], "ours": []}
    cpus: dict[str, list[float]] = {"classic": [], "ours": []}
    for _ in range(repeats):
        with Stopwatch() as watch:
            theirs = classic.dream(content, wanted.octaves, wanted.scale, steps, wanted.rate)
        walls["classic"].append(watch.spent.wall)
        cpus["classic"].append(watch.spent.cpu)
        with Stopwatch() as watch:
            ours = dream(content, lambda names: Layers(network, names), wanted)
        walls["ours"].append(watch.spent.wall)
        cpus["ours"].append(watch.spent.cpu)
    ratios = [slow / fast for slow, fast in zip(walls["classic"], walls["ours"], strict=True)]
    theirs_judged, ours_judged = judged(classic, theirs), judged(classic, ours)
    rows = [
        ("", "seconds, median", "of the runs", "CPU seconds", "loss as it is", "shifted"),
        ("classic loop", median(walls["classic"]), spread(walls["classic"]), median(cpus["classic"]),
         *theirs_judged),
        ("headstart", median(walls["ours"]), spread(walls["ours"]), median(cpus["ours"]), *ours_judged),
    ]  # fmt: skip
    table(f"A dream of {content.shape[1]} × {content.shape[0]} pixels, 4 octaves × {steps} steps", rows)
    return {
        "size": size, "steps": steps, "classic_s": median(walls["classic"]), "ours_s": median(walls["ours"]),
        "ratio": median(ratios), "ratios": spread(ratios),  # type: ignore[dict-item]
        "cpu_ratio": median(cpus["classic"]) / median(cpus["ours"]),
        "classic_loss": theirs_judged[0], "ours_loss": ours_judged[0],
        "classic_loss_shifted": theirs_judged[1], "ours_loss_shifted": ours_judged[1],
    }  # fmt: skip


@torch.no_grad()
def judged(classic: ClassicDream, picture: Pixels) -> tuple[float, float]:
    """Return the classic loss of a picture as it is, and the mean over eight shifts round its edges."""
    tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    generator = np.random.default_rng(0)
    shifts = [generator.integers(picture.shape[:2]).tolist() for _ in range(8)]
    shifted = [float(classic.loss(tensor.roll(shift, (2, 3)))) for shift in shifts]
    return float(classic.loss(tensor)), sum(shifted) / len(shifted)


def measure_memory() -> float:
    """Return the peak resident memory of one step at 12 megapixels, in MiB."""
    done = subprocess.run([sys.executable, __file__, "--child"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the child failed:\n{done.stderr}")
    return float(done.stdout.strip().splitlines()[-1])


def one_large_step() -> None:
    content = photograph(*LARGE)
    network = backbones.load("vgg16")
    with Stopwatch() as watch:
        dream(content, lambda names: Layers(network, names), DreamOptions(octaves=1, steps=1))
    print(f"{watch.spent.wall:.1f} s for a step", file=sys.stderr)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
