"""Pictures of classes never seen, from the probabilities of classes that were: ConSE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.text.vectors import WordVectors
from headstart.transfer.calibration import softmax
from headstart.transfer.names.described import Described
from headstart.transfer.names.similarity import (
    Encode,
    NameSpace,
    sentence_similarity,
    spread,
    word_similarity,
)
from headstart.transfer.source_head import match_names

Floats = NDArray[np.float64]

_SHARPNESS = 0.5
"""Of the spread of the similarities; chosen on imagenette, ants and bees, and monkeys, under other names."""


def kinds(
    labels: Sequence[Described],
    names: Sequence[str],
    classifier: Floats,
    vectors: WordVectors,
    encode: Encode,
) -> Floats:
    """Return what each label consists of: a distribution over the source classes.

    A picture then belongs to a label as much as the network's probabilities agree with the distribution. In
    ConSE the probabilities weigh word vectors, and the nearest label wins: the same product of probabilities
    and similarities. Here a sentence encoder has a say beside the words, source classes that look alike
    share what their names say, and every label gets as much weight as the others, however general it is.

    Args:
        labels: The new classes.
        names: The source classes, synonyms separated by commas.
        classifier: The source classifier's weights, float64 [features, names].
        vectors: Word vectors.
        encode: A sentence encoder.

    Returns:
        float64 [names, labels]; columns sum to 1.

    Raises:
        OptionError: Labels without word vectors.

    References:
        Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014.
    """
    by_words = word_similarity(labels, names, NameSpace(vectors))
    by_sentences = sentence_similarity(labels, names, encode)
    near = _standard(spread(_standard(by_words) + _standard(by_sentences), classifier))
    for column, places in enumerate(match_names([label.name for label in labels], names)):
        near[places, column] = near.max()
    found: Floats = softmax(near.T, _SHARPNESS).T
    return found


def _standard(values: Floats) -> Floats:
    found: Floats = (values - values.mean()) / max(float(values.std()), 1e-12)
    return found
