"""What is kept of a painting on the way, so that it can go on after an interruption: one file."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from headstart.backbones import tensors as tensor_files
from headstart.errors import BackboneError, OptionError
from headstart.files import storage_errors
from headstart.studio.painter import Painter

_EVERY = 30.0
"""Seconds between two writes: what an interruption costs at most."""


@dataclass(frozen=True, eq=False)
class State:
    """Where a painting was.

    Args:
        stage: Which of its sizes it was at, int.
        made: Evaluations at that size, int.
        tensors, numbers: As `Painter.state` gives them.
    """

    stage: int
    made: int
    tensors: dict[str, Tensor]
    numbers: str


class Kept:
    """The state of one painting, in one hidden file beside it.

    Args:
        output: Where the painting will go.
        digest: Of everything that the painting depends on: a state with another is not gone on with.
        resume: Whether to go on with what is there. Defaults to False: it is written over.

    Raises:
        OptionError: There is nothing to resume, or it is of another painting.
        StorageError: What is there is damaged.
    """

    def __init__(self, output: Path, digest: str, *, resume: bool = False) -> None:
        self.path = output.with_name(f".{output.name}.state.safetensors")
        self.losses: list[tuple[int, float]] = []
        self._digest, self._written, self._resume = digest, time.monotonic(), resume
        if resume:
            self._check()

    def read(self) -> State | None:
        """Return where the painting was; None when it is to begin."""
        if not self._resume:
            return None
        notes = tensor_files.notes(self.path)
        return State(int(notes["stage"]), int(notes["made"]), tensor_files.read(self.path), notes["numbers"])

    def write(self, stage: int, made: int, painter: Painter) -> None:
        """Keep where a painter is, if the last time was half a minute ago."""
        if time.monotonic() - self._written < _EVERY:
            return
        tensors, numbers = painter.state()
        notes = {
            "digest": self._digest,
            "stage": str(stage),
            "made": str(made),
            "numbers": numbers,
            "losses": json.dumps(self.losses),
        }
        with storage_errors(self.path):
            tensor_files.write(self.path, tensors, notes)
        self._written = time.monotonic()

    def remove(self) -> None:
        """The painting is done: nothing has to be kept."""
        self.path.unlink(missing_ok=True)

    def _check(self) -> None:
        anew = "start anew, without --resume"
        if not self.path.exists():
            raise OptionError("a painting that was interrupted", f"no {self.path.name} beside it", anew)
        try:
            notes = tensor_files.notes(self.path)
        except BackboneError as error:
            raise OptionError("a whole state of a painting", f"a damaged {self.path.name}", anew) from error
        if notes.get("digest") != self._digest:
            fix = f"give the same pictures and options as before, or {anew}"
            raise OptionError("the state of this painting", "one of other pictures or options", fix)
        self.losses = [(step, loss) for step, loss in json.loads(notes["losses"])]
