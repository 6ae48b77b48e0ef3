"""Cells and Python values become answers: one label, several labels, or a number."""

from __future__ import annotations

import math
import re
from typing import Any

from headstart.data.items import Answer, Item, Source, Split, Target, natural_order

NO_LABEL = "has no label"
"""Why a row cannot be used whose cell is empty."""


def as_text(value: Any, *, strip: bool = True) -> str | None:
    """Return a cell as a string: 1, 1.0 and "1" are all "1"; an absent or NaN cell is "".

    Args:
        value: The cell, any type.
        strip: Whether blanks around strings go. Defaults to True.

    Returns:
        The string; None if the cell is a list or a structure.

    Example:
        >>> as_text(1.0), as_text(" cat "), as_text(True), as_text(None), as_text([1])
        ('1', 'cat', 'true', '', None)
    """
    if isinstance(value, str):
        return value.strip() if strip else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (list, tuple, dict, set, bytes)):
        return None
    return str(value)


def read_answer(cell: Any, target: Target) -> tuple[Answer | None, str]:
    """Read what a cell says about an item.

    Several labels are a list, or text with "|" or ";" between them; an empty cell or list says that the
    item has none of them.

    Args:
        cell: The cell, any type.
        target: What it should hold.

    Returns:
        The answer and "", or None and why it cannot be used, a phrase.

    Example:
        >>> read_answer("dog; cat", "labels"), read_answer(" 3.50 ", "number"), read_answer("?", "number")
        ((('cat', 'dog'), ''), (3.5, ''), (None, "has a label that is not a finite number: '?'"))
    """
    if target == "labels":
        return _labels(cell)
    text = as_text(cell)
    if not text:
        return None, NO_LABEL if text == "" else "has a label that is not a single value"
    if target == "label":
        return text, ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return None, f"has a label that is not a finite number: {text[:40]!r}"
    return value, ""


def make_item(
    name: str,
    source: Source,
    answer: Answer | None = None,
    *,
    split: Split | None = None,
    group: str | None = None,
    fold: str | None = None,
) -> Item:
    """Make an item with an answer of any kind; see `Item`."""
    return Item(
        name,
        source,
        answer if isinstance(answer, str) else None,
        split,
        group,
        fold,
        answer if isinstance(answer, tuple) else None,
        answer if isinstance(answer, float) else None,
    )


def _labels(cell: Any) -> tuple[Answer | None, str]:
    if isinstance(cell, (list, tuple, set)):
        parts = [as_text(each) for each in cell]
        if not all(parts):
            return None, "has a list of labels with something else in it"
    else:
        text = as_text(cell)
        if text is None:
            return None, "has labels that are neither a list nor text"
        parts = [part.strip() for part in re.split(r"[|;]", text)]
    return natural_order(part for part in parts if part), ""
