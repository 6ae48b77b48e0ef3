"""The folder that a trained colorizer is kept in: what it holds, and what it says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.studio.cards import read_trained_card

SCHEMA = 1
CARD, NETWORK, WEIGHTS = "colorizer.json", "network.xml", "weights.safetensors"
FILES = (NETWORK, "network.bin", WEIGHTS)
LIGHTNESS, LOGITS, AB = "lightness", "logits", "ab"
"""The network's input, float32 [n, 1, size, size] from 0 to 100, and its output: logits [n, bins, size / 4,
size / 4] of a "unet", colours [n, 2, size / 4, size / 4] of a "classic"."""


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
    return read_trained_card(folder / CARD, "colorizer", SCHEMA, FILES, "colorize-train")
