"""The people who may log in: hashed passwords in one file, and a brake on guessing.

Passwords are kept as salted scrypt hashes. Failed attempts are counted in a file that all server processes
share, by name and address together, by address and by name, so that neither one guesser nor many get far, and
nobody can lock somebody else out with a handful of tries.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import OptionError, StorageError
from headstart.files import atomic_file, storage_errors
from headstart.serving.settings import make_private

LEAST_CHARACTERS = 10
MOST_CHARACTERS = 200
_NAME = re.compile(r"[\w.@+-]{1,60}")
_METHOD = "scrypt:32768:8:1"
_NOBODY = f"{_METHOD}$no-such-person$" + "0" * 128
"""What the password of an unknown name is compared with: it takes as long as that of a known one."""
_WINDOW = 900.0
"""Seconds for which a failed attempt counts."""
_MOST_FAILURES = {"pair": 5, "address": 20, "name": 60}
_SCHEMA = "CREATE TABLE IF NOT EXISTS failure (who TEXT NOT NULL, at REAL NOT NULL)"


@dataclass(frozen=True)
class People:
    """The people of a served installation.

    Args:
        state: Its state folder, a Path.

    Example:
        >>> import tempfile
        >>> people = People(Path(tempfile.mkdtemp()))
        >>> people.add("ada", "difference engine")
        >>> people.matches("ada", "difference engine"), people.matches("ada", "analytical engine")
        (True, False)
    """

    state: Path

    @property
    def path(self) -> Path:
        """The file with the hashed passwords."""
        return self.state / "people.json"

    def names(self) -> list[str]:
        """Return the names of all people, sorted."""
        return sorted(self._read())

    def add(self, name: str, password: str) -> None:
        """Let somebody in, or give them another password.

        Args:
            name: 1 to 60 letters, digits and . _ @ + -, str.
            password: 10 to 200 characters, str.

        Raises:
            OptionError: The name or the password cannot be used.
            StorageError: The file cannot be read or written.
        """
        from werkzeug.security import generate_password_hash

        if not _NAME.fullmatch(name):
            raise OptionError("a name of letters, digits and . _ @ + -", repr(name[:60]), "choose another")
        if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
            wanted = f"a password of {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters"
            raise OptionError(wanted, f"one of {len(password)}", "choose another; a few words are good")
        self._write({**self._read(), name: generate_password_hash(password, _METHOD)})

    def remove(self, name: str) -> None:
        """Let somebody in no more; their sessions end with it. Raise `OptionError` for nobody."""
        people = self._read()
        if name not in people:
            raise OptionError("the name of somebody who may log in", repr(name[:60]), "look at the list")
        self._write({known: kept for known, kept in people.items() if known != name})

    def matches(self, name: str, password: str) -> bool:
        """Return whether somebody's password is right, in a time that does not tell whether the name is."""
        from werkzeug.security import check_password_hash

        kept = self._read().get(name)
        right = check_password_hash(kept or _NOBODY, password[: MOST_CHARACTERS + 1])
        return right and kept is not None

    def mark(self, name: str) -> str | None:
        """Return what changes with somebody's password, to tie sessions to it; None for nobody."""
        kept = self._read().get(name)
        return None if kept is None else hashlib.sha256(kept.encode()).hexdigest()[:32]

    def is_still(self, name: str, mark: str) -> bool:
        """Return whether somebody may still log in with the password that a session was begun with."""
        now = self.mark(name)
        return now is not None and hmac.compare_digest(now, mark)

    def _read(self) -> dict[str, str]:
        try:
            people = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StorageError(f"people in {self.path}", str(error), "repair it, or move it away") from error
        return {str(name): str(kept) for name, kept in people.items()}

    def _write(self, people: dict[str, str]) -> None:
        with storage_errors(self.state):
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_file(self.path) as temporary:
            temporary.write_text(json.dumps(people, indent=2) + "\n", "utf-8")
        make_private(self.path)


@dataclass(frozen=True)
class Attempts:
    """Attempts to log in during the last quarter of an hour, shared by all processes.

    Args:
        state: The state folder of a served installation, a Path.

    Example:
        >>> import tempfile
        >>> attempts = Attempts(Path(tempfile.mkdtemp()))
        >>> [attempts.begin("ada", "192.0.2.1") for _ in range(5)]
        [0, 0, 0, 0, 0]
        >>> attempts.begin("ada", "192.0.2.1") > 800, attempts.begin("ada", "192.0.2.2")
        (True, 0)
    """

    state: Path

    def begin(self, name: str, address: str) -> int:
        """Begin an attempt, which counts as failed until it has succeeded: many at once gain nothing.

        Args:
            name: The name that is tried, str.
            address: Where from, str.

        Returns:
            0, or for how many seconds the name may not be tried from there: then nothing was begun.
        """
        now, longest = time.time(), 0.0
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM failure WHERE at < ?", (now - _WINDOW,))
            for kind, who in _keys(name, address):
                rows = connection.execute(
                    "SELECT at FROM failure WHERE who = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                    (who, _MOST_FAILURES[kind] - 1),
                ).fetchall()
                longest = max([longest, *(at + _WINDOW - now for (at,) in rows)])
            if not longest:
                rows = [(who, now) for _, who in _keys(name, address)]
                connection.executemany("INSERT INTO failure VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        return math.ceil(longest)

    def succeeded(self, name: str, address: str) -> None:
        """Forget this attempt, and earlier ones of this name from there: who mistyped is no guesser."""
        with self._open() as connection:
            pair, *others = (who for _, who in _keys(name, address))
            connection.execute("DELETE FROM failure WHERE who = ?", (pair,))
            for who in others:
                newest = "SELECT rowid FROM failure WHERE who = ? ORDER BY at DESC LIMIT 1"
                connection.execute(f"DELETE FROM failure WHERE rowid = ({newest})", (who,))

    def _open(self) -> closing[sqlite3.Connection]:
        with storage_errors(self.state):
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.state / "logins.sqlite", timeout=20, isolation_level=None)
        connection.execute(_SCHEMA)
        return closing(connection)


def _keys(name: str, address: str) -> list[tuple[str, str]]:
    """Return under what a failure is counted; hashed, for people type passwords into the wrong field."""
    keys = {"pair": f"pair {name} {address}", "address": f"address {address}", "name": f"name {name}"}
    return [(kind, hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()) for kind, key in keys.items()]
