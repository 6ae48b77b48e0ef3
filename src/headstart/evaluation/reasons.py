"""Why the worst errors were made: what counted for the answer, and what had been learned from like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from headstart.pages import FOR_AND_AGAINST, Glimpse, Markup, fragment, glimpse, glimpses, paragraph

Shows = Callable[[str], Glimpse | None]


@dataclass(frozen=True)
class Neighbour:
    """An item that the model learned from, and how much like another it is."""

    name: str
    label: str
    cosine: float


@dataclass(frozen=True, eq=False)
class Reason:
    """Why an item was answered as it was.

    Args:
        near: What the model had learned from that is most like it. Defaults to none.
        shown: What counted for the answer: a small JPEG, or a marked text. Defaults to None: not known.
        says: The same in a few words, str. Defaults to "".
        about: The explanation as a JSON object. Defaults to none.
    """

    near: tuple[Neighbour, ...] = ()
    shown: bytes | Markup | None = None
    says: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"nearest": [asdict(one) for one in self.near], "explanation": dict(self.about) or None}


def shown_errors(
    errors: Sequence[tuple[str, str, Markup]], reasons: Sequence[Reason], shows: Shows
) -> list[Markup]:
    """Return the worst errors for the report, the first ones with their reasons.

    Args:
        errors: (item, alternative text, caption) of each, the worst first.
        reasons: Of the first of them, in their order.
        shows: Shows an item by its name.

    Returns:
        What is to be seen, Markup.
    """
    if not any(reason.near or reason.shown is not None for reason in reasons):
        return [glimpses((shows(name), alt, caption) for name, alt, caption in errors)]
    cases = (_case(*error, reason, shows) for error, reason in zip(errors, reasons, strict=False))
    found = [_legend(reasons), fragment('<ol class="reasons">{}</ol>', Markup("").join(cases))]
    if rest := errors[len(reasons) :]:
        found.append(glimpses((shows(name), alt, caption) for name, alt, caption in rest))
    return found


def _legend(reasons: Sequence[Reason]) -> Markup:
    words = []
    if methods := list(dict.fromkeys(str(each.about["method"]) for each in reasons if each.about)):
        words.append(
            f"Marked is what counted, by the finished model ({'; '.join(methods)}). {FOR_AND_AGAINST}"
        )
    if any(reason.near for reason in reasons):
        words.append(
            "Beside each: what the model had learned from that is most like it, by the cosine of the "
            "pretrained network's features."
        )
    return paragraph(" ".join(words), quiet=True)


def _case(name: str, alt: str, caption: Markup, reason: Reason, shows: Shows) -> Markup:
    item = _figure(glimpse(shows(name), alt), caption)
    says = fragment('<span class="quiet">{}</span>', reason.says)
    if isinstance(reason.shown, bytes):
        item += _figure(glimpse(reason.shown, f"{alt}: what counted"), says)
    elif reason.shown is not None:  # a marked text is the text itself
        item = _figure(
            fragment('<div class="scroll" tabindex="0">{}</div>', reason.shown),
            caption + Markup("<br>") + says,
        )
    near = glimpses(
        (
            shows(one.name),
            f"{one.name}: {one.label}",
            fragment('<b>{}</b> <span class="quiet">{:.2f}</span>', one.label, one.cosine),
        )
        for one in reason.near
    )
    learned = fragment('<div class="near">{}</div>', near) if reason.near else Markup("")
    return fragment("<li>{}{}</li>", item, learned)


def _figure(shown: Markup, caption: Markup) -> Markup:
    return fragment("<figure>{}<figcaption>{}</figcaption></figure>", shown, caption)
