"""Explanations: what counted for an answer, to look at and to compute with; needs no torch."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.errors import OptionError
from headstart.explain.overlay import Box, Floats, overlay, peak, spread
from headstart.files import write_text
from headstart.images.decode import Pixels
from headstart.images.saving import check_picture_name, save_picture
from headstart.pages import FOR_AND_AGAINST, Markup, Page, facts, fragment, paragraph, sheet

_FINE = 56
"""Cells in each direction in which the top region of a picture is looked for."""
_LONGEST = 1600
"""Pixels of the longer side of a picture that is shown."""
_DARKEST = 48
"""Per cent of colour behind the part that brings most: what is written on it stays readable."""
_LEAST = 0.04
"""Of the largest weight: what brings less is not marked."""


@dataclass(frozen=True, eq=False)
class Explanation(ABC):
    """What counted for one answer of a model.

    Args:
        name: The item.
        label: Which answer is explained; of a model for numbers "value".
        confidence: The probability of the label, or the number, float.
        method: How it was found out, in plain words with the method's name.
        exact: Whether the evidence is what the model computes, not an approximation of it.
    """

    name: str
    label: str
    confidence: float
    method: str
    exact: bool

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

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "input": self.name,
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "method": self.method,
            "exact": self.exact,
            **self._details(),
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


@dataclass(frozen=True, eq=False)
class PictureExplanation(Explanation):
    """Which places of a picture counted.

    Args:
        picture: The original picture, upright, uint8 [h, w, 3].
        evidence: What each place brought, float [rows, columns]: above 0 it speaks for the label. The cells
            divide what the network saw.
        seen: The part of the picture that the network saw: left, top, right, bottom in pixels. Defaults to
            None: all of it.

    Example:
        >>> picture, evidence = np.zeros((60, 80, 3), np.uint8), np.zeros((3, 4))
        >>> evidence[2, 0] = 1.0
        >>> found = PictureExplanation("a.jpg", "cat", 0.9, "made up", True, picture, evidence)
        >>> found.region()
        (0, 40, 20, 60)
        >>> found.share
        1.0
    """

    picture: Pixels
    evidence: Floats
    seen: Box | None = None

    @property
    def box(self) -> Box:
        """The part of the picture that the network saw: left, top, right, bottom in pixels."""
        return self.seen or (0, 0, self.picture.shape[1], self.picture.shape[0])

    def overlay(self, longest: int = _LONGEST) -> Pixels:
        """Return the picture with the evidence laid over it: orange for the answer, blue against it.

        Args:
            longest: Most pixels of the longer side, int. Defaults to 1600.

        Returns:
            uint8 [h, w, 3]; what the network did not see is pale.
        """
        height, width = self.picture.shape[:2]
        scale = min(1.0, longest / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(Image.fromarray(self.picture).resize(size, Image.Resampling.LANCZOS))
        left, top, right, bottom = (round(edge * scale) for edge in self.box)
        box = (left, top, min(max(right, left + 1), size[0]), min(max(bottom, top + 1), size[1]))
        return overlay(pixels, self.evidence, box)

    def heat(self, height: int, width: int) -> Floats:
        """Return the evidence at another size, float64 [height, width], for what the network saw."""
        return spread(self.evidence, height, width)

    def region(self) -> Box:
        """Return the top region: the box around the strongest evidence.

        Returns:
            Left, top, right, bottom in pixels of the original picture; all that was seen where nothing speaks
            for the label.
        """
        left, top, right, bottom = self.box
        if self._peak is None:
            return self.box
        rows, columns = self._peak
        across, down = (right - left) / self._fine.shape[1], (bottom - top) / self._fine.shape[0]
        return (
            left + int(columns.start * across),
            top + int(rows.start * down),
            left + int(np.ceil(columns.stop * across)),
            top + int(np.ceil(rows.stop * down)),
        )

    @property
    def share(self) -> float:
        """The share of the evidence for the label that lies in the top region, float from 0 to 1."""
        if self._peak is None:
            return 0.0
        positive = np.maximum(self._fine, 0)
        return float(positive[self._peak].sum() / positive.sum())

    @cached_property
    def _fine(self) -> Floats:
        rows, columns = self.evidence.shape
        if min(rows, columns) >= _FINE:
            return spread(self.evidence, _FINE, _FINE)
        each = np.ones((-(-_FINE // rows), -(-_FINE // columns)))
        return np.asarray(np.kron(self.evidence, each), np.float64)

    @cached_property
    def _peak(self) -> tuple[slice, slice] | None:
        return peak(self._fine)

    @property
    def top(self) -> str:
        """The top region and its share, in words."""
        left, top, right, bottom = self.region()
        where = f"{left}–{right} across, {top}–{bottom} down"
        return f"{self.share:.0%} of what speaks for it is at {where} (pixels)"

    def _details(self) -> dict[str, Any]:
        return {
            "region": list(self.region()),
            "share": round(self.share, 4),
            "size": [self.picture.shape[1], self.picture.shape[0]],
            "seen": list(self.box),
            "evidence": [[round(float(value), 6) for value in row] for row in self.evidence],
        }

    def shown(self) -> Pixels:
        """Return `overlay`."""
        return self.overlay()

    def markup(self) -> Markup:
        """Return the overlay with what it says in words."""
        alt = f"{self.name}, marked by what speaks for {self.label} and what against it"
        told = [("Answer", self.headline), ("Most", self.top), ("How", self.method)]
        return sheet(_jpeg(self.overlay(800)), alt) + facts(told) + paragraph(FOR_AND_AGAINST, quiet=True)


@dataclass(frozen=True, eq=False)
class TextExplanation(Explanation):
    """Which parts of a text counted.

    Args:
        parts: (text, weight) of each part in order, tokens or sentences: above 0 it speaks for the label.

    Example:
        >>> found = TextExplanation("a.txt", "good", 0.9, "made up", True, (("Great", 1.0), (" film", 0.0)))
        >>> found.to_json()["top"]
        {'text': 'Great', 'weight': 1.0, 'share': 1.0}
    """

    parts: tuple[tuple[str, float], ...]

    picture_ending = ".html"

    @property
    def top(self) -> str:
        """The part that counts most and its share, in words."""
        found = self._details()["top"]
        if found is None:
            return "nothing speaks for it"
        return f"{found['share']:.0%} of what speaks for it is “{found['text']}”"

    def _details(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "parts": [{"text": text, "weight": round(float(weight), 6)} for text, weight in self.parts]
        }
        total = sum(max(weight, 0.0) for _, weight in self.parts)
        if total > 0:
            text, weight = max(self.parts, key=lambda part: part[1])
            share = round(weight / total, 4)
            return {"top": {"text": text.strip(), "weight": round(float(weight), 6), "share": share}, **found}
        return {"top": None, **found}

    def marked(self) -> Markup:
        """Return the text alone, its parts coloured by what they brought."""
        most = max((abs(weight) for _, weight in self.parts), default=0.0)
        spans = (_span(text, weight, most) for text, weight in self.parts)
        return fragment('<p class="marked" dir="auto">{}</p>', Markup("").join(spans))

    def markup(self) -> Markup:
        """Return the text, its parts coloured by what they brought, with what it says in words."""
        return (
            self.marked()
            + facts([("Answer", self.headline), ("Most", self.top), ("How", self.method)])
            + paragraph(FOR_AND_AGAINST, quiet=True)
        )


@dataclass(frozen=True, eq=False)
class SoundExplanation(Explanation):
    """Which moments and bands of a sound counted.

    Args:
        spectrogram: What the network heard, float [frames, mels], of any scale.
        evidence: What each brought, of the same shape: above 0 it speaks for the label.
        seconds: Length of the sound, float.
        hertz: The centre of each band, float [mels], ascending. Defaults to None: unknown.
    """

    spectrogram: Floats
    evidence: Floats
    seconds: float
    hertz: Floats | None = None

    @cached_property
    def _peak(self) -> tuple[slice, slice] | None:
        return peak(self.evidence)

    def moment(self) -> tuple[float, float]:
        """Return when the strongest evidence is: from and to, in seconds."""
        if self._peak is None:
            return 0.0, self.seconds
        each = self.seconds / len(self.evidence)
        return self._peak[0].start * each, self._peak[0].stop * each

    def band(self) -> tuple[float, float] | None:
        """Return where the strongest evidence is in pitch: from and to, in Hz; None where that is unknown."""
        if self.hertz is None or self._peak is None:
            return None
        return float(self.hertz[self._peak[1].start]), float(self.hertz[self._peak[1].stop - 1])

    @property
    def share(self) -> float:
        """The share of the evidence for the label that lies in that moment and band, float from 0 to 1."""
        if self._peak is None:
            return 0.0
        positive = np.maximum(self.evidence, 0)
        return float(positive[self._peak].sum() / positive.sum())

    @property
    def top(self) -> str:
        """The top moment and band and their share, in words."""
        start, end = self.moment()
        band = self.band()
        pitch = "" if band is None else f", {band[0]:,.0f} to {band[1]:,.0f} Hz"
        return f"{self.share:.0%} of what speaks for it is at {start:.2f} to {end:.2f} s{pitch}"

    def _details(self) -> dict[str, Any]:
        band = self.band()
        return {
            "seconds": round(self.seconds, 3),
            "moment": [round(edge, 3) for edge in self.moment()],
            "band": None if band is None else [round(edge, 1) for edge in band],
            "share": round(self.share, 4),
        }

    def shown(self) -> Pixels:
        """Return the spectrogram above, and below it what counted; low pitches are at the bottom."""
        plain = self.spectrogram.T[::-1]
        low, high = float(plain.min()), float(plain.max())
        grey = (255 - 255 * (plain - low) / max(high - low, 1e-12)).astype(np.uint8)
        width, height = min(_LONGEST, max(600, grey.shape[1])), max(160, grey.shape[0])
        above = np.asarray(Image.fromarray(grey).resize((width, height)).convert("RGB"))
        below = overlay(above, self.evidence.T[::-1])
        return np.concatenate([above, np.full((8, width, 3), 255, np.uint8), below])

    def markup(self) -> Markup:
        """Return both pictures with what they say in words."""
        alt = f"The spectrogram of {self.name}, and the same, marked by what speaks for {self.label}"
        told = [("Answer", self.headline), ("Most", self.top), ("How", self.method)]
        return sheet(_jpeg(self.shown()), alt) + facts(told) + paragraph(FOR_AND_AGAINST, quiet=True)


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


def _span(text: str, weight: float, most: float) -> Markup:
    share = weight / most if most > 0 else 0.0
    if abs(share) < _LEAST:
        return fragment("{}", text)
    return fragment(
        '<mark{} style="--part:{:.0f}%" title="{:+.2f}">{}</mark>',
        Markup(' class="against"' if share < 0 else ""),
        _DARKEST * abs(share),
        weight,
        text,
    )


def _jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
