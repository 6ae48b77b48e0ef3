"""Checkpoints of a training run: whole or absent, checked when read; the two newest and the best are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart.backbones import tensors as tensor_files
from headstart.errors import BackboneError, OptionError, StorageError
from headstart.files import digest_file, digest_json, storage_errors, write_json
from headstart.training.plan import Plan

FOLDER = "checkpoints"
_KEPT = 2
_SCHEMA = 1
_DIGEST = re.compile("[0-9a-f]{64}")

Tensors = Mapping[str, Tensor]
BestTensors = Callable[[], Tensors]


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to: it continues nothing else.

    Args:
        plan: Digest of what the plan does (not of its evidence).
        backbone: Name of the backbone and digest of its pretrained weights.
        data: Digest of the data.
        labels: The labels in order.
    """

    plan: str
    backbone: str
    data: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan, weights: str, data: str, labels: tuple[str, ...]) -> Identity:
        """Build from a plan and the digests of the pretrained weights and of the data."""
        does = {k: v for k, v in plan.to_json().items() if k not in ("evidence", "minutes")}
        return cls(digest_json(does), f"{plan.backbone} {weights}".strip(), data, labels)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {"plan": self.plan, "backbone": self.backbone, "data": self.data, "labels": list(self.labels)}

    def check(self, found: Mapping[str, Any]) -> None:
        """Compare with what a checkpoint says.

        Raises:
            OptionError: It is of another backbone, of other data or labels, or of another plan.
        """
        anew = "remove the folder of the run and start anew without --resume"
        for what, fix in (
            ("backbone", f"fit with the backbone of the run, or {anew}"),
            ("labels", f"give the data that the run was started with, or {anew}"),
            ("data", f"give the data that the run was started with, or {anew}"),
            ("plan", f"use the plan.json of the run (--plan), or {anew}"),
        ):
            mine, theirs = self.to_json()[what], found.get(what)
            if mine != theirs:
                raise OptionError(
                    f"a checkpoint of the {what} {_short(mine)}", f"one of {_short(theirs)}", fix
                )


class Checkpoints:
    """The checkpoints in the folder of a run.

    A checkpoint is a file of tensors and, written after it, a JSON file with its digest: it exists when the
    latter does. Nothing is unpickled.

    Args:
        folder: Where they are.
        identity: What they belong to.

    Example:
        >>> import tempfile, torch
        >>> identity = Identity("plan", "toy", "data", ("a", "b"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(Path(folder), identity)
        ...     checkpoints.save({"w": torch.ones(1)}, {"epoch": 3}, "best-1", lambda: {"w": torch.zeros(1)})
        ...     tensors, notes, best = checkpoints.load()
        >>> tensors["w"], notes["epoch"], best["w"]
        (tensor([1.]), 3, tensor([0.]))
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.folder, self.identity = folder, identity
        self._number = max((int(path.stem) for path in self._found()), default=0)
        self._digests: dict[str, str] = {}

    def unfinished(self) -> bool:
        """Whether the folder holds a run that was cut off."""
        for path in self._found():
            notes = _read_json(path)
            if notes is not None:
                return notes["notes"].get("stopped") is None
        return False

    def begun(self) -> bool:
        """Whether the folder holds any run, cut off or not."""
        return bool(self._found())

    def clear(self) -> None:
        """Remove all checkpoints."""
        self._remove_all_but(set())

    def save(self, tensors: Tensors, notes: dict[str, Any], best: str | None, weights: BestTensors) -> None:
        """Write a checkpoint, then remove what is no longer wanted.

        Args:
            tensors: Name → tensor.
            notes: What is not a tensor, JSON-able.
            best: What the best weights so far are called, str; None where there are none.
            weights: Gives them, called only if they are not in the folder yet.

        Raises:
            StorageError: The disk is full or the folder cannot be written.
        """
        files = {}
        if best is not None:
            files["best"] = self._write(f"{best}.safetensors", weights)
        self._number += 1
        name = f"{self._number:08d}"
        files["tensors"] = self._write(f"{name}.safetensors", lambda: tensors)
        content = {"schema": _SCHEMA, "of": self.identity.to_json(), "notes": notes, "files": files}
        write_json(self.folder / f"{name}.json", {**content, "digest": digest_json(content)})
        self._rotate()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Tensor]]:
        """Read the newest checkpoint that is whole.

        Returns:
            Its tensors, its notes, and the best weights so far (empty where there were none).

        Raises:
            OptionError: There is none, or it belongs to something else.
            StorageError: There are some, and all are damaged.
        """
        found = self._found()
        if not found:
            fix = "start without --resume, or name what was cut off"
            raise OptionError("a run to resume", f"no checkpoint in {self.folder}", fix)
        for path in found:
            content = _read_json(path)
            if content is None:
                continue
            if content["schema"] != _SCHEMA:
                raise OptionError(
                    f"a checkpoint of schema {_SCHEMA}", f"one of {content['schema']}", "update headstart"
                )
            self.identity.check(content["of"])
            read = {kind: self._read(file) for kind, file in content["files"].items()}
            tensors, best = read["tensors"], read.get("best", {})
            if tensors is not None and best is not None:
                return tensors, content["notes"], best
        received = f"{len(found)} damaged ones in {self.folder}"
        fix = f"remove {self.folder.parent} and start without --resume"
        raise StorageError("a whole checkpoint", received, fix)

    def _found(self) -> list[Path]:
        """Return the JSON files, newest first."""
        return sorted(self.folder.glob("[0-9]" * 8 + ".json"), reverse=True)

    def _write(self, name: str, tensors: BestTensors) -> dict[str, str]:
        path = self.folder / name
        if name not in self._digests or not path.exists():
            tensor_files.write(path, tensors(), {})
            self._digests[name] = digest_file(path)
        return {"name": name, "digest": self._digests[name]}

    def _read(self, file: Mapping[str, str]) -> dict[str, Tensor] | None:
        path = self.folder / file["name"]
        try:
            if digest_file(path) != file["digest"]:
                return None
            tensors = tensor_files.read(path)
        except (OSError, BackboneError):
            return None
        self._digests[file["name"]] = file["digest"]
        return tensors

    def _rotate(self) -> None:
        wanted: set[str] = set()
        for path in self._found()[:_KEPT]:
            if (content := _read_json(path)) is not None:
                wanted |= {path.name, *(file["name"] for file in content["files"].values())}
        self._remove_all_but(wanted)

    def _remove_all_but(self, wanted: set[str]) -> None:
        with storage_errors(self.folder):
            # JSON files go first: without its own a file of tensors is no checkpoint. Hidden files are what
            # a kill left of a file that was being written.
            ours = [*self._found(), *self.folder.glob("*.safetensors"), *self.folder.glob(".*.tmp")]
            for path in ours:
                if path.name not in wanted:
                    path.unlink(missing_ok=True)
                    self._digests.pop(path.name, None)


def optimiser_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """Return what an optimiser remembers of each weight, tensors by "position.name"."""
    states = optimiser.state_dict()["state"]
    return {
        f"{position}.{name}": value
        for position, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimiser(optimiser: Optimizer, tensors: Tensors) -> None:
    """Give an optimiser of the same weights what `optimiser_state` returned."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split(".", 1)
        weight = parameters[int(position)]
        if value.shape == weight.shape:
            # Laid out in memory like its weight: the same kernels then run, and the same last bits come out.
            value = torch.empty_like(weight, requires_grad=False).copy_(value)
        states.setdefault(int(position), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": states})


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return what a checkpoint says; None where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.pop("digest", None) != digest_json(content):
        return None
    return content


def _short(value: object) -> str:
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return f"{value[:12]}…"
    text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
