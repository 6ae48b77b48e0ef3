"""What runs on a state folder: written by the server, read by commands that talk to it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.errors import StorageError
from headstart.files import write_json
from headstart.serving.settings import make_state

FILE, _LOCK = "serve.json", "serve.lock"


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Args:
        pid: Of Gunicorn's master process, int.
        address: Where it answers, str: http://127.0.0.1:8080 or unix:/run/headstart/socket.
        models: Each model's argument by its name, {name: path}, str.
    """

    pid: int
    address: str
    models: dict[str, str]


@contextmanager
def announced(state: Path, running: Running) -> Iterator[None]:
    """Write down what runs as long as it does; only one server may use a state folder.

    Args:
        state: The state folder.
        running: What to write.

    Raises:
        StorageError: Another server runs on it.
    """
    make_state(state)
    with (state / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fix = "stop that one, or name another folder: --state DIR"
            raise StorageError("a state folder of its own", f"{state}, where a server runs", fix) from error
        write_json(state / FILE, asdict(running))
        try:
            yield
        finally:
            if os.getpid() == running.pid:  # workers leave through here, too
                (state / FILE).unlink(missing_ok=True)


def what_runs(state: Path) -> Running | None:
    """Return the server that runs on a state folder; None where there is none.

    Args:
        state: The state folder.
    """
    try:
        with (state / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds the lock: what is written is left over
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        value: dict[str, Any] = json.loads((state / FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Running(**value)


def tell_to_reload(state: Path) -> Running | None:
    """Tell the server on a state folder to look for new versions; it goes on answering meanwhile.

    Args:
        state: The state folder.

    Returns:
        The server that was told; None where none runs.
    """
    running = what_runs(state)
    if running is not None:
        os.kill(running.pid, signal.SIGHUP)
    return running
