"""The model that answers: a network, a head and a calibration, without torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.artefact import card_text
from headstart.artefact.golden import Golden, tolerance
from headstart.artefact.prediction import Prediction, predicted
from headstart.artefact.schema import FrontEnd
from headstart.backbones.card import Card
from headstart.data.items import Source, Target
from headstart.data.pipeline import Pipeline
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.engines.precision import Precision
from headstart.errors import DecodeError, OptionError
from headstart.modalities import modality
from headstart.transfer.calibration import AnyCalibration
from headstart.transfer.heads import Head

Rows = NDArray[np.float32]


class Report(Protocol):
    """What `Model.report` holds after a fit."""

    def save(self, path: str | Path) -> Any:
        """Write the report as one HTML file."""


@dataclass(eq=False)
class _Prepared:
    """An input on its way through the network."""

    name: str
    inputs: NDArray[np.uint8] | None
    error: DecodeError | None


class Model:
    """Answers which class an item belongs to, which labels it has, or what number.

    `headstart.fit` makes one, `headstart.load` reads one. The network starts at the first question.

    Args:
        labels: The classes or labels in the order of the head's logits, tuple of str; for a number the one
            name of the answer, ("value",).
        modality: "image", "text" or "audio".
        front_end: How an item becomes the network's input.
        backbone: Card of the pretrained weights.
        network: The .xml of an IR with the outputs "grid" and "features".
        head: What turns features into logits.
        calibration: What turns logits into answers; its type says of which kind they are.
        precision: What the network runs in. Defaults to None: bf16 where the CPU computes in it.
        plan: How the model was made, a JSON object. Defaults to None (empty).
        metrics: How good it was found to be, a JSON object. Defaults to None (empty).
        data: What it was fitted on, a JSON object. Defaults to None (empty).
        golden: Inputs and answers to check copies against. Defaults to None: `record_golden` makes them.
        created: When it was fitted, ISO 8601. Defaults to None (now).

    Attributes:
        report: What `fit` found, with a method `save(path)`; None after loading.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str],
        modality: str,
        front_end: FrontEnd,
        backbone: Card,
        network: Path,
        head: Head,
        calibration: AnyCalibration,
        precision: Precision | None = None,
        plan: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        golden: Golden | None = None,
        created: str | None = None,
    ) -> None:
        self.labels = tuple(labels)
        self.modality = modality
        self.front_end = front_end
        self.backbone = backbone
        self.network = network
        self.head = head
        self.calibration = calibration
        self.precision = precision
        self.plan = plan or {}
        self.metrics = metrics or {}
        self.data = data or {}
        self.golden = golden
        self.created = created or datetime.now(UTC).isoformat(timespec="seconds")
        self.report: Report | None = None

    @property
    def target(self) -> Target:
        """What it answers: "label" (one class), "labels" (several or none) or "number"."""
        return self.calibration.target

    def predict(self, sources: Iterable[Source], *, abstain: bool = False) -> list[Prediction]:
        """Answer about some items; one that cannot be read does not stop the others.

        Args:
            sources: Paths, encoded bytes, or arrays uint8 [h, w, 3].
            abstain: Whether to withhold answers below the confidence at which they stop being reliable
                (their label is None). Defaults to False.

        Returns:
            One Prediction for each item, in order.

        Raises:
            OptionError: A single item instead of a list, or `abstain` where the answer is not one label.

        Example:
            >>> model.predict(["new.jpg"])[0].label  # doctest: +SKIP
            'cat'
        """
        return list(self.stream(sources, abstain=abstain))

    def stream(self, sources: Iterable[Source], *, abstain: bool = False) -> Iterator[Prediction]:
        """Answer about any number of items, one after the other, with memory that stays flat.

        Args:
            sources: As for `predict`; may be a generator.
            abstain: As for `predict`. Defaults to False.

        Yields:
            One Prediction for each item, in order.

        Raises:
            OptionError: A single item instead of many, or `abstain` where the answer is not one label.
        """
        if abstain and self.target != "label":
            fix = "leave abstain out: labels have thresholds, numbers have intervals"
            raise OptionError(
                "a model that answers with one label, to abstain", f"one for {self.target}", fix
            )
        for name, rows in self._features(sources):
            yield (
                self._failure(name, rows)
                if isinstance(rows, DecodeError)
                else predicted(name, self._answers(rows), self.labels, self.calibration, abstain)
            )

    def predict_proba(self, sources: Iterable[Source]) -> NDArray[np.float64]:
        """Return the probability of every class for every item.

        Args:
            sources: As for `predict`.

        Returns:
            float64 [n, classes], in the order of `labels`; rows sum to one, unless items have several labels.

        Raises:
            DecodeError: An item cannot be read.
            OptionError: A single item instead of a list, or the model answers with numbers.

        Example:
            >>> model.predict_proba(["new.jpg"]).shape  # doctest: +SKIP
            (1, 2)
        """
        if self.target == "number":
            raise OptionError(
                "a model that gives probabilities", "one for numbers", "use predict([…])[0].value"
            )
        answers = [self._answers(rows) for rows in self._whole(sources)]
        return np.stack(answers) if answers else np.zeros((0, len(self.labels)))

    def embed(self, sources: Iterable[Source]) -> NDArray[np.float32]:
        """Return the backbone's features of every item.

        Args:
            sources: As for `predict`.

        Returns:
            float32 [n, features].

        Raises:
            DecodeError: An item cannot be read.
            OptionError: A single item instead of a list.

        Example:
            >>> model.embed(["new.jpg"]).shape  # doctest: +SKIP
            (1, 1280)
        """
        rows = [rows.mean(0) for rows in self._whole(sources)]
        return np.stack(rows) if rows else np.zeros((0, self.backbone.features), np.float32)

    def record_golden(self, sources: Iterable[Source]) -> None:
        """Keep a few inputs and the answers to them; copies of the model must answer the same.

        Args:
            sources: At most four items, well chosen by `headstart.artefact.golden.choose`.

        Raises:
            DecodeError: An item cannot be read.
        """
        prepared = [self._prepare(pair) for pair in enumerate(sources, 1)]
        inputs = np.stack([_readable(item)[0] for item in prepared])
        answers = self.answer_inputs(inputs)
        self.golden = Golden(inputs, answers, self.target, tolerance(self.calibration, answers))

    def answer_inputs(self, inputs: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities (or numbers) for inputs that are already prepared.

        Args:
            inputs: uint8 [m, h, w, 3], as the network gets them.

        Returns:
            float64 [m, classes].
        """
        rows = [self.engine.one(value, ("features",))["features"] for value in inputs]
        return np.stack([self._answers(row[None]) for row in rows])

    def save(self, path: str | Path) -> Path:
        """Write the model as a folder, whole or not at all.

        Args:
            path: The folder. An older saved model there is replaced, anything else is refused.

        Returns:
            The folder.

        Raises:
            ArtefactError: Something that is no saved model is in the way, or what was written answers
                differently.
            StorageError: The disk is full or the place cannot be written; nothing is lost.

        Example:
            >>> model.save("cats.headstart")  # doctest: +SKIP
            PosixPath('cats.headstart')
        """
        from headstart.artefact.saving import save

        return save(self, path)

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return card_text.markdown(self)

    @cached_property
    def engine(self) -> OpenVinoEngine:
        """What runs the network; started at the first question."""
        return OpenVinoEngine(self.network, self.precision)

    def __repr__(self) -> str:
        noun, made = modality(self.modality).noun, f"{self.head.kind} head on {self.backbone.name}"
        what = {
            "label": f"{len(self.labels)} classes",
            "labels": f"{len(self.labels)} labels",
            "number": "a number",
        }
        return f"<Model for {noun}: {what[self.target]}, {made}>"

    def _repr_html_(self) -> str:
        return card_text.html(self)

    def _whole(self, sources: Iterable[Source]) -> Iterator[Rows]:
        """Yield the feature rows of every item, or raise for the first that cannot be read."""
        for name, rows in self._features(sources):
            if isinstance(rows, DecodeError):
                raise DecodeError(rows.expected, f"{name}: {rows.received}", rows.fix) from rows
            yield rows

    def _features(self, sources: Iterable[Source]) -> Iterator[tuple[str, Rows | DecodeError]]:
        """Yield every item's name with its feature rows, or with why it has none, in order.

        Items are read on threads, a few ahead of the network; those that cannot be read wait for the
        answers to the ones before them.
        """
        _check_many(sources)
        waiting: deque[_Prepared] = deque()

        def inputs() -> Iterator[tuple[bool, NDArray[np.uint8]]]:
            for item in Pipeline(lambda: enumerate(sources, 1)).map(self._prepare):
                waiting.append(item)
                if item.inputs is not None:
                    last = len(item.inputs) - 1
                    yield from ((number == last, row) for number, row in enumerate(item.inputs))

        rows: list[Rows] = []
        for last, outputs in self.engine.run(inputs(), ("features",)):
            while (error := waiting[0].error) is not None:
                yield waiting.popleft().name, error
            rows.append(outputs["features"])
            if last:
                yield waiting.popleft().name, np.stack(rows)
                rows = []
        for item in waiting:
            if item.error is not None:
                yield item.name, item.error

    def _prepare(self, numbered: tuple[int, Source]) -> _Prepared:
        number, source = numbered
        name = str(source) if isinstance(source, str | Path) else f"input {number}"
        try:
            _check_source(source)
            front = self.front_end
            inputs = modality(self.modality).inputs(source, front.preprocess, front.kernel)
            return _Prepared(name, inputs, None)
        except DecodeError as error:
            return _Prepared(name, None, error)

    def _answers(self, rows: Rows) -> NDArray[np.float64]:
        """Return the answers about one item: its rows' logits, averaged, then calibrated."""
        logits = self.head.logits(rows).mean(0, keepdims=True)
        answers: NDArray[np.float64] = self.calibration.answers(logits)[0]
        return answers

    @staticmethod
    def _failure(name: str, error: DecodeError) -> Prediction:
        return Prediction(name, error=str(error))


def _readable(item: _Prepared) -> NDArray[np.uint8]:
    if item.inputs is None:
        raise item.error or DecodeError("an item with inputs", "none", "leave it out")
    return item.inputs


def _check_source(source: object) -> None:
    if not isinstance(source, str | Path | bytes | np.ndarray):
        kind = type(source).__name__
        raise DecodeError("a path, encoded bytes or an array", kind, "convert it to one of them")


def _check_many(sources: Iterable[Source]) -> None:
    """Refuse a single item: iterating over a path or over an array's lines would give nonsense."""
    single = isinstance(sources, str | bytes | Path)
    if single or (isinstance(sources, np.ndarray) and sources.ndim != 4):
        what = f"an array {list(sources.shape)}" if isinstance(sources, np.ndarray) else repr(sources)[:60]
        raise OptionError("a list of items", f"a single one, {what}", "put it in brackets: predict([item])")
