"""Several labels an item, and numbers: from cells and lists to items, splits, folds and the audit."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart import data
from headstart.data.audit import audit
from headstart.data.audit_html import audit_html
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item, in_words
from headstart.data.splits import assign_splits, make_folds, quantile_strata, settle_splits, strata
from headstart.data.targets import read_answer
from headstart.errors import DataError, OptionError

NAME = st.text(st.characters(exclude_characters="|;", exclude_categories=("Z", "C")), min_size=1, max_size=6)


def manifest(root: Path, text: str, name: str = "meta.csv") -> Path:
    for picture in ("a", "b", "c", "d", "e"):
        (root / f"{picture}.jpg").write_bytes(picture.encode())
    (root / name).write_text(text)
    return root / name


@settings(deadline=None, max_examples=60)
@given(labels=st.sets(NAME, max_size=5), mark=st.sampled_from(["|", ";", " | ", "; "]))
def test_labels_as_text_and_as_a_list_are_the_same(labels: set[str], mark: str) -> None:
    as_text = read_answer(mark.join(sorted(labels)), "labels")
    assert as_text == read_answer(sorted(labels), "labels")
    assert set(as_text[0] or ()) == labels  # type: ignore[arg-type]


@settings(deadline=None, max_examples=100)
@given(value=st.one_of(st.floats(), st.integers(-(10**9), 10**9)))
def test_only_finite_numbers_are_numbers(value: float) -> None:
    for cell in (value, repr(value), f"  {value!r} "):
        answer, reason = read_answer(cell, "number")
        assert (answer == float(value)) if math.isfinite(value) else (answer is None and reason)


@pytest.mark.parametrize("cell", ["", None, "?", "3,5", "nan", "inf", "1e999", True, [1.0], {"a": 1}, "1 2"])
def test_what_is_no_number_says_so(cell: Any) -> None:
    answer, reason = read_answer(cell, "number")
    assert answer is None
    assert "label" in reason


@pytest.mark.parametrize("cell", [["a", None], ["a", [1]], [""], {"a": 1}])
def test_what_is_no_set_of_labels_says_so(cell: Any) -> None:
    answer, reason = read_answer(cell, "labels")
    assert answer is None
    assert reason.startswith("has ")


def test_a_manifest_of_several_labels(tmp_path: Path) -> None:
    table = manifest(tmp_path, "path,label\na.jpg,cat|dog\nb.jpg,\nc.jpg,dog; cat ;dog\nd.jpg,cat\n")
    found = data.open(table, target="labels")
    assert [item.labels for item in found] == [("cat", "dog"), (), ("cat", "dog"), ("cat",)]
    assert (found.target, found.classes, found.counts()) == ("labels", ("cat", "dog"), {"cat": 3, "dog": 2})
    assert all(item.label is None and item.value is None for item in found)
    single = data.open(table)
    assert single.target == "label"
    assert single.items[0].label == "cat|dog"
    assert [problem.reason for problem in single.problems] == ["has no label"]


def test_lists_in_json_and_parquet_are_several_labels(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"path": "a.jpg", "label": ["x", "y"]}, {"path": "b.jpg", "label": []}, {"path": "c.jpg"}]
    lines = data.open(manifest(tmp_path, "\n".join(map(json.dumps, rows)), "m.jsonl"))
    assert [item.labels for item in lines] == [("x", "y"), ()]
    assert [problem.reason for problem in lines.problems] == ["has no label"]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    column = data.open(tmp_path / "m.parquet")
    assert column.target == lines.target == "labels"
    assert [item.labels for item in column] == [("x", "y"), (), ()]  # Parquet has no absent key, only null
    mixed = [{"path": "a.jpg", "label": ["x"]}, {"path": "b.jpg", "label": "y"}]
    assert data.open(manifest(tmp_path, "\n".join(map(json.dumps, mixed)), "x.jsonl")).target == "label"


def test_a_manifest_of_numbers_lists_what_is_none(tmp_path: Path) -> None:
    table = manifest(tmp_path, "path,label\na.jpg,3\nb.jpg,many\nc.jpg,nan\nd.jpg,-2.5e1\ne.jpg,\n")
    found = data.open(table, target="number")
    assert [(item.name, item.value) for item in found] == [("a.jpg", 3.0), ("d.jpg", -25.0)]
    assert (found.classes, found.counts()) == ((), {})
    assert [problem.name for problem in found.problems] == ["meta.csv:3", "meta.csv:4", "meta.csv:6"]
    assert "'many'" in found.problems[0].reason


def test_a_manifest_without_a_usable_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finite number: 'cat'"):
        data.open(manifest(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog\n"), target="number")
    with pytest.raises(DataError, match="column 'label'"):
        data.open(manifest(tmp_path, "path,age,size\na.jpg,3,4\n"), target="number")


def test_the_same_file_with_another_answer_is_left_out(tmp_path: Path) -> None:
    table = manifest(tmp_path, "path,label\na.jpg,3\na.jpg,4\nb.jpg,1\nb.jpg,1.0\n")
    found = data.open(table, target="number")
    assert [(item.name, item.value) for item in found] == [("b.jpg", 1.0)]
    assert "different labels (3, 4)" in found.problems[0].reason


def test_lists_of_labels_and_numbers() -> None:
    sources = [b"a", b"b"]
    several = data.open(sources, labels=[{"cat", "dog"}, []], modality="image")
    assert [item.labels for item in several] == [("cat", "dog"), ()]
    assert several.target == "labels"
    numbers = data.open(sources, labels=np.array([1, 2.5]), target="number", modality="image")
    assert [item.value for item in numbers] == [1.0, 2.5]
    with pytest.raises(DataError, match="nan at position 1"):
        data.open(sources, labels=[1.0, math.nan], target="number", modality="image")
    with pytest.raises(DataError, match="as many"):
        data.open(sources, labels=[1.0], target="number", modality="image")


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(b"x")
    with pytest.raises(OptionError, match="a manifest with a label column"):
        data.open(tmp_path, target="number")
    with pytest.raises(OptionError, match="label, labels, number"):
        data.open(tmp_path, target="age")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="opened for the target number"):
        data.open(data.open([b"a"], labels=["x"], modality="image"), target="number")


def test_answers_in_words() -> None:
    answers = ["cat", ("cat", "dog"), (), 3.5, None]
    assert [in_words(answer) for answer in answers] == ["cat", "cat | dog", "no label", "3.5", ""]
    assert Item("a", b"").answer is None
    assert Item("a", b"", labels=()).answer == ()
    assert Item("a", b"", value=0.0).answer == 0.0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), folds=st.integers(2, 6))
def test_every_label_has_its_share_of_every_fold(seed: int, folds: int) -> None:
    generator = np.random.default_rng(seed)
    has = generator.random((240, 4)) < [0.5, 0.3, 0.15, 0.1]
    labels = [tuple(f"l{k}" for k in np.flatnonzero(row)) for row in has]
    assigned = make_folds(labels, folds=folds, seed=seed)
    assert np.ptp(np.bincount(assigned)) <= 6
    for k in range(4):
        shares = np.bincount(assigned[has[:, k]], minlength=folds)
        assert np.ptp(shares) <= 4
    in_val = np.array([split == "val" for split in assign_splits(labels, seed=seed)])
    for k in range(4):
        assert has[in_val, k].any()
        assert has[~in_val, k].any()
        assert abs(has[in_val, k].sum() - in_val.mean() * has[:, k].sum()) <= 6


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_groups_stay_together_whatever_the_target(seed: int) -> None:
    generator = np.random.default_rng(seed)
    group = generator.integers(0, 20, 80).tolist()
    labels = [tuple(map(str, np.flatnonzero(generator.random(3) < 0.4))) for _ in group]
    numbers = quantile_strata(generator.normal(size=80))
    for known in (labels, numbers):
        assigned = make_folds(known, group, folds=4, seed=seed)
        splits = assign_splits(known, group, seed=seed)
        for one in set(group):
            members = [n for n, g in enumerate(group) if g == one]
            assert len({int(assigned[n]) for n in members}) == len({splits[n] for n in members}) == 1


def test_numbers_small_and_large_are_in_every_split() -> None:
    values = np.random.default_rng(0).normal(size=200)
    items = tuple(Item(f"{n}.jpg", b"", value=float(value)) for n, value in enumerate(values))
    settled = settle_splits(Dataset(items, "image", target="number"))
    val = np.array([item.value for item in settled.only("val")])
    assert 36 <= len(val) <= 44
    for low, high in ((0, 25), (25, 50), (50, 75), (75, 100)):
        ends = np.percentile(values, [low, high])
        assert 7 <= ((val >= ends[0]) & (val <= ends[1])).sum() <= 13
    assert Counter(strata(items)).most_common()[-1][1] == 20
    assert len(set(quantile_strata([3.0, 3.0, 3.0]))) == 1


def test_the_audit_counts_labels_and_says_what_hurts() -> None:
    items = tuple(Item(f"{n}", b"", labels=("a",) if n % 2 else ("a", "b")) for n in range(12))
    facts = [Facts(str(n), 1, (8, 8)) for n in range(12)]
    found = audit(Dataset(items, "image", target="labels"), facts)
    assert found.classes == {"a": {"undecided": 12}, "b": {"undecided": 6}}
    assert (found.parts, found.splits, found.hurts) == ({"undecided": 12}, ("undecided",), False)
    assert "1 label with fewer than 10 items: b (6)." in [finding.sentence for finding in found.findings]
    assert "Items of each label" in audit_html(found, {})
    same = tuple(Item(f"{n}", b"", labels=("a",)) for n in range(12))
    alike = audit(Dataset(same, "image", target="labels"), facts)
    assert any("same labels (a): nothing to learn" in finding.sentence for finding in alike.findings)
    none = audit(Dataset(tuple(Item(f"{n}", b"", labels=()) for n in range(12)), "image"), facts)
    assert audit_html(none, {})


def test_the_audit_of_numbers() -> None:
    items = tuple(Item(f"{n}", b"", value=float(n)) for n in range(12))
    facts = [Facts(str(n), 1, (8, 8)) for n in range(12)]
    found = audit(Dataset(items, "image", target="number"), facts)
    assert (found.hurts, found.classes, found.quantiles()["number"]["max"]) == (False, {}, 11.0)
    assert found.examples["large"][0] == "11"
    page = audit_html(found, {"0": b"", "11": b""})
    assert "Distribution of the number, from 0 to 11" in page
    assert not any("No item has a label" in finding.sentence for finding in found.findings)
    same = tuple(Item(f"{n}", b"", value=2.0) for n in range(12))
    assert audit(Dataset(same, "image", target="number"), facts).hurts
    twice = [Facts("same", 1, (8, 8)), Facts("same", 1, (8, 8))]
    conflict = audit(Dataset(items[:2], "image", target="number"), twice)
    assert conflict.conflicts[0].labels == ("0", "1")
