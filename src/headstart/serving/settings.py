"""What an installation serves, and within which limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headstart.engines.openvino_engine import available_cores
from headstart.files import storage_errors

MIB = 1 << 20
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that makes prometheus_client count across processes; read when it is imported."""


def default_state() -> Path:
    """Return the folder in which an installation keeps its keys, people and feedback.

    `HEADSTART_STATE` wins; then `XDG_STATE_HOME`/headstart; then ~/.local/state/headstart.

    Example:
        >>> default_state().is_absolute()
        True
    """
    if explicit := os.environ.get("HEADSTART_STATE"):
        return Path(explicit).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "headstart"


@dataclass(frozen=True)
class Settings:
    """What is served, where its state is kept, and what one request may cost.

    Args:
        models: Saved models, or folders of their versions, tuple of Path; see `models.find`.
        state: The state folder, Path.
        workers: Worker processes, int. Defaults to None: one for each core, at most 8.
        threads: Requests that a worker handles at once, int. Defaults to 48; more than `queue`, so that there
            always is one left to say "come back later".
        queue: Items of one model that wait or are answered in a worker at once, int. Defaults to 32.
        batch: Items that the network gets together, int. Defaults to 16.
        body: Bytes of a request's body, int. Defaults to 32 MiB.
        items: Items in one request, int. Defaults to 32.
        pixels: Width times height of a picture, int. Defaults to 32 million.
        seconds: How long a sound may be, float. Defaults to 300.
        deadline: Seconds within which an answer must be there, float. Defaults to 10.
        keep_share: Share of the traffic that is kept for feedback and monitoring, 0 to 1. Defaults to 0.
        keep_days: Days after which kept traffic is deleted, float. Defaults to 30.

    Example:
        >>> Settings((Path("cats.headstart"),), Path("state")).items
        32
    """

    models: tuple[Path, ...]
    state: Path
    workers: int | None = None
    threads: int = 48
    queue: int = 32
    batch: int = 16
    body: int = 32 * MIB
    items: int = 32
    pixels: int = 32_000_000
    seconds: float = 300.0
    deadline: float = 10.0
    keep_share: float = 0.0
    keep_days: float = 30.0

    @property
    def processes(self) -> int:
        """How many worker processes there are."""
        return self.workers or min(available_cores(), 8)

    @property
    def streams(self) -> int:
        """How many inputs the network of one worker computes at once."""
        return max(1, -(-available_cores() // self.processes))


def make_state(folder: Path) -> Path:
    """Make the state folder where there is none, readable by its owner alone.

    Args:
        folder: The state folder.

    Returns:
        The folder.

    Raises:
        StorageError: It cannot be made.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def make_private(path: Path) -> None:
    """Let the state folder's owner, and nobody else, read a file in it: also where root has written it.

    Args:
        path: The file.

    Raises:
        StorageError: It is somebody else's.
    """
    owner, file = path.parent.stat(), path.stat()
    with storage_errors(path):
        path.chmod(0o600)
        if file.st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
