"""Texts with their classes, answered by a linear model on TF-IDF that is fitted inside each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from headstart.data.items import Target
from headstart.errors import DataError, OptionError
from headstart.text.counting import Counts, count_characters, count_words
from headstart.text.terms import TermsNetwork, TermsSettings
from headstart.transfer.heads import MAX_ITERATIONS, Kind, Matrix, silent_solvers
from headstart.transfer.selection import Labelled

STRENGTHS = (0.5, 2.0, 8.0)
_NEVER = -30.0
"""The logit of a class that has no text: as in `fit_head`, it never wins."""
_SOLVER = Lock()
"""liblinear draws from one generator for the whole process: side by side, fits would not be reproducible."""


@dataclass(frozen=True, eq=False)
class _Counted:
    """The counts of words and characters, and what they are counts of."""

    texts: tuple[str, ...]
    settings: TermsSettings
    parts: tuple[Counts, ...]

    @classmethod
    def of(cls, texts: tuple[str, ...], settings: TermsSettings) -> _Counted:
        return cls(texts, settings, (count_words(texts, settings), count_characters(texts, settings)))

    def are_of(self, texts: tuple[str, ...], settings: TermsSettings) -> bool:
        """Return whether these are the counts of such a view, after `dataclasses.replace` too."""
        return self.texts is texts and self.settings == settings


@dataclass(frozen=True)
class Terms(Labelled):
    """Texts with their classes: what fitting a linear model on TF-IDF looks at.

    Terms are counted once, when the view is made, for that learns nothing; which terms are known, what they
    weigh and the linear model are fitted on what `take` leaves, so that a fold never sees the others.

    Args:
        features: Who is in a group with whom; X has no columns, one row an item, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        texts: The texts, str.
        settings: What is counted and how it is weighed, TermsSettings. Defaults to words and pairs of words.
        weight: How much each item counts in fitting, float [items]. Defaults to None: all the same.
        counted: Made by the view itself.

    Raises:
        DataError: There are not as many texts, classes and weights as items.

    Example:
        >>> from headstart.transfer.features import Features
        >>> three = np.arange(3)
        >>> features = Features(np.zeros((3, 0), np.float32), three, three)
        >>> data = Terms(features, np.array([0, 1, 1]), 2, ("bad film", "good film", "good one"))
        >>> data.fit("linear", 1.0, None, 0).logits(["a good thing"]).argmax(1)
        array([1])
    """

    target: ClassVar[Target] = "label"
    texts: tuple[str, ...] = ()
    settings: TermsSettings = field(default_factory=TermsSettings)
    counted: _Counted | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        lengths = {len(self.features), len(self.y), len(self.texts)}
        if len(lengths | ({len(self.texts)} if self.weight is None else {len(self.weight)})) != 1:
            received = f"{len(self.features)} items, {len(self.y)} classes, {len(self.texts)} texts"
            raise DataError("a text, a class and a weight for each item", received, "give one of each")
        if self.counted is None or not self.counted.are_of(self.texts, self.settings):
            object.__setattr__(self, "counted", _Counted.of(self.texts, self.settings))

    @property
    def _counts(self) -> tuple[Counts, ...]:
        return () if self.counted is None else self.counted.parts

    def take(self, items: NDArray[np.int64]) -> Self:
        """Return the part with these items, by position."""
        texts = tuple(self.texts[item] for item in items)
        counts = tuple(counts.take(items) for counts in self._counts)
        return replace(
            self,
            features=self.features.take(items),
            y=self.y[items],
            texts=texts,
            weight=self.weight_of(items),
            counted=_Counted(texts, self.settings, counts),
        )

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> TermsNetwork:  # type: ignore[override]
        """Choose the terms and fit a linear model on their weights.

        Args:
            kind: Only "linear".
            strength: Inverse regularisation (scikit-learn's C), float.
            class_weight: "balanced" weighs classes inversely to their number; None does not.
            seed: Of the solver for a latent space, int.

        Returns:
            The network, which answers for texts.

        Raises:
            OptionError: Another kind.
        """
        if kind != "linear":
            raise OptionError("a linear model on terms", repr(kind), "use linear")
        columns = [_choose(counts, self.settings) for counts in self._counts]
        words, characters = (
            [counts.terms[column] for column in kept]
            for counts, kept in zip(self._counts, columns, strict=True)
        )
        parts = [counts.matrix[:, kept] for counts, kept in zip(self._counts, columns, strict=True)]
        idf = np.concatenate([_idf(part) for part in parts])
        x = _weigh(parts, idf, self.settings)
        weight, bias = self._linear(x, strength, class_weight, seed)
        return TermsNetwork(self.settings, words, characters, idf, weight, bias)

    def logits(self, head: TermsNetwork) -> Matrix:
        """Return each item's class scores, from what is counted already."""
        parts = [
            counts.matrix[:, [counts.place[term] for term in terms]]
            for counts, terms in zip(self._counts, (head.words, head.characters), strict=True)
        ]
        scores: Matrix = _weigh(parts, head.idf, head.settings) @ head.weight + head.bias
        return scores

    def strengths(self, kind: Kind) -> Sequence[float]:  # noqa: ARG002
        """Return the strengths that are worth trying."""
        return STRENGTHS

    def _linear(
        self, x: sparse.csr_array, strength: float, class_weight: str | None, seed: int
    ) -> tuple[Matrix, Matrix]:
        """Return the weight [terms, classes] and bias [classes] of a linear model on TF-IDF weights."""
        weight = np.zeros((x.shape[1], self.classes), np.float32)
        bias = np.full(self.classes, _NEVER, np.float32)
        present, compact = np.unique(self.y, return_inverse=True)
        bias[present] = 0
        if len(present) == 1 or not x.shape[1]:
            return weight, bias
        fit = _Linear(strength, class_weight, self.weight, seed)
        with silent_solvers():
            if self.settings.dimensions is not None:
                weight[:, present], bias[present] = fit.latent(x, compact, self.settings.dimensions)
            else:
                weight[:, present], bias[present] = fit.classes(x, compact, self.settings.ratio)
        return weight, bias


def _choose(counts: Counts, settings: TermsSettings) -> NDArray[np.int64]:
    """Return the columns of the terms that a model knows; where no term is in enough texts, of all."""
    chosen = counts.choose(settings.least, settings.most)
    return chosen if len(chosen) else counts.choose(1, settings.most)


def _idf(counts: sparse.csr_array) -> Matrix:
    """Return the inverse document frequency of each term, smoothed as scikit-learn does."""
    texts = np.bincount(counts.indices, minlength=counts.shape[1])
    idf: Matrix = (np.log((1 + counts.shape[0]) / (1 + texts)) + 1).astype(np.float32)
    return idf


def _weigh(parts: Sequence[sparse.csr_array], idf: Matrix, settings: TermsSettings) -> sparse.csr_array:
    """Return TF-IDF weights, those of each part with length 1, float32 [texts, terms]."""
    weighed, start = [], 0
    for part in parts:
        values = settings.frequency(part.data) * idf[start : start + part.shape[1]][part.indices]
        start += part.shape[1]
        row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        length = np.sqrt(np.bincount(row, values.astype(np.float64) ** 2, part.shape[0]))
        values = (values / length[row]).astype(np.float32)
        weighed.append(sparse.csr_array((values, part.indices, part.indptr), shape=part.shape))
    x = sparse.hstack(weighed, "csr")
    x.indices, x.indptr = x.indices.astype(np.int32), x.indptr.astype(np.int32)
    return x


Layer = tuple[NDArray[np.floating], NDArray[np.floating]]


@dataclass(frozen=True)
class _Linear:
    """Logistic regression of each class against the rest, as weights and biases with a column for each class.

    liblinear's dual solver was measured to be 20 to 70 times faster on texts than lbfgs, and as good.
    """

    strength: float
    class_weight: str | None
    weight: NDArray[np.floating] | None
    seed: int

    def classes(self, x: Any, y: NDArray[np.int64], ratio: bool = False) -> Layer:
        """Fit all classes, on terms that are scaled by `_ratio` where that is wished for."""
        if y.max() == 1:
            weight, bias = self._one(x, y == 1, ratio)
            return np.stack([-weight / 2, weight / 2], 1), np.array([-bias / 2, bias / 2])
        fitted = [self._one(x, y == one, ratio) for one in range(y.max() + 1)]
        return np.stack([weight for weight, _ in fitted], 1), np.array([bias for _, bias in fitted])

    def latent(self, x: sparse.csr_array, y: NDArray[np.int64], dimensions: int) -> Layer:
        """Fit in the space of the first singular vectors, folded into weights of the terms."""
        from sklearn.utils.extmath import randomized_svd

        most = min(dimensions, *(side - 1 for side in x.shape))
        if most < 1:
            return self.classes(x, y)
        components = randomized_svd(x, most, random_state=self.seed)[2]
        weight, bias = self.classes(x @ components.T, y)
        return components.T @ weight, bias

    def _one(self, x: Any, of: NDArray[np.bool_], ratio: bool) -> tuple[NDArray[np.floating], float]:
        from sklearn.linear_model import LogisticRegression

        scale: Any = np.float32(1)
        if ratio:
            scale = self._ratio(x, of)
            x = sparse.csr_array((x.data * scale[x.indices], x.indices, x.indptr), shape=x.shape)
        model = LogisticRegression(
            C=self.strength,
            class_weight=self.class_weight,
            solver="liblinear",
            dual=True,
            tol=0.1,
            max_iter=MAX_ITERATIONS,
            random_state=self.seed,
        )
        with _SOLVER:
            model.fit(x, of, self.weight)
        return model.coef_[0] * scale, float(model.intercept_[0])

    def _ratio(self, x: sparse.csr_array, of: NDArray[np.bool_]) -> Matrix:
        """Return 1 + |ln P(term | class) / P(term | rest)|, the two smoothed by one text.

        Terms that tell the classes apart are regularised less. The 1 leaves the others a say: in
        cross-validation it was better than the bare ratio and than no ratio on reviews, sentences and topics.
        """
        weight = np.ones(len(of)) if self.weight is None else self.weight
        present = sparse.csr_array((np.ones(x.nnz, np.float32), x.indices, x.indptr), shape=x.shape)

        def share(some: NDArray[np.bool_]) -> NDArray[np.floating]:
            found: NDArray[np.floating] = (present.T @ (weight * some) + 1) / (weight[some].sum() + 1)
            return found

        return (1 + np.abs(np.log(share(of) / share(~of)))).astype(np.float32)
