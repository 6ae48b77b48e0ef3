"""The page of a search: whatever was found, it can be drawn, and says what was found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.training.plan import HEAD, Phase, Plan
from headstart.tuning.page import tuning_page
from headstart.tuning.result import State, Tried, Tuning

FROZEN = Plan("freeze-all", "toy", "top", 64)
LATE = Plan("fine-tune-late", "toy", "top", 64, (Phase("late", 3, {"top": 1e-4, HEAD: 1e-3}),))


def trial(number: int, state: State = "complete", loss: float | None = 0.5, **changes: Any) -> Tried:
    values = {
        "head": ("linear", "mlp")[number % 2],
        "strength": 10.0 ** -(number % 5),
        "left_out": number % 3,
    }
    given: dict[str, Any] = {
        "values": values, "accuracy": 0.9, "seconds": 1.0, "steps": {}, "value": loss, "reason": "",
    }  # fmt: skip
    return Tried(number=number, state=state, loss=loss, **{**given, **changes})


def tuning(*trials: Tried, **changes: Any) -> Tuning:
    done = [t for t in trials if t.loss is not None]
    best = min(done, key=lambda t: (t.state != "complete", t.loss))
    given: dict[str, Any] = {
        "folder": Path("a study"), "name": "photos", "metric": "loss", "judged": "40 validation items",
        "start": FROZEN, "plan": FROZEN, "best": best, "trials": trials, "importances": {},
    }  # fmt: skip
    return Tuning(**{**given, **changes})


def test_the_page_says_what_was_found() -> None:
    trials = [trial(n, loss=0.5 - 0.01 * n, accuracy=0.9 + 0.001 * n) for n in range(8)]
    importances = {"strength": 0.7, "head": 0.2, "left_out": 0.1}
    page = tuning_page(tuning(*trials, importances=importances))
    assert (
        "The best of 8 plans is right 90.7\xa0% of the time, with a loss of 0.4300 instead of 0.5000." in page
    )
    assert page.count("<svg") == 3  # the search, what mattered, side by side
    for text in (
        "Tuning on photos",
        "what mattered",
        "headstart fit photos --plan &#39;a study/best.json&#39;",
    ):
        assert text.casefold() in page.casefold()
    assert re.search(r"<th[^>]*>8</th><td>finished</td>", page)
    assert not re.search(r'(src|href)="http', page)


def test_trials_with_steps_are_drawn_step_by_step() -> None:
    steps = {1: 0.9, 2: 0.7, 3: 0.5}
    trials = (trial(0, steps=steps), trial(1, "pruned", 0.95, steps={1: 0.95}), trial(2, "failed", None))
    page = tuning_page(tuning(*trials, start=LATE, plan=LATE))
    assert page.count("<svg") == 3  # the search twice, side by side
    assert "1 of 2 trials were given up early" in page
    assert "before calibration" in page
    assert "1 finished, 1 given up early, 1 failed" in page


def test_whatever_is_in_names_and_reasons_is_escaped() -> None:
    nasty = "<script>alert('&')</script>"
    values = {"backbone": nasty, "strength": 0.1}
    trials = (
        trial(0, values=values),
        trial(1, "failed", None, values={**values, "backbone": "b"}, reason=nasty),
    )
    page = tuning_page(tuning(*trials, name=nasty, folder=Path("a & b")))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("trials", "metric", "headline"),
    [
        ((trial(0),), "accuracy", "is right 90.0\xa0% of the time: it is the one"),
        ((trial(0, accuracy=None),), "loss", "The only plan tried has a loss of 0.5000: it is the one"),
        (
            (trial(0, accuracy=None), trial(1, loss=0.2, accuracy=None)),
            "loss",
            "has a loss of 0.2000 instead of 0.5",
        ),
        ((trial(0), trial(1, loss=0.2)), "accuracy", "with a loss of 0.2000 instead of 0.5000"),
        ((trial(0), trial(1, loss=0.2, accuracy=0.95)), "accuracy", "began with, 90.0\xa0%"),
        ((trial(0, "failed", None, accuracy=None), trial(1, loss=0.2)), "loss", "with a loss of 0.2000."),
        ((trial(0, "pruned"), trial(1, "pruned", 0.4)), "loss", "with a loss of 0.4000 instead of 0.5000"),
    ],
)
def test_headlines(trials: tuple[Tried, ...], metric: str, headline: str) -> None:
    found = tuning(*trials, metric=metric)
    assert headline in found.headline
    assert headline.split(":")[0] in tuning_page(found)


@settings(deadline=None, max_examples=10)
@given(
    losses=st.lists(st.floats(0, 50), min_size=1, max_size=12),
    states=st.lists(st.sampled_from(["complete", "pruned"]), min_size=12, max_size=12),
    metric=st.sampled_from(["loss", "accuracy"]),
)
def test_any_search_can_be_drawn(losses: list[float], states: list[State], metric: str) -> None:
    trials = [
        trial(n, state, loss, accuracy=1 / (1 + loss), steps={1: loss, 2: loss / 2})
        for n, (loss, state) in enumerate(zip(losses, states, strict=False))
    ]
    page = tuning_page(tuning(*trials, metric=metric))
    assert page.endswith("</html>\n")
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)
