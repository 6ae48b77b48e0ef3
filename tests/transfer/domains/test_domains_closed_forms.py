"""CORAL, subspace alignment and own statistics against scikit-learn, SciPy and sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from toy_domains import accuracy, blobs, domains_of

from headstart.transfer.domains.coral import Coral, align
from headstart.transfer.domains.domains import reading
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.domains.subspace import SubspaceAlignment, principal
from headstart.transfer.heads import Head, Scaler


@settings(deadline=None, max_examples=15)
@given(width=st.integers(1, 6), scale=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_coral_gives_the_target_s_covariance(width: int, scale: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    mix = chance.normal(size=(width, width)) + 2 * np.eye(width)
    source, target = chance.normal(size=(80, width)), scale * chance.normal(size=(90, width)) @ mix + 5
    moved = align(source.astype(np.float32), target.astype(np.float32), 1e-7)
    wanted = np.atleast_2d(np.cov(target.T))
    assert np.atleast_2d(np.cov(moved.T)) == pytest.approx(wanted, rel=0.02, abs=0.02 * wanted.max())
    assert moved.mean(0) == pytest.approx(target.mean(0), rel=1e-3, abs=1e-2)


def test_coral_is_the_paper_s_formula() -> None:
    chance = np.random.default_rng(0)
    source, target = chance.normal(size=(50, 4)), chance.normal(size=(60, 4)) @ np.diag([1, 2, 3, 4])
    added = 0.3
    ours, theirs = np.cov(source.T), np.cov(target.T)
    ours += added * np.trace(ours) / 4 * np.eye(4)
    theirs += added * np.trace(theirs) / 4 * np.eye(4)
    by_hand = (source - source.mean(0)) @ np.linalg.inv(sqrtm(ours)) @ sqrtm(theirs) + target.mean(0)
    assert align(source, target, added) == pytest.approx(by_hand, abs=1e-4)


def test_coral_takes_identical_rows_and_more_features_than_items() -> None:
    assert np.isfinite(align(np.ones((4, 3)), np.ones((4, 3)), 0.1)).all()
    wide = np.random.default_rng(0).normal(size=(6, 40))
    assert np.isfinite(align(wide, wide + 1, 0.1)).all()


def test_subspace_alignment_is_the_paper_s_formula() -> None:
    domains, _ = blobs(count=90, classes=2, width=6)
    X = domains.data.features.X
    z, zt = StandardScaler().fit_transform(X[:90]), StandardScaler().fit_transform(X[90:])
    ours, theirs = PCA(3).fit(z).components_.T, PCA(3).fit(zt).components_.T
    aligned, asked = z @ ours @ ours.T @ theirs, zt @ theirs
    spread = aligned.std(0)  # the head standardises what it reads
    model = LogisticRegression(C=0.1, max_iter=300, tol=1e-6).fit(
        (aligned - aligned.mean(0)) / spread, domains.data.y[:90]
    )
    by_hand = model.decision_function((asked - aligned.mean(0)) / spread)
    logits = domains.target_view.logits(SubspaceAlignment(3).fit(domains, 0.1, 0))
    assert logits[:, 1] - logits[:, 0] == pytest.approx(by_hand, rel=0.02, abs=0.03)


def test_principal_directions_are_those_of_pca() -> None:
    rows = StandardScaler().fit_transform(
        np.random.default_rng(0).normal(size=(70, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    )
    ours, theirs = principal(rows.astype(np.float32), 3), PCA(3).fit(rows).components_.T
    assert np.abs((ours * theirs).sum(0)) == pytest.approx(1.0, abs=1e-3)


def test_own_statistics_are_two_standard_scalers() -> None:
    domains, _ = blobs(classes=2)
    X, y = domains.data.features.X.astype(float), domains.data.y
    model = LogisticRegression(C=0.1, max_iter=300, tol=1e-6)
    model.fit(StandardScaler().fit_transform(X[:150]), y[:150])
    by_hand = model.decision_function(StandardScaler().fit_transform(X[150:]))
    logits = domains.target_view.logits(OwnStatistics().fit(domains, 0.1, 0))
    assert logits[:, 1] - logits[:, 0] == pytest.approx(by_hand, rel=0.02, abs=0.03)


@pytest.mark.parametrize("method", [OwnStatistics(), Coral(1e-3), SubspaceAlignment()])
def test_what_moved_and_grew_is_found_again(method: OwnStatistics | Coral | SubspaceAlignment) -> None:
    domains, truth = blobs(shift=8.0)
    floor = accuracy(domains, SourceOnly().fit(domains, 0.1, 0), truth)
    assert accuracy(domains, method.fit(domains, 0.1, 0), truth) > max(floor + 0.2, 0.9)


def test_known_target_items_teach() -> None:
    chance = np.random.default_rng(0)
    y = np.arange(60) % 2
    source = np.stack([4.0 * y - 2, chance.normal(size=60)], 1)
    # The target's first feature says the opposite; its second one the class.
    target = np.stack([2 - 4.0 * y, 4.0 * y - 2 + chance.normal(0, 0.3, 60)], 1)
    domains = domains_of(source, y, target)
    told = domains_of(source, y, target, known={k: int(y[k]) for k in range(40)})
    for method in (OwnStatistics(), Coral(1e-3)):
        before, after = (accuracy(each, method.fit(each, 1.0, 0), y) for each in (domains, told))
        assert after > before


def test_a_head_is_folded_onto_raw_features() -> None:
    chance = np.random.default_rng(0)
    rows, matrix = chance.normal(3, 2, (20, 5)).astype(np.float32), chance.normal(size=(5, 2))
    layers = (
        (chance.normal(size=(2, 7)).astype(np.float32), np.ones(7, np.float32)),
        (chance.normal(size=(7, 3)).astype(np.float32), np.zeros(3, np.float32)),
    )
    head, scaler = Head("mlp", layers), Scaler.of(rows)
    assert reading(head, scaler, matrix).logits(rows) == pytest.approx(
        head.logits(scaler.apply(rows) @ matrix.astype(np.float32)), abs=1e-3
    )
