"""What is odd about the recordings of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from headstart.data.facts import Facts
from headstart.data.phrases import count, some

_CLIPPED = 1e-3
"""Share of samples."""
_OFFSET = 0.01
"""Of full scale."""
_MOSTLY = 0.5
_SHORT = 100
"""Milliseconds."""


def silent(facts: Facts) -> bool:
    """Return whether a recording holds nothing but silence."""
    return facts.measures.get("silent", 0) >= 1


def signal_oddities(names: Sequence[str], facts: Sequence[Facts]) -> Iterator[str]:
    """Yield what somebody should know: clipped, mostly silent, off zero, very short, several rates.

    Args:
        names: The names of the recordings.
        facts: What is known about each: shape (milliseconds, samples a second), measures as
            `audio.measures` has them.

    Yields:
        Sentences.

    Example:
        >>> list(signal_oddities(["a.wav"], [Facts("aa", shape=(5000, 8000), measures={"clipped": 0.02})]))
        ['1 sound is clipped, in more than 0.1 % of its samples: a.wav (2.0 %).']
    """
    pairs = list(zip(names, facts, strict=True))

    def those(what: str, holds: Callable[[float], bool], shown: Callable[[float], str]) -> list[str]:
        found = [(name, fact.measures.get(what, 0.0)) for name, fact in pairs if not silent(fact)]
        worst = sorted((each for each in found if holds(each[1])), key=lambda each: -each[1])
        return [f"{name} ({shown(value)})" for name, value in worst]

    if clipped := those("clipped", lambda share: share > _CLIPPED, _percent):
        how = (
            "is clipped, in more than 0.1 % of its samples",
            "are clipped, in more than 0.1 % of their samples",
        )
        yield _sentence(clipped, *how)
    if quiet := those("silent", lambda share: share > _MOSTLY, _percent):
        yield _sentence(
            quiet, "is silent for more than half of its time", "are silent for more than half of their time"
        )
    if off := those("offset", lambda mean: mean > _OFFSET, lambda mean: f"{mean:.3f}"):
        how = "does not swing about zero (DC offset)", "do not swing about zero (DC offset)"
        yield _sentence(off, *how)
    if short := [name for name, fact in pairs if len(fact.shape) == 2 and fact.shape[0] < _SHORT]:
        yield _sentence(short, "is shorter than 0.1 seconds", "are shorter than 0.1 seconds")
    for what, values in (
        ("samples a second", [fact.shape[1] for fact in facts if len(fact.shape) == 2]),
        ("channels", [int(fact.measures["channels"]) for fact in facts if "channels" in fact.measures]),
    ):
        several = Counter(values).most_common()
        if len(several) > 1:
            parts = ", ".join(f"{value} ({number:,})" for value, number in several[:5])
            others = f" and {len(several) - 5:,} others" if len(several) > 5 else ""
            yield f"The sounds differ in {what}: {parts}{others}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _sentence(examples: Sequence[str], one: str, many: str) -> str:
    return f"{count(len(examples), 'sound')} {one if len(examples) == 1 else many}: {some(examples)}."
