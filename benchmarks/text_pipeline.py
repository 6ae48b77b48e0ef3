"""What each step of a text pipeline buys; the vectorizer beside scikit-learn's, and its memory.

    python benchmarks/text_pipeline.py [--texts 5000] [--epochs 4] [--few 10000] [--many 200000] [--part NAME]

Makes its own texts, 60 to 240 words drawn by Zipf's law, in a temporary .jsonl.gz; needs no data. "steps":
the file is read, turned into ids and batched for a consumer that waits half as long for each batch as making
it takes; each line adds one step to that before it. "speed": learning a vocabulary of words and pairs, and
TF-IDF matrices, CPU time. "memory": peak resident memory of `adapt`, each in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from memory import peak
from support.common import Stopwatch, median, record, table, timed, verdict

from headstart.data.pipeline import Pipeline
from headstart.text.vectorizer import Vectorizer

BATCH, LENGTH = 64, 200
PARTS = ("steps", "speed", "memory")
FLAT = 1.3
"""Peak memory at the large number of texts may be so many times that at the small one."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--part", choices=PARTS, help="only this one")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        Vectorizer(20_000, "tf-idf", ngrams=(1, 2)).adapt(texts(options.child), bound=200_000)
        print(peak())
        return
    figures: dict[str, float] = {}
    chosen = PARTS if options.part is None else (options.part,)
    if "steps" in chosen:
        figures |= steps(options.texts, options.epochs)
    if "speed" in chosen:
        figures |= speed(options.texts)
    if "memory" in chosen:
        figures |= memory(options.few, options.many)
    record("text_pipeline", figures, packages=("numpy", "scikit-learn"))


def texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yield texts whose words follow Zipf's law; a longer stream has more distinct words."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        ranks = generator.zipf(1.3, generator.integers(60, 240))
        yield " ".join(f"w{rank % (1 << 40)}" for rank in ranks)


def steps(count: int, epochs: int) -> dict[str, float]:
    """Measure the wall time of some epochs with more and more steps."""
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "texts.jsonl.gz"
        with gzip.open(file, "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"text": text}) + "\n" for text in texts(count))

        def read() -> Iterator[str]:
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)["text"]

        vectorizer = Vectorizer(20_000, length=LENGTH).adapt(read())
        plain = Pipeline(read).batch(BATCH).map(vectorizer, 1)
        busy = timed(lambda: list(plain)).wall / (count / BATCH) / 2
        kept = Path(temporary) / "ids.npy"
        versions = {
            "read, vectorize, batch": Pipeline(lambda: map(vectorizer, Pipeline(read).batch(BATCH))),
            "+ map on threads": Pipeline(read).batch(BATCH).map(vectorizer),
            "+ prefetch": Pipeline(read).batch(BATCH).map(vectorizer).prefetch(),
            "+ shuffle buffer of 1,024": Pipeline(read)
            .shuffle(1024, 0)
            .batch(BATCH)
            .map(vectorizer)
            .prefetch(),
            "+ cache in a file": Pipeline(read)
            .batch(BATCH)
            .map(vectorizer)
            .cache(kept)
            .shuffle(16, 0)
            .prefetch(),
            "cache in memory instead": Pipeline(read)
            .batch(BATCH)
            .map(vectorizer)
            .cache()
            .shuffle(16, 0)
            .prefetch(),
        }
        seconds = {name: consume(pipeline, epochs, busy) for name, pipeline in versions.items()}
    first = next(iter(seconds.values()))
    rows = [(name, taken, first / taken) for name, taken in seconds.items()]
    idle = epochs * busy * np.ceil(count / BATCH)
    table(
        f"{epochs} epochs of {count} texts",
        [("", "seconds", "ratio"), *rows, ("consumer alone", idle, first / idle)],
    )
    names = ("plain", "map", "prefetch", "shuffle", "file_cache", "memory_cache")
    return {f"{name}_ratio": first / taken for name, taken in zip(names, seconds.values(), strict=True)}


def consume(pipeline: Pipeline[np.ndarray], epochs: int, busy: float) -> float:
    """Return the wall seconds of some epochs; the consumer waits, as for a network on another device."""
    with Stopwatch() as watch:
        for _ in range(epochs):
            for _ in pipeline:
                time.sleep(busy)
    return watch.spent.wall


def speed(count: int, repeats: int = 3) -> dict[str, float]:
    """Measure learning and transforming beside scikit-learn's TfidfVectorizer, CPU time, interleaved."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    some = list(texts(count, 1))
    ours: dict[str, list[float]] = {"learn": [], "transform": []}
    theirs: dict[str, list[float]] = {"learn": [], "transform": []}
    for _ in range(repeats):
        vectorizer, peer = (
            Vectorizer(20_000, "tf-idf", ngrams=(1, 2)),
            TfidfVectorizer(ngram_range=(1, 2), max_features=20_000),
        )
        ours["learn"].append(timed(lambda v=vectorizer: v.adapt(some)).cpu)
        theirs["learn"].append(timed(lambda p=peer: p.fit(some)).cpu)
        ours["transform"].append(timed(lambda v=vectorizer: v.sparse(some)).cpu)
        theirs["transform"].append(timed(lambda p=peer: p.transform(some)).cpu)
    ratio = {name: median(theirs[name]) / median(ours[name]) for name in ours}
    rows = [
        (name, median(ours[name]), median(theirs[name]), ratio[name], verdict(ratio[name], 1))
        for name in ours
    ]
    table("Words and pairs, CPU seconds", [("", "headstart", "scikit-learn", "ratio", "target 1"), *rows])
    return {f"{name}_ratio": value for name, value in ratio.items()}


def memory(few: int, many: int) -> dict[str, float]:
    """Measure the peak memory of learning a vocabulary from a short and a long stream."""
    peaks = {}
    for count in (few, many):
        command = [sys.executable, __file__, "--child", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the child failed:\n{done.stderr}")
        peaks[count] = float(done.stdout)
    ratio = peaks[many] / peaks[few]
    table("Peak resident memory of adapt", [("texts", "MiB"), *peaks.items()])
    print(f"\n{ratio:.2f} times, target {FLAT}: {verdict(ratio, FLAT, at_least=False)}")
    return {"adapt_few_mib": peaks[few], "adapt_many_mib": peaks[many], "adapt_ratio": ratio}


if __name__ == "__main__":
    main()
