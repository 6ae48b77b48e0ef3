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
from headstart.pages import FOR_AND_AGAINST, Markup, Page, facts, fragment, paragraph, sheet, short

_FINE = 56
"""Cells in each direction in which the top region of a picture is looked for."""
_LONGEST = 1600
"""Pixels of the longer side of a picture that is shown."""
_DARKEST = 48
"""Per cent of colour behind the part that brings most: what is written on it stays readable."""
_LEAST = 0.04
"""Of the largest weight: what brings less is not marked."""


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
        parts: (text, weight) of each word in order, blanks included, so that joined they are the text: above
            0 it speaks for the label.
        sentences: (text, weight) of each sentence: what its words brought together. Defaults to none.
        check: What the answer is without the part that counts most. Defaults to None: nothing was left out.

    Example:
        >>> found = TextExplanation("a.txt", "good", 0.9, "made up", True, (("Great", 1.0), (" film", 0.0)))
        >>> found.to_json()["top"]
        {'text': 'Great', 'weight': 1.0, 'share': 1.0}
    """

    parts: tuple[tuple[str, float], ...]
    sentences: tuple[tuple[str, float], ...] = ()
    check: LeftOut | None = None

    picture_ending = ".html"

    @property
    def top(self) -> str:
        """The part that counts most and its share, in words."""
        found = _top(self.parts)
        if found is None:
            return "nothing speaks for it"
        return f"{found['share']:.0%} of what speaks for it is “{found['text']}”"

    def _details(self) -> dict[str, Any]:
        return {
            "top": _top(self.parts),
            "parts": _rounded(self.parts),
            "top_sentence": _top(self.sentences),
            "sentences": _rounded(self.sentences),
            "check": None if self.check is None else self.check.to_json(),
        }

    def marked(self) -> Markup:
        """Return the text alone, its words coloured by what they brought."""
        return _marked(self.parts, "")

    def markup(self) -> Markup:
        """Return the text, its words and sentences coloured by what they brought, and what it says."""
        told = [("Answer", self.headline), ("Most", self.top), *_checked(self), ("How", self.method)]
        shown = self.marked()
        if len(self.sentences) > 1:
            shown = (
                paragraph(fragment("<b>Sentence by sentence</b>"))
                + _marked(self.sentences, " ")
                + paragraph(fragment("<b>Word by word</b>"))
                + shown
            )
        return shown + facts(told) + paragraph(FOR_AND_AGAINST, quiet=True)


@dataclass(frozen=True, eq=False)
class SoundExplanation(Explanation):
    """Which moments and bands of a sound counted.

    Args:
        spectrogram: What the network heard, float [frames, mels], of any scale.
        evidence: What each brought, of the same shape: above 0 it speaks for the label.
        seconds: Length of what is explained, float.
        hertz: The centre of each band, float [mels], ascending. Defaults to None: unknown, or the network
            hears the wave itself, and only the moments say something.
        start: Where in the recording it begins, in seconds, float. Defaults to 0.
        check: What the answer is without the moment and band that count most. Defaults to None: nothing was
            left out.
    """

    spectrogram: Floats
    evidence: Floats
    seconds: float
    hertz: Floats | None = None
    start: float = 0.0
    check: LeftOut | None = None

    @cached_property
    def peak(self) -> tuple[slice, slice] | None:
        """The frames and bands of the strongest evidence; None where nothing speaks for the label."""
        return peak(self.evidence)

    def moment(self) -> tuple[float, float]:
        """Return when the strongest evidence is: from and to, in seconds of the recording."""
        if self.peak is None:
            return self.start, self.start + self.seconds
        each = self.seconds / len(self.evidence)
        return self.start + self.peak[0].start * each, self.start + self.peak[0].stop * each

    def band(self) -> tuple[float, float] | None:
        """Return where the strongest evidence is in pitch: from and to, in Hz; None where that is unknown."""
        if self.hertz is None or self.peak is None:
            return None
        return float(self.hertz[self.peak[1].start]), float(self.hertz[self.peak[1].stop - 1])

    @property
    def share(self) -> float:
        """The share of the evidence for the label that lies in that moment and band, float from 0 to 1."""
        if self.peak is None:
            return 0.0
        positive = np.maximum(self.evidence, 0)
        return float(positive[self.peak].sum() / positive.sum())

    @property
    def place(self) -> str:
        """The top moment and band, in words."""
        start, end = self.moment()
        band = self.band()
        return f"{start:.2f} to {end:.2f} s" + (
            "" if band is None else f", {band[0]:,.0f} to {band[1]:,.0f} Hz"
        )

    @property
    def top(self) -> str:
        """The top moment and band and their share, in words."""
        if self.peak is None:
            return "nothing speaks for it"
        return f"{self.share:.0%} of what speaks for it is at {self.place}"

    def _details(self) -> dict[str, Any]:
        band = self.band()
        return {
            "start": round(self.start, 3),
            "seconds": round(self.seconds, 3),
            "moment": [round(edge, 3) for edge in self.moment()],
            "band": None if band is None else [round(edge, 1) for edge in band],
            "share": round(self.share, 4),
            "check": None if self.check is None else self.check.to_json(),
        }

    def shown(self) -> Pixels:
        """Return the spectrogram, below it what counted, and axes in seconds and Hz."""
        from headstart.explain.sound_picture import draw

        return draw(self)

    def markup(self) -> Markup:
        """Return both pictures with what they say in words."""
        alt = f"The spectrogram of {self.name}, and the same, marked by what speaks for {self.label}"
        told = [("Answer", self.headline), ("Most", self.top), *_checked(self), ("How", self.method)]
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


def _top(parts: Sequence[tuple[str, float]]) -> dict[str, Any] | None:
    """Return the part that counts most; None where nothing speaks for the label."""
    total = sum(max(weight, 0.0) for _, weight in parts)
    if total <= 0:
        return None
    text, weight = max(parts, key=lambda part: part[1])
    return {"text": text.strip(), "weight": round(float(weight), 6), "share": round(weight / total, 4)}


def _rounded(parts: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"text": text, "weight": round(float(weight), 6)} for text, weight in parts]


def _checked(explanation: TextExplanation | SoundExplanation) -> list[tuple[str, str]]:
    """Return in words what the answer is without the part that counts most."""
    check = explanation.check
    if check is None:
        return []
    number = explanation.label == "value"
    left = f"{check.confidence:.4g}" if number else f"{explanation.label} {check.confidence:.1%}"
    return [("Without it", f"{left} (left out: {short(check.what, 80)})")]


def _marked(parts: Sequence[tuple[str, float]], between: str) -> Markup:
    most = max((abs(weight) for _, weight in parts), default=0.0)
    spans = Markup(between).join(_span(text, weight, most) for text, weight in parts)
    return fragment('<p class="marked" dir="auto">{}</p>', spans)


def _span(text: str, weight: float, most: float) -> Markup:
    share = weight / most if most > 0 else 0.0
    if abs(share) < _LEAST:
        return fragment("{}", text)
    return fragment(
        '{}<mark{} style="--part:{:.0f}%" title="{:+.2f}">{}</mark>{}',
        text[: len(text) - len(text.lstrip())],
        Markup(' class="against"' if share < 0 else ""),
        _DARKEST * abs(share),
        weight,
        text.strip(),
        text[len(text.rstrip()) :],
    )


def _jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
