"""Segments found in ten-minute recordings that are assembled from clips which the model never heard.

    HEADSTART_DATA=… python benchmarks/timeline.py [--folds 1 2 4] [--seeds 2]

ESC-10: for each official fold a model is fitted on the other ones; clips of the fold are then laid into pink
noise (−50 dB, a quiet room), with 1 to 6 seconds between them, until there are ten minutes. The truth is
where a clip sounds: its silent beginning and end, and silences of more than a second inside it, are
background. A segment is found when one with its label begins and ends at most a second off; each counts once.
The second figure cuts time into seconds and asks of each which labels sound in it. Other recordings have a
spoken digit in each pause, which the model shall leave unnamed, too.

The constants of `audio.timeline` were chosen on fold 3, with a model of folds 1 and 2: that fold is left out.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from support.common import Stopwatch, data_folder, record, table, verdict
from support.sounds import esc10

import headstart as hs
from headstart.artefact.timeline import timeline
from headstart.audio.decode import decode
from headstart.audio.timeline import Segment
from headstart.data.items import Item

RATE, MINUTES, TOLERANCE, TARGET = 16_000, 10, 1.0, 0.80
ROOM, QUIET = -50.0, -60.0
"""Decibels: of the noise below full scale, and from where on a clip is silent, below its own loudest part."""
BLOCK = 800

Wave = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folds", nargs="*", default=["1", "2", "4"], help="those that are held out, in turn"
    )
    parser.add_argument("--seeds", type=int, default=2, help="recordings of each kind for a fold")
    options = parser.parse_args()
    clips = esc10()
    digits = sorted(data_folder("fsdd", "audio").glob("*.flac"))
    rows: list[tuple[object, ...]] = [
        ("fold", "between the clips", "F1 (1 s)", "recall", "precision", "F1 by second", "× real time")
    ]
    scores: dict[str, list[Scores]] = {"noise": [], "digits": []}
    speeds = []
    for fold in options.folds:
        model = hs.fit(replace(clips, items=tuple(item for item in clips if item.fold != fold)))
        held_out = [item for item in clips if item.fold == fold]
        for seed, (what, others) in product(range(options.seeds), (("noise", []), ("digits", digits))):
            wave, truth = assembled(held_out, others, np.random.default_rng([seed, int(fold)]))
            with Stopwatch() as watch:
                found = timeline(model, encoded(wave)).segments
            speeds.append(len(wave) / RATE / watch.spent.wall)
            scores[what].append(Scores.of(truth, found, len(wave) / RATE))
            rows.append((fold, what, *scores[what][-1].row, round(speeds[-1])))
    table("Segments found in ten minutes", rows)
    means = {what: float(np.mean([each.f1 for each in some])) for what, some in scores.items()}
    seconds = {what: float(np.mean([each.by_second for each in some])) for what, some in scores.items()}
    table(
        "Claims",
        [
            ("claim", "measured", "target", ""),
            ("segment F1 at 1 s, noise", means["noise"], f"≥ {TARGET}", verdict(means["noise"], TARGET)),
        ],
    )
    figures: dict[str, Any] = {"folds": " ".join(options.folds), "seeds": options.seeds, "minutes": MINUTES}
    for what in scores:
        figures |= {f"f1_{what}": means[what], f"lowest_{what}": min(each.f1 for each in scores[what])}
        figures |= {f"f1_by_second_{what}": seconds[what]}
    record("timeline", {**figures, "times_real_time": min(speeds)})


def assembled(
    clips: Sequence[Item], others: Sequence[Path], generator: np.random.Generator
) -> tuple[Wave, list[Segment]]:
    """Lay clips into noise, in random order, again from the beginning when they are used up.

    Args:
        clips: What is to be found.
        others: Sounds of other kinds, one of which begins in each pause; none for noise alone.
        generator: Draws them.

    Returns:
        The recording, float32 [samples], and where what sounds in it.
    """
    wave = pink(MINUTES * 60 * RATE, generator) * np.float32(10 ** (ROOM / 20))
    truth: list[Segment] = []
    place = pause(others, wave, 0, generator)
    order: list[int] = []
    while True:
        order = order or generator.permutation(len(clips)).tolist()
        item = clips[order.pop()]
        clip = decode(Path(str(item.source)).read_bytes(), RATE).wave
        if place + len(clip) > len(wave):
            return wave, truth
        wave[place : place + len(clip)] += clip
        for start, end in sounding(clip):
            truth.append(Segment(place / RATE + start, place / RATE + end, str(item.label), 1.0))
        place = pause(others, wave, place + len(clip), generator)


def pause(others: Sequence[Path], wave: Wave, place: int, generator: np.random.Generator) -> int:
    """Return where the next clip begins, after a pause in which something else may be heard."""
    length = round(generator.uniform(1, 6) * RATE)
    if others:
        other = decode(others[generator.integers(len(others))].read_bytes(), RATE).wave
        begin = place + RATE // 4
        room = wave[begin : min(begin + len(other), place + length)]
        room += other[: len(room)]
    return place + length


def sounding(clip: Wave) -> list[tuple[float, float]]:
    """Return from when to when a clip sounds, in seconds: silences of up to a second are part of it."""
    blocks = clip[: len(clip) // BLOCK * BLOCK].reshape(-1, BLOCK)
    power = 10 * np.log10((blocks**2).mean(1) + 1e-12)
    heard = np.flatnonzero(power > max(power.max() + QUIET, ROOM))
    step = BLOCK / RATE
    parts = np.split(heard, np.flatnonzero(np.diff(heard) * step > TOLERANCE) + 1)
    return [(part[0] * step, (part[-1] + 1) * step) for part in parts if len(part)]


def pink(samples: int, generator: np.random.Generator) -> Wave:
    """Return noise whose power falls with the frequency, of mean square 1."""
    spectrum = np.fft.rfft(generator.normal(size=samples)) / np.sqrt(
        np.maximum(np.arange(samples // 2 + 1), 1)
    )
    wave = np.fft.irfft(spectrum, samples)
    return np.asarray(wave / wave.std(), np.float32)


def encoded(wave: Wave) -> bytes:
    soundfile.write(file := io.BytesIO(), wave, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass(frozen=True)
class Scores:
    """How well what was found fits the truth.

    Args:
        f1: Of segments whose label is right and whose beginning and end are at most a second off, float.
        recall: The share of true segments that were found, float.
        precision: The share of found segments that are true, float.
        by_second: F1 of the labels that sound in each second, float.
    """

    f1: float
    recall: float
    precision: float
    by_second: float

    @property
    def row(self) -> tuple[float, ...]:
        return self.f1, self.recall, self.precision, self.by_second

    @classmethod
    def of(cls, truth: Sequence[Segment], found: Sequence[Segment], seconds: float) -> Scores:
        """Compare what was found with the truth.

        References:
            Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences
            2016, for both ways of counting.
        """
        left = list(found)
        right = 0
        for segment in truth:
            fitting = [each for each in left if fits(segment, each)]
            if fitting:
                left.remove(min(fitting, key=lambda each: abs(each.start - segment.start)))
                right += 1
        true, said = in_seconds(truth, seconds), in_seconds(found, seconds)
        return cls(
            2 * right / max(len(truth) + len(found), 1),
            right / max(len(truth), 1),
            right / max(len(found), 1),
            2 * len(true & said) / max(len(true) + len(said), 1),
        )


def fits(true: Segment, found: Segment) -> bool:
    apart = max(abs(true.start - found.start), abs(true.end - found.end))
    return true.label == found.label and apart <= TOLERANCE


def in_seconds(segments: Sequence[Segment], seconds: float) -> set[tuple[int, str]]:
    """Return (second, label) wherever a label sounds in a second."""
    return {
        (second, segment.label)
        for segment in segments
        for second in range(int(segment.start), min(int(np.ceil(segment.end)), int(seconds)))
    }


if __name__ == "__main__":
    main()
