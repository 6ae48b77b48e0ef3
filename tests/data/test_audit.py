"""The audit: every fault is found, and nothing is found in a sound data set."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.audit import Audit, audit
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item, Problem
from headstart.errors import OptionError


def fact(index: int, **changes: Any) -> Facts:
    """Facts of a content that is like no other's."""
    fingerprint = (index * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64
    given_: dict[str, Any] = {"fingerprint": fingerprint, "shape": (64, 48), "kind": "JPEG", **changes}
    return Facts(
        changes.get("digest", f"digest {index}"), **{k: v for k, v in given_.items() if k != "digest"}
    )


def sound(per_class: int = 12, classes: str = "ab") -> tuple[list[Item], list[Facts]]:
    labels = [label for label in classes for _ in range(per_class)]
    items = [Item(f"{label}/{i}.jpg", b"", label) for i, label in enumerate(labels)]
    return items, [fact(i) for i in range(len(items))]


def audited(items: list[Item], facts: list[Facts], problems: tuple[Problem, ...] = ()) -> Audit:
    return audit(Dataset(tuple(items), "image", None, problems), facts)


def sentences(found: Audit, severity: str) -> list[str]:
    return [finding.sentence for finding in found.findings if finding.severity == severity]


def split(items: list[Item], *splits: Any) -> list[Item]:
    return [Item(i.name, i.source, i.label, splits[n % len(splits)]) for n, i in enumerate(items)]


def test_a_sound_data_set() -> None:
    found = audited(*sound())
    assert not found.hurts
    assert found.findings == ()
    assert found.classes == {"a": {"undecided": 12}, "b": {"undecided": 12}}
    assert found.splits == ("undecided",)
    assert (found.imbalance, found.evenness) == (1.0, 1.0)
    assert found.kinds == {"JPEG": 24}
    assert found.quantiles()["aspect ratio"]["median"] == pytest.approx(4 / 3)
    assert all(len(names) == 5 and names[0].startswith(label) for label, names in found.examples.items())


def test_corrupt_items_are_named_with_the_reason_and_counted_nowhere_else() -> None:
    items, facts = sound()
    facts[0] = fact(0, fingerprint=None, error="truncated", digest="")
    facts[1] = fact(1, fingerprint=None, error="empty", digest="")
    found = audited(items, facts)
    assert sentences(found, "hurts") == ["2 items cannot be read: a/0.jpg (truncated), a/1.jpg (empty)."]
    assert found.corrupt == (Problem("a/0.jpg", "truncated"), Problem("a/1.jpg", "empty"))
    assert found.classes["a"] == {"undecided": 10}
    assert found.duplicates == ()
    assert found.items == 24


def test_what_was_not_opened_is_a_note() -> None:
    found = audited(*sound(), (Problem("x.md", "is of another kind"),))
    assert sentences(found, "note") == ["1 file or row was not opened: x.md (is of another kind)."]
    assert not found.hurts


def test_copies_across_splits_hurt_and_within_are_a_note() -> None:
    items, facts = sound(24)
    items = split(items, "train", "val", "test")
    facts[1] = facts[0]  # train 0 is also in val
    facts[5] = fact(5, fingerprint=(facts[4].fingerprint or 0) ^ 0b11)  # val 4 nearly in test
    facts[6] = facts[3]  # twice in train
    found = audited(items, facts)
    assert sentences(found, "hurts") == [
        "1 item of train is also in val or test: a/0.jpg.",
        "1 item of val is also in test: a/4.jpg.",
    ]
    assert sentences(found, "note") == ["1 item repeats another in the same split: a/6.jpg."]
    assert [(c.first, c.second, c.kind, c.distance, c.crosses) for c in found.duplicates] == [
        ("a/0.jpg", "a/1.jpg", "exact", 0, True),
        ("a/3.jpg", "a/6.jpg", "exact", 0, False),
        ("a/4.jpg", "a/5.jpg", "near", 2, True),
    ]


def test_contradicting_labels() -> None:
    items, facts = sound()
    facts[12] = facts[0]
    found = audited(items, facts)
    assert sentences(found, "hurts") == [
        "2 items have the same content but different labels: a/0.jpg (a) and b/12.jpg (b)."
    ]
    assert found.conflicts[0].labels == ("a", "b")


def test_groups_in_two_splits() -> None:
    items, facts = sound()
    items = split(items, "train", "val")
    items[0] = Item("x", b"", "a", "train", group="g")
    items[1] = Item("y", b"", "a", "val", group="g")
    assert sentences(audited(items, facts), "hurts") == ["1 group in more than one split: g."]


@pytest.mark.parametrize(
    ("counts", "hurts", "notes"),
    [
        ({"a": 12}, ["only one class (a)"], []),
        ({"a": 12, "b": 1}, ["1 class with a single item: b."], []),
        ({"a": 12, "b": 9}, [], ["1 class with fewer than 10 items: b (9)."]),
        ({"a": 201, "b": 10}, ["extremely uneven: a has 201 items, b 10"], []),
        ({"a": 200, "b": 10}, [], []),
        (
            {"a": 12, "b": 3, "c": 2, "d": 2, "e": 2},
            [],
            ["4 classes with fewer than 10 items: b (3), c (2), d (2) and 1"],
        ),
    ],
)
def test_class_sizes(counts: dict[str, int], hurts: list[str], notes: list[str]) -> None:
    labels = [label for label, count in counts.items() for _ in range(count)]
    items = [Item(f"{i}", b"", label) for i, label in enumerate(labels)]
    found = audited(items, [fact(i) for i in range(len(items))])
    for severity, parts in (("hurts", hurts), ("note", notes)):
        said = sentences(found, severity)
        assert len(said) == len(parts)
        assert all(part in sentence for part, sentence in zip(parts, said, strict=True))


def test_classes_missing_in_a_split() -> None:
    items, facts = sound(12, "abc")
    splits = ["train"] * 12 + ["val"] * 12 + ["train", "test"] * 6
    items = [Item(i.name, b"", i.label, s) for i, s in zip(items, splits, strict=True)]  # type: ignore[arg-type]
    found = audited(items, facts)
    assert sentences(found, "hurts") == ["1 class missing in train: b."]
    assert sentences(found, "note") == ["2 classes missing in val: a, c.", "2 classes missing in test: a, b."]
    undecided = [Item(i.name, b"", i.label, None if i.label == "b" else i.split) for i in items]
    assert not audited(undecided, facts).hurts


def test_unlabelled_and_empty() -> None:
    found = audited([Item("a", b""), Item("b", b"")], [fact(0), fact(1)])
    assert (found.hurts, found.imbalance, found.evenness, found.classes) == (False, None, None, {})
    assert "No item has a label" in found.findings[0].sentence
    assert audited([], []).findings == ()


def test_shapes_of_one_dimension_and_unknown_ones() -> None:
    items, facts = sound()
    facts = [fact(i, shape=(i,) if i else ()) for i in range(24)]
    found = audited(items, facts)
    assert len(found.shapes) == 23
    assert (found.quantiles()["size"]["min"], found.quantiles()["size"]["max"]) == (1.0, 23.0)


def test_as_many_facts_as_items() -> None:
    with pytest.raises(OptionError, match="24 items"):
        audited(sound()[0], [])


def test_json_holds_everything_and_survives() -> None:
    items, facts = sound(24)
    facts[1] = facts[0]
    facts[2] = fact(2, error="bad", fingerprint=None)
    facts[30] = facts[5]
    found = audited(split(items, "train", "val", "test"), facts, (Problem("p", "r"),))
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value == found.to_json()
    assert value["hurts"] is True
    assert value["duplicates"]["across_splits"][0]["first"] == "a/0.jpg"
    assert value["label_conflicts"][0]["labels"] == ["a", "b"]
    assert value["left_out"] == [{"name": "p", "reason": "r"}]
    assert value["findings"][0]["severity"] == "hurts"


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", None]),
            st.sampled_from(["train", "val", "test", None]),
            st.integers(0, 8),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_any_data_set_has_a_truthful_audit(rows: list[tuple[Any, Any, int, bool]]) -> None:
    items = [Item(f"{i}", b"", label, where) for i, (label, where, _, _) in enumerate(rows)]
    facts = [fact(content, error="bad" if bad else None) for _, _, content, bad in rows]
    found = audited(items, facts)
    good = [row for row in rows if not row[3]]
    assert len(found.corrupt) == len(rows) - len(good)
    assert sum(n for counts in found.classes.values() for n in counts.values()) == sum(
        r[0] is not None for r in good
    )
    contradictions = {(x[2]) for x in good for y in good if x[2] == y[2] and x[0] != y[0]}
    assert bool(found.conflicts) == bool(contradictions)
    crossing = any(x[2] == y[2] and x[1] != y[1] for x in good for y in good)
    assert any(copy.crosses for copy in found.duplicates) == crossing
    json.dumps(found.to_json(), allow_nan=False)
    if found.evenness is not None:
        assert 0 < found.evenness <= 1
        assert math.isclose(found.evenness, 1) == math.isclose(found.imbalance or 0, 1)
    severities = [finding.severity for finding in found.findings]
    assert severities == sorted(severities)
