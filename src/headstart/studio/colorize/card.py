"""The folder that a trained colorizer is kept in: what it holds, and what it says about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.errors import ArtefactError
from headstart.files import digest_file

SCHEMA = 1
CARD, NETWORK, WEIGHTS = "colorizer.json", "network.xml", "weights.safetensors"
FILES = (NETWORK, "network.bin", WEIGHTS)
LIGHTNESS, LOGITS, AB = "lightness", "logits", "ab"
"""The network's input, float32 [n, 1, size, size] from 0 to 100, and its output: logits [n, bins, size / 4,
size / 4] of a "unet", colours [n, 2, size / 4, size / 4] of a "classic"."""
_FIX = "name a folder that `headstart colorize-train` wrote"


def is_colorizer(folder: Path) -> bool:
    """Return whether a folder is a trained colorizer, by what it holds."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """Return what a trained colorizer says about itself, its files checked.

    Args:
        folder: What `headstart colorize-train` wrote.

    Returns:
        The card: schema, kind, size, output, bins, prior, temperature, mix and more.

    Raises:
        ArtefactError: It is none, of another schema, or damaged.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(
            "a trained colorizer", f"{folder.name} without a readable {CARD}", _FIX
        ) from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        found = card.get("schema") if isinstance(card, dict) else type(card).__name__
        fix = "update headstart, or train it anew"
        raise ArtefactError(f"a colorizer of schema {SCHEMA}", f"schema {found!r}", fix)
    for name in FILES:
        file = folder / name
        if not file.is_file() or digest_file(file) != card.get("files", {}).get(name):
            raise ArtefactError("a whole colorizer", f"a missing or changed {name}", "get the folder again")
    return card
