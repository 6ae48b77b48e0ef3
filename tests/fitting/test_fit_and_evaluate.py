"""`fit`, `evaluate_model` and `compare_models` on pictures, through the real backbone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart import data
from headstart.errors import DataError, OptionError
from headstart.fitting import Report, answers, compare_models, evaluate_model, fit
from headstart.transfer.store import FeatureStore

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def split_pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Write) -> Path:
    """Patterns with train, val and test; one test picture is also in train, one val picture also in test."""
    root = tmp_path_factory.mktemp("split") / "patterns"
    for start, (split, count) in enumerate({"train": 20, "val": 8, "test": 10}.items()):
        write_pictures(root / split, start=100 * start, across=count, along=count)
    shutil.copy(root / "test" / "across" / "200.jpg", root / "train" / "across" / "leak.jpg")
    shutil.copy(root / "test" / "along" / "201.jpg", root / "val" / "along" / "leak.jpg")
    return root


@pytest.fixture(scope="module")
def model(split_pictures: Path, store: FeatureStore) -> hs.Model:
    return fit(split_pictures, store=store)


def test_given_splits_and_copies_end_up_in_the_report(model: hs.Model) -> None:
    assert isinstance(model.report, Report)
    assert list(model.report.evaluations) == ["test", "validation"]
    assert {name: figures["items"] for name, figures in model.metrics.items()} == {
        "test": 20,
        "validation": 17,
    }
    assert model.data["counts"]["train"] == {"across": 20, "along": 20}
    assert model.data["fitted_on"] == 40 + 16
    assert model.data["duplicates"] == 2
    page = model.report.html()
    assert "1 training items that also occur in val or test" in page
    assert "1 val items that also occur in test" in page
    assert "train/across/leak.jpg" in page


def test_a_second_fit_computes_nothing_and_gives_the_same_model(
    model: hs.Model, split_pictures: Path, store: FeatureStore
) -> None:
    said: list[str] = []
    again = fit(split_pictures, store=store, say=said.append)
    assert any(line.startswith("features: 0 computed") for line in said)
    for name, tensor in model.head.tensors().items():
        assert np.array_equal(tensor, again.head.tensors()[name])
    assert again.calibration == model.calibration
    assert again.metrics == model.metrics
    assert again.data["digest"] == model.data["digest"]


def test_the_model_that_was_fitted_answers_as_the_evaluation_says(
    model: hs.Model, split_pictures: Path, store: FeatureStore
) -> None:
    found = answers(model, split_pictures, store=store)
    assert {item.split for item in found.dataset} == {"test"}
    asked = model.predict_proba([item.source for item in found.dataset])
    assert np.abs(asked - found.probabilities).max() < 0.02  # another resize kernel, within a grey level
    assert (asked.argmax(1) == found.probabilities.argmax(1)).mean() >= 0.95


def test_evaluating_gives_the_figures_of_the_fit(
    model: hs.Model, split_pictures: Path, store: FeatureStore
) -> None:
    whole = next(iter(evaluate_model(model, split_pictures, store=store).evaluations.values()))
    assert len(whole.y) == 20
    assert whole.accuracy == model.metrics["test"]["accuracy"]
    for split, count in (("train", 41), ("val", 17), ("test", 20)):
        found = evaluate_model(model, split_pictures, split=split, store=store)  # type: ignore[arg-type]
        assert len(next(iter(found.evaluations.values())).y) == count
    with pytest.raises(OptionError):
        evaluate_model(model, split_pictures, split="all", store=store)  # type: ignore[arg-type]


def test_labels_that_the_model_does_not_know_are_listed(
    model: hs.Model, tmp_path: Path, write_pictures: Write, store: FeatureStore
) -> None:
    root = write_pictures(tmp_path / "p", across=3, checks=2)
    (root / "across" / "bad.jpg").write_bytes(b"")
    found = answers(model, root, store=store)
    assert len(found.y) == 3
    assert sorted(problem.name for problem in found.dataset.problems) == [
        "across/bad.jpg",
        "checks/000.jpg",
        "checks/001.jpg",
    ]
    with pytest.raises(DataError, match="this model was made for"):
        answers(model, data.open([root / "checks" / "000.jpg"], labels=["checks"]), store=store)
    with pytest.raises(DataError, match="readable"):
        answers(model, data.open([root / "across" / "bad.jpg"], labels=["across"]), store=store)
    with pytest.raises(DataError, match="none"):
        evaluate_model(model, root, split="test", store=store)


def test_one_class_is_enough_to_evaluate_on(
    model: hs.Model, tmp_path: Path, write_pictures: Write, store: FeatureStore
) -> None:
    found = evaluate_model(model, write_pictures(tmp_path / "p", along=4), store=store)
    evaluation = next(iter(found.evaluations.values()))
    assert evaluation.auc is None
    assert 0 <= evaluation.accuracy <= 1
    assert found.html()


def test_comparing_is_paired_whatever_the_order_of_labels(
    model: hs.Model, split_pictures: Path, store: FeatureStore, pattern_pictures: Path
) -> None:
    other = fit(split_pictures, head="centroid", store=store)
    other.labels, flipped = model.labels[::-1], other.head.layers[-1]
    object.__setattr__(
        other.head, "layers", (*other.head.layers[:-1], tuple(part[..., ::-1] for part in flipped))
    )
    compared = compare_models(model, other, split_pictures, store=store)
    plain = fit(split_pictures, head="centroid", store=store)
    assert compared.to_json() == compare_models(model, plain, split_pictures, store=store).to_json()
    with pytest.raises(DataError, match="same labels"):
        compare_models(model, fit(pattern_pictures, store=store), split_pictures, store=store)


def test_unlabelled_data_teaches_nothing(tmp_path: Path, write_pictures: Write, store: FeatureStore) -> None:
    root = write_pictures(tmp_path / "p", across=3)
    with pytest.raises(DataError, match="labelled items"):
        fit(root / "across", store=store)
    with pytest.raises(DataError, match="two classes"):
        fit(root, store=store)


def test_label_errors_are_found_and_offered_for_review(
    tmp_path: Path, write_pictures: Write, store: FeatureStore
) -> None:
    root = write_pictures(tmp_path / "p", across=30, along=30)
    swapped = {f"along/{n:03d}s.jpg" for n in range(3)}
    for number in range(3):
        (root / "across" / f"{number:03d}.jpg").rename(root / "along" / f"{number:03d}s.jpg")
    report = fit(root, store=store).report
    assert isinstance(report, Report)
    assert len({issue.name for issue in report.label_issues[:5]} & swapped) >= 2
    page = report.save_review(tmp_path / "review.html").read_text(encoding="utf-8")
    assert report.label_issues[0].name in page
