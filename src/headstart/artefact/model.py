"""The model that answers: a network, a head and a calibration, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.artefact import card_text
from headstart.artefact.golden import Golden, stacked, tolerance
from headstart.artefact.members import AnyEngine, Member, combined, start_engine
from headstart.artefact.prediction import Prediction, predicted
from headstart.artefact.schema import FrontEnd
from headstart.artefact.streaming import Asked, Rows, ask, prepare
from headstart.backbones.card import Card
from headstart.data.items import Source, Target
from headstart.engines.precision import Precision
from headstart.errors import DecodeError, OptionError
from headstart.evaluation.drift import Reference
from headstart.modalities import modality
from headstart.transfer.calibration import AnyCalibration
from headstart.transfer.heads import Combine, Head
from headstart.transfer.unlabelled.novelty import Novelty

_GOLDEN_ROWS = 16
"""Rows of an item among which the one is chosen that becomes a golden vector."""

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.explain.base import Explanation


class Report(Protocol):
    """What `Model.report` holds after a fit."""

    def save(self, path: str | Path) -> Any:
        """Write the report as one HTML file."""


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
        weights: The network's tensors, a safetensors file, where training has changed them. Defaults to None.
        others: Further members. Defaults to none.
        combine: How members answer together: "mean", of their probabilities, or "sum", of their logits.
            Defaults to "mean".
        tokenizer: The first member's tokenizer.json. Defaults to None: it needs none.
        calibration: What turns logits into answers; its type says of which kind they are.
        precision: What the network runs in. Defaults to None: bf16 where the CPU computes in it.
        plan: How the model was made, a JSON object. Defaults to None (empty).
        metrics: How good it was found to be, a JSON object. Defaults to None (empty).
        data: What it was fitted on, a JSON object. Defaults to None (empty).
        golden: Inputs and answers to check copies against. Defaults to None: `record_golden` makes them.
        created: When it was fitted, ISO 8601. Defaults to None (now).
        threads: How many inputs are computed at once, int. Defaults to None: as many as there are cores.

    Attributes:
        members: All networks with their heads, tuple of Member; `front_end`, `backbone`, `network` and `head`
            are those of the first.
        reference: What traffic is compared with, see `evaluation.drift`; None where nothing was kept.
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
        weights: Path | None = None,
        others: Sequence[Member] = (),
        combine: Combine = "mean",
        tokenizer: Path | None = None,
        precision: Precision | None = None,
        plan: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        golden: Golden | None = None,
        created: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.labels = tuple(labels)
        self.modality = modality
        self.members = (Member(front_end, backbone, network, head, weights, tokenizer), *others)
        self.combine: Combine = combine
        self.calibration = calibration
        self.precision = precision
        self.plan = plan or {}
        self.metrics = metrics or {}
        self.data = data or {}
        self.golden = golden
        self.created = created or datetime.now(UTC).isoformat(timespec="seconds")
        self.threads = threads
        self.reference: Reference | None = None
        self.report: Report | None = None
        self._engines: dict[Path, AnyEngine] = {}

    @property
    def front_end(self) -> FrontEnd:
        """How an item becomes the first member's input."""
        return self.members[0].front_end

    @property
    def backbone(self) -> Card:
        """The card of the first member's network."""
        return self.members[0].backbone

    @property
    def network(self) -> Path:
        """The .xml of the first member's network."""
        return self.members[0].network

    @property
    def head(self) -> Head:
        """The first member's head."""
        return self.members[0].head

    @property
    def front_ends(self) -> tuple[FrontEnd, ...]:
        """The members' front ends, each once, in order."""
        return tuple(dict.fromkeys(member.front_end for member in self.members))

    @property
    def target(self) -> Target:
        """What it answers: "label" (one class), "labels" (several or none) or "number"."""
        return self.calibration.target

    def predict(
        self, sources: Iterable[Source], *, abstain: bool = False, tta: bool = False, novelty: bool = False
    ) -> list[Prediction]:
        """Answer about some items; one that cannot be read does not stop the others.

        Args:
            sources: Paths, encoded bytes, or arrays uint8 [h, w, 3]; of a model for texts, also the texts.
            abstain: Whether to withhold answers below the confidence at which they stop being reliable
                (their label is None). Defaults to False.
            tta: Whether to average the answers to each picture and its mirror image (test-time augmentation):
                twice the time, often a little better. Defaults to False.
            novelty: Whether to say how new each item is (its `share_as_far`): the share of the items that
                the model was made with that are as far from the others. Defaults to False.

        Returns:
            One Prediction for each item, in order.

        Raises:
            OptionError: A single item instead of a list, `abstain` where the answer is not one label, or
                `novelty` where the model keeps nothing of what it learned from.

        Example:
            >>> model.predict(["new.jpg"])[0].label  # doctest: +SKIP
            'cat'
        """
        return list(self.stream(sources, abstain=abstain, tta=tta, novelty=novelty))

    def stream(
        self, sources: Iterable[Source], *, abstain: bool = False, tta: bool = False, novelty: bool = False
    ) -> Iterator[Prediction]:
        """Answer about any number of items, one after the other, with memory that stays flat.

        Args:
            sources: As for `predict`; may be a generator.
            abstain: As for `predict`. Defaults to False.
            tta: As for `predict`. Defaults to False.
            novelty: As for `predict`. Defaults to False.

        Yields:
            One Prediction for each item, in order.

        Raises:
            OptionError: As for `predict`.
        """
        if abstain and self.target != "label":
            fix = "leave abstain out: labels have thresholds, numbers have intervals"
            raise OptionError(
                "a model that answers with one label, to abstain", f"one for {self.target}", fix
            )
        known = self._known() if novelty else None
        for item in ask(sources, self.members, self.modality, self.engine_of, tta=tta):
            if item.error is not None:
                yield Prediction(item.name, error=str(item.error))
                continue
            answers = self.answer_features(item.features)
            found = predicted(item.name, answers, self.labels, self.calibration, abstain)
            if known is not None:
                (share,) = known.share_as_far(item.features[self.network].mean(0)[None])
                found = replace(found, share_as_far=float(share))
            yield found

    def _known(self) -> Novelty:
        """Return what the items that the model was made with look like."""
        if self.reference is None or not self.reference.embeddings.shape[1]:
            fix = "fit it again on pretrained features of 20 labelled items or more, or leave novelty out"
            raise OptionError("a model that keeps what it learned from", "one that keeps nothing", fix)
        return Novelty.of(self.reference.embeddings.astype(np.float32))

    def predict_proba(self, sources: Iterable[Source], *, tta: bool = False) -> NDArray[np.float64]:
        """Return the probability of every class for every item.

        Args:
            sources: As for `predict`.
            tta: As for `predict`. Defaults to False.

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
        answers = [self.answer_features(item.features) for item in self._whole(sources, self.members, tta)]
        return np.stack(answers) if answers else np.zeros((0, len(self.labels)))

    def embed(self, sources: Iterable[Source]) -> NDArray[np.float32]:
        """Return the backbone's features of every item; of several members the first one's.

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
        first = self.members[:1]
        rows = [item.features[self.network].mean(0) for item in self._whole(sources, first)]
        return np.stack(rows) if rows else np.zeros((0, self.backbone.features), np.float32)

    def explain(
        self, source: Source, *, method: str = "auto", label: str | None = None, offline: bool = False
    ) -> Explanation:
        """Explain the answer to one item: by places of a picture, words of a text, moments of a sound.

        Args:
            source: A path, encoded bytes, or an array; of a model for texts also the text itself.
            method: "auto": the one that is most faithful for this model; or one of those that
                `headstart explain --help` names. Defaults to "auto".
            label: Which answer to explain. Defaults to None: the most probable one.
            offline: Whether to stay off the network. Defaults to False.

        Returns:
            A PictureExplanation, TextExplanation or SoundExplanation of `headstart.explain`.

        Raises:
            DecodeError: The item cannot be read.
            OptionError: There is no such method or label.
            ArtefactError, BackboneError, MissingExtraError: The method needs the network in torch, which
                cannot be had.

        Example:
            >>> model.explain("cat.jpg").save("why.png")  # doctest: +SKIP
        """
        from headstart.explain.explaining import explain

        return explain(self, source, method=method, label=label, offline=offline)

    def record_golden(self, sources: Iterable[Source]) -> None:
        """Keep a few inputs and the answers to them; copies of the model must answer the same.

        Args:
            sources: At most four items, well chosen by `headstart.artefact.golden.choose`.

        Raises:
            DecodeError: An item cannot be read.
        """
        items = [prepare(pair, self.front_ends, self.modality) for pair in enumerate(sources, 1)]
        rows = [[_readable(item)[front] for item in items] for front in self.front_ends]
        if len(rows) == 1:
            rows = [[[self._surest(each[:_GOLDEN_ROWS])] for each in rows[0]]]
        inputs = [stacked([each[0] for each in of_front]) for of_front in rows]
        answers = self.answer_inputs(*inputs)
        allowed = tolerance(self.calibration, answers)
        self.golden = Golden(inputs[0], answers, self.target, allowed, tuple(inputs[1:]))

    def _surest(self, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the row that is answered most surely: of a silence rounding changes the answer."""
        if len(rows) == 1 or self.target == "number":
            return rows[0]
        return rows[int(self.answer_inputs(stacked(rows)).max(1).argmax())]

    def answer_inputs(self, *inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities (or numbers) for inputs that are already prepared.

        Args:
            inputs: As the networks get them, uint8 [m, h, w, 3], one array for each of `front_ends`.

        Returns:
            float64 [m, classes].
        """
        seen = dict(zip(self.front_ends, inputs, strict=True))
        features = {
            member.network: np.stack(
                [self.engine_of(member).one(x, ("features",))["features"] for x in seen[member.front_end]]
            )
            for member in self.members
        }
        return self.answer_rows(features)

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

    @property
    def engine(self) -> AnyEngine:
        """What runs the first member's network."""
        return self.engine_of(self.members[0])

    def engine_of(self, member: Member) -> AnyEngine:
        """Return what runs a member's network; it starts at the first question."""
        if member.network not in self._engines:
            self._engines[member.network] = start_engine(member, self.precision, self.threads)
        return self._engines[member.network]

    def torch_network(self, member: int = 0, *, offline: bool = False) -> Backbone:
        """Return a member's network in torch, to train it further; see `rebuilding.torch_network`.

        Args:
            member: Which one, int. Defaults to 0, the first.
            offline: Whether to stay off the network. Defaults to False.

        Returns:
            The Backbone.
        """
        from headstart.artefact.rebuilding import torch_network

        return torch_network(self.members[member], offline=offline)

    def __repr__(self) -> str:
        made = " and ".join(f"{member.head.kind} head on {member.backbone.name}" for member in self.members)
        noun = modality(self.modality).noun
        what = {
            "label": f"{len(self.labels)} classes",
            "labels": f"{len(self.labels)} labels",
            "number": "a number",
        }
        return f"<Model for {noun}: {what[self.target]}, {made}>"

    def _repr_html_(self) -> str:
        return card_text.html(self)

    def _whole(
        self, sources: Iterable[Source], members: Sequence[Member], tta: bool = False
    ) -> Iterator[Asked]:
        """Yield every item with its features, or raise for the first that cannot be read."""
        for item in ask(sources, members, self.modality, self.engine_of, tta=tta):
            _readable(item)
            yield item

    def answer_features(self, features: Mapping[Path, Rows]) -> NDArray[np.float64]:
        """Return the answers about one item: its rows' logits, averaged, combined, then calibrated.

        Args:
            features: What each member's network made of the item, float32 [rows, d] by the network's file.

        Returns:
            float64 [columns]: probabilities, or the number.
        """
        logits = [
            member.head.logits(features[member.network]).mean(0, keepdims=True) for member in self.members
        ]
        answers: NDArray[np.float64] = self.calibration.answers(combined(logits, self.target, self.combine))[
            0
        ]
        return answers

    def answer_rows(self, features: Mapping[Path, Rows]) -> NDArray[np.float64]:
        """Return the answers about each row for itself.

        Args:
            features: What each member's network made of the rows, float32 [rows, d] by the network's file.

        Returns:
            float64 [rows, columns]: probabilities, or numbers.
        """
        logits = [member.head.logits(features[member.network]) for member in self.members]
        return self.calibration.answers(combined(logits, self.target, self.combine))


def _readable(item: Asked) -> dict[FrontEnd, Sequence[NDArray[Any]]]:
    if item.error is not None:
        error = item.error
        raise DecodeError(error.expected, f"{item.name}: {error.received}", error.fix) from error
    return item.inputs
