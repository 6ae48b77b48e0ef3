"""The feature store's index: one SQLite file, its schema, and transactions whose errors speak."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from types import TracebackType

from headstart.errors import StorageError

_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files(path TEXT PRIMARY KEY, size INT, mtime INT, digest TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts(kind TEXT, digest TEXT, value TEXT, PRIMARY KEY(kind, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spaces(id TEXT PRIMARY KEY, description TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards(name TEXT PRIMARY KEY, space TEXT, width INT, dtype TEXT,
    used REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows(space TEXT, digest TEXT, shard TEXT, start INT, count INT, crc INT,
    PRIMARY KEY(space, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases(shard TEXT, owner TEXT, pid INT, born REAL,
    PRIMARY KEY(shard, owner)) WITHOUT ROWID;
"""


def connect(folder: Path) -> sqlite3.Connection:
    """Open the index in a folder, making it where there is none.

    A file that is no database any more, or one of another version, is set aside: everything in it can be
    computed again.

    Args:
        folder: The store's folder.

    Returns:
        The connection; usable from any thread, one at a time.

    Raises:
        StorageError: The folder cannot be written, or the disk is full.
    """
    path = folder / "index.sqlite"
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise storage_error(error, path) from error
        path.rename(path.with_name(f"index.damaged-{int(time.time())}.sqlite"))
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if tables and version != _VERSION:
        database.close()
        raise sqlite3.DatabaseError(f"an index of version {version}")
    database.executescript(f"{_SCHEMA}PRAGMA user_version = {_VERSION};")
    return database


class Transaction:
    """BEGIN IMMEDIATE … COMMIT, with SQLite's errors turned into `StorageError`."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database, self._folder = database, folder

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise storage_error(error, self._folder) from error
        return self._database

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._database.execute("COMMIT")
                return
            except sqlite3.OperationalError as failure:
                error = failure
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise storage_error(error, self._folder) from error


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    return StorageError(
        f"a writable feature store at {path}",
        str(error),
        "free some space, or set HEADSTART_CACHE to another folder; nothing was lost",
    )


def path_key(path: Path) -> str:
    """Return an absolute path as text that SQLite takes, also for names that are no valid UTF-8."""
    return str(path.absolute()).encode("utf-8", "backslashreplace").decode()


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 for one that is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def alive(pid: int, born: float) -> bool:
    """Return whether the process that took a lease still runs; where that cannot be asked, for a day."""
    if os.name == "nt":
        return time.time() - born < 86_400
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
