"""How fast `headstart listen` is, and how long after a sound its answer is there.

    HEADSTART_DATA=… python benchmarks/listen.py [--seconds 60] [--rate 44100]

A model is fitted on three folds of ESC-10; clips of the fourth are piped into the command in real time, 50 ms
at a time as a sound card does. The latency of an answer is counted from the beginning of its window, in
windows: 1 would be an answer at the very moment at which the window ends. The real-time factor is what the
command itself tells: computing time by time of sound.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np
from support.common import Stopwatch, record, table, verdict
from support.sounds import esc10

import headstart as hs
from headstart.audio.decode import decode

FACTOR, LATENCY = 0.1, 1.2
BLOCK = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=44_100)
    options = parser.parse_args()
    clips = esc10()
    held_out = [item for item in clips if item.fold == "4"]
    chosen = np.random.default_rng(0).permutation(len(held_out))[: options.seconds // 5 + 1]
    waves = [decode(Path(str(held_out[k].source)).read_bytes(), options.rate).wave for k in chosen]
    wave = np.concatenate(waves)[: options.seconds * options.rate]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "esc10.headstart")
        learned = [item for item in clips if item.fold != "4"]
        hs.fit(hs.data.Dataset(tuple(learned), "audio")).save(path)
        with Stopwatch() as watch:
            latencies, told = listened(path, wave, options.rate)
    found = re.search(r"real-time factor ([\d.]+)", told)
    if found is None:
        sys.exit(f"the command did not tell its real-time factor: {told}")
    factor = float(found[1])
    middle, most, last = (float(np.quantile(latencies, q)) for q in (0.5, 0.95, 1))
    table(
        f"{options.seconds} seconds at {options.rate} Hz, piped in as they sound",
        [
            ("claim", "measured", "target", ""),
            ("real-time factor", factor, f"≤ {FACTOR}", verdict(factor, FACTOR, at_least=False)),
            ("latency, windows, 95 %", most, f"≤ {LATENCY}", verdict(most, LATENCY, at_least=False)),
            ("latency, windows, median", middle, "", ""),
            ("latency, windows, worst", last, "", ""),
        ],
    )
    record(
        "listen",
        {
            "seconds": options.seconds,
            "rate": options.rate,
            "real_time_factor": factor,
            "cpu_per_second": watch.spent.cpu / options.seconds,
            "latency_median": middle,
            "latency_95": most,
            "latency_worst": last,
        },
        ("openvino", "soxr"),
    )


def listened(model: Path, wave: np.ndarray, rate: int) -> tuple[list[float], str]:
    """Pipe a sound into the command as it sounds.

    Returns:
        latencies: From the beginning of each window to its answer, in windows, list of float.
        told: What the command said on standard error.
    """
    command = [sys.executable, "-c", "from headstart.cli import main; main()", "listen", str(model)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--rate", str(rate), "--json"], **pipes) as process:  # type: ignore[call-overload]
        process.stderr.readline()  # it listens
        began = time.perf_counter()
        speaker = threading.Thread(target=speak, args=(process.stdin, wave, rate, began))
        speaker.start()
        latencies = []
        for line in process.stdout:
            arrived = time.perf_counter() - began
            moment = json.loads(line)
            latencies.append((arrived - moment["start"]) / (moment["end"] - moment["start"]))
        speaker.join()
        told = process.stderr.read().decode()
    # The last window is heard when the pipe is closed: it ends with the sound, wherever it began.
    return latencies[:-1], told


def speak(pipe: IO[bytes], wave: np.ndarray, rate: int, began: float) -> None:
    """Write a sound as it sounds: each block when its last sample would be there."""
    block = round(BLOCK * rate)
    samples = (wave.clip(-1, 1) * 32_767).astype("<i2")
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        time.sleep(max(0.0, began + (start + len(part)) / rate - time.perf_counter()))
        pipe.write(part.tobytes())
        pipe.flush()
    pipe.close()


if __name__ == "__main__":
    main()
