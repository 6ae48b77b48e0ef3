"""What turns names and descriptions into vectors: a sentence encoder of the house."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart import backbones
from headstart.engines.choosing import choose
from headstart.modalities import modality
from headstart.progress import Say, quiet


def encoder_name() -> str:
    """Return the sentence encoder that is used where none is named."""
    return modality("text").default_backbone


def encode(
    texts: Sequence[str], backbone: str | None = None, *, offline: bool = False, say: Say = quiet
) -> NDArray[np.float32]:
    """Return the features of some texts, the mean over the passages of each.

    Args:
        texts: str each.
        backbone: The encoder. Defaults to None: `encoder_name`.
        offline: Whether to stay off the network. Defaults to False.
        say: Where to tell what is being downloaded. Defaults to nowhere.

    Returns:
        float32 [texts, d].

    Raises:
        BackboneError: The encoder cannot be had.

    Example:
        >>> encode(["a dog", "a cat"]).shape  # doctest: +SKIP
        (2, 384)
    """
    name = backbone or encoder_name()
    backbones.fetch(name, offline=offline, say=say)
    card = backbones.card(name, offline=offline)
    engine = choose(card, lambda: backbones.load(name, offline=offline)).start()
    reader = modality(card.modality)
    rows = [(place, row) for place, text in enumerate(texts) for row in reader.inputs(text, card.preprocess)]
    total, count = np.zeros((len(texts), card.features), np.float32), np.zeros(len(texts), np.float32)
    for place, found in engine.run(iter(rows), ("features",)):
        total[place] += found["features"]
        count[place] += 1
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32)
