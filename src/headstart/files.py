"""Files that are either whole or absent: digests, atomic writes, and where headstart keeps its cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.errors import StorageError

_CHUNK = 1 << 20


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: weights, features, demo photographs.

    `HEADSTART_CACHE` wins; then `XDG_CACHE_HOME`/headstart; then ~/.cache/headstart (on Windows
    %LOCALAPPDATA%/headstart).

    Returns:
        The folder, a Path; it may not exist yet.

    Example:
        >>> cache_dir().is_absolute()
        True
    """
    if explicit := os.environ.get("HEADSTART_CACHE"):
        return Path(explicit).expanduser()
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "headstart"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "headstart"


def digest_bytes(data: bytes | memoryview) -> str:
    """Return the SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hexadecimal digits, reading 1 MiB at a time."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors into a `StorageError` that says what to do.

    Args:
        path: The file or folder that is being written, for the message.

    Raises:
        StorageError: The disk is full, or the place cannot be written.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fix = "free some space (headstart cache clear) or name another place; nothing was lost"
            raise StorageError(f"room on the disk for {path}", "a full disk", fix) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            fix = "name another place or change its permissions"
            raise StorageError(f"permission to write {path}", str(error), fix) from error
        if error.errno in (errno.EFBIG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG):
            raise StorageError(f"a place to write {path}", str(error), "name another place") from error
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` only when the block ends well.

    The content is flushed to the disk before the rename, so that after a crash `path` holds either
    the old file or the whole new one.

    Args:
        path: Where the file is wanted, a Path; its folder is made.

    Yields:
        The temporary Path beside it.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` only when the block ends well.

    An older folder at `path` stays until the new one is complete, is then moved aside, and is
    removed last. If that goes wrong it is put back; a kill between the two renames leaves both
    beside each other under hidden names.

    Args:
        path: Where the folder is wanted, a Path.

    Yields:
        The temporary Path beside it.

    Raises:
        StorageError: The disk is full or the parent cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent))
        old = temporary.with_suffix(".old")
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            temporary.chmod(0o755)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
