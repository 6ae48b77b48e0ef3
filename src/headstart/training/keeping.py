"""The folder of a run: plan.json, history.jsonl and checkpoints, written as the training goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headstart.errors import OptionError
from headstart.files import write_json
from headstart.progress import Say
from headstart.training.checkpoints import FOLDER, Checkpoints, Identity
from headstart.training.history import FILE, History, Tracker
from headstart.training.plan import Plan


class Keeper:
    """Keeps what a run needs to go on after it was cut off, and what people want to know of it.

    Args:
        run: The folder; None keeps the history in memory and nothing else.
        identity: What checkpoints belong to.
        plan: Written to plan.json.
        resume: Whether to go on from the newest checkpoint.
        every: Seconds between checkpoints at least, float; 0 saves after every step.
        say: Where it is told that the run goes on.

    Raises:
        OptionError: Nothing to resume, a checkpoint of something else, or, without `resume`, a folder whose
            run was cut off and would be lost.
        StorageError: The folder cannot be written, or all checkpoints are damaged.
    """

    def __init__(
        self, run: Path | None, identity: Identity, plan: Plan, *, resume: bool, every: float, say: Say
    ) -> None:
        self._checkpoints = None if run is None else Checkpoints(run / FOLDER, identity)
        self._every, self._saved = every, -math.inf  # the first step is kept at once
        self.seconds = 0.0
        """What the last checkpoint took."""
        self.restored: tuple[dict[str, Tensor], dict[str, Any], dict[str, Tensor]] | None = None
        """Tensors, state and best weights of the checkpoint that the run goes on from."""
        length = 0
        if self._checkpoints is None and resume:
            raise OptionError("a run to resume", "no folder of a run", "name it with --run")
        if self._checkpoints is not None and resume:
            tensors, notes, best = self._checkpoints.load()
            self.restored, length = (tensors, notes["state"], best), notes["history"]
            if notes["threads"] != torch.get_num_threads():
                say(f"The run had {notes['threads']} threads until now: the last bits may differ.")
        elif self._checkpoints is not None:
            if self._checkpoints.unfinished():
                fix = f"add --resume to go on with it, or remove {run} and start anew"
                raise OptionError("a folder for a new run", f"{run}, whose run was cut off", fix)
            self._checkpoints.clear()
        if run is not None:
            write_json(run / "plan.json", plan.to_json())
        self.history = History(None if run is None else run / FILE, length)
        self._tracker = Tracker(plan, plan.strategy if run is None else run.name, say)

    def due(self) -> bool:
        """Whether it is time for a checkpoint: saving takes a fiftieth of the time at most."""
        wait = max(self._every, 50 * self.seconds) if self._every > 0 else 0.0
        return time.monotonic() - self._saved >= wait

    def save(
        self,
        tensors: Mapping[str, Tensor],
        state: dict[str, Any],
        best: str | None,
        weights: dict[str, Tensor],
    ) -> None:
        """Write a checkpoint.

        Args:
            tensors: Name → tensor.
            state: What is not a tensor, JSON-able; "stopped" is None while the run goes on.
            best: Name of the best weights so far, str, another one for other weights; None for none.
            weights: Those.
        """
        if self._checkpoints is None:
            return
        started = time.monotonic()
        notes = {"state": state, "stopped": state["stopped"], "history": self.history.length}
        notes["threads"] = torch.get_num_threads()
        self._checkpoints.save(tensors, notes, best, lambda: weights)
        self._saved = time.monotonic()
        self.seconds = self._saved - started

    def step(self, line: Mapping[str, Any]) -> None:
        """Add a line about a step to the history."""
        self.history.add(line)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Add a line about an epoch to the history, and send it to MLflow."""
        self.history.add(line)
        self._tracker.add(line)

    def close(self, *, well: bool) -> None:
        """Close the files; say whether the run ended well."""
        self.history.close()
        self._tracker.close(well=well)
