"""Texts with their classes, answered by a convolutional network that is trained on them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.errors import DataError
from headstart.networks.document_cnn import HierarchicalCNN
from headstart.text.vectors import WordVectors
from headstart.text.words import UNKNOWN, frequent_words, tokenizer_of
from headstart.training.initialisation import initialise
from headstart.training.reproducible import reproducible
from headstart.training.sampling import Items
from headstart.transfer.cnn_training import CnnSettings, Lines, train_cnn
from headstart.transfer.fitted_cnn import FittedCnn, read_lines
from headstart.transfer.heads import Kind, Matrix
from headstart.transfer.selection import Labelled, assign_folds

__all__ = ["CnnSettings", "DocumentCnn", "FittedCnn"]

_HELD_OUT = 10
"""One fold in so many tells when to stop; with fewer groups nothing is held out."""
_RANDOM = 0.25
"""Spread of random word vectors."""
_ONE_AT_A_TIME = threading.Lock()
"""Cross-validation fits in threads, but torch has one stream of random numbers, and uses all cores."""


@dataclass(frozen=True)
class DocumentCnn(Labelled):
    """Texts with their classes: what training a document CNN looks at.

    Args:
        features: Who is in a group with whom; X has no columns, one row an item, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        texts: The texts, str.
        vectors: Where word vectors start, WordVectors. Defaults to None: from random numbers.
        start_from: A network that was fitted on other texts, FittedCnn; it starts from its weights, its words
            keep their vectors. Defaults to None.
        settings: CnnSettings.
        weight: How much each item counts in fitting, float [items]. Defaults to None: all the same.

    Raises:
        DataError: There are not as many texts, classes and weights as items.

    Example:
        >>> from headstart.transfer.features import Features
        >>> n = np.arange(40)
        >>> texts = tuple(["A bad, bad film.", "What a good film!"][k % 2] for k in n)
        >>> features, quick = Features(np.zeros((40, 0), np.float32), n, n), CnnSettings(epochs=10, rate=0.01)
        >>> data = DocumentCnn(features, n % 2, 2, texts, settings=quick)
        >>> data.fit("linear", 0.01, None, 0).logits(texts[:2]).argmax(1)
        array([0, 1])
    """

    most_folds: ClassVar[int] = 2
    """Each fold is a training of its own, and a fit cross-validates twice: two suffice to calibrate."""
    texts: tuple[str, ...] = ()
    vectors: WordVectors | None = None
    start_from: FittedCnn | None = None
    settings: CnnSettings = field(default_factory=CnnSettings)

    def __post_init__(self) -> None:
        weights = len(self.texts) if self.weight is None else len(self.weight)
        if len({len(self.features), len(self.y), len(self.texts), weights}) != 1:
            received = f"{len(self.features)} items, {len(self.y)} classes, {len(self.texts)} texts"
            raise DataError("a text, a class and a weight for each item", received, "give one of each")

    def take(self, items: NDArray[np.int64]) -> Self:
        """Return the part with these items, by position."""
        return replace(
            self,
            features=self.features.take(items),
            y=self.y[items],
            texts=tuple(self.texts[item] for item in items),
            weight=self.weight_of(items),
        )

    def strengths(self, kind: Kind) -> Sequence[float]:  # noqa: ARG002
        """Return the one strength that there is: training stops in time instead."""
        return (0.01,)

    def logits(self, head: FittedCnn) -> Matrix:
        """Return each item's class scores."""
        return head.logits(self.texts)

    def fit(  # type: ignore[override]
        self,
        kind: Kind,  # noqa: ARG002
        strength: float,  # noqa: ARG002
        class_weight: str | None,
        seed: int,
    ) -> FittedCnn:
        """Train a network; the same data and seed give the same one, with the same number of threads.

        A tenth of the groups is held out; the weights of the epoch with its least loss are kept.

        Args:
            kind: Of no meaning here.
            strength: Of no meaning here.
            class_weight: "balanced" weighs classes inversely to their number; None does not.
            seed: Of first weights, order and dropout, int.

        Returns:
            The trained network.
        """
        with _ONE_AT_A_TIME, reproducible(torch.device("cpu")):
            words = self._words()
            tokenizer = tokenizer_of(words)
            network = self._network(words, seed)
            lines = read_lines(self.texts, self.settings.spec, tokenizer)
            train, held = self._held_out(seed)
            data = Lines(lines, torch.from_numpy(self.y), self._weights(class_weight), train, held)
            history = train_cnn(network, data, self.settings, seed)
        return FittedCnn(network, tokenizer, self.settings.spec, tuple(history))

    def _held_out(self, seed: int) -> tuple[Items, Items]:
        """Return the items that are trained on, and those that tell when to stop: none of few groups."""
        if len(np.unique(self.features.group)) < _HELD_OUT:
            return np.arange(len(self.y)), np.arange(0)
        fold = assign_folds(self, _HELD_OUT, seed)
        return np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)

    def _weights(self, class_weight: str | None) -> Tensor:
        """Return how much each item counts, float32 [items], 1 in the mean."""
        weights = np.ones(len(self.y)) if self.weight is None else self.weight.astype(np.float64)
        if class_weight is not None:
            totals = np.bincount(self.y, weights, minlength=self.classes)
            weights = weights / totals[self.y].clip(1e-12)
        return torch.from_numpy((weights / weights.mean().clip(1e-12)).astype(np.float32))

    def _words(self) -> list[str]:
        """Return the words that get numbers: of the texts, and others whose vectors are known."""
        words = frequent_words(self.texts, self.settings.most_words)
        known: list[Sequence[str]] = [] if self.start_from is None else [self.start_from.words]
        if self.vectors is not None:
            known.append(self.vectors.words[: self.settings.more_words])
        return list(dict.fromkeys([*words, *(word for some in known for word in some)]))

    def _network(self, words: Sequence[str], seed: int) -> HierarchicalCNN:
        """Return a network with first weights."""
        old = None if self.start_from is None else self.start_from.network
        size = self.settings.size if self.vectors is None else self.vectors.matrix.shape[1]
        size = size if old is None else old.embedding.embedding_dim
        dropout = self.settings.training.dropout
        network = HierarchicalCNN(len(words) + 2, size, self.classes, dropout=dropout)
        initialise(network, "glorot_uniform", seed)
        rows = self._first_vectors(words, size, seed)
        with torch.no_grad():
            network.embedding.weight[1:] = torch.from_numpy(rows)
            network.embedding.weight[0] = 0
        if old is not None:
            _carry(old, network)
        return network

    def _first_vectors(self, words: Sequence[str], size: int, seed: int) -> Matrix:
        """Return a vector for the unknown word and each of the words, float32 [1 + words, size]."""
        known = self.vectors
        if self.start_from is not None:
            known = self.start_from.vectors()
            if self.vectors is not None and self.vectors.matrix.shape[1] == size:
                known = known.joined(self.vectors)
        if known is None:
            chance = np.random.default_rng(seed)
            return _RANDOM * chance.standard_normal((1 + len(words), size), np.float32)
        return known.lookup([UNKNOWN, *words])


def _carry(old: HierarchicalCNN, new: HierarchicalCNN) -> None:
    """Copy all weights but those of the words, and of the answer where the number of classes differs."""
    mine = new.state_dict()
    carried = {
        name: tensor
        for name, tensor in old.state_dict().items()
        if not name.startswith("embedding.") and tensor.shape == mine[name].shape
    }
    new.load_state_dict({**mine, **carried})
