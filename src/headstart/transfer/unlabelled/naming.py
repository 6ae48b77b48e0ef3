"""What clusters are called: by the words that set them apart, or by the source classes they look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.text.scripts import words
from headstart.text.steps import stop_words

Floats = NDArray[np.float64]
_SHORTEST = 3


def characteristic_words(
    texts: Iterable[str], cluster: NDArray[np.int64], most: int = 5
) -> list[tuple[str, ...]]:
    """Return the words that set each cluster of texts apart: c-TF-IDF.

    Args:
        texts: The texts.
        cluster: Of each text, int [texts], every number from 0 on.
        most: How many words, int. Defaults to 5.

    Returns:
        For each cluster its words, the most telling first; fewer where there are no more.

    References:
        Grootendorst, "BERTopic: neural topic modeling with a class-based TF-IDF procedure", 2022.

    Example:
        >>> texts = ["a red rose", "red tulips", "fast cars", "slow cars"]
        >>> characteristic_words(texts, np.array([0, 0, 1, 1]), 1)
        [('red',), ('cars',)]
    """
    silent = set(stop_words("en"))
    counts: list[Counter[str]] = [Counter() for _ in range(int(cluster.max()) + 1)]
    for text, number in zip(texts, cluster.tolist(), strict=True):
        # Once a text: one long text must not speak for its cluster.
        counts[number].update({word for word in map(str.lower, words(text)) if _telling(word, silent)})
    total = sum(counts, Counter())
    average = max(1.0, total.total() / len(counts))
    sizes = np.bincount(cluster)
    least = [2 if size >= 8 else 1 for size in sizes]

    def score(number: int, word: str) -> float:
        share = counts[number][word] / sizes[number]
        return float(share * np.log(1 + average / total[word]))

    return [
        tuple(
            sorted(
                (word for word, times in own.items() if times >= least[number]),
                key=lambda word: (-score(number, word), word),
            )[:most]
        )
        for number, own in enumerate(counts)
    ]


def _telling(word: str, silent: set[str]) -> bool:
    if word in silent or word.isdigit():
        return False
    return len(word) >= _SHORTEST or not word.isascii()


def nearest_classes(
    probabilities: NDArray[np.floating], names: Sequence[str], cluster: NDArray[np.int64], most: int = 3
) -> list[tuple[str, ...]]:
    """Return the source classes that each cluster's items look like, more than the other items do.

    Args:
        probabilities: What the backbone's own classifier says, float [items, source classes].
        names: Of the source classes; of synonyms separated by commas the first is taken.
        cluster: Of each item, int [items], every number from 0 on.
        most: How many names, int. Defaults to 3.

    Returns:
        For each cluster names of classes, the most telling first.

    Example:
        >>> p = np.array([[0.9, 0.0, 0.1], [0.0, 0.9, 0.1]])
        >>> nearest_classes(p, ["tabby, tabby cat", "tench", "wall"], np.array([0, 1]), 1)
        [('tabby',), ('tench',)]
    """
    everywhere = probabilities.mean(0)
    found = []
    for number in range(int(cluster.max()) + 1):
        here = probabilities[cluster == number].mean(0)
        # The class's part of the Kullback-Leibler divergence: frequent here, and more so than elsewhere.
        telling = here * np.log(np.maximum(here, 1e-12) / np.maximum(everywhere, 1e-12))
        best = [place for place in np.argsort(-telling, kind="stable")[:most] if telling[place] > 0]
        found.append(tuple(names[place].split(",")[0].strip() for place in best))
    return found


def unique_names(found: Sequence[tuple[str, ...]]) -> list[str]:
    """Return one name for each cluster: as many of its words as tell it from the others.

    Example:
        >>> unique_names([("cat", "sofa"), ("cat", "tree"), (), ("dog",)])
        ['cat, sofa', 'cat, tree', 'cluster 3', 'dog']
    """
    made = [parts[:1] for parts in found]
    for length in range(2, 1 + max(map(len, found), default=1)):
        seen = Counter(made)
        made = [parts[:length] if seen[name] > 1 else name for parts, name in zip(found, made, strict=True)]
    seen = Counter(made)
    plain = [", ".join(name) or "cluster" for name in made]
    return [
        text if seen[name] == 1 and name else f"{text} {number + 1}"
        for number, (text, name) in enumerate(zip(plain, made, strict=True))
    ]
