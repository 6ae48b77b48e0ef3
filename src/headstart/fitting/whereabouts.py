"""Where the data of a model are on this machine: remembered in the cache, for a model may travel."""

from __future__ import annotations

import json
from pathlib import Path

from headstart.errors import StorageError
from headstart.files import cache_dir, write_json

_DIGITS = 32


def remember(digest: str, root: Path | None) -> None:
    """Remember where a collection was opened; that it cannot be written down costs nothing now.

    Args:
        digest: Of its items and labels, str.
        root: The folder or manifest, Path; None of lists.
    """
    if root is not None:
        try:
            write_json(_file(digest), {"path": str(root.absolute())})
        except StorageError:
            return


def whereabouts(digest: str) -> Path | None:
    """Return where a collection was when a model was fitted on it; None where that is not known any more.

    Args:
        digest: Of its items and labels, str.

    Example:
        >>> whereabouts("unheard of") is None
        True
    """
    try:
        path = Path(json.loads(_file(digest).read_bytes())["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path if path.exists() else None


def _file(digest: str) -> Path:
    return cache_dir() / "collections" / f"{digest[:_DIGITS]}.json"
