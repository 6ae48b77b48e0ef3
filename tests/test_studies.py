"""Models beside each other: the table, the page, and figures that were reported elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import headstart as hs
from headstart.errors import OptionError
from headstart.progress import quiet

WORDS = {"good": "a lovely warm story", "bad": "a dreadful dull mess"}
TEXTS = [f"{WORDS[label]} number {number}" for number in range(12) for label in WORDS]
LABELS = [label for _ in range(12) for label in WORDS]


@pytest.fixture(scope="module")
def model() -> hs.Model:
    return hs.fit(
        hs.data.open([text.encode() for text in TEXTS], labels=LABELS, modality="text"), backbone="terms"
    )


def study(model: hs.Model, book: float | None) -> hs.Study:
    made = hs.Study("Reviews", "Ours are two dozen.", source="a paper", say=quiet)
    made.add("terms", model, minutes=0.1)
    made.add("terms, again", model, minutes=0.1, book=book)
    return made


def test_reported_figures_stand_beside_ours(model: hs.Model, tmp_path: Path) -> None:
    made = study(model, 0.5)
    accuracy = made.best.evaluation.accuracy
    page = made.html()
    assert "a paper" in page
    assert f"{accuracy - 0.5:+.3f}" in page
    assert [column.header for column in made.table().columns][3:5] == ["a paper", "difference"]
    assert made.show(tmp_path) == tmp_path / "study.html"


def test_where_nothing_was_reported_there_are_no_empty_columns(model: hs.Model) -> None:
    made = study(model, None)
    headers = [column.header for column in made.table().columns]
    assert headers == ["what", "accuracy", "95 % interval", "minutes"]
    assert "a paper" not in made.html()


def test_only_what_was_just_fitted_is_compared(model: hs.Model, tmp_path: Path) -> None:
    loaded = hs.load(model.save(tmp_path / "model.headstart"))
    with pytest.raises(OptionError, match="just fitted"):
        hs.Study("Reviews", "", say=quiet).add("terms", loaded)
