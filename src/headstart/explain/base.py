"""What all explanations share: what was asked, how it was found out, and how it is written."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from headstart.errors import OptionError
from headstart.files import write_text
from headstart.images.decode import Pixels
from headstart.images.saving import check_picture_name, jpeg, save_picture
from headstart.pages import Markup, Page, sheet, short


@dataclass(frozen=True)
class LeftOut:
    """What an answer becomes without what counts most for it: whether the explanation is to be believed.

    Args:
        what: What was left out, in words, str.
        confidence: The probability of the label without it, or the number, float.
        fall: By how much the answer fell, float, in the unit of the evidence: log-odds, or the number's.
    """

    what: str
    confidence: float
    fall: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "left_out": self.what,
            "confidence": round(self.confidence, 6),
            "fall": round(self.fall, 6),
        }


@dataclass(frozen=True, eq=False)
class Explanation(ABC):
    """What counted for one answer of a model.

    Args:
        name: The item.
        label: Which answer is explained; of a model for numbers "value".
        confidence: The probability of the label, or the number, float.
        method: How it was found out, in plain words with the method's name.
        exact: Whether the evidence is what the model computes, not an approximation of it.
        check: What the answer is without the part that counts most. Defaults to None: nothing was left out.
    """

    name: str
    label: str
    confidence: float
    method: str
    exact: bool
    check: LeftOut | None = field(default=None, kw_only=True)

    @property
    def headline(self) -> str:
        """The answer, in words."""
        if self.label == "value":
            return f"{self.confidence:.4g}"
        return f"{self.label} ({self.confidence:.1%})"

    @property
    @abstractmethod
    def top(self) -> str:
        """What counted most, in words."""

    def told(self) -> list[tuple[str, str | Markup]]:
        """Return names and words of what an explanation says."""
        found: list[tuple[str, str | Markup]] = [("Answer", self.headline), ("Most", self.top)]
        if self.check is not None:
            number = self.label == "value"
            left = self.check.confidence
            said = f"{left:.4g}" if number else f"{self.label} ({left:.1%})"
            found.append(("Without it", f"{said}; left out: {short(self.check.what, 80)}"))
        return [*found, ("How", self.method)]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "input": self.name,
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "method": self.method,
            "exact": self.exact,
            **self._details(),
            "check": None if self.check is None else self.check.to_json(),
        }

    @abstractmethod
    def _details(self) -> dict[str, Any]:
        """Return what this kind of explanation adds to the JSON object."""

    @abstractmethod
    def markup(self) -> Markup:
        """Return a fragment for a page."""

    picture_ending = ".png"
    """How a file is called that shows it; of words a page."""

    def shown(self) -> Pixels:
        """Return the explanation as a picture, uint8 [h, w, 3].

        Raises:
            OptionError: It cannot be drawn.
        """
        fix = "write it as .html or .json"
        raise OptionError("an explanation that is a picture", f"one of words, about {self.name}", fix)

    def save(self, path: str | Path) -> None:
        """Write the explanation, the format by the name's ending.

        Args:
            path: A .png, .jpg or .webp, a page (.html), or .json.

        Raises:
            OptionError: Another ending, or a picture of an explanation that has none.
            StorageError: It cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            write_text(path, json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n")
        elif path.suffix.lower() in (".html", ".htm"):
            write_text(path, explanations_page([self]))
        else:
            check_picture_name(path)
            save_picture(path, self.shown())


def explanations_page(explanations: Sequence[Explanation]) -> str:
    """Return some explanations as one self-contained page.

    Args:
        explanations: At least one.
    """
    if len(explanations) == 1:
        (only,) = explanations
        page = Page(f"Why {only.name}", lead=only.headline)
        return page.section("", only.markup()).html()
    page = Page("Why", lead=f"{len(explanations):,} answers, and what counted for each.")
    for each in explanations:
        page.section(f"{each.name}: {each.headline}", each.markup())
    return page.html()


def as_sheet(pixels: Pixels, alt: str) -> Markup:
    """Return a picture for a page."""
    return sheet(jpeg(Image.fromarray(pixels)), alt)
