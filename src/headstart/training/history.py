"""The history of a training run: JSON lines for steps and epochs, and MLflow where wanted."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from headstart.errors import StorageError
from headstart.files import storage_errors
from headstart.progress import Say
from headstart.training.plan import Plan

FILE = "history.jsonl"


class History:
    """Lines that are appended and at once handed to the operating system, so that a kill loses none.

    Args:
        path: The file; it is made. Defaults to None: lines are kept in memory only.
        length: Bytes of the file that stay; what follows was written after the checkpoint that a resumed
            run goes on from, and is written again. Defaults to 0: a new history.

    Raises:
        StorageError: The file cannot be written, or what it holds is damaged.

    Example:
        >>> history = History()
        >>> history.add({"epoch": 0, "val_loss": float("nan")})
        >>> history.lines
        [{'epoch': 0, 'val_loss': None}]
    """

    def __init__(self, path: Path | None = None, length: int = 0) -> None:
        self.lines: list[dict[str, Any]] = []
        """The lines of epochs; those of steps are in the file only."""
        self._path = path
        self._file: BinaryIO | None = None
        if path is None:
            return
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._file.seek(0)
            # Whole lines only: after a power cut the file may be shorter than the checkpoint remembers.
            kept = self._file.read(length)
            kept = kept[: kept.rfind(b"\n") + 1]
            self._file.truncate(len(kept))
            self._file.seek(0, os.SEEK_END)
        try:
            self.lines = [line for line in map(json.loads, kept.splitlines()) if "val_loss" in line]
        except ValueError as error:
            self._file.close()
            fix = "remove it: the run goes on without its first lines"
            raise StorageError("lines of JSON", f"{path}, which is damaged ({error})", fix) from error

    @property
    def length(self) -> int:
        """Bytes written so far."""
        return self._file.tell() if self._file is not None else 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line; what is not a finite number becomes null."""
        clean = _finite(line)
        if "val_loss" in line:
            self.lines.append(clean)
        if self._file is not None and self._path is not None:
            with storage_errors(self._path):
                self._file.write(json.dumps(clean, ensure_ascii=False, allow_nan=False).encode() + b"\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Tracker:
    """Sends the settings and the epochs of a run to MLflow; does nothing unless MLFLOW_TRACKING_URI is set.

    Args:
        plan: What is trained.
        name: Name of the run, str.
        say: Told when MLflow is wanted but not installed.
    """

    def __init__(self, plan: Plan, name: str, say: Say) -> None:
        self._run: Any = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            return
        if importlib.util.find_spec("mlflow") is None:
            say("MLFLOW_TRACKING_URI is set, but MLflow is not installed: pip install mlflow-skinny")
            return
        import mlflow

        self._mlflow, self._run = mlflow, mlflow.start_run(run_name=name)
        fields = {**plan.to_json(), **plan.to_json()["settings"]}
        mlflow.log_params(
            {key: value for key, value in fields.items() if isinstance(value, str | int | float)}
        )

    def add(self, line: Mapping[str, Any]) -> None:
        """Log the numbers of an epoch."""
        if self._run is not None:
            numbers = {key: float(value) for key, value in line.items() if isinstance(value, int | float)}
            self._mlflow.log_metrics(numbers, step=line["epoch"])

    def close(self, *, well: bool) -> None:
        """End the run in MLflow."""
        if self._run is not None:
            self._mlflow.end_run("FINISHED" if well else "FAILED")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return value
