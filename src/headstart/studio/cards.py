"""The card of what was trained for the studio: read, and its folder's files checked against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.errors import ArtefactError
from headstart.files import digest_file


def read_trained_card(
    path: Path, what: str, schema: int, files: Sequence[str], command: str
) -> dict[str, Any]:
    """Return what a trained folder says about itself, after checking that its files are whole and its own.

    Args:
        path: The card, a JSON file in the folder.
        what: What was trained, such as "captioner", str.
        schema: The one that is understood, int.
        files: Names of what the folder must hold; whatever else the card names is checked, too.
        command: What writes such folders, such as "caption-train", str.

    Raises:
        ArtefactError: There is no card, or the folder is damaged or of another version.
    """
    fix = f"name a folder that `headstart {command}` wrote, or get it again"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        received = f"no readable {path.name} in {path.parent.name}"
        raise ArtefactError(f"a trained {what}", received, fix) from error
    except ValueError as error:
        raise ArtefactError(f"readable JSON in {path.name}", str(error), fix) from error
    if not isinstance(card, dict) or card.get("schema") != schema:
        found = repr(card.get("schema")) if isinstance(card, dict) else type(card).__name__
        again = "update headstart, or train it anew"
        raise ArtefactError(f"a trained {what} of schema {schema}", f"schema {found}", again)
    digests = card.get("files")
    digests = digests if isinstance(digests, dict) else {}
    for name in dict.fromkeys((*files, *digests)):
        file, wanted = path.with_name(name), digests.get(name)
        digest = digest_file(file) if file.is_file() else None
        if digest is None or digest != wanted:
            received = "no such file" if digest is None else f"a changed {name}, {digest[:12]}"
            raise ArtefactError(f"{name} of this {what}, {str(wanted)[:12]}…", received, fix)
    return card
