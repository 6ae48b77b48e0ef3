"""The models that are served: found in folders, loaded once, exchanged while requests go on."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from werkzeug.exceptions import NotFound

from headstart.artefact import Model, load
from headstart.artefact.members import AnyEngine
from headstart.artefact.network import outputs
from headstart.artefact.prediction import Prediction, predicted
from headstart.artefact.schema import NAME as ARTEFACT
from headstart.artefact.streaming import Asked, Rows, prepare
from headstart.artefact.versions import SUFFIX as SUFFIX
from headstart.artefact.versions import Versions
from headstart.artefact.versions import find as find
from headstart.engines.precision import Outputs
from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.serving.batching import Batcher
from headstart.serving.logs import LOGGER
from headstart.serving.settings import Settings

_LOADED = 2
"""Versions of a model that stay loaded beside the default one."""
_ROWS = 32
"""Rows of one item that the network gets at once."""


@dataclass(frozen=True)
class Answer:
    """What the networks made of one item.

    Args:
        features: Rows of each network, float32 [rows, d] by the network's file.
        grid: The first row's grid of the first network, float32; None where it was not asked for.
    """

    features: dict[Path, Rows]
    grid: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """A prepared item.

    Args:
        item: What `prepare` made of it.
        grid: Whether the first network's grid is wanted. Defaults to False.
    """

    item: Asked
    grid: bool = False


@dataclass(eq=False)
class Served:
    """One version of a model, loaded, with the thread that asks its network.

    Args:
        name: The model's, str.
        version: Which one, str.
        model: The loaded model.
        path: The artefact's folder.
        settings: The installation's.
        seen: Told the size of every batch. Defaults to nobody.
    """

    name: str
    version: str
    model: Model
    path: Path
    settings: Settings
    seen: Callable[[int], None] = field(default=lambda _size: None)

    def __post_init__(self) -> None:
        self.stamp = _stamp(self.path)
        title = f"{self.name}-{self.version}"
        self.batcher: Batcher[Question, Answer] = Batcher(
            self._run, most=self.settings.batch, places=self.settings.queue, name=title, seen=self.seen
        )
        # Pixels of pictures that are being decoded at once are what memory must be kept for.
        self._decoding = threading.BoundedSemaphore(self.settings.streams + 1)

    @property
    def has_grid(self) -> bool:
        """Whether the first network says where it sees something."""
        return "grid" in outputs(self.model.target) and self.model.members[0].is_ir

    def prepare(self, item: bytes | str, number: int = 1) -> Asked:
        """Read one item in the calling thread; why it cannot be read is kept in it.

        Args:
            item: Encoded bytes; or a text, of a model for texts only.
            number: Its position in the request, from 1 on. Defaults to 1.

        Returns:
            The prepared item.
        """
        if isinstance(item, str) and self.model.modality != "text":
            raise OptionError("bytes", "a str, which would be a path on the server", "send the file itself")
        with self._decoding:
            try:
                self.check_length(item)
            except DecodeError as error:
                return Asked(f"input {number}", {}, error)
            return prepare((number, item), self.model.front_ends, self.model.modality)

    def check_length(self, item: bytes | str) -> None:
        """Refuse a sound that is too long before it is decoded: a small file can last for hours.

        Raises:
            DecodeError: It is too long, or no sound.
        """
        if self.model.modality != "audio" or not isinstance(item, bytes):
            return
        from headstart.audio.decode import Recording, read_bytes

        with Recording(read_bytes(item)) as recording:
            if not recording.seconds <= self.settings.seconds:
                expected = f"a sound of at most {self.settings.seconds:g} seconds"
                raise DecodeError(expected, f"one of {recording.seconds:.0f}", "cut it into parts")

    def ask(
        self,
        items: Sequence[Asked],
        deadline: float,
        *,
        grid: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> list[Answer]:
        """Ask the network about prepared items; see `Batcher.ask`.

        An item of many rows is several questions, so that nothing is computed long after its deadline.
        """
        parts = [_parts(item) for item in items]
        questions = [Question(part, grid) for its in parts for part in its]
        found = iter(self.batcher.ask(questions, deadline, wanted))
        return [_joined([next(found) for _ in its]) for its in parts]

    def predict(
        self,
        items: Sequence[bytes | str],
        deadline: float,
        *,
        abstain: bool = False,
        names: Sequence[str | None] = (),
        wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[list[Prediction], list[NDArray[np.float32] | None]]:
        """Answer about some items; one that cannot be read does not stop the others.

        Args:
            items: Encoded bytes; or texts, of a model for texts.
            deadline: Until when the answers are of use, in seconds of `time.monotonic`, float.
            abstain: Whether to withhold answers that are too uncertain. Defaults to False.
            names: What to call the items, None for "input 1" and so on. Defaults to none.
            wanted: Whether someone still waits for the answers. Defaults to always.

        Returns:
            predictions: One for each item, in order.
            features: The first network's, float32 [d], averaged over rows; None where there are none.

        Raises:
            Busy: There is too much to do. Late: It takes too long.
        """
        with self.batcher.places(len(items)):
            asked = [self.prepare(item, number) for number, item in enumerate(items, 1)]
            readable = [each for each in asked if each.error is None]
            answers = dict(zip(map(id, readable), self.ask(readable, deadline, wanted=wanted), strict=True))
        predictions: list[Prediction] = []
        features: list[NDArray[np.float32] | None] = []
        for number, each in enumerate(asked):
            name = (names[number] if names else None) or f"input {number + 1}"
            answer = answers.get(id(each))
            if answer is None:
                predictions.append(Prediction(name, error=str(each.error)))
                features.append(None)
            else:
                predictions.append(self.word(answer, name, abstain=abstain))
                features.append(self.embedding(answer))
        return predictions, features

    def answer(self, items: Sequence[bytes | str], deadline: float | None = None) -> list[Prediction]:
        """Answer about some items within the installation's deadline; see `predict`.

        Args:
            items: Encoded bytes; or texts, of a model for texts.
            deadline: In seconds of `time.monotonic`. Defaults to None: the installation's, from now on.
        """
        return self.predict(items, deadline or time.monotonic() + self.settings.deadline)[0]

    def word(self, answer: Answer, name: str, *, abstain: bool = False) -> Prediction:
        """Put what the networks said into words."""
        model = self.model
        values = model.answer_features(answer.features)
        return predicted(name, values, model.labels, model.calibration, abstain and model.target == "label")

    def embedding(self, answer: Answer) -> NDArray[np.float32]:
        """Return the first network's features of an item, float32 [d]."""
        mean: NDArray[np.float32] = answer.features[self.model.network].mean(0)
        return mean

    def _run(self, questions: Sequence[Question]) -> list[Answer]:
        """Show all rows of a batch to each network; called on the batcher's thread alone."""
        features: list[dict[Path, Rows]] = [{} for _ in questions]
        grids: list[NDArray[np.float32] | None] = [None for _ in questions]
        wants_grid = any(question.grid for question in questions)
        for member in {member.network: member for member in self.model.members}.values():
            wanted = (
                ("features", "grid") if wants_grid and member.network == self.model.network else ("features",)
            )
            rows = (
                (number, row)
                for number, question in enumerate(questions)
                for row in question.item.inputs[member.front_end]
            )
            found: list[list[NDArray[np.float32]]] = [[] for _ in questions]
            for number, out in self._outputs(self.model.engine_of(member), rows, wanted):
                found[number].append(out["features"])
                if "grid" in out and grids[number] is None:
                    grids[number] = out["grid"]
            for number, each in enumerate(found):
                features[number][member.network] = np.stack(each)
        return [Answer(rows, grid) for rows, grid in zip(features, grids, strict=True)]

    def _outputs(
        self, engine: AnyEngine, rows: Iterable[tuple[int, NDArray[Any]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[int, Outputs]]:
        if self.settings.streams > 1:
            yield from engine.run(rows, wanted)
            return
        for number, row in rows:  # of one stream a queue of requests is only a cost
            yield number, engine.one(row, wanted)


def _parts(item: Asked) -> list[Asked]:
    """Cut an item into ones of not too many rows, unless networks see different numbers of them."""
    counts = {len(rows) for rows in item.inputs.values()}
    if len(counts) != 1 or max(counts) <= _ROWS:
        return [item]
    starts = range(0, max(counts), _ROWS)
    return [
        Asked(item.name, {front: rows[start : start + _ROWS] for front, rows in item.inputs.items()})
        for start in starts
    ]


def _joined(answers: Sequence[Answer]) -> Answer:
    """Return the answer to an item from the answers to its parts."""
    first, *others = answers
    if not others:
        return first
    features = {path: np.concatenate([each.features[path] for each in answers]) for path in first.features}
    return Answer(features, first.grid)


class Registry:
    """All served models by name.

    Args:
        settings: The installation's; its models are loaded at once, with their golden vectors checked.
        seen: Told the name of a model and the size of a batch, for each batch. Defaults to nobody.

    Raises:
        ArtefactError: A model is missing, damaged, or answers differently than when it was saved.
        OptionError: Two models have one name, or there is none.

    Example:
        >>> Registry(Settings((Path("cats.headstart"),), Path("state")))["cats"].version  # doctest: +SKIP
        '1'
    """

    def __init__(
        self, settings: Settings, seen: Callable[[str, int], None] = lambda _name, _size: None
    ) -> None:
        if not settings.models:
            raise OptionError("at least one model to serve", "none", "headstart serve MODEL")
        self.settings = settings
        self._seen = seen
        self._loading = threading.Lock()
        self._versions: dict[str, Versions] = {}
        self._served: dict[tuple[str, str], Served] = {}
        self.reload()

    def __iter__(self) -> Iterator[Served]:
        """Yield the default version of each model."""
        return iter([self[name] for name in self.names])

    def __getitem__(self, name: str) -> Served:
        """Return the default version of a model; see `get`."""
        return self.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, in the order in which they were given."""
        return tuple(self._versions)

    def versions(self, name: str) -> Versions:
        """Return what is known of a model on disk.

        Raises:
            NotFound: There is no such model.
        """
        try:
            return self._versions[name]
        except KeyError as error:
            raise NotFound(f"there is no model {name!r}; there are: {', '.join(self.names)}") from error

    def get(self, name: str, version: str | None = None) -> Served:
        """Return a model that answers.

        Args:
            name: The model's, str.
            version: Which one. Defaults to None: the default one; another is loaded when it is first asked
                for.

        Raises:
            NotFound: There is no such model or version.
        """
        known = self.versions(name)
        wanted = version or known.default
        served = self._served.get((name, wanted))
        if served is not None:
            return served
        if wanted not in known.folders:
            raise NotFound(f"{name!r} has no version {wanted!r}; it has: {', '.join(known.folders)}")
        with self._loading:
            served = self._served.get((name, wanted)) or self._load(known, wanted)
            self._keep([served])
        return served

    def reload(self) -> list[str]:
        """Look for new versions and default versions; requests go on meanwhile.

        A version that cannot be used is told in the log, and the newest one that can answers in its place.

        Returns:
            What has changed, a line for each model.

        Raises:
            ArtefactError: Of a model there is no version that can be used; everything stays as it was.
            OptionError: Two models have one name.
        """
        with self._loading:
            found = find_all(self.settings.models)
            kept = {key: each for key, each in self._served.items() if _unchanged(each, found)}
            answering = [self._first_usable(each, kept) for each in found]
            fresh = [each for each in answering if each not in kept.values()]
            self._served = kept
            self._versions = {
                each.name: replace(each, default=served.version)
                for each, served in zip(found, answering, strict=True)
            }
            self._keep(fresh)
        return [f"{each.name}: version {each.version}" for each in fresh]

    def _first_usable(self, versions: Versions, kept: Mapping[tuple[str, str], Served]) -> Served:
        """Return the default version or, where it cannot be used, the newest that can."""
        others = [each for each in reversed(versions.folders) if each != versions.default]
        for version in (versions.default, *others):
            try:
                return kept.get((versions.name, version)) or self._load(versions, version)
            except ArtefactError as error:
                LOGGER.error("%s, version %s, cannot be used: %s", versions.name, version, error)
                reason = error
        raise reason

    def _load(self, versions: Versions, version: str) -> Served:
        path = versions.folders[version]
        model = load(path, threads=self.settings.streams)
        name = versions.name
        return Served(name, version, model, path, self.settings, lambda size: self._seen(name, size))

    def _keep(self, loaded: Sequence[Served]) -> None:
        """Serve these versions and what was loaded of the same models before, of others than the default few.

        What is let go of ends with the last request that holds it.
        """
        served = {(each.name, each.version): each for each in (*self._served.values(), *loaded)}
        kept: dict[tuple[str, str], Served] = {}
        for name, known in self._versions.items():
            its = [key for key in served if key[0] == name and key[1] in known.folders]
            others = [key for key in its if key[1] != known.default]
            kept |= {key: served[key] for key in its if key not in others[:-_LOADED]}
        self._served = kept
        gc.collect()  # a network and its thread hold each other


def find_all(paths: Sequence[Path]) -> list[Versions]:
    """Return what there is of some models.

    Args:
        paths: Saved models, or folders of versions; see `find`.

    Raises:
        ArtefactError: There is no model at one of the places.
        OptionError: Two models have one name.
    """
    found = [find(path) for path in paths]
    if len({each.name for each in found}) < len(found):
        names = ", ".join(each.name for each in found)
        raise OptionError("models of different names", names, "rename one of the folders")
    return found


def _unchanged(served: Served, found: Sequence[Versions]) -> bool:
    """Return whether a loaded version is still where it was."""
    there = any(
        each.name == served.name and each.folders.get(served.version) == served.path for each in found
    )
    return there and _stamp(served.path) == served.stamp


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a model is saved at the same place again."""
    status = (path / ARTEFACT).stat()
    return status.st_ino, status.st_mtime_ns
