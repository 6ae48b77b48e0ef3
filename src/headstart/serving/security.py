"""Who may ask: API keys of machines, kept as digests; and the headers that every answer carries."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

from flask import Request, Response

from headstart.errors import OptionError, StorageError
from headstart.files import storage_errors, write_json
from headstart.serving.settings import make_private, make_state

KEYS = "keys.json"
SECRET = "secret"
_NAME = re.compile(r"[\w.@+-][\w .@+-]{0,59}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


class Keys:
    """The API keys of an installation; the file holds their digests, never the keys.

    A key has 256 random bits, so a plain SHA-256 cannot be turned back and needs no salt.

    Args:
        state: The state folder.

    Example:
        >>> import tempfile
        >>> keys = Keys(Path(tempfile.mkdtemp()))
        >>> key = keys.add("camera")
        >>> keys.check(key), keys.check("guess"), keys.names
        ('camera', None, ('camera',))
    """

    def __init__(self, state: Path) -> None:
        self._path = state / KEYS
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, dict[str, str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all keys; there being none means that everybody may ask."""
        return tuple(self._read())

    def add(self, name: str) -> str:
        """Make a key.

        Args:
            name: What for, 1 to 60 letters, digits, blanks and . _ @ + -, str.

        Returns:
            The key, which cannot be shown again.

        Raises:
            OptionError: There is one of this name, or it is no name.
            StorageError: It cannot be written.
        """
        if not _NAME.fullmatch(name):
            wanted = "a name of letters, digits, blanks and . _ @ + -"
            raise OptionError(wanted, repr(name[:60]), "choose another")
        known = self._read()
        if name in known:
            raise OptionError("the name of a new key", f"{name!r}, which exists", "remove it first")
        key = "hs_" + secrets.token_urlsafe(32)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        self._write({**known, name: {"sha256": _digest(key), "made": made}})
        return key

    def remove(self, name: str) -> None:
        """Make a key worthless, at once.

        Raises:
            OptionError: There is none of this name.
        """
        known = self._read()
        if name not in known:
            raise OptionError(
                f"one of the keys {', '.join(known) or '(none)'}", repr(name), "name one of these"
            )
        self._write({other: value for other, value in known.items() if other != name})

    def check(self, key: str) -> str | None:
        """Return the name of a key, or None; takes the same time whatever part of it is right."""
        digest = _digest(key)
        found = None
        for name, value in self._read().items():
            if hmac.compare_digest(value["sha256"], digest):
                found = name
        return found

    def _read(self) -> dict[str, dict[str, str]]:
        """Return the keys; the file is read again when it has changed."""
        with self._lock:
            try:
                status = self._path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if stamp != self._stamp:
                    self._known = json.loads(self._path.read_bytes())
                    self._stamp = stamp
            except FileNotFoundError:
                self._known, self._stamp = {}, None
            except ValueError as error:
                fix = "restore it from a backup, or remove it and make new keys"
                raise StorageError(f"keys in {self._path}", "a damaged file", fix) from error
            return self._known

    def _write(self, keys: dict[str, dict[str, str]]) -> None:
        make_state(self._path.parent)
        write_json(self._path, keys)
        make_private(self._path)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def key_of(request: Request) -> str | None:
    """Return the key that a request carries: "Authorization: Bearer KEY", or "X-API-Key: KEY"."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and key:
        return key.strip()
    return request.headers.get("X-API-Key")


def secret(state: Path) -> bytes:
    """Return what sessions are signed with; it is made at the first call.

    Args:
        state: The state folder.
    """
    path = make_state(state) / SECRET
    if not path.is_file():
        # Workers come here at the same moment: all must read the same, and none half of it.
        with storage_errors(path), tempfile.NamedTemporaryFile(dir=path.parent) as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_bytes()


def harden(response: Response) -> Response:
    """Add the headers that keep browsers from doing what a page did not ask for; a view's own ones stay."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
