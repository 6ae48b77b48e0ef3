"""Label errors: flipped labels come first, and a review is applied as decided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from headstart.errors import DataError
from headstart.evaluation import apply_review, find_label_issues


@pytest.mark.parametrize(("classes", "spread", "seed"), [(2, 1.2, 0), (3, 1.2, 1), (10, 1.0, 2)])
def test_seventy_per_cent_of_flipped_labels_are_in_the_first_tenth(
    classes: int, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    true = np.arange(1_000) % classes
    centres = rng.normal(size=(classes, 16)) * 1.5
    x = centres[true] + spread * rng.normal(size=(1_000, 16))
    given_ = true.copy()
    flipped = rng.choice(1_000, size=50, replace=False)
    given_[flipped] = (true[flipped] + rng.integers(1, classes, size=50)) % classes
    p = cross_val_predict(LogisticRegression(C=0.1, max_iter=500), x, given_, cv=5, method="predict_proba")
    issues = find_label_issues(
        [str(i) for i in range(classes)], given_, p, names=[str(i) for i in range(1_000)]
    )
    first = {int(issue.name) for issue in issues[:100]}
    assert len(first & set(flipped.tolist())) >= 35
    caught = [issue for issue in issues if issue.likely and int(issue.name) in set(flipped.tolist())]
    assert np.mean([issue.suggested == str(true[int(issue.name)]) for issue in caught]) > 0.9
    assert sum(issue.likely for issue in issues) < 150


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 1_000))
def test_the_ranking_is_complete_and_ordered(items: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(classes), size=items), rng.integers(classes, size=items)
    labels = [f"c{i}" for i in range(classes)]
    issues = find_label_issues(labels, y, p, names=[str(i) for i in range(items)])
    assert sorted(int(issue.name) for issue in issues) == list(range(items))
    assert issues == sorted(issues, key=lambda issue: (not issue.likely, -issue.score))
    for issue in issues:
        assert 0 <= issue.score <= 1
        assert issue.given == labels[y[int(issue.name)]]
        assert issue.suggested != issue.given
        best = max(
            (q, label) for q, label in zip(p[int(issue.name)], labels, strict=True) if label != issue.given
        )
        assert issue.suggested == best[1]


def test_certain_and_agreeing_answers_are_no_issue() -> None:
    issues = find_label_issues(["a", "b"], [0, 1], [[1.0, 0.0], [0.0, 1.0]], names=["x", "y"])
    assert [issue.likely for issue in issues] == [False, False]
    assert [issue.score for issue in issues] == [0.0, 0.0]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="one row for each item"):
        find_label_issues(["a", "b"], [0, 1], [[1.0, 0.0]], names=["x", "y"])


ROWS = [
    {"path": "a.jpg", "label": "cat", "split": "train"},
    {"path": "b.jpg", "label": "cat", "split": "val"},
    {"path": "c.jpg", "label": "dog", "split": "train"},
]


def test_a_review_changes_what_was_decided_and_nothing_else() -> None:
    before = [dict(row) for row in ROWS]
    found = apply_review(ROWS, {"a.jpg": "dog", "c.jpg": None})
    assert found == [{"path": "a.jpg", "label": "dog", "split": "train"}, ROWS[1]]
    assert before == ROWS
    assert apply_review(ROWS, {}) == ROWS


def test_a_decision_about_an_unknown_item_is_refused() -> None:
    with pytest.raises(DataError, match="nowhere"):
        apply_review(ROWS, {"nowhere.jpg": "dog"})
