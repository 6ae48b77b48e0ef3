"""`headstart predict`: answers about new files, without torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.artefact import Model, Prediction
    from headstart.data.items import Item, Problem, Source

EXAMPLE = "Example: headstart predict photos.headstart new/*.jpg --json, or a whole folder: -o answers.csv"
INPUTS = (
    "Files, folders whose files are all asked about, or manifests (CSV, JSONL, Parquet); labels are ignored."
)


def run(
    model: common.ModelArgument,
    inputs: Annotated[list[Path], typer.Argument(help=INPUTS)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            "--out",
            help="Write a CSV file instead of printing; with --timeline, a folder: JSON, CSV, labels for "
            "Audacity, a picture.",
        ),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average the answers to each picture and its mirror image.")
    ] = False,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Withhold answers that are too uncertain to rely on.")
    ] = False,
    novelty: Annotated[
        bool,
        typer.Option(
            "--novelty", help="Say how new each item is: which share of the known ones is as far off."
        ),
    ] = False,
    timeline: Annotated[
        bool,
        typer.Option("--timeline", help="Say what is heard from when to when, of recordings of any length."),
    ] = False,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    json: common.JsonOption = False,
) -> int:
    """Answer about new files. Exit code 1 if some could not be read, 2 if none could."""
    from headstart.artefact import load

    asked = load(model)
    questions = _questions(inputs, asked.modality, path_column, text_column)
    if timeline:
        from headstart.cli import timelines

        if tta or novelty:
            raise timelines.no_other_options()
        return timelines.run(asked, questions, output, json)
    answers = _answers(asked, questions, abstain=abstain, tta=tta, novelty=novelty)
    done = failed = 0
    for answer in answers if output is None else _written(answers, asked, output, novelty):
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


def _answers(
    model: Model, questions: Iterable[Item | Problem], *, abstain: bool, tta: bool, novelty: bool
) -> Iterator[Prediction]:
    """Answer about items under the names that they have here; what is none comes last."""
    from headstart.artefact import Prediction
    from headstart.data.items import Item

    names: deque[str] = deque()
    problems: list[Problem] = []

    def sources() -> Iterator[Source]:
        for each in questions:
            if isinstance(each, Item):
                names.append(each.name)
                yield each.source
            else:
                problems.append(each)

    for answer in model.stream(sources(), abstain=abstain, tta=tta, novelty=novelty):
        yield replace(answer, input=names.popleft())
    for problem in problems:
        yield Prediction(problem.name, error=problem.reason)


def _questions(
    inputs: Iterable[Path], modality: str, path_column: str, text_column: str
) -> Iterator[Item | Problem]:
    """Yield the files that are named, those of the modality in folders, and the rows of manifests."""
    from headstart import data
    from headstart.data.items import Item
    from headstart.data.kinds import table_format

    for path in inputs:
        if path.is_dir():
            yield from (Item(str(each), each) for each in common.files_in(path, modality))
        elif table_format(path.name):
            rows = data.open(
                path, modality=modality, path_column=path_column, text_column=text_column, unlabelled=True
            )
            yield from (*rows, *rows.problems)
        else:
            yield Item(str(path), path)


def _line(answer: Prediction) -> str:
    name = answer.input.encode("utf-8", "backslashreplace").decode()
    if answer.error is not None:
        return f"{name}\tunreadable"
    if answer.share_as_far is not None:
        new = answer.share_as_far
        return f"{_line(replace(answer, share_as_far=None))}\t{new:.1%} of the known items are as far off"
    if answer.value is not None and answer.interval is not None:
        low, high = answer.interval
        return f"{name}\t{answer.value:.6g}\t{low:.6g} to {high:.6g}"
    if answer.labels is not None:
        shares = [answer.probabilities[label] for label in answer.labels]
        named = ", ".join(f"{x} {p:.3f}" for x, p in zip(answer.labels, shares, strict=True))
        return f"{name}\t{named or 'no label'}"
    if answer.label is None:
        possible = ", ".join(answer.labels_set) or "none of the classes"
        return f"{name}\tunsure\t{answer.confidence:.3f}\tcould be: {possible}"
    return f"{name}\t{answer.label}\t{answer.confidence:.3f}"


def _written(answers: Iterable[Prediction], model: Model, path: Path, novelty: bool) -> Iterator[Prediction]:
    """Write each answer to a CSV file, which gets its name when it is whole, and hand it on."""
    import csv

    from headstart.files import atomic_file
    from headstart.progress import track

    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        probabilities = [f"p({label})" for label in model.labels] if model.target != "number" else []
        writer.writerow((*_COLUMNS[model.target], *probabilities, *(["share_as_far"] if novelty else [])))
        for answer in track(answers, "answering"):
            share = "" if answer.share_as_far is None else f"{answer.share_as_far:.6f}"
            writer.writerow((*_cells(answer, model), *([share] if novelty else [])))
            yield answer


_COLUMNS = {
    "label": ("input", "label", "confidence", "set", "error"),
    "labels": ("input", "labels", "error"),
    "number": ("input", "value", "low", "high", "error"),
}


def _cells(answer: Prediction, model: Model) -> Iterator[str]:
    target = model.target
    yield answer.input.encode("utf-8", "backslashreplace").decode()
    if target == "number":
        numbers = (answer.value, *(answer.interval or (None, None)))
        yield from ("" if number is None else f"{number:.9g}" for number in numbers)
    elif target == "labels":
        yield "|".join(answer.labels or ())
    else:
        yield answer.label or ""
        yield "" if answer.error else f"{answer.confidence:.6f}"
        yield "|".join(answer.labels_set)
    yield answer.error or ""
    labels = model.labels if target != "number" else []
    shares = answer.probabilities or dict.fromkeys(labels)
    yield from ("" if share is None else f"{share:.6f}" for share in shares.values())
