"""Explanations of pictures, texts and sounds: what counted for an answer; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from headstart.explain.base import Explanation as Explanation
from headstart.explain.base import LeftOut as LeftOut
from headstart.explain.base import as_sheet
from headstart.explain.overlay import Box, Floats, overlay, peak, spread
from headstart.images.decode import Pixels
from headstart.pages import FOR_AND_AGAINST, Markup, facts, fragment, paragraph, side_by_side

_FINE = 56
"""Cells in each direction in which the top region of a picture is looked for."""
_LONGEST = 1600
"""Pixels of the longer side of a picture that is shown, at most."""
_SHORTEST = 320
"""And at least: smaller pictures are enlarged, or nobody sees where the colours are."""
_DARKEST = 48
"""Per cent of colour behind the part that brings most: what is written on it stays readable."""
_LEAST = 0.04
"""Of the largest weight: what brings less is not marked."""


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
        scale = min(longest, max(_SHORTEST, height, width)) / max(height, width)
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
        down, across = self._fine.shape
        width, height = right - left, bottom - top
        return (  # in whole numbers, rounded outwards: 29 · (56 / 56) may be more than 29
            left + columns.start * width // across,
            top + rows.start * height // down,
            left - (-columns.stop * width // across),
            top - (-rows.stop * height // down),
        )

    @property
    def share(self) -> float:
        """The share of the evidence for the label that lies in the top region, float from 0 to 1."""
        if self._peak is None:
            return 0.0
        positive = np.maximum(self._fine, 0)
        return min(1.0, float(positive[self._peak].sum() / positive.sum()))

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

    def shown(self, longest: int = _LONGEST) -> Pixels:
        """Return `overlay` with a frame around the top region."""
        pixels = self.overlay(longest)
        if self._peak is None:
            return pixels
        scale = pixels.shape[1] / self.picture.shape[1]
        left, top, right, bottom = (round(edge * scale) for edge in self.region())
        image = Image.fromarray(pixels)
        draw = ImageDraw.Draw(image)
        for inset, colour in ((0, "black"), (1, "white"), (2, "white"), (3, "black")):
            if right - left > 2 * inset + 1 and bottom - top > 2 * inset + 1:
                box = (left + inset, top + inset, right - 1 - inset, bottom - 1 - inset)
                draw.rectangle(box, outline=colour)
        return np.asarray(image)

    def markup(self) -> Markup:
        """Return the overlay with what it says in words."""
        alt = f"{self.name}, marked by what speaks for {self.label} and what against it"
        pale = (
            ""
            if self.box == (0, 0, *self.picture.shape[1::-1])
            else " What is pale the network does not see."
        )
        framed = "" if self._peak is None else " The frame is around what speaks for it most."
        said = facts(self.told()) + paragraph(FOR_AND_AGAINST + framed + pale, quiet=True)
        return side_by_side(as_sheet(self.shown(800), alt), said)


@dataclass(frozen=True, eq=False)
class TextExplanation(Explanation):
    """Which parts of a text counted.

    Args:
        parts: (text, weight) of each word in order, blanks included, so that joined they are the text: above
            0 it speaks for the label.
        sentences: (text, weight) of each sentence: what its words brought together. Defaults to none.

    Example:
        >>> found = TextExplanation("a.txt", "good", 0.9, "made up", True, (("Great", 1.0), (" film", 0.0)))
        >>> found.to_json()["top"]
        {'text': 'Great', 'weight': 1.0, 'share': 1.0}
    """

    parts: tuple[tuple[str, float], ...]
    sentences: tuple[tuple[str, float], ...] = ()

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
        }

    def marked(self) -> Markup:
        """Return the text alone, its words coloured by what they brought."""
        return _marked(self.parts, "")

    def markup(self) -> Markup:
        """Return the text, its words and sentences coloured by what they brought, and what it says."""
        shown = self.marked()
        if len(self.sentences) > 1:
            shown = (
                paragraph(fragment("<b>Sentence by sentence</b>"))
                + _marked(self.sentences, " ")
                + paragraph(fragment("<b>Word by word</b>"))
                + shown
            )
        return shown + facts(self.told()) + paragraph(FOR_AND_AGAINST, quiet=True)


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
    """

    spectrogram: Floats
    evidence: Floats
    seconds: float
    hertz: Floats | None = None
    start: float = 0.0

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
        }

    def shown(self) -> Pixels:
        """Return the spectrogram, below it what counted, and axes in seconds and Hz."""
        from headstart.explain.sound_picture import draw

        return draw(self)

    def markup(self) -> Markup:
        """Return both pictures with what they say in words."""
        alt = f"The spectrogram of {self.name}, and the same, marked by what speaks for {self.label}"
        said = facts(self.told()) + paragraph(FOR_AND_AGAINST, quiet=True)
        return as_sheet(self.shown(), alt) + said


def _top(parts: Sequence[tuple[str, float]]) -> dict[str, Any] | None:
    """Return the part that counts most; None where nothing speaks for the label."""
    total = sum(max(weight, 0.0) for _, weight in parts)
    if total <= 0:
        return None
    text, weight = max(parts, key=lambda part: part[1])
    return {"text": text.strip(), "weight": round(float(weight), 6), "share": round(weight / total, 4)}


def _rounded(parts: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"text": text, "weight": round(float(weight), 6)} for text, weight in parts]


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
