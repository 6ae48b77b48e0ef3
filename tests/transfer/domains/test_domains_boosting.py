"""TrAdaBoost: source items that mislead lose their say."""

from __future__ import annotations

import numpy as np
import pytest
from toy_domains import accuracy, domains_of

from headstart.errors import DataError
from headstart.transfer.domains.boosting import TrAdaBoost, boost, ridge
from headstart.transfer.domains.domains import Domains
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.numbers import Numbers, fit_number_head


def misleading(seed: int = 0) -> tuple[Domains, np.ndarray]:
    """Half of the source follows the target's rule, half says the opposite; ten target items are known."""
    chance = np.random.default_rng(seed)
    X = chance.normal(size=(200, 2))
    y = (X[:, 0] > 0).astype(np.int64)
    y[100:] = 1 - y[100:]
    X[100:, 1] += 2  # they are told apart
    Z = chance.normal(size=(200, 2))
    truth = (Z[:, 0] > 0).astype(np.int64)
    return domains_of(X, y, Z, known={k: int(truth[k]) for k in range(10)}), truth


def test_source_items_that_mislead_lose_weight() -> None:
    domains, truth = misleading()
    alone = domains.data.take(domains.labelled).fit("linear", 1.0, None, 0)
    boosted = TrAdaBoost().fit(domains, 1.0, 0)
    assert accuracy(domains, boosted, truth) > accuracy(domains, alone, truth) + 0.1
    assert accuracy(domains, boosted, truth) > 0.85


def test_weights_follow_the_paper() -> None:
    own = np.array([False, False, True, True])
    seen = []
    error = np.array([1.0, 0.0, 1.0, 0.0])
    head = Head("linear", ((np.ones((1, 1), np.float32), np.zeros(1, np.float32)),))

    def fit(weight: np.ndarray) -> Head:
        seen.append(weight.copy())
        return head

    boost(own, fit, lambda _: error, rounds=2)
    fade = 1 / (1 + np.sqrt(2 * np.log(2) / 2))
    rate = 0.49 / 0.51  # half wrong counts as a little less
    wanted = np.array([fade, 1, 1 / rate, 1])
    assert seen[1] == pytest.approx(wanted / wanted.mean())


def test_numbers_are_learned_where_the_source_half_misleads() -> None:
    # Pardoe and Stone's setting: the target is a line that only a part of the source shares.
    chance = np.random.default_rng(0)
    X, Z = chance.uniform(-1, 1, (200, 1)), chance.uniform(-1, 1, (100, 1))
    y = np.where(np.arange(200) < 100, 3 * X[:, 0], 3 - 2 * X[:, 0])
    answers = np.concatenate([y, np.full(100, np.nan)])
    answers[200:210] = 3 * Z[:10, 0]
    item = np.arange(300)
    data = Numbers(Features(np.concatenate([X, Z]).astype(np.float32), item, item), answers, 1)
    domains = Domains(data, item[:200], item[200:])
    assert domains.known.tolist() == list(range(200, 210))

    def error(head: Head) -> float:
        return float(np.abs(domains.target_view.logits(head)[:, 0] - 3 * Z[:, 0]).mean())

    plain = fit_number_head("linear", data.features.X[:210], answers[:210], strength=1.0)
    assert error(TrAdaBoost().fit(domains, 1.0, 0)) < error(plain) / 3


def test_a_ridge_without_weights_is_the_head_for_numbers() -> None:
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(40, 3)).astype(np.float32)
    y = rows @ np.array([1.0, -2.0, 0.5]) + 7
    ours, theirs = ridge(rows, y, np.ones(40), 0.1), fit_number_head("linear", rows, y, strength=0.1)
    assert ours.logits(rows) == pytest.approx(theirs.logits(rows), abs=1e-3)


def test_nothing_known_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="labels of some target items"):
        TrAdaBoost().fit(domains_of(np.eye(2), np.array([0, 1]), np.eye(2)), 1.0, 0)
