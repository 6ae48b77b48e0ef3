"""The estimators under scikit-learn's contract: clone, cross-validation, grid search, pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import headstart as hs
from headstart.errors import DataError, DecodeError


@pytest.fixture(scope="module")
def paths(pattern_pictures: Path) -> list[str]:
    return [str(path) for path in sorted(pattern_pictures.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def labels(paths: list[str]) -> list[str]:
    return [Path(path).parent.name for path in paths]


def test_clone_keeps_the_parameters_and_nothing_else(paths: list[str], labels: list[str]) -> None:
    fitted = hs.ImageClassifier(head="centroid", seed=4).fit(paths, labels)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.set_params(class_weight="balanced").class_weight == "balanced"
    with pytest.raises(NotFittedError):
        copy.predict(paths[:1])


def test_fit_returns_itself_and_predicts(paths: list[str], labels: list[str]) -> None:
    classifier = hs.ImageClassifier()
    assert classifier.fit(paths, labels) is classifier
    assert classifier.classes_.tolist() == sorted(set(labels))
    probabilities = classifier.predict_proba(paths[:5])
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    best = classifier.classes_[probabilities.argmax(1)]
    assert classifier.predict(paths[:5]).tolist() == best.tolist()
    assert classifier.score(paths, labels) >= 0.9


def test_cross_val_score(paths: list[str], labels: list[str]) -> None:
    scores = cross_val_score(hs.ImageClassifier(), paths, labels, cv=3)
    assert len(scores) == 3
    assert scores.mean() >= 0.75


def test_grid_search(paths: list[str], labels: list[str]) -> None:
    grid = {"head": ["linear", "centroid"], "class_weight": [None, "balanced"]}
    search = GridSearchCV(hs.ImageClassifier(), grid, cv=2, error_score="raise").fit(paths, labels)
    assert search.best_params_.keys() == grid.keys()
    assert len(search.cv_results_["mean_test_score"]) == 4
    assert search.best_score_ >= 0.7
    assert search.predict(paths[:2]).shape == (2,)


def test_pipeline_over_paths(paths: list[str], labels: list[str], pattern_pictures: Path) -> None:
    short = [str(Path(path).relative_to(pattern_pictures)) for path in paths]

    def whole(names: list[str]) -> list[str]:
        return [str(pattern_pictures / name) for name in names]

    steps = [("find", FunctionTransformer(whole)), ("classify", hs.ImageClassifier(head="centroid"))]
    pipeline = Pipeline(steps).fit(short, labels)
    assert pipeline.score(short, labels) >= 0.8
    assert cross_val_score(Pipeline(steps), short, labels, cv=2).shape == (2,)


def test_arrays_and_labels_of_other_types(paths: list[str], labels: list[str]) -> None:
    arrays = np.stack([np.asarray(Image.open(path)) for path in paths])
    numbers = [10 * sorted(set(labels)).index(label) for label in labels]
    classifier = hs.ImageClassifier(head="centroid").fit(arrays, numbers)
    assert classifier.classes_.tolist() == [0, 10, 20]
    assert set(classifier.predict(arrays[:4]).tolist()) <= {0, 10, 20}
    assert classifier.score(arrays, numbers) >= 0.8


def test_labels_come_back_as_they_were_given(paths: list[str], labels: list[str]) -> None:
    for given in (
        [f" {label} " for label in labels],
        np.array(labels, object),
        [x == "along" for x in labels],
    ):
        classifier = hs.ImageClassifier(head="centroid").fit(paths, given)
        assert classifier.classes_.tolist() == np.unique(np.asarray(given)).tolist()
        assert classifier.predict_proba(paths).sum(1) == pytest.approx(1.0)
        assert classifier.score(paths, given) >= 0.8


def test_labels_that_are_no_classes(paths: list[str], labels: list[str]) -> None:
    with pytest.raises(DataError, match="blanks"):
        hs.ImageClassifier(head="centroid").fit(paths, [f"{labels[0]} ", *labels[1:]])
    with pytest.raises(ValueError, match="label type"):
        hs.ImageClassifier(head="centroid").fit(paths, np.linspace(0, 1, len(paths)))


def test_an_unreadable_picture_is_an_error(paths: list[str], labels: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(paths[0]).read_bytes()[:150])
    with pytest.raises(DataError, match=r"broken\.jpg"):
        hs.ImageClassifier(head="centroid").fit([*paths, str(broken)], [*labels, "along"])
    fitted = hs.ImageClassifier(head="centroid").fit(paths, labels)
    with pytest.raises(DataError):
        fitted.predict([str(broken)])


def test_a_single_path_is_refused(paths: list[str], labels: list[str]) -> None:
    with pytest.raises(DataError, match="in brackets"):
        hs.ImageClassifier().fit(paths[0], labels[:1])


def test_the_regressor_estimates_numbers(paths: list[str], labels: list[str], tmp_path: Path) -> None:
    numbers = np.array([{"across": 1.5, "along": -2.0, "checks": 10.0}[label] for label in labels])
    scores = cross_val_score(
        hs.ImageRegressor(), np.array(paths), numbers, cv=KFold(3, shuffle=True, random_state=0)
    )
    assert scores.mean() > 0.5  # R², the regressor's own score
    fitted = hs.ImageRegressor(seed=3).fit(paths, numbers)
    assert clone(fitted).get_params() == fitted.get_params()
    found = fitted.predict(paths[:5])
    assert (found.shape, found.dtype) == ((5,), np.float64)
    assert fitted.model_.target == "number"
    with pytest.raises(NotFittedError):
        clone(fitted).predict(paths[:1])
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(DecodeError, match=r"bad\.jpg"):
        fitted.predict([paths[0], str(bad)])
    with pytest.raises(DataError, match="can all be read"):
        hs.ImageRegressor().fit([*paths, str(bad)], [*numbers, 1.0])
    with pytest.raises(DataError, match="finite number"):
        hs.ImageRegressor().fit(paths, ["cat"] * len(paths))  # type: ignore[list-item]
