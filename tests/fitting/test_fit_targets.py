"""Several labels and numbers through the whole way: from a manifest to a saved model that is measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import SHARES, discs, shapes
from numpy.typing import NDArray
from synthetic import gathered

import headstart as hs
from headstart import data
from headstart.data.items import Dataset, Item
from headstart.errors import DataError, OptionError
from headstart.evaluation import LabelsEvaluation, NumberEvaluation
from headstart.fitting import Report, answers, compare_models, evaluate_model, fit
from headstart.fitting.arranging import arrange
from headstart.fitting.learning import learn
from headstart.fitting.targets import require_two_answers
from headstart.transfer.calibration import Interval, Thresholds
from headstart.transfer.store import FeatureStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("drawn")
    return {"labels": shapes(root, 120), "number": discs(root, 120)}


@pytest.fixture(scope="module")
def several(manifests: dict[str, Path], store: FeatureStore) -> hs.Model:
    return fit(manifests["labels"], target="labels", store=store)


@pytest.fixture(scope="module")
def numbers(manifests: dict[str, Path], store: FeatureStore) -> hs.Model:
    return fit(manifests["number"], target="number", store=store)


def test_labels_are_told_far_better_than_by_chance(several: hs.Model) -> None:
    assert isinstance(several.report, Report)
    assert isinstance(several.calibration, Thresholds)
    assert list(several.report.evaluations) == ["test", "validation"]
    found = several.report.evaluations["test"]
    assert isinstance(found, LabelsEvaluation)
    assert found.mean_average_precision > 0.9  # type: ignore[operator]
    assert found.subset_accuracy > 0.7
    assert several.labels == tuple(sorted(SHARES))
    assert several.data["counts"]["test"] == dict(zip(several.labels, found.y.sum(0).tolist(), strict=True))
    assert several.metrics["test"]["micro_f1"] == found.micro["f1"]
    page = several.report.html()
    assert "Label by label" in page
    assert "Likely label errors" not in page


def test_numbers_are_estimated_far_better_than_by_their_mean(numbers: hs.Model) -> None:
    assert isinstance(numbers.report, Report)
    assert isinstance(numbers.calibration, Interval)
    found = numbers.report.evaluations["test"]
    assert isinstance(found, NumberEvaluation)
    assert found.mae < 0.5 * found.baseline
    assert found.r2 is not None
    assert found.r2 > 0.6
    assert found.coverage is not None
    assert found.coverage > 0.7
    assert "is off by" in numbers.report.headline
    assert numbers.data["counts"]["test"] == {"value": 30}
    assert "Interval" in numbers.report.html()


@pytest.mark.parametrize("target", ["labels", "number"])
def test_a_saved_model_is_measured_as_the_fitted_one(
    target: str,
    manifests: dict[str, Path],
    several: hs.Model,
    numbers: hs.Model,
    store: FeatureStore,
    tmp_path: Path,
) -> None:
    model = several if target == "labels" else numbers
    loaded = hs.load(model.save(tmp_path / "model"))
    said: list[str] = []
    found = evaluate_model(loaded, manifests[target], store=store, say=said.append)
    assert found.content.split == "test"
    assert not said
    figures = next(iter(found.evaluations.values())).figures
    assert figures["items"] == 30
    for name, value in model.metrics["test"].items():
        assert figures[name] == pytest.approx(value), name
    whole = data.open(manifests[target], target=target)  # type: ignore[arg-type]
    asked = loaded.predict([item.source for item in whole.only("test")])
    held = answers(loaded, manifests[target], store=store)
    if target == "number":
        off = np.array([a.value for a in asked]) - held.probabilities[:, 0]
        assert np.abs(off).max() < 0.5  # another resize kernel, within a grey level
    else:
        p = np.array([list(a.probabilities.values()) for a in asked])
        assert np.abs(p - held.probabilities).max() < 0.1
    everything = evaluate_model(loaded, whole.with_splits([None] * 120), store=store, say=said.append)
    assert (everything.content.split, said) == ("partly seen items", list(everything.content.data_notes)[:1])


def test_what_the_model_does_not_know_is_said(
    several: hs.Model, manifests: dict[str, Path], store: FeatureStore
) -> None:
    opened = data.open(manifests["labels"], target="labels")
    sources = [item.source for item in opened][:3]
    other = data.open(sources, labels=[["disc", "star"], [], ["bar"]], modality="image")
    found = answers(several, other, store=store)
    assert len(found.y) == 3
    assert found.y.sum() == 2
    assert "does not know the label 'star'; its other labels count" in found.dataset.problems[0].reason
    strange = data.open(sources, labels=[["star"], [], ["moon"]], modality="image")
    with pytest.raises(DataError, match="this model was made for"):
        answers(several, strange, store=store)
    single = data.open(sources, labels=["disc", "bar", "bar"], modality="image")
    with pytest.raises(OptionError, match="opened for the target labels"):
        answers(several, single, store=store)
    with pytest.raises(OptionError, match="two models that answer with one label"):
        compare_models(several, several, other, store=store)
    assert isinstance(several.report, Report)
    with pytest.raises(OptionError, match="to review labels"):
        several.report.save_review("never.html")


@pytest.mark.parametrize("target", ["labels", "number"])
def test_mlp_heads_and_folds(target: str, manifests: dict[str, Path], store: FeatureStore) -> None:
    model = fit(manifests[target], target=target, head="mlp", folds=3, store=store)  # type: ignore[arg-type]
    assert list(model.metrics) == ["test", "cross-validation"]
    assert model.metrics["cross-validation"]["items"] == 90
    if target == "labels":
        assert model.metrics["cross-validation"]["mean_average_precision"] > 0.8
    else:
        assert model.metrics["cross-validation"]["r2"] > 0.4
        assert 0.8 <= model.metrics["cross-validation"]["interval_coverage"] <= 1


def drawn_items(target: str, n: int, seed: int = 0) -> tuple[list[Item], NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, 8)).astype(np.float32)
    scores = X @ np.random.default_rng(9).normal(size=(8, 3)) + generator.normal(0, 0.5, (n, 3))
    items = []
    for k, row in enumerate(scores):
        labels = tuple("abc"[j] for j in np.flatnonzero(row > [0, 1, 2]))
        known = {"labels": labels} if target == "labels" else {"value": float(row[0])}
        items.append(Item(f"{k:04d}", b"", group=str(k // 2), **known))  # type: ignore[arg-type]
    return items, X


@pytest.mark.parametrize("target", ["labels", "number"])
def test_groups_and_copies_never_straddle(target: str) -> None:
    items, X = drawn_items(target, 120)
    copy = next(n for n in range(40, 120) if items[n].answer != items[7].answer)
    digests = [f"digest {n if n != 7 else copy}" for n in range(120)]
    raw = gathered(items, X, digests)
    known = Dataset(raw.dataset.items, "image", target=target)  # type: ignore[arg-type]
    found = arrange(
        type(raw)(known, raw.features, raw.facts, raw.card, raw.engine, 0), folds=False, val_share=0.2, seed=0
    )
    val = set(found.val.tolist())
    assert 16 <= len(val) <= 40
    assert all((n in val) == (n + 1 in val) for n in range(0, 120, 2))
    assert "2 training items with the same content but different labels were left out." in found.notes
    assert not {7, copy} & set(found.refit.tolist())


def test_labels_constant_in_training_and_absent_from_val_are_no_obstacle() -> None:
    items, X = drawn_items("labels", 60)
    marked = [
        Item(x.name, b"", labels=(*(x.labels or ()), "all", *(["once"] if n == 0 else [])), split=split)
        for n, x in enumerate(items)
        for split in ["val" if n % 5 == 4 else "train"]
    ]
    raw = gathered(marked, X)
    known = type(raw)(
        Dataset(raw.dataset.items, "image", target="labels"), raw.features, raw.facts, raw.card, raw.engine, 0
    )
    arrangement = arrange(known, folds=False, val_share=0.2, seed=0)
    fitted = learn(arrangement, known, "linear", None, None, 0)
    found = fitted.evaluations["validation"]
    assert isinstance(found, LabelsEvaluation)
    by_label = {score.label: score for score in found.per_label}
    assert by_label["all"].average_precision == by_label["all"].f1 == 1.0
    assert by_label["once"].average_precision is None
    assert found.mean_average_precision is not None


@pytest.mark.parametrize(
    ("target", "known", "says"),
    [
        ("number", [{"value": 2.0}] * 4, "at least two different numbers, received only 2, 4 times"),
        ("number", [{"value": 1.7e9 + n} for n in range(4)], "subtract a constant"),
        ("labels", [{"labels": ("a",)}] * 4, "items with different labels, received 'a' for each item"),
        ("labels", [{"labels": ()}] * 4, "received no label for each item"),
    ],
)
def test_what_cannot_be_learned(target: str, known: list[dict[str, object]], says: str) -> None:
    items = tuple(Item(str(n), b"", **each) for n, each in enumerate(known))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=says):
        require_two_answers(Dataset(items, "image", target=target))  # type: ignore[arg-type]


def test_one_label_that_some_have_is_enough() -> None:
    items = tuple(Item(str(n), b"", labels=("a",) if n % 2 else ()) for n in range(4))
    require_two_answers(Dataset(items, "image", target="labels"))


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("labels", {"head": "centroid"}),
        ("number", {"head": "centroid"}),
        ("number", {"class_weight": "balanced"}),
        ("labels", {"head": "mlp", "class_weight": "balanced"}),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(
    target: str, options: dict[str, str], manifests: dict[str, Path]
) -> None:
    with pytest.raises(OptionError):
        fit(manifests[target], target=target, **options)  # type: ignore[arg-type]


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path, store: FeatureStore) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    (tmp_path / "b.jpg").write_bytes(b"nor")
    (tmp_path / "m.csv").write_text("path,label\na.jpg,1\nb.jpg,2\n")
    with pytest.raises(DataError, match="readable"):
        fit(tmp_path / "m.csv", target="number", store=store)
