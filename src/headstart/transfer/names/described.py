"""Classes that are known by name alone, maybe with a description."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headstart.errors import OptionError


@dataclass(frozen=True)
class Described:
    """A class before there is any item of it.

    Args:
        name: What it is called, str.
        description: What it is, str. Defaults to "": the name says it.

    Example:
        >>> str(Described("okapi", "a striped forest giraffe"))
        'okapi: a striped forest giraffe'
    """

    name: str
    description: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.description}" if self.description else self.name

    @property
    def words(self) -> list[str]:
        """The words of the name."""
        return words(self.name)


def words(text: str) -> list[str]:
    """Return the words of a name or description as word vectors know them.

    Example:
        >>> words("Great_grey Owl")
        ['great', 'grey', 'owl']
    """
    return re.findall(r"[^\W_]+", text.casefold())


def read_labels(labels: str | Iterable[str] | Mapping[str, str]) -> tuple[Described, ...]:
    """Read classes, as they are typed or from a list.

    Args:
        labels: "dog, cat, horse"; with a ";" between them where a description has a comma in it:
            "okapi: striped, a forest giraffe; horse". Or a list of such names, or {name: description}.

    Returns:
        The classes, in the same order.

    Raises:
        OptionError: Fewer than two, an empty name, or one that comes twice.

    Example:
        >>> [str(each) for each in read_labels("dog, okapi: a forest giraffe")]
        ['dog', 'okapi: a forest giraffe']
    """
    if isinstance(labels, Mapping):
        found = tuple(Described(name.strip(), text.strip()) for name, text in labels.items())
    else:
        parts = re.split(";" if ";" in labels else ",", labels) if isinstance(labels, str) else labels
        found = tuple(_one(part) for part in parts if part.strip())
    names = [each.name for each in found]
    if "" in names:
        raise OptionError("a name for every class", f"{found[names.index('')]}", "write name: description")
    if len(names) < 2:
        fix = 'name the others, too: --labels "dog, cat, horse"'
        raise OptionError("at least two classes", ", ".join(names) or "none", fix)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError("classes that differ", f"{', '.join(twice)} more than once", "name each once")
    return found


def _one(part: str) -> Described:
    name, _, description = part.partition(":")
    return Described(name.strip(), description.strip())
