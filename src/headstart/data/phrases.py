"""Numbers and names as parts of a sentence."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    Example:
        >>> count(1, "item"), count(1200, "item"), count(2, "class", "classes")
        ('1 item', '1,200 items', '2 classes')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Sequence[str]) -> str:
    """Return the first three names and how many more there are.

    Example:
        >>> some(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
