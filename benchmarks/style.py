"""How long a painting takes, against the classic Keras loop in torch: the same loss, in the same run.

    HEADSTART_DATA=… python benchmarks/style.py [--size 512] [--iterations 20]

The peer (support/classic_style.py) makes 20 × 20 evaluations, from the photograph on. headstart minimises the
same objective (its weights are the classic ones, written per value and per place); after every 20 evaluations
its picture, in whole grey levels as it would be saved, is judged by the classic loss in fp32. The time that
counts is the one at which that is no higher than what the peer's ends with, judged in the same way or as the
peer itself has it before whole grey levels, whichever is lower. Each works in a process of its own; they take
turns, an iteration each, so that both see the same machine. Memory is the peak resident set of a process of
its own over 20 evaluations.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.common import data_folder, record, table, verdict

from headstart.images.decode import Pixels, decode
from headstart.process import tune_process

tune_process()
from PIL import Image  # noqa: E402
from support.classic_style import CONTENT, CONTENT_WEIGHT, STYLE, ClassicStyle  # noqa: E402

from headstart import backbones  # noqa: E402
from headstart.studio.layers import Layers  # noqa: E402
from headstart.studio.style import Seen, StyleOptions, stylize  # noqa: E402

FASTER, MEMORY = 3.0, 0.6
PLAIN, OURS = "classic loop", "headstart"


@dataclass(frozen=True)
class Look:
    """A picture on the way: seconds so far, by the clock and of the processor, and its classic loss."""

    evaluations: int
    seconds: float
    cpu: float
    loss: float
    own: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
    parser.add_argument("--iterations", type=int, default=20, help="of 20 evaluations each")
    parser.add_argument("--work", choices=(PLAIN, OURS), help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.size, arguments.iterations, memory=arguments.memory)
        return
    judged: dict[str, list[Look]] = {arm: [] for arm in (PLAIN, OURS)}
    running = {arm: start(arm, arguments) for arm in judged}
    wanted = 0.0
    while running:
        for arm in list(running):
            look = next(running[arm], None)
            if look is None:
                del running[arm]
                continue
            judged[arm].append(look)
            print(f"{arm:13} {look.evaluations:4} evaluations {look.seconds:7.1f} s  loss {look.loss:.4g}")
        if PLAIN not in running:
            wanted = min(judged[PLAIN][-1].loss, judged[PLAIN][-1].own)
            if judged[OURS][-1].loss <= wanted:
                break
    for each in running.values():
        each.close()
    peaks = {arm: peak(arm, arguments) for arm in (PLAIN, OURS)}
    report(judged, wanted, peaks, arguments.size)


def report(judged: dict[str, list[Look]], wanted: float, peaks: dict[str, float], size: int) -> None:
    """Say and record how the two compare."""
    last = judged[PLAIN][-1]
    there = next((look for look in judged[OURS] if look.loss <= wanted), None)
    equal = next((look for look in judged[OURS] if look.evaluations >= last.evaluations), judged[OURS][-1])
    faster = last.seconds / there.seconds if there else float("nan")
    thrift = last.cpu / there.cpu if there else float("nan")
    share = peaks[OURS] / peaks[PLAIN]
    first = judged[PLAIN][0]
    table(
        f"Style transfer, longer side {size} pixels",
        [
            ("", PLAIN, OURS),
            ("loss at the end", f"{wanted:.4g}", f"{equal.loss:.4g} after {equal.evaluations}"),
            ("evaluations until the classic end", last.evaluations, there.evaluations if there else "never"),
            ("seconds until then", f"{last.seconds:.1f}", f"{there.seconds:.1f}" if there else "never"),
            ("times faster, by the clock", "", f"{faster:.2f}, {verdict(faster, FASTER)}"),
            ("times faster, processor", "", f"{thrift:.2f}"),
            ("peak memory, MiB", f"{peaks[PLAIN]:.0f}", f"{peaks[OURS]:.0f}"),
            ("share of the memory", "", f"{share:.3f}, {verdict(share, MEMORY, at_least=False)}"),
        ],
    )
    figures: dict[str, Any] = {
        "size": size,
        "evaluations": last.evaluations,
        "loss_first": f"{first.own:.4g}",
        "loss_classic": f"{wanted:.4g}",
        "loss_headstart": f"{equal.loss:.4g}",
        "seconds_classic": round(last.seconds, 1),
        "seconds_headstart": round(there.seconds, 1) if there else "",
        "evaluations_headstart": there.evaluations if there else "",
        "faster": round(faster, 2),
        "faster_cpu": round(thrift, 2),
        "peak_classic_mib": round(peaks[PLAIN]),
        "peak_headstart_mib": round(peaks[OURS]),
        "memory": round(share, 3),
    }
    record("style", figures, ("torch",))


def start(arm: str, arguments: argparse.Namespace) -> Iterator[Look]:
    """Yield an arm's looks; its process works only while the next one is waited for."""
    command = [
        sys.executable, __file__, "--work", arm, "--size", str(arguments.size),
        "--iterations", str(arguments.iterations),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        try:
            while True:
                print("on", file=process.stdin, flush=True)
                line = process.stdout.readline()
                if not line:
                    return
                yield Look(**json.loads(line))
        finally:
            process.kill()


def peak(arm: str, arguments: argparse.Namespace) -> float:
    """Return the peak resident set of an arm's first 20 evaluations at full size, in MiB."""
    command = [sys.executable, __file__, "--work", arm, "--size", str(arguments.size), "--memory"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def work(arm: str, size: int, iterations: int, *, memory: bool) -> None:
    """Paint in this process, and tell of every iteration on a line of standard output."""
    scene, style = pictures(size)
    if memory:
        paint(arm, scene, style, 1, lambda *_: None)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    judge = ClassicStyle(scene, style)
    spent, cpu, evaluations = 0.0, 0.0, 0

    def go() -> tuple[float, float]:
        sys.stdin.readline()
        return time.perf_counter(), time.process_time()

    begun = go()

    def see(picture: Pixels, own: float, count: int) -> None:
        nonlocal begun, spent, cpu, evaluations
        spent, cpu = spent + time.perf_counter() - begun[0], cpu + time.process_time() - begun[1]
        evaluations = count
        shown = np.asarray(Image.fromarray(picture).resize(scene.shape[1::-1], Image.Resampling.BICUBIC))
        look = Look(evaluations, spent, cpu, judge.loss_of(shown), own)
        print(json.dumps(vars(look)), flush=True)
        begun = go()

    paint(arm, scene, style, iterations, see)


def paint(
    arm: str, scene: Pixels, style: Pixels, iterations: int, see: Callable[[Pixels, float, int], None]
) -> None:
    """Let one arm paint."""
    count = 0

    def counted(picture: Pixels, own: float) -> None:
        nonlocal count
        count += 20
        see(picture, own, count)

    if arm == PLAIN:
        ClassicStyle(scene, style).paint(scene, iterations, counted)
        return
    network = backbones.load("vgg16", offline=True)

    def told(seen: Seen) -> None:
        see(seen.picture, seen.loss, seen.step)

    steps = 20 * iterations
    coarse = 0.25 if iterations > 1 else 0.0
    options = as_classic(scene, max(scene.shape[:2]), steps, coarse)
    stylize(scene, [(style, 1.0)], lambda names: Layers(network, names), options, see=told)


def as_classic(scene: Pixels, size: int, steps: int, coarse: float) -> StyleOptions:
    """Return the options whose loss is the classic one over the number of places, but for the smoothness.

    A layer's classic loss is ours times (its channels × its places)² over (3 × the picture's places)²; our
    content loss is half a mean, the classic one a sum.
    """
    channels = dict(zip(STYLE, (64, 128, 256, 512, 512), strict=True))
    shares = {name: (channels[name] / (3 * 4**depth)) ** 2 / len(STYLE) for depth, name in enumerate(STYLE)}
    places = scene.shape[0] * scene.shape[1]
    values = 512 * places / 4**4
    return StyleOptions(
        size=size, steps=steps, coarse=coarse, content_layer=CONTENT, style_layers=shares, smooth=0,
        content_weight=CONTENT_WEIGHT * 2 * values, style_weight=1.0,
    )  # fmt: skip


def pictures(size: int) -> tuple[Pixels, Pixels]:
    """Return the photograph and the style, the style in the photograph's shape as in the classic example."""
    folder = data_folder("style")
    scene = Image.fromarray(decode(folder / "tubingen.jpg"))
    scale = size / max(scene.size)
    shape = (round(scene.width * scale), round(scene.height * scale))
    style = Image.fromarray(decode(folder / "starry_night.jpg"))
    return tuple(np.asarray(each.resize(shape, Image.Resampling.LANCZOS)) for each in (scene, style))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
