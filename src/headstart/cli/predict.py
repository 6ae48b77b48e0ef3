"""`headstart predict`: answers about new files, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.artefact import Model, Prediction

EXAMPLE = "Example: headstart predict photos.headstart new/*.jpg --json, or a whole folder: -o answers.csv"


def run(
    model: common.ModelArgument,
    inputs: Annotated[list[Path], typer.Argument(help="Files, or folders whose files are all asked about.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a CSV file instead of printing.")
    ] = None,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Withhold answers that are too uncertain to rely on.")
    ] = False,
    json: common.JsonOption = False,
) -> int:
    """Answer about new files. Exit code 1 if some could not be read, 2 if none could."""
    from headstart.artefact import load

    asked = load(model)
    answers = asked.stream(_files(inputs, asked.modality), abstain=abstain)
    done = failed = 0
    for answer in answers if output is None else _written(answers, asked, output):
        done += 1
        failed += answer.error is not None
        if json:
            common.show_json(answer.to_json())
        elif output is None:
            common.show(_line(answer))
        if answer.error is not None and not json:
            common.tell(f"error: {answer.input}: {answer.error}")
    if output is not None:
        common.tell(f"wrote {output}: {done - failed} answers, {failed} failures")
    return 2 if failed == done else 1 if failed else 0


def _files(inputs: Iterable[Path], modality: str) -> Iterator[Path]:
    """Yield the files that are named, and all files of the modality in the folders that are named."""
    from headstart.data.kinds import SUFFIXES, is_clutter, suffix
    from headstart.errors import DataError

    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        found = False
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not is_clutter(name))
            for name in sorted(names):
                if suffix(name) in SUFFIXES[modality] and not is_clutter(name):
                    found = True
                    yield Path(folder, name)
        if not found:
            endings = ", ".join(sorted(SUFFIXES[modality]))
            raise DataError(
                f"files ending in {endings}", f"none in {path}", "name another folder, or the files"
            )


def _line(answer: Prediction) -> str:
    name = answer.input.encode("utf-8", "backslashreplace").decode()
    if answer.error is not None:
        return f"{name}\tunreadable"
    if answer.label is None:
        possible = ", ".join(answer.labels_set) or "none of the classes"
        return f"{name}\tunsure\t{answer.confidence:.3f}\tcould be: {possible}"
    return f"{name}\t{answer.label}\t{answer.confidence:.3f}"


def _written(answers: Iterable[Prediction], model: Model, path: Path) -> Iterator[Prediction]:
    """Write each answer to a CSV file, which gets its name when it is whole, and hand it on."""
    import csv

    from headstart.files import atomic_file
    from headstart.progress import track

    columns = ("input", "label", "confidence", "set", "error", *(f"p({label})" for label in model.labels))
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for answer in track(answers, "answering"):
            name = answer.input.encode("utf-8", "backslashreplace").decode()
            confidence = "" if answer.error else f"{answer.confidence:.6f}"
            probabilities = [f"{value:.6f}" for value in answer.probabilities.values()]
            row = (name, answer.label or "", confidence, "|".join(answer.labels_set), answer.error or "")
            writer.writerow((*row, *probabilities))
            yield answer
