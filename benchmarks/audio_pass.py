"""How fast sounds become features: a pass with YAMNet against librosa and torch eager, in times real time.

    HEADSTART_DATA=… python benchmarks/audio_pass.py [--clips 160] [--repeat 3]

A pass is all that `fit` does before the head: list, read, hash, decode, measure, fingerprint, resample,
log-mel patches, network (OpenVINO), store, index. The peer is the plain loop: `librosa.load`, librosa's
melspectrogram, YAMNet in torch, eager, in fp32, a clip after the other; it does nothing else. "Times real
time per core" is seconds of sound for a second of CPU time; other work on the machine slows the wall clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from support.common import Spent, cores, data_folder, median, record, spread, table, timed, verdict

from headstart import backbones, data
from headstart.backbones.card import Waves
from headstart.process import tune_process

BACKBONE = "yamnet"
REAL_TIME, AGAINST = 200.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=160)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    folder = data_folder("esc10", "audio")
    tune_process()  # as the command line does; it must come before torch
    from headstart.engines.choosing import choose

    paths = sorted((folder / "clips").glob("*.ogg"))
    paths = paths[:: max(1, len(paths) // options.clips)][: options.clips]
    dataset = data.open(paths, modality="audio")
    card = backbones.card(BACKBONE)
    choice = choose(card, lambda: backbones.load(BACKBONE), engine="openvino")
    engine = choice.start()

    def ours() -> float:
        from headstart.transfer.passes import extract
        from headstart.transfer.store import FeatureStore

        with tempfile.TemporaryDirectory() as temporary, FeatureStore(Path(temporary)) as store:
            done = extract(dataset, store, card, choice.key, lambda: engine, progress=False)
            if done.computed != len(dataset):
                sys.exit(f"expected {len(dataset)} sounds to be computed, received {done.computed}")
            return sum(facts.shape[0] for facts in done.facts) / 1000

    work: dict[str, Callable[[], object]] = {
        "pass": ours,
        "librosa + torch": _plain(paths),
        "read, decode, resample": lambda: _decode(paths),
        "and log-mel patches": lambda: _patches(paths),
    }
    seconds = ours()  # the first run of an engine is not its speed
    spent: dict[str, list[Spent]] = {name: [] for name in work}
    for _ in range(options.repeat):
        for name, run in work.items():
            spent[name].append(timed(run))

    def real_time(name: str) -> float:
        return median(seconds / each.cpu for each in spent[name])

    def ratio(what: str) -> float:
        pairs = zip(spent["librosa + torch"], spent["pass"], strict=True)
        return median(getattr(theirs, what) / getattr(own, what) for theirs, own in pairs)

    rows: list[tuple[object, ...]] = [
        ("", "times real time per core", "wall s", "CPU s", "wall, lowest–highest")
    ]
    for name, each in spent.items():
        wall = [s.wall for s in each]
        rows.append((name, real_time(name), median(wall), median(s.cpu for s in each), spread(wall)))
    table(f"{len(paths)} clips, {seconds:.0f} s of sound, {options.repeat} repetitions", rows)
    figures = {
        "real_time_per_core": real_time("pass"),
        "real_time_wall": median(seconds / s.wall for s in spent["pass"]),
        "plain_real_time_per_core": real_time("librosa + torch"),
        "against_plain": ratio("wall"),
        "against_plain_cpu": ratio("cpu"),
        "decode_real_time": real_time("read, decode, resample"),
        "mel_real_time": real_time("and log-mel patches"),
    }
    table(
        "Claims",
        [
            ("claim", "measured", "target", ""),
            _line("pass, times real time per core (CPU time)", figures["real_time_per_core"], REAL_TIME),
            _line("pass against librosa + torch (CPU time)", figures["against_plain_cpu"], AGAINST),
            _line("the same, wall clock", figures["against_plain"], AGAINST),
            (f"pass, times real time, wall, {cores()} cores", figures["real_time_wall"], "", ""),
        ],
    )
    record(
        "audio_pass",
        {"clips": len(paths), "seconds": seconds, "repeat": options.repeat, **figures},
        ("openvino", "torch", "librosa", "soundfile", "soxr", "numpy"),
    )


def _line(claim: str, value: float, target: float) -> tuple[object, ...]:
    return claim, value, target, verdict(value, target)


def _decode(paths: list[Path]) -> None:
    from headstart.audio.decode import decode, read_bytes

    for path in paths:
        decode(read_bytes(path), Waves().rate)


def _patches(paths: list[Path]) -> None:
    from headstart.audio.decode import read_bytes
    from headstart.audio.hearing import heard

    for path in paths:
        heard(read_bytes(path), Waves())


def _plain(paths: list[Path]) -> Callable[[], object]:
    """Return the peer's loop; loading the weights and the first use of librosa are not counted."""
    import librosa
    import torch

    network, spec = backbones.load(BACKBONE), Waves()

    def one(path: Path) -> np.ndarray:
        wave, _ = librosa.load(path, sr=spec.rate)
        mel = librosa.feature.melspectrogram(
            y=wave, sr=spec.rate, n_fft=spec.fft, hop_length=spec.hop, win_length=spec.window, center=False,
            power=1.0, n_mels=spec.bands, fmin=spec.lowest, fmax=spec.highest, htk=True, norm=None,
        )  # fmt: skip
        frames = np.log(mel.T + spec.offset).astype(np.float32)
        starts = [*range(0, len(frames) - spec.size, spec.step), max(len(frames) - spec.size, 0)]
        patches = np.stack([frames[start : start + spec.size] for start in starts])
        with torch.inference_mode():
            return network(torch.from_numpy(patches))[1].mean(0).numpy()

    one(paths[0])
    return lambda: np.stack([one(path) for path in paths])


if __name__ == "__main__":
    main()
