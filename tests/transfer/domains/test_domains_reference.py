"""The closed forms and weights against adapt-python, whose answers are in reference/adapt.json.

reference/make_adapt_reference.py made them; the versions are in the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_domains import domains_of

from headstart.transfer.domains import kliep as module
from headstart.transfer.domains.boosting import TrAdaBoost
from headstart.transfer.domains.coral import align
from headstart.transfer.domains.domains import Method
from headstart.transfer.domains.kliep import kliep
from headstart.transfer.domains.kmm import kmm
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.domains.subspace import principal

FILE = Path(__file__).parent / "reference" / "adapt.json"


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def rows(reference: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(reference["source"]), np.array(reference["target"])


def test_coral_moves_as_the_reference_does(reference: dict[str, Any], rows: tuple[Any, Any]) -> None:
    """But for the mean: the reference leaves it to the change of covariance, here it is the target's."""
    ours, theirs = align(*rows, 1e-9), np.array(reference["coral"])
    assert ours - ours.mean(0) == pytest.approx(theirs - theirs.mean(0), abs=1e-4)


def test_subspaces_are_aligned_as_in_the_reference(reference: dict[str, Any], rows: tuple[Any, Any]) -> None:
    z, zt = ((each - each.mean(0)) / each.std(0) for each in rows)
    basis, aim = principal(z, 2), principal(zt, 2)
    theirs, asked = (np.array(each) for each in reference["subspace"])
    sign = np.sign((asked * (zt @ aim)).sum(0))  # directions have none of their own
    assert zt @ aim * sign == pytest.approx(asked, abs=1e-4)
    assert z @ (basis @ (basis.T @ aim)) * sign == pytest.approx(theirs, abs=1e-4)


def test_kmm_finds_the_weights_of_the_reference(reference: dict[str, Any], rows: tuple[Any, Any]) -> None:
    width = (2 * reference["gamma"]) ** -0.5
    ours = kmm(*rows, most=10.0, width=width, steps=20_000)
    assert ours == pytest.approx(np.array(reference["kmm"]), abs=0.05)


def test_kliep_finds_the_weights_of_the_reference(
    reference: dict[str, Any], rows: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same Gaussians around the same centres."""
    monkeypatch.setattr(module, "_WIDTHS", (1.0,))
    ours, theirs = kliep(*rows), np.array(reference["kliep"])
    theirs /= theirs.mean()
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert ours == pytest.approx(theirs, abs=0.25)


def test_tradaboost_answers_as_the_reference(reference: dict[str, Any], rows: tuple[Any, Any]) -> None:
    """Their vote counts answers, ours is one linear head: some items differ, far fewer than by the source."""
    y, theirs = np.array(reference["y"]), reference["tradaboost"]
    known = {place: int(y[place]) for place in range(theirs["known"])}
    domains, answers = domains_of(rows[0], y, rows[1], known), np.array(theirs["answers"])

    def alike(method: Method) -> float:
        said = domains.target_view.logits(method.fit(domains, 1.0, 0)).argmax(1)
        return float((said == answers).mean())

    assert alike(TrAdaBoost()) >= 0.85
    assert alike(SourceOnly()) <= 0.6
