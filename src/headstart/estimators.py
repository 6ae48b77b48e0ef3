"""headstart under scikit-learn's contract: its model selection and pipelines work on pictures and texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from headstart import data
from headstart.artefact.model import Model
from headstart.data.items import Source
from headstart.engines.precision import Precision
from headstart.errors import DataError, DecodeError
from headstart.fitting import Report, fit
from headstart.modalities import modality
from headstart.transfer.heads import Kind


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of pictures, as scikit-learn wants one.

    Features come from the feature store: in a cross-validation or a grid search the backbone sees each
    picture once, whatever the number of fits.

    Args:
        backbone: Name of the pretrained network. Defaults to None, "efficientnet_lite0".
        head: "linear", "mlp" or "centroid". Defaults to "linear".
        class_weight: "balanced" weighs rare classes up. Defaults to None.
        seed: For splits and the MLP, int. Defaults to 0.
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.

    Attributes:
        classes_: The labels, in the order of `predict_proba`'s columns.
        model_: The fitted `headstart.Model`, with its report.

    Example:
        >>> from sklearn.base import clone
        >>> clone(ImageClassifier(head="centroid")).get_params()["head"]
        'centroid'
    """

    _modality = "image"

    def __init__(
        self,
        backbone: str | None = None,
        head: Kind = "linear",
        class_weight: str | None = None,
        seed: int = 0,
        precision: Precision | None = None,
        offline: bool = False,
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.class_weight = class_weight
        self.seed = seed
        self.precision = precision
        self.offline = offline

    def fit(self, X: Sequence[Source] | NDArray[np.uint8], y: Sequence[object]) -> ImageClassifier:
        """Fit on pictures and their labels.

        Args:
            X: Paths, encoded bytes, or arrays uint8 [h, w, 3]; of texts the texts themselves (str), paths
                (Path) or bytes.
            y: One label for each.

        Returns:
            Itself.

        Raises:
            DataError: A picture cannot be read (scikit-learn's contract has no place for a missing one), or
                there are fewer than two classes.
        """
        targets = np.asarray(y)
        check_classification_targets(targets)
        labels = [str(label) for label in targets.tolist()]
        dataset = data.open(_sources(X, self._modality), labels=labels, modality=self._modality)
        # Opening trims blanks around a label.
        names = {label: item.label for label, item in zip(labels, dataset, strict=True)}
        if len(set(names.values())) < len(names):
            received = ", ".join(map(repr, sorted(names)))[:80]
            raise DataError("labels that differ in more than blanks", received, "name each class in one way")
        model = fit(
            dataset,
            backbone=self.backbone,
            head=self.head,
            class_weight=self.class_weight,
            seed=self.seed,
            precision=self.precision,
            offline=self.offline,
            **self._options(),
        )
        _require_all_read(model)
        self.model_: Model = model
        self.classes_ = np.unique(targets)
        self._order = [model.labels.index(names[str(label)]) for label in self.classes_.tolist()]
        return self

    def predict_proba(self, X: Sequence[Source] | NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probability of each class.

        Args:
            X: As for `fit`.

        Returns:
            float64 [n, classes], in the order of `classes_`.

        Raises:
            DecodeError: A picture cannot be read.
        """
        check_is_fitted(self, "model_")
        return self.model_.predict_proba(_sources(X, self._modality))[:, self._order]

    def predict(self, X: Sequence[Source] | NDArray[np.uint8]) -> NDArray[np.generic]:
        """Return the most probable label of each picture, of the type that `fit` was given.

        Args:
            X: As for `fit`.

        Returns:
            The labels, [n].

        Raises:
            DecodeError: A picture cannot be read.
        """
        best = self.predict_proba(X).argmax(1)
        labels: NDArray[np.generic] = self.classes_[best]
        return labels

    def _options(self) -> dict[str, Any]:
        """Return further options of `fit`."""
        return {}


class TextClassifier(ImageClassifier):
    """A classifier of texts, as scikit-learn wants one.

    Args:
        backbone: What reads the texts. Defaults to None: a sentence encoder ("minilm-l6") and terms, each or
            both, as cross-validation says.
        head: "linear", "mlp" or "centroid". Defaults to "linear".
        class_weight: "balanced" weighs rare classes up. Defaults to None.
        seed: For splits and the MLP, int. Defaults to 0.
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        email: Whether headers, quotes and signatures of e-mails are taken off first. Defaults to False.

    Attributes:
        classes_: The labels, in the order of `predict_proba`'s columns.
        model_: The fitted `headstart.Model`, with its report.

    Example:
        >>> from sklearn.base import clone
        >>> clone(TextClassifier(backbone="terms")).get_params()["backbone"]
        'terms'
    """

    _modality = "text"

    def __init__(
        self,
        backbone: str | None = None,
        head: Kind = "linear",
        class_weight: str | None = None,
        seed: int = 0,
        precision: Precision | None = None,
        offline: bool = False,
        email: bool = False,
    ) -> None:
        super().__init__(backbone, head, class_weight, seed, precision, offline)
        self.email = email

    def _options(self) -> dict[str, Any]:
        return {"email": self.email}


class AudioClassifier(ImageClassifier):
    """A classifier of sounds, as scikit-learn wants one: a list of paths or encoded bytes.

    Args:
        backbone: What hears the sounds. Defaults to None: "yamnet".
        head: "linear", "mlp" or "centroid". Defaults to "linear".
        class_weight: "balanced" weighs rare classes up. Defaults to None.
        seed: For splits and the MLP, int. Defaults to 0.
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.

    Attributes:
        classes_: The labels, in the order of `predict_proba`'s columns.
        model_: The fitted `headstart.Model`, with its report.

    Example:
        >>> from sklearn.base import clone
        >>> clone(AudioClassifier(head="centroid")).get_params()["head"]
        'centroid'
    """

    _modality = "audio"


class ImageRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of a number for each picture, as scikit-learn wants one.

    Args:
        backbone: Name of the pretrained network. Defaults to None, "efficientnet_lite0".
        head: "linear" (ridge regression) or "mlp". Defaults to "linear".
        seed: For splits and the MLP, int. Defaults to 0.
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.

    Attributes:
        model_: The fitted `headstart.Model`, with its report and its intervals.

    Example:
        >>> from sklearn.base import clone
        >>> clone(ImageRegressor(head="mlp")).get_params()["head"]
        'mlp'
    """

    def __init__(
        self,
        backbone: str | None = None,
        head: Kind = "linear",
        seed: int = 0,
        precision: Precision | None = None,
        offline: bool = False,
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.seed = seed
        self.precision = precision
        self.offline = offline

    def fit(self, X: Sequence[Source] | NDArray[np.uint8], y: Sequence[float]) -> ImageRegressor:
        """Fit on pictures and their numbers.

        Args:
            X: Paths, encoded bytes, or arrays uint8 [h, w, 3].
            y: One finite number for each.

        Returns:
            Itself.

        Raises:
            DataError: A picture cannot be read, or the numbers are not finite or all the same.
        """
        dataset = data.open(_sources(X), labels=y, target="number", modality="image")
        model = fit(
            dataset,
            backbone=self.backbone,
            head=self.head,
            seed=self.seed,
            precision=self.precision,
            offline=self.offline,
        )
        _require_all_read(model)
        self.model_: Model = model
        return self

    def predict(self, X: Sequence[Source] | NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the number of each picture.

        Args:
            X: As for `fit`.

        Returns:
            float64 [n].

        Raises:
            DecodeError: A picture cannot be read.
        """
        check_is_fitted(self, "model_")
        found = self.model_.predict(_sources(X))
        for answer in found:
            if answer.error is not None:
                raise DecodeError("a picture", f"{answer.input}: {answer.error}", "leave it out of X")
        return np.array([answer.value for answer in found], np.float64)


def _require_all_read(model: Model) -> None:
    """scikit-learn's contract has no place for a missing item."""
    if isinstance(model.report, Report) and (left_out := model.report.content.left_out):
        received = f"{len(left_out)} that cannot be used, first {left_out[0].name}: {left_out[0].reason}"
        noun = modality(model.modality).noun
        raise DataError(f"{noun} that can all be read", received, "leave them out of X and y")


def _sources(X: Sequence[Source] | NDArray[Any], kind: str = "image") -> list[Source]:
    if isinstance(X, str | bytes | Path):
        raise DataError(
            f"a list of {modality(kind).noun}", f"a single one, {str(X)[:60]}", "put it in brackets"
        )
    # A str names a picture, but is a text.
    whole = str if kind == "text" else lambda entry: Path(str(entry))
    return [whole(entry) if isinstance(entry, str | np.str_) else entry for entry in X]
