"""`headstart fit --zero-shot` and `headstart match`: arguments, files, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_model_from_names_alone_is_saved_and_answers(headstart: Callable[..., Any], tmp_path: Path) -> None:
    model = tmp_path / "m.headstart"
    labels = "sport: football and hockey; space: rockets and planets"
    ran = headstart("fit", "--labels", labels, "--zero-shot", "--modality", "text", "-o", model, "--json")
    assert ran.code == 0
    assert ran.json["labels"] == ["sport", "space"]
    (tmp_path / "a.txt").write_text("The goalkeeper saved the match")
    answered = headstart("predict", model, tmp_path / "a.txt", "--json")
    assert answered.code == 0
    assert '"sport"' in answered.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--labels", "dog, cat"], "--zero-shot"),
        (["--labels", "dog", "--zero-shot"], "at least two classes"),
        (["--zero-shot"], "names of classes"),
        ([], "data to learn from"),
    ],
)
def test_what_is_missing_is_said(
    headstart: Callable[..., Any], tmp_path: Path, arguments: list[str], said: str
) -> None:
    ran = headstart("fit", "-o", tmp_path / "m.headstart", *arguments)
    assert ran.code != 0
    assert said in " ".join(ran.err.split())


def test_two_texts_match_or_not(headstart: Callable[..., Any]) -> None:
    ran = headstart("match", "A cat sat on the mat", "The cat was sitting on a mat", "--json")
    assert ran.code == 0
    assert ran.json["same"] is True
    other = headstart("match", "A cat sat on the mat", "Interest rates rose in March")
    assert other.code == 1
    assert "different" in other.out
