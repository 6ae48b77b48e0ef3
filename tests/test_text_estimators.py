"""`hs.TextClassifier` under scikit-learn's contract: lists of texts in, labels out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import headstart as hs
from headstart.errors import DataError, DecodeError
from toy_texts import NAME, written

LABELS = ["good", "bad"] * 20
TEXTS = [written(label, number // 2) for number, label in enumerate(LABELS)]
pytestmark = pytest.mark.usefixtures("toy_text")


def test_clone_keeps_the_parameters_and_nothing_else() -> None:
    fitted = hs.TextClassifier(backbone="terms", seed=4, email=True).fit(TEXTS, LABELS)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.get_params()["email"] is True
    assert copy.set_params(class_weight="balanced").class_weight == "balanced"
    with pytest.raises(NotFittedError):
        copy.predict(TEXTS[:1])


def test_fit_returns_itself_and_predicts() -> None:
    classifier = hs.TextClassifier()
    assert classifier.fit(TEXTS, LABELS) is classifier
    assert classifier.classes_.tolist() == ["bad", "good"]
    assert NAME in [member.backbone.name for member in classifier.model_.members]
    probabilities = classifier.predict_proba(TEXTS[:5])
    assert probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert classifier.predict(TEXTS[:5]).tolist() == classifier.classes_[probabilities.argmax(1)].tolist()
    assert classifier.score(TEXTS, LABELS) >= 0.9


def test_cross_validation_and_grid_search() -> None:
    scores = cross_val_score(hs.TextClassifier(backbone="terms"), TEXTS, LABELS, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() >= 0.65
    search = GridSearchCV(hs.TextClassifier(), {"backbone": [None, "terms"]}, cv=2, error_score="raise").fit(
        TEXTS, LABELS
    )
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert search.best_params_ == {"backbone": None}  # terms do not know the rare words
    assert search.predict(TEXTS[:2]).shape == (2,)


def test_pipeline_over_texts() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    steps = Pipeline([("lower", lower), ("classify", hs.TextClassifier(backbone="terms"))])
    assert steps.fit(TEXTS, LABELS).score(TEXTS, LABELS) >= 0.9


def test_arrays_paths_and_bytes(tmp_path: Path) -> None:
    for array in (np.array(TEXTS), np.array(TEXTS, object)):
        assert hs.TextClassifier(backbone="terms").fit(array, LABELS).score(array, LABELS) >= 0.9
    paths = [tmp_path / f"{number}.txt" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_text(text, encoding="utf-8")
    classifier = hs.TextClassifier(backbone="terms").fit(paths, [label == "good" for label in LABELS])
    assert classifier.classes_.tolist() == [False, True]
    np.testing.assert_array_equal(
        classifier.predict(paths), classifier.predict([text.encode() for text in TEXTS])
    )


def test_a_text_that_is_a_files_name_is_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "superb").write_bytes(b"\x00\x01 no text")
    classifier = hs.TextClassifier(backbone="terms").fit([*TEXTS, "superb"], [*LABELS, "good"])
    assert classifier.predict(["superb"]).tolist() == ["good"]


def test_empty_texts_and_single_ones_are_refused() -> None:
    with pytest.raises(DataError, match="texts that can all be read"):
        hs.TextClassifier(backbone="terms").fit([*TEXTS, ""], [*LABELS, "good"])
    with pytest.raises(DataError, match="in brackets"):
        hs.TextClassifier().fit(TEXTS[0], LABELS[:1])
    with pytest.raises(DecodeError):
        hs.TextClassifier(backbone="terms").fit(TEXTS, LABELS).predict([""])
