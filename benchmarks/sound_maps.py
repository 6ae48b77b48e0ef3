"""Do explanations of sounds show what counts? What they mark is made quiet, and the answer is watched.

    HEADSTART_DATA=… python benchmarks/sound_maps.py [--clips 30] [--share 0.2] [--seed 0]

A model is fitted on all folds of ESC-10 but the last. Of clips of that a part of the spectrogram is made as
quiet as each band is in its quietest tenth: what an explanation marks most, what is loudest, or what chance
chooses (the mean of three draws). The figure is by how much the probability of the answer falls, in the mean
over the clips. Small holes are a sound of their own, so loudness and chance come in cells as large as those
of each method: of occlusion 240 ms × 8 bands, of gradients 80 ms × 4 bands.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from support.common import record, table, verdict
from support.sounds import esc10

import headstart as hs
from headstart.artefact import Model
from headstart.audio.decode import read_bytes
from headstart.audio.hearing import hear
from headstart.backbones.card import Waves
from headstart.data.items import Source
from headstart.explain.sounds import explain_sound, in_cells

CELLS = {"occlusion": (24, 8), "gradients": (8, 4)}
"""Frames and bands of what each method tells apart."""
DRAWS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips = esc10()
    folds = np.array([item.fold for item in clips])
    last = folds == max(folds.tolist())
    model = hs.fit(clips.take(np.flatnonzero(~last).tolist()), seed=options.seed)
    asked = clips.take(np.flatnonzero(last).tolist()).items
    asked = asked[:: max(1, len(asked) // options.clips)][: options.clips]
    generator = np.random.default_rng(options.seed)
    falls: dict[str, list[float]] = {}
    seconds = dict.fromkeys(CELLS, 0.0)
    for item in asked:
        windows = Windows(model, item.source)
        for method, cells in CELLS.items():
            begun = time.perf_counter()
            found = explain_sound(model, item.source, method=method)
            seconds[method] += (time.perf_counter() - begun) / len(asked)
            loud = in_cells(windows.spectrogram - windows.quiet, *cells)
            draws = [in_cells(generator.standard_normal(loud.shape), *cells) for _ in range(DRAWS)]
            fall = [windows.fall(each, options.share) for each in (found.evidence, loud, *draws)]
            falls.setdefault(method, []).append(fall[0])
            falls.setdefault(f"loudest, cells of {method}", []).append(fall[1])
            falls.setdefault(f"chance, cells of {method}", []).append(float(np.mean(fall[2:])))
    report(falls, seconds, len(asked), options.share)


class Windows:
    """A clip as the network hears it, parts of which are made quiet.

    Args:
        model: The model.
        source: The clip.
    """

    def __init__(self, model: Model, source: Source) -> None:
        self.model, spec = model, cast(Waves, model.front_end.preprocess)
        self.patches = list(hear(read_bytes(source), spec))
        self.quiet = np.quantile(np.concatenate(self.patches), 0.1, 0)
        count, size = len(self.patches), spec.size
        frames = spec.frames(5 * spec.rate)
        self.starts = [min(number * spec.step, max(0, frames - size)) for number in range(count)]
        self.spectrogram = np.zeros((frames, spec.bands))
        for start, patch in zip(self.starts, self.patches, strict=True):
            self.spectrogram[start : start + size] = patch
        answers = self._answers(np.zeros(self.spectrogram.shape, bool))
        self.column, self.whole = int(answers.argmax()), float(answers.max())

    def fall(self, evidence: NDArray[np.floating], share: float) -> float:
        """Return how much less probable the answer is with the strongest evidence made quiet."""
        # Of equal cells some are chosen, not all.
        order = np.argsort(-evidence.ravel(), kind="stable")[: round(share * evidence.size)]
        mask = np.zeros(evidence.size, bool)
        mask[order] = True
        return self.whole - float(self._answers(mask.reshape(evidence.shape))[self.column])

    def _answers(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        (member,) = self.model.members
        engine = self.model.engine_of(member)
        rows = []
        for start, patch in zip(self.starts, self.patches, strict=True):
            part = mask[start : start + len(patch)]
            heard: NDArray[Any] = np.where(part, np.minimum(patch, self.quiet), patch).astype(np.float32)
            rows.append(engine.one(heard, ("features",))["features"])
        return self.model.answer_features({member.network: np.stack(rows)})


def report(falls: dict[str, list[float]], seconds: dict[str, float], clips: int, share: float) -> None:
    """Print the falls and what they claim, and keep them."""
    rows: list[tuple[object, ...]] = [("quiet is", "fall", "±", "s a clip")]
    rows += [(way, np.mean(its), _error(its), seconds.get(way, "")) for way, its in falls.items()]
    table(f"How much less probable the answer gets with {share:.0%} quiet, {clips} clips", rows)
    claims: list[tuple[object, ...]] = [("claim", "ahead by", "two errors", "")]
    figures = {way: float(np.mean(its)) for way, its in falls.items()}
    for method in CELLS:
        for other in ("chance", "loudest"):
            ahead = np.subtract(falls[method], falls[f"{other}, cells of {method}"])
            mean, least = float(ahead.mean()), 2 * _error(ahead.tolist())
            claims.append((f"{method}: more than {other}", mean, least, verdict(mean, least)))
            figures[f"{method} − {other}, error"] = least / 2
    table("Claims", claims)
    ratio = figures["occlusion"] / figures["chance, cells of occlusion"]
    record("sound_maps", {"clips": clips, "share": share, **figures, **seconds_of(seconds), "ratio": ratio})


def seconds_of(seconds: dict[str, float]) -> dict[str, float]:
    """Return the seconds under names of their own."""
    return {f"{method}, seconds": each for method, each in seconds.items()}


def _error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5)


if __name__ == "__main__":
    main()
