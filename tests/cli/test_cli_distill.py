"""`headstart distill` and `headstart fit --lora`, as a person or a program meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("--student", "efficientnet_lite0", "--cut", "stage4", "--size", 64, "--strategy", "freeze-all")
Headstart = Callable[..., Any]


@pytest.fixture(scope="module")
def student(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("students") / "small.headstart"


def test_a_student_is_saved_and_compared(
    headstart: Headstart, fitted: Path, pattern_pictures: Path, student: Path, tmp_path: Path
) -> None:
    page = tmp_path / "small.html"
    ran = headstart("distill", fitted, pattern_pictures, "-o", student, "--report", page, "--json", *SMALL)
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["model"] == str(student)
    assert found["split"] == "validation"
    assert 0 < found["teacher_had_seen"] <= found["comparison"]["items"]
    assert found["student"]["megabytes"] < 2 < found["teacher"]["megabytes"]
    assert {"accuracy", "parameters", "ms_per_item"} <= found["student"].keys()
    assert found["plan"]["settings"]["loss"] == "distillation"
    assert "teacher: efficientnet_lite0" in " ".join(ran.err.split())
    assert "Teacher and student" in page.read_text(encoding="utf-8")
    again = headstart("evaluate", student, pattern_pictures, "--json")
    assert again.code == 0
    assert again.json["items"] == 42


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--temperature", 0), "temperature above 0"),
        (("--temperature", "nan"), "temperature above 0"),
        (("--alpha", 1.5), "alpha from 0 to 1"),
        (("--epochs", 0), "at least one epoch"),
        (("--cut", "stage77"), "a block of"),
        (("--student", "gigantic"), "gigantic"),
        (("--resume",), "a run to resume"),
        (("--size", 4), "size"),
    ],
)
def test_options_that_cannot_be_used(
    extra: tuple[object, ...],
    words: str,
    headstart: Headstart,
    fitted: Path,
    pattern_pictures: Path,
    tmp_path: Path,
) -> None:
    ran = headstart("distill", fitted, pattern_pictures, "-o", tmp_path / "s", *SMALL, *extra)
    assert ran.code == 2
    assert "error: expected" in ran.err
    assert words in ran.err
    assert not (tmp_path / "s").exists()


def test_places_and_data_that_cannot_be_used(
    headstart: Headstart,
    fitted: Path,
    pattern_pictures: Path,
    tmp_path: Path,
    write_pictures: Callable[..., Path],
) -> None:
    out = tmp_path / "s.headstart"
    cases = [
        ((pattern_pictures, pattern_pictures, "-o", out), "saved model"),
        ((tmp_path / "none", pattern_pictures, "-o", out), "does not exist"),
        ((fitted, pattern_pictures, "-o", fitted), "a place of its own for the student"),
        ((fitted, tmp_path / "none", "-o", out), "does not exist"),
        (
            (fitted, pattern_pictures, "-o", out, "--unlabelled", pattern_pictures, "--alpha", 1),
            "alpha below 1",
        ),
        ((fitted, pattern_pictures, "-o", out, "--unlabelled", tmp_path / "none"), "does not exist"),
    ]
    renamed = write_pictures(tmp_path / "renamed", 0, across=3, along=3)
    (renamed / "along").rename(renamed / "upward")
    cases.append(((fitted, renamed, "-o", out), "'upward'"))
    for arguments, words in cases:
        ran = headstart("distill", *arguments)
        assert ran.code == 2, arguments
        assert words in ran.err, (words, ran.err)
    assert not out.exists()


def test_lora_needs_attention(headstart: Headstart, pattern_pictures: Path, tmp_path: Path) -> None:
    options = ("--backbone", "basic_cnn", "--lora", 8)
    ran = headstart("fit", pattern_pictures, "-o", tmp_path / "m", *options)
    assert ran.code == 2
    assert "attention layers" in ran.err
    assert "fine-tune-late" in ran.err
    frozen = headstart("fit", pattern_pictures, "-o", tmp_path / "m", "--lora", 8, "--strategy", "freeze-all")
    assert frozen.code == 2
    assert "LoRA" in frozen.err
