"""Ensembles: fitted on the same division, combined, compared with their members, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart as hs
from headstart.artefact import Model
from headstart.artefact.model import Model as ModelType
from headstart.errors import DataError, OptionError
from headstart.evaluation.committee import agreement
from headstart.evaluation.label_metrics import evaluate_labels
from headstart.evaluation.metrics import evaluate
from headstart.evaluation.number_metrics import evaluate_numbers
from headstart.fitting.ensembles import ensemble, fit_ensemble
from headstart.fitting.reporting import Report
from headstart.transfer.calibration import Calibration
from headstart.transfer.store import FeatureStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store for all tests here: the features are computed once."""
    return FeatureStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def fitted(pattern_pictures: Path, store: FeatureStore) -> Model:
    """An ensemble of two MLPs with different seeds."""
    return fit_ensemble(pattern_pictures, members=2, head="mlp", seed=3, store=store)


def report(model: Model) -> Report:
    assert isinstance(model.report, Report)
    return model.report


def test_members_differ_by_seed_and_answer_as_one(fitted: Model, pattern_pictures: Path) -> None:
    assert len(fitted.members) == 2
    assert [plan["seed"] for plan in fitted.plan["members"]] == [3, 4]
    first, second = (member.head.layers[0][0] for member in fitted.members)
    assert not np.allclose(first, second)
    pictures = sorted(pattern_pictures.glob("*/*.jpg"))
    answers = fitted.predict(pictures)
    right = [answer.label == picture.parent.name for answer, picture in zip(answers, pictures, strict=True)]
    assert np.mean(right) > 0.9


def test_the_report_compares_the_members_with_all_together(fitted: Model) -> None:
    committee = report(fitted).content.committee
    assert committee is not None
    assert list(committee.scores) == [
        "1: mlp head on efficientnet_lite0, seed 3",
        "2: mlp head on efficientnet_lite0, seed 4",
        "together",
    ]
    page = report(fitted).html()
    reasons = report(fitted).to_json()["reasons"]
    worst = report(fitted).content.evaluation.losses
    assert [(each["name"], each["explanation"]["label"]) for each in reasons] == [
        (loss.name, loss.answer) for loss in worst[: len(reasons)]
    ]  # those of all members together, not of the first
    assert not any(each["nearest"] for each in reasons)
    assert "Its members" in page
    assert "Two members give the same answer about" in page
    assert fitted.metrics["validation"]["accuracy"] == report(fitted).evaluations["validation"].accuracy


def test_a_saved_ensemble_answers_and_is_evaluated_the_same(
    fitted: Model, pattern_pictures: Path, store: FeatureStore, tmp_path: Path
) -> None:
    copy = hs.load(fitted.save(tmp_path / "both"))
    pictures = sorted(pattern_pictures.glob("*/*.jpg"))[::5]
    np.testing.assert_allclose(copy.predict_proba(pictures), fitted.predict_proba(pictures), atol=1e-4)
    evaluation = hs.evaluate(copy, pattern_pictures, store=store).evaluations["train"]
    by_name = dict(zip(evaluation.names, evaluation.probabilities, strict=True))
    for picture, probabilities in zip(pictures, copy.predict_proba(pictures), strict=True):
        name = picture.relative_to(pattern_pictures).as_posix()
        np.testing.assert_allclose(by_name[name], probabilities, atol=0.03)  # another resize kernel


def test_members_are_judged_on_the_same_items(
    fitted: Model, pattern_pictures: Path, store: FeatureStore
) -> None:
    alone = hs.fit(pattern_pictures, head="mlp", seed=3, store=store)
    together = report(fitted).evaluations["validation"]
    assert sorted(report(alone).evaluations["validation"].names) == sorted(together.names)
    assert alone.data["fitted_on"] == fitted.data["fitted_on"]


def test_backbones_may_differ_in_cross_validation(pattern_pictures: Path, store: FeatureStore) -> None:
    linear = hs.fit(pattern_pictures, folds=3, store=store)
    centroid = hs.fit(pattern_pictures, folds=3, head="centroid", store=store)
    both = ensemble([linear, centroid], pattern_pictures, store=store)
    evaluation = report(both).evaluations["cross-validation"]
    assert len(evaluation.names) == 42
    assert isinstance(both.calibration, Calibration)
    expected = np.mean(
        [report(model).evaluations["cross-validation"].probabilities for model in (linear, centroid)], 0
    )
    np.testing.assert_array_equal(evaluation.answers, expected.argmax(1))


def test_loaded_models_are_calibrated_on_new_items(
    fitted: Model, pattern_pictures: Path, store: FeatureStore, tmp_path: Path, write_pictures: Any
) -> None:
    models = []
    for number, head in enumerate(("linear", "centroid")):
        model = hs.fit(pattern_pictures, head=head, store=store)
        models.append(hs.load(model.save(tmp_path / f"model{number}")))
    with pytest.raises(DataError, match="that no member was fitted on"):
        ensemble(models, pattern_pictures, store=store)
    new = write_pictures(tmp_path / "new", 100, across=6, along=6, checks=6)
    both = ensemble(models, new, store=store)
    assert len(report(both).evaluations["validation"].names) == 18
    assert hs.load(both.save(tmp_path / "both")).golden is not None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"members": 1}, "at least two members"),
        ({"members": 3}, "3 of which 1 do"),
        ({"backbones": ["efficientnet_lite0", "efficientnet_lite0"]}, "2 of which 1 do"),
        ({"backbones": []}, "at least two members"),
    ],
)
def test_members_that_cannot_be_are_refused(
    options: dict[str, Any], says: str, pattern_pictures: Path, store: FeatureStore
) -> None:
    with pytest.raises(OptionError, match=says):
        fit_ensemble(pattern_pictures, store=store, **options)


def test_models_that_do_not_go_together_are_refused(
    fitted: Model, pattern_pictures: Path, store: FeatureStore
) -> None:
    single = hs.fit(pattern_pictures, head="centroid", store=store)
    with pytest.raises(OptionError, match="at least two models"):
        ensemble([single], pattern_pictures, store=store)
    with pytest.raises(OptionError, match="one of 2"):
        ensemble([single, fitted], pattern_pictures, store=store)
    other = renamed(single)
    with pytest.raises(OptionError, match="others: across, zebra"):
        ensemble([single, other], pattern_pictures, store=store)


def renamed(model: Model) -> Model:
    """The same model, one class called otherwise."""
    member = model.members[0]
    return ModelType(
        labels=("zebra", *model.labels[1:]),
        modality=model.modality,
        front_end=member.front_end,
        backbone=member.backbone,
        network=member.network,
        head=member.head,
        calibration=model.calibration,
    )


def test_agreement_of_labels_label_sets_and_numbers() -> None:
    y, names = [0, 1, 1, 0], list("abcd")
    right = evaluate("xy", y, np.eye(2)[y], names=names)
    half = evaluate("xy", y, np.eye(2)[[0, 1, 0, 1]], names=names)
    assert "50.0" in agreement([right, half])
    assert "100.0" in agreement([right, half])
    sets = np.eye(2, dtype=np.bool_)[y]
    same = evaluate_labels("xy", sets, sets * 0.9, sets, names=names)
    assert agreement([same, same]).count("100.0") == 2
    numbers = [evaluate_numbers(np.arange(4.0), np.arange(4.0) + off, names=names) for off in np.eye(4)[:2]]
    assert "correlate by -0.33" in agreement(numbers)
    steady = evaluate_numbers(np.arange(4.0), np.arange(4.0), names=names)
    assert "correlate by 1.00" in agreement([steady, steady])


@pytest.mark.slow
def test_dog_breeds_start_from_the_source_classes(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "images" / "dog_breeds120" / "labels.csv"
    with FeatureStore(tmp_path) as own:
        model = hs.fit(source, folds=3, store=own)
    assert model.plan["head_start"] == "source classes"
    assert model.metrics["cross-validation"]["accuracy"] >= 0.86
    assert "120 of 120 matched" in dict(report(model).content.facts)["Head"]
    assert any("contaminated" in note for note in report(model).content.data_notes)
