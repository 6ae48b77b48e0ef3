"""Memory stays flat: peak resident memory at 20,000 distinct photographs against that at 1,000.

    python benchmarks/memory.py [--few 1000] [--many 20000]

Makes its own JPEGs, 64 to 160 px, in a temporary folder; needs no data. Each measurement is a process of its
own. First the feature pass, then a whole fit from the store that the pass has filled.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from support.common import Stopwatch, record, table, verdict

TARGET = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--child", choices=("pass", "fit"), help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(child(options.child, options.folder))
        return
    peaks: dict[tuple[str, int], float] = {}
    rows: list[tuple[object, ...]] = [("", "photographs", "peak MiB", "seconds")]
    with tempfile.TemporaryDirectory() as temporary:
        for count in (options.few, options.many):
            folder = Path(temporary) / str(count)
            make_photographs(folder / "photographs", count)
            for kind in ("pass", "fit"):
                with Stopwatch() as watch:
                    peaks[kind, count] = measure(kind, folder)
                rows.append((kind, count, peaks[kind, count], watch.spent.wall))
    table("Peak resident memory", rows)
    ratio = {kind: peaks[kind, options.many] / peaks[kind, options.few] for kind in ("pass", "fit")}
    lines = [(kind, value, TARGET, verdict(value, TARGET, at_least=False)) for kind, value in ratio.items()]
    table("Claims", [("", "ratio", "target", ""), *lines])
    figures = {f"{kind}_{count}_mib": value for (kind, count), value in peaks.items()}
    record("memory", {**figures, "ratio": ratio["pass"], "ratio_fit": ratio["fit"]})


def make_photographs(folder: Path, count: int) -> None:
    """Write distinct JPEGs of two classes: blurred noise, reddish or bluish."""
    import simplejpeg

    for label in ("blue", "red"):
        (folder / label).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(64, 161, 2)
        coarse = rng.integers(0, 200, (9, 9, 3), dtype=np.uint8)
        coarse[..., 2 * (number % 2 == 0)] += 55
        pixels = np.kron(coarse, np.ones((18, 18, 1), np.uint8))[:height, :width]
        path = folder / ("blue" if number % 2 == 0 else "red") / f"{number}.jpg"
        path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=80))


def measure(kind: str, folder: Path) -> float:
    """Run a child; return its peak resident memory in MiB."""
    command = [sys.executable, __file__, "--child", kind, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        sys.exit(f"the child failed:\n{done.stderr}")
    return float(done.stdout.strip().splitlines()[-1])


def child(kind: str, folder: Path) -> float:
    """Do the work in this process; return its peak resident memory in MiB."""
    from headstart.process import tune_process

    tune_process()  # as the command line does
    from headstart.transfer.store import FeatureStore

    with FeatureStore(folder / "store") as store:
        if kind == "fit":
            from headstart.fitting import fit

            fit(folder / "photographs", store=store)
        else:
            from headstart import backbones, data
            from headstart.engines.choosing import choose
            from headstart.transfer.passes import extract

            card = backbones.card(backbones.DEFAULT)
            choice = choose(card, lambda: backbones.load(card.name))
            extract(data.open(folder / "photographs"), store, card, choice.key, choice.start, progress=False)
    return peak()


def peak() -> float:
    """Return this process's peak resident memory in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        # Not ru_maxrss: on Linux that also counts what the parent had when it made this process.
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
