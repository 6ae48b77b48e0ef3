"""Schema 1 of `artefact.json`: what a saved model says about itself, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from headstart.backbones.card import Card, Spec
from headstart.data.items import Target
from headstart.engines.precision import Precision
from headstart.errors import ArtefactError, BackboneError
from headstart.files import digest_json
from headstart.transfer.calibration import (
    Abstention,
    AnyCalibration,
    Calibration,
    Conformal,
    Interval,
    Thresholds,
)
from headstart.transfer.heads import Combine, Kind

SCHEMA = 1
NAME = "artefact.json"
BESIDE = {".xml": ".bin", ".json": ".safetensors"}
"""What lies beside a network's main file, by the endings of both."""


@dataclass(frozen=True)
class FrontEnd:
    """How an item becomes the network's input.

    Args:
        preprocess: Side, crop and interpolation of a picture, how a text becomes tokens, or a sound patches.
        kernel: What resizes when answering. Defaults to "pillow", which needs no torch.
    """

    preprocess: Spec
    kernel: Literal["pillow"] = "pillow"


@dataclass(frozen=True)
class HeadFile:
    """Where a head's tensors are.

    Args:
        kind: "linear", "mlp" or "centroid".
        file: Name of the safetensors file, str.
    """

    kind: Kind
    file: str


@dataclass(frozen=True)
class MemberFiles:
    """One network with its head.

    Args:
        front_end: How an item becomes its input.
        backbone: Card of the pretrained weights inside the network.
        network: Name of the IR, str; the weights are in the .bin beside it. Of what counts terms it is the
            .json with the terms; their weights are in the .safetensors beside it.
        head: What was fitted.
        pool: How the rows of an item become one answer. Defaults to "mean", of the logits.
        weights: Name of the safetensors file with the network's tensors, str, where training has changed
            them. Defaults to None: they are those that the card names.
        tokenizer: Name of the tokenizer.json, str, where the front end needs one. Defaults to None.
    """

    front_end: FrontEnd
    backbone: Card
    network: str
    head: HeadFile
    pool: Literal["mean"] = "mean"
    weights: str | None = None
    tokenizer: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the member's files, str."""
        beside = str(Path(self.network).with_suffix(BESIDE[Path(self.network).suffix]))
        optional = [name for name in (self.weights, self.tokenizer) if name is not None]
        return [self.network, beside, self.head.file, *optional]


@dataclass(frozen=True)
class Scaling:
    """What turns logits into probabilities and prediction sets.

    Args:
        temperature: Logits are divided by it, float.
        conformal: Prediction sets.
    """

    temperature: float
    conformal: Conformal


@dataclass(frozen=True)
class Runner:
    """What the answers were computed with.

    Args:
        engine: Always "openvino".
        precision: "bf16", "fp32" or "int8".
    """

    engine: Literal["openvino"]
    precision: Precision


@dataclass(frozen=True)
class GoldenFile:
    """Where the golden vectors are.

    Args:
        file: Name of the safetensors file, str.
        labels: The expected answers in words, tuple of str.
        tolerance: How far a probability or a number may be off, float.
    """

    file: str
    labels: tuple[str, ...]
    tolerance: float


@dataclass(frozen=True)
class Artefact:
    """The content of `artefact.json`.

    Args:
        created: When the model was fitted, ISO 8601 in UTC, str.
        modality: "image", "text" or "audio".
        labels: The classes or labels in the order of the logits, tuple of str; what a number is called.
        members: The networks, tuple of MemberFiles.
        calibration: Temperature and prediction sets; None unless items have one label.
        abstain: Below which confidence an answer is withheld; None unless items have one label.
        plan: How the model was made, a JSON object.
        metrics: How good it was found to be, a JSON object.
        data: What it was fitted on, a JSON object with the data's digest.
        versions: Software that made it, {name: version}.
        engine: What computed the golden answers.
        golden: Where the golden vectors are.
        files: SHA-256 of every other file of the artefact, {name: digest}.
        combine: How members are combined: "mean", of their probabilities (or numbers), or "sum", of their
            logits. Defaults to "mean".
        target: What it answers. Defaults to "label", as in artefacts from before there were others.
        thresholds: Temperature and thresholds where items have several labels. Defaults to None.
        interval: How far off a number may be. Defaults to None.
        reference: Name of the safetensors file with what traffic is compared with, str. Defaults to None, as
            in artefacts from before there was one.
    """

    created: str
    modality: str
    labels: tuple[str, ...]
    members: tuple[MemberFiles, ...]
    calibration: Scaling | None
    abstain: Abstention | None
    plan: dict[str, Any]
    metrics: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]
    engine: Runner
    golden: GoldenFile
    files: dict[str, str]
    combine: Combine = "mean"
    target: Target = "label"
    thresholds: Thresholds | None = None
    interval: Interval | None = None
    reference: str | None = None

    @property
    def scale(self) -> AnyCalibration:
        """The calibration as `transfer` knows it.

        Raises:
            ArtefactError: There is none for the target, or one for another.
        """
        found: list[AnyCalibration | None] = [self.thresholds, self.interval]
        if self.calibration and self.abstain:
            found.append(Calibration(self.calibration.temperature, self.calibration.conformal, self.abstain))
        given = [each for each in found if each is not None]
        if len(given) != 1 or given[0].target != self.target:
            what = ", ".join(each.target for each in given) or "nothing"
            raise _wrong(f"a calibration for the target {self.target}", f"one for {what}")
        return given[0]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, with the schema's number and the digest of everything else in it."""
        value = {"schema": SCHEMA, **_plain(asdict(self))}
        return {**value, "digest": digest_json(value)}

    @classmethod
    def from_json(cls, value: Any) -> Artefact:
        """Build from what `to_json` returned.

        Raises:
            ArtefactError: Another schema, a missing or unknown key, a wrong type, or a changed value.
        """
        if not isinstance(value, dict):
            raise _wrong(f"a JSON object in {NAME}", _describe(value))
        schema = value.get("schema")
        if schema != SCHEMA or isinstance(schema, bool):
            fix = "load it with the version of headstart that wrote it, or save the model again with this one"
            raise ArtefactError(f"an artefact of schema {SCHEMA}", f"schema {schema!r}", fix)
        content = {key: part for key, part in value.items() if key not in ("schema", "digest")}
        artefact: Artefact = _typed(cls, content, NAME)
        if value.get("digest") != digest_json({"schema": SCHEMA, **content}):
            raise _wrong(f"the {NAME} that was saved", "one that was changed afterwards (its digest differs)")
        _check_names(artefact)
        return artefact


def write(artefact: Artefact, folder: Path) -> None:
    """Write `artefact.json` into a folder; labels that are no valid Unicode survive as escapes."""
    text = json.dumps(artefact.to_json(), indent=2, allow_nan=False) + "\n"
    (folder / NAME).write_text(text, encoding="ascii", newline="\n")


def read(folder: Path) -> Artefact:
    """Read `artefact.json` from a folder.

    Raises:
        ArtefactError: It is missing, damaged, or of an unknown schema.
    """
    try:
        return Artefact.from_json(json.loads((folder / NAME).read_bytes()))
    except FileNotFoundError as error:
        raise ArtefactError(
            f"a saved model with its {NAME}", f"no such file in {folder}", "name the folder that save wrote"
        ) from error
    except OSError as error:
        raise ArtefactError(
            f"a readable {NAME} in {folder}", error.strerror or str(error), "check its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise _wrong(f"whole JSON in {NAME}", f"a damaged or truncated file ({error})") from error


def _check_names(artefact: Artefact) -> None:
    """Names of files stay inside the folder, and each has a digest."""
    if not artefact.members:
        raise _wrong("at least one member", "none")
    wanted = [artefact.golden.file, *([artefact.reference] if artefact.reference is not None else [])]
    for member in artefact.members:
        if Path(member.network).suffix not in BESIDE:
            raise _wrong(f"a network in a file {' or '.join(BESIDE)}", repr(member.network))
        wanted += member.names
    for name in (*wanted, *artefact.files):
        if name != Path(name).name or "\\" in name or name in ("", ".", ".."):
            raise _wrong("names of files in the artefact's own folder", repr(name))
    for name in wanted:
        if name not in artefact.files:
            raise _wrong(f"a digest for {name!r} under 'files'", "none")
    least = 2 if artefact.target == "label" else 1
    if len(artefact.labels) < least or len(set(artefact.labels)) < len(artefact.labels):
        raise _wrong(
            f"at least {'two labels' if least == 2 else 'one label'}, all different", repr(artefact.labels)
        )
    if isinstance(artefact.scale, Thresholds) and len(artefact.scale.thresholds) != len(artefact.labels):
        raise _wrong("a threshold for each label", f"{len(artefact.scale.thresholds)} of them")


def _typed(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed JSON into what a type annotation says, or say where it does not fit."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _object(kind, value, where)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in inner):
            raise _wrong(f"{where} to be one of {', '.join(map(repr, inner))}", _describe(value))
        return value
    if origin in (Union, UnionType):
        return _either(inner, value, where)
    if origin is tuple:
        if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            raise _wrong(f"a list at {where}", _describe(value))
        return tuple(_typed(inner[0], part, f"{where}[{number}]") for number, part in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(f"an object at {where}", _describe(value))
        return {key: _typed(inner[1], part, f"{where}.{key}") for key, part in value.items()}
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is not kind or kind is float:
        raise _wrong(f"a {kind.__name__} at {where}", _describe(value))
    return value


def _either(kinds: Sequence[Any], value: Any, where: str) -> Any:
    """Read a value that may be None, or an object of one of several classes: the one with these keys."""
    if value is None and type(None) in kinds:
        return None
    keys = set(value) if isinstance(value, dict) else set()
    objects = [kind for kind in kinds if is_dataclass(kind)]
    fitting = [kind for kind in objects if _needed(kind) <= keys <= {each.name for each in fields(kind)}]
    return _typed((fitting or list(kinds))[0], value, where)


def _needed(kind: Any) -> set[str]:
    """Return the keys without a default: artefacts from before a field was there stay readable."""
    return {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}


def _object(kind: Any, value: Any, where: str) -> Any:
    names = {field.name for field in fields(kind)}
    if not isinstance(value, dict):
        raise _wrong(f"an object at {where}", _describe(value))
    if missing := _needed(kind) - value.keys():
        raise _wrong(f"the key {min(missing)!r} in {where}", f"only {', '.join(sorted(value)) or 'none'}")
    if unknown := value.keys() - names:
        raise _wrong(f"only the keys {', '.join(sorted(names))} in {where}", f"also {min(unknown)!r}")
    hints = get_type_hints(kind)
    parts = {name: _typed(hints[name], part, f"{where}.{name}") for name, part in value.items()}
    try:
        return kind(**parts)
    except BackboneError as error:
        raise _wrong(f"{error.expected} at {where}", error.received) from error


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers as Python's, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _wrong(expected: str, received: str) -> ArtefactError:
    return ArtefactError(expected, received, "save the model again, or get an undamaged copy")


def _describe(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]
