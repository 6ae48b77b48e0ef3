"""The studio's queue: jobs that people hand in and a worker does, in one SQLite file that processes share."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headstart.errors import OptionError, StorageError
from headstart.files import storage_errors
from headstart.studio.commands import Command

Status = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
MOST_WAITING = 100
_SILENT = 30.0
"""Seconds without a sign of life after which a worker is taken for dead."""
_TRIES = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, command TEXT NOT NULL, inputs TEXT NOT NULL, options TEXT NOT NULL,
    person TEXT NOT NULL, status TEXT NOT NULL, share REAL NOT NULL DEFAULT 0, step TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL,
    started REAL, alive REAL, ended REAL);
CREATE INDEX IF NOT EXISTS job_status ON job (status, created);
"""
_SHOWN = "id, command, inputs, options, person, status, share, step, error, created, started, ended"


@dataclass(frozen=True)
class Job:
    """One thing that was asked of the studio.

    Args:
        id: Its name, str of 16 hexadecimal digits.
        command: The command's name, str.
        inputs: Paths by input's name, str; files are below the job's own folder.
        options: Values by option's name.
        person: Who asked, str.
        status: "queued", "running", "done", "failed" or "cancelled".
        share: How much is done, float from 0 to 1.
        step: What is done now, str.
        error: Why it failed, str, or "".
        created, started, ended: Seconds since 1970, float; None before it came to that.
        folder: Where its files and results are.
    """

    id: str
    command: str
    inputs: dict[str, list[str]]
    options: dict[str, Any]
    person: str
    status: Status
    share: float
    step: str
    error: str
    created: float
    started: float | None
    ended: float | None
    folder: Path

    @property
    def out(self) -> Path:
        """The folder of its results."""
        return self.folder / "out"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    def results(self) -> list[Path]:
        """Return the files that it made, pages first, then pictures, without hidden ones."""
        order = {".html": 0, ".png": 1, ".jpg": 1, ".gif": 1, ".mp4": 1}
        files = [file for file in self.out.glob("*") if file.is_file() and not file.name.startswith(".")]
        return sorted(files, key=lambda file: (order.get(file.suffix, 2), file.name))


class JobStore:
    """The queue and its folder; any number of processes may open the same one.

    Args:
        state: The state folder of a served installation, a Path; made where it is missing, for its owner
            alone.

    Raises:
        StorageError: It cannot be written.

    Example:
        >>> import tempfile
        >>> from headstart.studio.commands import Command
        >>> store = JobStore(Path(tempfile.mkdtemp()))
        >>> job = store.submit(Command("nap", "Nap", "Rests.", (), (), lambda *_: None), {}, {}, {}, "ada")
        >>> store.claim().id == job.id, store.claim()
        (True, None)
        >>> store.finish(job.id)
        >>> store.get(job.id).status
        'done'
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / "jobs"
        self._path = state / "jobs.sqlite"
        with storage_errors(state):
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.mkdir(exist_ok=True, mode=0o700)
        with self._open() as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def submit(
        self,
        command: Command,
        models: Mapping[str, Path],
        files: Mapping[str, Sequence[tuple[str, bytes]]],
        options: Mapping[str, Any],
        person: str,
    ) -> Job:
        """Put a job at the end of the queue.

        Args:
            command: What is to be done.
            models: Folder of the model by input's name.
            files: (name, content) of each file by input's name.
            options: Values by option's name, as `Command.read` gives them.
            person: Who asks, str.

        Returns:
            The Job.

        Raises:
            OptionError: An input is missing or has too many files, or too many jobs wait already.
            StorageError: The disk is full.
        """
        with self._open() as connection:
            (waiting,) = connection.execute("SELECT count(*) FROM job WHERE status = 'queued'").fetchone()
        if waiting >= MOST_WAITING:
            raise OptionError(f"fewer than {MOST_WAITING} jobs waiting", f"{waiting}", "wait, or cancel some")
        _check(command, models, files)
        name = secrets.token_hex(8)
        folder = self.folder / name
        inputs = {key: [str(path.resolve())] for key, path in models.items()}
        with storage_errors(folder):
            (folder / "out").mkdir(parents=True)
            for key, sent in files.items():
                inputs[key] = [_keep(folder / "in" / key / str(n), *file) for n, file in enumerate(sent)]
        row = (
            name,
            command.name,
            json.dumps(inputs),
            json.dumps(dict(options)),
            person,
            "queued",
            time.time(),
        )
        with self._open() as connection:
            connection.execute(
                "INSERT INTO job (id, command, inputs, options, person, status, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        return self.get(name)

    def get(self, name: str) -> Job:
        """Return a job by its id; raise `OptionError` where there is none."""
        with self._open() as connection:
            row = connection.execute(f"SELECT {_SHOWN} FROM job WHERE id = ?", (name,)).fetchone()
        if row is None:
            raise OptionError("the id of a job", repr(name[:40]), "look at the list of jobs")
        return self._job(row)

    def jobs(self, limit: int = 50) -> list[Job]:
        """Return the newest jobs, those that have not ended first."""
        order = "status IN ('done', 'failed', 'cancelled'), created DESC"
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {_SHOWN} FROM job ORDER BY {order} LIMIT ?", (limit,)
            ).fetchall()
        return [self._job(row) for row in rows]

    def claim(self) -> Job | None:
        """Take the job that has waited longest, or None; no two workers get the same.

        Jobs of a worker that gave no sign of life for 30 s go back to the queue, once.
        """
        now = time.time()
        dead = "status = 'running' AND alive < ?"
        with self._open(write=True) as connection:
            connection.execute(
                f"UPDATE job SET status = 'failed', ended = ?, error = 'its worker died twice' "
                f"WHERE {dead} AND tries >= ?",
                (now, now - _SILENT, _TRIES),
            )
            connection.execute(
                f"UPDATE job SET status = 'queued', share = 0, step = '' WHERE {dead}", (now - _SILENT,)
            )
            row = connection.execute(
                f"UPDATE job SET status = 'running', tries = tries + 1, started = ?1, alive = ?1 WHERE id = "
                f"(SELECT id FROM job WHERE status = 'queued' ORDER BY created, id LIMIT 1) "
                f"RETURNING {_SHOWN}",
                (now,),
            ).fetchone()
        return None if row is None else self._job(row)

    def progress(self, name: str, share: float, step: str) -> None:
        """Note how far a running job is; for any other it does nothing."""
        self._change(name, ("running",), share=min(max(share, 0.0), 1.0), step=step[:200])

    def beat(self, name: str) -> bool:
        """Note that a job's worker lives; return whether the job is still wanted."""
        return self._change(name, ("running",), alive=time.time())

    def finish(self, name: str, error: str = "") -> None:
        """End a running job, as failed where there is an error; what was sent for it is deleted."""
        status = "failed" if error else "done"
        values = {"status": status, "error": error[:2000], "step": "", "ended": time.time()}
        if self._change(name, ("running",), **values, **({} if error else {"share": 1.0})):
            self._forget_inputs(name)

    def release(self, name: str) -> None:
        """Put a running job back into the queue, as if it had not been begun: its worker has to stop."""
        self._change(name, ("running",), status="queued", share=0.0, step="", tries=0)

    def cancel(self, name: str) -> bool:
        """End a job that is queued or running, and delete what was sent for it; return whether it was."""
        ended = self._change(name, ("queued", "running"), status="cancelled", step="", ended=time.time())
        if ended:
            self._forget_inputs(name)
        return ended

    def _forget_inputs(self, name: str) -> None:
        shutil.rmtree(self.folder / name / "in", ignore_errors=True)

    def remove(self, name: str) -> bool:
        """Forget a job that has ended, with its files; return whether there was one."""
        with self._open() as connection:
            ended = f"id = ? AND status IN {ENDED}"
            if connection.execute(f"DELETE FROM job WHERE {ended}", (name,)).rowcount == 0:
                return False
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return True

    def _change(self, name: str, only: tuple[str, ...], **values: Any) -> bool:
        places = ", ".join(f"{column} = ?" for column in values)
        among = ", ".join("?" * len(only))
        with self._open() as connection:
            changed = connection.execute(
                f"UPDATE job SET {places} WHERE id = ? AND status IN ({among})",
                (*values.values(), name, *only),
            )
            return changed.rowcount == 1

    def _job(self, row: tuple[Any, ...]) -> Job:
        values: dict[str, Any] = dict(zip(_SHOWN.split(", "), row, strict=True))
        for key in ("inputs", "options"):
            values[key] = json.loads(values[key])
        return Job(**values, folder=self.folder / values["id"])

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=20, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = NORMAL")
                if write:
                    connection.execute("BEGIN IMMEDIATE")
                yield connection
                if write:
                    connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            fix = "check that the disk has room and the file is yours, or move it away"
            raise StorageError(f"a queue that can be written at {self._path}", str(error), fix) from error


def _check(
    command: Command, models: Mapping[str, Path], files: Mapping[str, Sequence[tuple[str, bytes]]]
) -> None:
    for wanted in command.inputs:
        given = [models[wanted.name]] if wanted.name in models else files.get(wanted.name, ())
        if not 1 <= len(given) <= wanted.most:
            most = "one" if wanted.most == 1 else f"one to {wanted.most}"
            raise OptionError(f"{most} for “{wanted.title}”", str(len(given)), "choose again")


def _keep(folder: Path, name: str, content: bytes) -> str:
    """Write a file that a person sent, under its own name as far as that is harmless."""
    clean = re.sub(r"[^\w .()+-]", "_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(". ")
    folder.mkdir(parents=True)
    path = folder / ((Path(clean).stem[:40] or "file") + Path(clean).suffix[:10])
    path.write_bytes(content)
    return str(path.resolve())
