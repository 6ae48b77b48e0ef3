"""What is known about an item's content before any network has seen it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """A description of one item's content.

    Args:
        digest: SHA-256 of the content, str; "" when it could not be read at all.
        fingerprint: 64-bit perceptual hash, int. Defaults to None (undecodable, or the modality has none).
        shape: (width, height) of a picture in pixels, tuple of int; () when unknown. Defaults to ().
        kind: What it is by content, str, such as "JPEG". Defaults to "unknown".
        error: Why it cannot be used, str. Defaults to None: it can.
        measures: What else was measured, name to number; see `audio.measures`. Defaults to none.
    """

    digest: str
    fingerprint: int | None = None
    shape: tuple[int, ...] = ()
    kind: str = "unknown"
    error: str | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Facts:
        """Build from what `to_json` returned."""
        return cls(**{**value, "shape": tuple(value["shape"])})
