"""What is said about odd recordings."""

from __future__ import annotations

import pytest

from headstart.data.audit import audit
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item
from headstart.data.signals import signal_oddities

FINE = {"channels": 1.0, "peak": 0.5, "level": -20.0, "clipped": 0.0, "silent": 0.1, "offset": 0.0}


def fact(number: int = 0, shape: tuple[int, int] = (5_000, 16_000), **measures: float) -> Facts:
    return Facts(
        f"{number:02}", number * 0x0F0F_1234_5678, shape, "WAV PCM_16", measures={**FINE, **measures}
    )


def said(*facts: Facts) -> list[str]:
    return list(signal_oddities([f"{n}.wav" for n in range(len(facts))], facts))


def test_nothing_is_said_about_fine_ones() -> None:
    assert said(*[fact(n) for n in range(4)]) == []


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        (fact(clipped=0.02), "1 sound is clipped, in more than 0.1 % of its samples: 1.wav (2.0 %)."),
        (fact(silent=0.8), "1 sound is silent for more than half of its time: 1.wav (80.0 %)."),
        (fact(offset=0.05), "1 sound does not swing about zero (DC offset): 1.wav (0.050)."),
        (fact(shape=(40, 16_000)), "1 sound is shorter than 0.1 seconds: 1.wav."),
        (fact(shape=(5_000, 8_000)), "The sounds differ in samples a second: 16000 (1), 8000 (1)."),
        (fact(channels=2.0), "The sounds differ in channels: 1 (1), 2 (1)."),
    ],
)
def test_each_oddity_has_its_sentence(odd: Facts, sentence: str) -> None:
    assert said(fact(), odd) == [sentence]


def test_the_worst_come_first() -> None:
    sentence = said(*[fact(n, clipped=0.01 * n) for n in range(6)])[0]
    assert sentence.startswith("5 sounds are clipped")
    assert "5.wav (5.0 %), 4.wav (4.0 %), 3.wav (3.0 %) and 2 more" in sentence


def data(*items: Item) -> Dataset:
    return Dataset(items, "audio")


def sentences(dataset: Dataset, facts: list[Facts]) -> dict[str, str]:
    return {finding.sentence: finding.severity for finding in audit(dataset, facts).findings}


def test_nothing_but_silence_hurts() -> None:
    items = [Item(f"{n}.wav", b"", "ab"[n % 2]) for n in range(20)]
    facts = [fact(n, silent=1.0 if n == 3 else 0.0, level=-120.0) for n in range(20)]
    found = sentences(data(*items), facts)
    assert found["1 sound holds nothing but silence: 3.wav."] == "hurts"
    assert not any("more than half" in sentence for sentence in found)


def test_copies_in_other_folds_hurt_those_in_other_groups_are_noted() -> None:
    items = [Item(f"{n}.wav", b"", "ab"[n % 2], group=f"g{n}", fold=str(n % 4)) for n in range(20)]
    facts = [fact(n) for n in range(20)]
    facts[5] = facts[4]
    found = sentences(data(*items), facts)
    torn = [sentence for sentence in found if "copies" in sentence]
    assert len(torn) == 2
    assert {found[sentence] for sentence in torn if "folds" in sentence} == {"hurts"}
    assert {found[sentence] for sentence in torn if "groups" in sentence} == {"note"}
    same = [Item(item.name, b"", item.label, group="one", fold="1") for item in items]
    assert not any("copies" in sentence for sentence in sentences(data(*same), facts))


def test_a_group_in_two_folds_hurts() -> None:
    items = [Item(f"{n}.wav", b"", "ab"[n % 2], group=f"g{n // 2}", fold=str(n % 2)) for n in range(4)]
    found = sentences(data(*items), [fact(n) for n in range(4)])
    assert found["2 groups in more than one fold: g0, g1."] == "hurts"


def test_what_was_measured_is_in_the_figures() -> None:
    items = [Item(f"{n}.wav", b"", "ab"[n % 2]) for n in range(5)]
    found = audit(data(*items), [fact(n, level=-10.0 * n) for n in range(5)])
    assert found.quantiles()["level"]["median"] == -20
    assert found.to_json()["shapes"]["level"]["min"] == -40
    assert Facts.from_json(fact(level=-3.0).to_json()) == fact(level=-3.0)
