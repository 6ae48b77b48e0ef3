"""Search on 20 newsgroups: words, meaning, both; quick neighbours against exact ones; codes of 64 bits.

    HEADSTART_DATA=… python benchmarks/retrieval.py [--seeds 3] [--vectors 100000]

The training messages are searched, each test message is a query, and a message is relevant that is of the
same of the 20 groups; headers, quotes and signatures are taken off all of them. A second kind of query is the
subject line of the test messages: people ask as briefly. The fusion's weights and the hasher's settings were
chosen on the training messages. Then the time of exact and quick neighbours among many made-up vectors.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import time
from dataclasses import replace
from typing import Any

from headstart.process import tune_process

tune_process()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from support.common import data_folder, record, table, verdict  # noqa: E402

from headstart.data.items import Dataset, Item  # noqa: E402
from headstart.errors import DecodeError  # noqa: E402
from headstart.retrieval.hash_training import fit_hasher  # noqa: E402
from headstart.retrieval.hashing import nearest_codes  # noqa: E402
from headstart.retrieval.index import SearchIndex  # noqa: E402
from headstart.retrieval.ranking import ndcg, neighbour_recall, precision  # noqa: E402
from headstart.searching import build_index, item_encoder  # noqa: E402
from headstart.text.decode import decode  # noqa: E402

PLACES, LANGUAGE, POINTS = 10, "english", 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="hashers to fit")
    parser.add_argument(
        "--vectors", type=int, default=100_000, help="made-up vectors for the speed of neighbours"
    )
    options = parser.parse_args()
    train, test = messages("train"), messages("test")
    started = time.perf_counter()
    index = build_index(Dataset(train, "text"), email=True, language=LANGUAGE, offline=True, say=print)
    building = time.perf_counter() - started
    asked = build_index(Dataset(test, "text"), email=True, offline=True)  # how messages become vectors
    relevance = np.array(asked.labels)[:, None] == np.array(index.labels)[None]
    figures: dict[str, Any] = {"items": len(index), "queries": len(asked), "build_seconds": building}
    sources = {item.name: str(item.source) for item in test}
    texts = [decode(sources[name], email=True) for name in asked.names]
    whole = by_all_ways(index, texts, asked.vectors)
    subjects = [subject(sources[name]) for name in asked.names]
    named = [n for n, line in enumerate(subjects) if line]
    short = [subjects[n] for n in named]
    brief = by_all_ways(index, short, item_encoder(index, offline=True)(list(short)))
    rows: list[tuple[object, ...]] = [("query", "words", "meaning", "both")]
    for kind, found, truth in (("message", whole, relevance), ("subject", brief, relevance[named])):
        scores = {way: float(ndcg(truth, ranked, PLACES).mean()) for way, ranked in found.items()}
        rows.append((kind, *scores.values()))
        figures |= {f"ndcg10_{kind}_{way}": score for way, score in scores.items()}
    table("nDCG@10, relevant: the same group of 20", rows)
    figures |= hashing(index, train, asked, relevance, options.seeds)
    figures |= speed(options.vectors, index.vectors.shape[1])
    record("retrieval", figures, packages=("openvino", "torch", "faiss-cpu", "bm25s"))


def messages(split: str) -> tuple[Item, ...]:
    """Return the messages of a split that hold a text."""
    path = data_folder("news20", kind="text") / f"{split}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return tuple(Item(row["id"], row["text"], row["group"]) for row in rows if readable(row["text"]))


def readable(text: str) -> bool:
    try:
        return bool(decode(text, email=True))
    except DecodeError:
        return False


def subject(message: str) -> str:
    """Return the subject line, without "Re:"."""
    found = re.search(r"^Subject:[ \t]*(?:re:[ \t]*)*(\S.*)$", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def by_all_ways(
    index: SearchIndex, queries: list[str], vectors: NDArray[np.float32]
) -> dict[str, NDArray[np.int64]]:
    """Return the positions found by words, meaning and both, -1 where too few were."""
    known = dict(zip(queries, vectors, strict=True))  # encoded once, all together
    searched = replace(index, encode=lambda texts: np.stack([known[text] for text in texts]))
    found = {}
    for way in ("words", "meaning", "both"):
        lines = [searched.rank(query, PLACES, way)[0] for query in queries]
        found[way] = np.stack([np.pad(x, (0, PLACES - len(x)), constant_values=-1) for x in lines])
    return found


def hashing(
    index: SearchIndex, train: tuple[Item, ...], asked: SearchIndex, relevance: NDArray[np.bool_], seeds: int
) -> dict[str, Any]:
    """Compare codes of 64 bits with exact cosine."""
    exact = index.neighbours(asked.vectors, 100, approximate=False)[0]
    reference = float(precision(relevance, exact, 100).mean())
    sources = {item.name: str(item.source) for item in train}
    texts = [decode(sources[name], email=True) for name in index.names]
    reached, seconds = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        hasher = fit_hasher(index.vectors, texts, seed=seed)
        seconds.append(time.perf_counter() - started)
        near = nearest_codes(hasher.codes(index.vectors), hasher.codes(asked.vectors), 100)[0]
        reached.append(float(precision(relevance, near, 100).mean()))
    mean = statistics.mean(reached)
    fine = verdict(mean, reference - POINTS)
    table(
        "precision@100",
        [("exact cosine", "64 bits", "lowest", "highest", "seconds", f"within {POINTS}"),
         (reference, mean, min(reached), max(reached), statistics.median(seconds), fine)],
    )  # fmt: skip
    return {
        "precision100_cosine": reference,
        "precision100_codes": mean,
        "precision100_codes_lowest": min(reached),
        "seeds": seeds,
        "hasher_seconds": statistics.median(seconds),
        "verdict": fine,
    }


def speed(count: int, width: int) -> dict[str, Any]:
    """Time neighbours among made-up vectors in clusters."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(1, count // 100), width)).astype(np.float32)
    vectors = centres[rng.integers(0, len(centres), count)]
    vectors += rng.normal(size=vectors.shape).astype(np.float32)
    queries = vectors[rng.choice(count, 200)] + 0.5 * rng.normal(size=(200, width)).astype(np.float32)
    started = time.perf_counter()
    made = SearchIndex.build([str(n) for n in range(count)], vectors, approximate=True)
    building = time.perf_counter() - started
    spent, found = {}, {}
    for name, quick in (("exact", False), ("quick", True)):
        started = time.perf_counter()
        lines = [made.neighbours(query[None], PLACES, approximate=quick)[0] for query in queries]
        spent[name] = 1000 * (time.perf_counter() - started) / len(queries)
        found[name] = np.concatenate(lines)
    recall = neighbour_recall(found["quick"], found["exact"])
    ratio = spent["exact"] / spent["quick"]
    table(
        f"{PLACES} neighbours among {count:,} vectors of {width}",
        [("exact, ms", "quick, ms", "times as fast", "recall", "graph, s"),
         (spent["exact"], spent["quick"], ratio, recall, building)],
    )  # fmt: skip
    return {
        "vectors": count,
        "exact_ms": spent["exact"],
        "quick_ms": spent["quick"],
        "quick_ratio": ratio,
        "recall10": recall,
        "graph_seconds": building,
    }


if __name__ == "__main__":
    main()
