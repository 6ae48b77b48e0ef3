"""The command line, called as a function, and one model that it fitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headstart.cli import run


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def headstart(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """A function that runs a command in this process."""

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def fitted(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the three patterns, fitted and saved by the command line."""
    model = tmp_path_factory.mktemp("models") / "patterns.headstart"
    assert run(["fit", str(pattern_pictures), "-o", str(model)]) == 0
    return model
