"""Why real small models made their worst errors: what counted, and neighbours that were learned from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import discs, shapes
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart as hs
from headstart.data.items import Dataset, Item
from headstart.errors import MissingExtraError
from headstart.evaluation.number_metrics import NumberMistake
from headstart.evaluation.reasons import Reason
from headstart.evaluation.results import Loss
from headstart.fitting import Report, evaluate_model, fit
from headstart.fitting import reasons as room
from headstart.fitting.reasons import MOST, Learned, reasons
from headstart.retrieval.neighbours import unit
from headstart.transfer.store import FeatureStore

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Write) -> Path:
    root = tmp_path_factory.mktemp("split") / "patterns"
    for start, (split, count) in enumerate({"train": 16, "val": 8, "test": 10}.items()):
        write_pictures(root / split, start=100 * start, across=count, along=count)
    for file in root.rglob("*.jpg"):  # what has only just been written is read again, not remembered
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return root


@pytest.fixture(scope="module")
def model(pictures: Path, store: FeatureStore) -> hs.Model:
    return fit(pictures, store=store)


@pytest.fixture(scope="module")
def report(model: hs.Model) -> Report:
    assert isinstance(model.report, Report)
    return model.report


def found(report: Report) -> list[Reason]:
    return list(report.content.why)


def test_a_picture_is_explained_and_has_neighbours_that_were_learned_from(report: Report) -> None:
    losses = report.content.evaluation.losses
    why = found(report)
    assert len(why) == min(MOST, len(losses))
    for loss, reason in zip(losses, why, strict=False):
        assert loss.name.startswith("test/")
        assert isinstance(reason.shown, bytes)
        assert reason.about["label"] == loss.answer
        assert 0 <= reason.about["share"] <= 1
        answered = [near for near in reason.near if near.label == loss.answer]
        assert len(answered) == 3
        assert all(near.name.startswith(("train/", "val/")) for near in reason.near)
        cosines = [near.cosine for near in answered]
        assert cosines == sorted(cosines, reverse=True)
        wrong = loss.answer != loss.true
        assert [near.label for near in reason.near[3:]] == ([loss.true] if wrong else [])


def test_reasons_are_found_once(report: Report) -> None:
    assert report.content.why is report.content.why


def test_page_and_json_say_the_same(report: Report) -> None:
    page, told = report.html(), json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert '<ol class="reasons">' in page
    assert 'class="tip"' in page
    assert "class-activation map" in page
    assert len(page) < 2_000_000
    first = told["reasons"][0]
    assert {"name", "nearest", "explanation"} <= set(first)
    assert first["nearest"][0]["name"] in page
    assert len(first["explanation"]["region"]) == 4


def test_folds_are_explained_by_what_the_others_had_seen(
    write_pictures: Write, tmp_path: Path, store: FeatureStore
) -> None:
    folder = write_pictures(tmp_path / "patterns", start=300, across=12, along=12)
    model = fit(folder, folds=3, store=store)
    assert isinstance(model.report, Report)
    assert model.report.content.split == "cross-validation"
    for loss, reason in zip(model.report.content.evaluation.losses, found(model.report), strict=False):
        assert reason.near
        assert loss.name not in [near.name for near in reason.near]


@pytest.mark.parametrize("target", ["labels", "number"])
def test_labels_and_numbers_have_reasons_too(target: str, tmp_path: Path, store: FeatureStore) -> None:
    manifest = shapes(tmp_path, 80) if target == "labels" else discs(tmp_path, 80)
    model = fit(manifest, target=target, store=store)  # type: ignore[arg-type]
    assert isinstance(model.report, Report)
    why = found(model.report)
    assert all(len(reason.near) == 4 for reason in why)
    assert isinstance(why[0].shown, bytes)
    asked = why[0].about["label"]
    assert asked == "value" if target == "number" else asked in model.labels
    page = model.report.html()
    assert '<ol class="reasons">' in page
    assert why[0].near[0].name in page


def test_what_cannot_be_explained_is_left_out(
    report: Report, model: hs.Model, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_torch(*_: object, **__: object) -> None:
        raise MissingExtraError("torch", "it is not installed", "pip install headstart[train]")

    dataset = Dataset((Item("gone.jpg", Path("gone.jpg"), "across"),), "image")
    mistake = Loss("gone.jpg", "across", "along", 0.9, 0.1, 2.3)
    (gone,) = reasons(model, dataset, [mistake])()
    assert (gone.shown, gone.near, gone.about) == (None, (), {})
    monkeypatch.setattr(room, "explain", without_torch)
    worst = report.content.evaluation.losses
    why = reasons(model, hs.data.open(pictures), worst, [reason.near for reason in found(report)])()
    assert all(reason.shown is None for reason in why)
    assert [reason.near for reason in why] == [reason.near for reason in found(report)]
    content = replace(report.content, reasons=lambda: why)
    page = replace(report, content=content).html()
    assert '<ol class="reasons">' in page
    assert "Marked is what counted" not in page


def test_without_time_nothing_is_explained(model: hs.Model, report: Report, pictures: Path) -> None:
    near = [reason.near for reason in found(report)]
    why = reasons(model, hs.data.open(pictures), report.content.evaluation.losses, near, seconds=0)()
    assert all(reason.shown is None for reason in why)
    assert all(reason.near for reason in why)


def test_a_saved_model_remembers_what_it_learned_from(
    model: hs.Model, report: Report, pictures: Path, store: FeatureStore, tmp_path: Path
) -> None:
    loaded = hs.load(model.save(tmp_path / "m.headstart"))
    again = evaluate_model(loaded, pictures, store=store)
    assert [reason.near for reason in found(again)] == [reason.near for reason in found(report)]
    assert again.html().count('class="near"') == len(found(again))
    with FeatureStore(tmp_path / "empty") as empty:
        elsewhere = evaluate_model(loaded, hs.data.open(pictures).only("test"), store=empty)
    why = found(elsewhere)
    assert all(reason.near == () for reason in why)
    assert all(isinstance(reason.shown, bytes) for reason in why)
    assert "had learned from" not in elsewhere.html()


def test_of_two_items_with_one_name_both_are_shown(
    model: hs.Model, pictures: Path, store: FeatureStore, write_pictures: Write, tmp_path: Path
) -> None:
    other = write_pictures(tmp_path / "other" / "train", start=700, across=4, along=4)
    for file in sorted(other.rglob("*.jpg")):
        file.rename(file.with_name(f"{int(file.stem) - 700:03d}.jpg"))  # as in the training part
    seen = evaluate_model(model, tmp_path / "other", store=store)
    names = {near.name for reason in found(seen) for near in reason.near}
    asked = {loss.name for loss in seen.content.evaluation.losses}
    assert {name for name in asked if name.startswith("train/")}
    assert names
    assert not names & asked
    assert all(name.startswith("patterns/") == (name.removeprefix("patterns/") in asked) for name in names)


def test_neighbours_are_of_the_answered_class_and_one_of_the_true_class() -> None:
    labels = ["cat", "dog", "cat", "dog", "cat", "cat", "dog"]
    items = tuple(Item(str(n), np.zeros(1), label) for n, label in enumerate(labels))
    angles = np.linspace(0, 1.2, 7)
    learned = Learned(
        Dataset(items, "image"), np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    )
    asked = np.array([1, 0], np.float32)
    near = learned.near(Loss("x", "dog", "cat", 0.9, 0.1, 2.3), 5 * asked)
    assert [each.name for each in near] == ["0", "2", "4", "1"]
    assert near[0].cosine == 1
    allowed = np.array([False, True, False, True, True, True, True])
    assert [each.name for each in learned.near(Loss("x", "cat", "cat", 0.9, 0.9, 0.1), asked, allowed)] == [
        "4",
        "5",
    ]
    nothing = np.zeros(7, np.bool_)
    assert learned.near(Loss("x", "dog", "cat", 0.9, 0.1, 2.3), asked, nothing) == ()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_neighbours_are_the_nearest_that_are_allowed(count: int, kinds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [f"c{n}" for n in rng.integers(kinds, size=count)]
    items = tuple(Item(str(n), np.zeros(1), label) for n, label in enumerate(labels))
    vectors = unit(rng.normal(size=(count, 5)))
    allowed = rng.random(count) < 0.7
    asked = rng.normal(size=5).astype(np.float32)
    cosines = vectors @ unit(asked[None])[0]
    learned = Learned(Dataset(items, "image"), vectors)
    for mistake, most in ((Loss("x", "c0", "c0", 0.5, 0.5, 0.7), 3), (NumberMistake("x", 1.0, 2.0, 1.0), 4)):
        of_kind = allowed if most == 4 else allowed & (np.array(labels) == "c0")
        near = learned.near(mistake, asked, allowed)
        assert len(near) == min(most, int(of_kind.sum()))
        expected = np.sort(cosines[of_kind])[::-1][:most]
        assert [each.cosine for each in near] == pytest.approx(expected, abs=1e-4)
        assert all(of_kind[int(each.name)] for each in near)
