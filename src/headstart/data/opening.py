"""`open`: whatever somebody has, as a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.folder import open_folder, shown, unique_names
from headstart.data.items import TARGETS, Answer, Dataset, Item, Source, Split, Target, natural_order
from headstart.data.kinds import (
    SPLIT_WORDS,
    check_modality,
    is_about,
    is_clutter,
    looks_like_text,
    modality_of,
    suffix,
    table_format,
)
from headstart.data.manifest import Columns, open_manifests
from headstart.data.targets import make_item, read_answer
from headstart.errors import DataError, OptionError


def open(
    source: Dataset | Path | str | NDArray[Any] | Iterable[Source],
    *,
    labels: Iterable[Any] | None = None,
    target: Target | None = None,
    modality: str | None = None,
    path_column: str = "path",
    text_column: str = "text",
    label_column: str = "label",
    group_column: str = "group",
    fold_column: str = "fold",
    split_column: str = "split",
    unlabelled: bool = False,
) -> Dataset:
    """Open a labelled collection of pictures, texts or recordings.

    What can be opened: a folder per class, with or without train/val/test above it; a manifest (CSV,
    TSV, JSON lines, Parquet, plain or .gz) whose paths are relative to its folder; a folder with one
    manifest for each split; lists and arrays. A column with another name is found by itself where it
    has a common one (filename, file, image; category, class), and of two columns the other one is
    the label. What cannot be used is listed in `Dataset.problems`.

    Args:
        source: A folder or file (Path or str), a list of paths, texts, encoded bytes or arrays, a
            uint8 array [n, h, w, 3], or a Dataset (returned as it is).
        labels: What is known about each of a list or array: a label, a list of labels, or a number.
            Defaults to None (unlabelled).
        target: "label" (one class an item), "labels" (several or none; in a manifest a list, or text with
            "|" or ";" between them), or "number". Defaults to None: "labels" where lists of labels are
            given, otherwise "label".
        modality: "image", "text" or "audio". Defaults to None (what most file suffixes say).
        path_column: Manifest column with the files. Defaults to "path".
        text_column: Manifest column with the texts. Defaults to "text".
        label_column: Manifest column with the labels. Defaults to "label".
        group_column: Manifest column with what must stay together. Defaults to "group".
        fold_column: Manifest column with cross-validation folds. Defaults to "fold".
        split_column: Manifest column with train, val or test. Defaults to "split".
        unlabelled: Whether a manifest's rows without a label are kept, and it needs no label column.
            Defaults to False: they are problems.

    Returns:
        The data set.

    Raises:
        DataError: There is nothing that can be used, or a manifest lacks a column.
        OptionError: Labels were given for something that has its own, the modality or the target is
            unknown, or folders of classes are to give something else than a label.

    Example:
        >>> import numpy as np
        >>> open(np.zeros((2, 8, 8, 3), np.uint8), labels=["cat", "dog"]).counts()
        {'cat': 1, 'dog': 1}
        >>> open([b"a", b"b"], labels=[["cat", "dog"], []], modality="image").items[1].labels
        ()
    """
    check_modality(modality)
    _check_target(source, target)
    if isinstance(source, (Dataset, str, os.PathLike)) and labels is not None:
        raise OptionError(
            "labels only beside a list or an array",
            "labels for a folder, manifest or data set",
            "drop labels=",
        )
    if isinstance(source, Dataset):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return _open_list(source, labels, modality, target)
    path = Path(source)
    columns = Columns(path_column, text_column, label_column, group_column, fold_column, split_column)
    if path.is_dir():
        tables = _manifests_in(path)
        if tables:
            return open_manifests(tables, columns, modality, path, target, unlabelled=unlabelled)
        if target in ("labels", "number"):
            raise OptionError(
                f"a manifest with a label column, for the target {target}",
                f"a folder for each class, '{shown(path.name)}'",
                "write a CSV file with the columns path and label",
            )
        return open_folder(path, modality)
    if not os.path.isfile(path):  # noqa: PTH113 — never raises
        raise DataError(
            "a folder, manifest or file", f"'{shown(str(path))}', which does not exist", "check the path"
        )
    if table_format(path.name):
        return open_manifests({path: None}, columns, modality, target=target, unlabelled=unlabelled)
    if modality is None and suffix(path.name) and modality_of([path.name]) is None:
        fix = "name a folder, a manifest (.csv, .tsv, .jsonl, .parquet) or a picture"
        raise DataError("a file of a known kind", f"'{shown(path.name)}'", fix)
    kind = modality or modality_of([path.name]) or ("text" if looks_like_text(path) else "image")
    return Dataset((Item(shown(path.name), path),), kind, path.parent)


def _manifests_in(folder: Path) -> dict[Path, Split | None]:
    """Return the manifests that a folder is to be read through, with their splits; none for class folders."""
    try:
        entries = [entry for entry in folder.iterdir() if not is_clutter(entry.name)]
    except OSError:  # the walk through the folder says why
        return {}
    tables = [entry for entry in entries if table_format(entry.name) and entry.is_file()]
    if not tables:
        return {}
    by_split: dict[str, Path] = {}
    for table in tables:
        split = SPLIT_WORDS.get(table.name.partition(".")[0].casefold())
        if split is not None and by_split.setdefault(split, table) != table:
            both = f"{by_split[split].name} and {table.name}"
            raise DataError(
                f"one manifest for the split {split} in '{shown(folder.name)}'", both, "remove one of them"
            )
    if by_split:
        return {by_split[split]: split for split in ("train", "val", "test") if split in by_split}
    media = [
        e
        for e in entries
        if e.is_dir() or ((modality_of([e.name]) or not suffix(e.name)) and not is_about(e.name))
    ]
    if len(media) == 0 or (
        len(media) == 1 and media[0].is_dir() and media[0].name.casefold() not in SPLIT_WORDS
    ):
        if len(tables) == 1:
            return {tables[0]: None}
        if not media:
            names = ", ".join(natural_order(shown(table.name) for table in tables))
            raise DataError(
                f"one manifest in '{shown(folder.name)}', or train, val and test", names, "name one of them"
            )
    return {}


def _open_list(
    source: NDArray[Any] | Iterable[Source],
    labels: Iterable[Any] | None,
    modality: str | None,
    target: Target | None,
) -> Dataset:
    contents = _contents(source)
    if not contents:
        raise DataError("at least one item", "an empty list", "give some paths, texts, bytes or arrays")
    if modality is None:
        modality = _modality_of_list(contents)
    given: Sequence[Answer | None] = [None] * len(contents)
    if labels is not None:
        values = [each.item() if isinstance(each, np.generic) else each for each in labels]
        target = target or ("labels" if values and all(map(_is_list, values)) else "label")
        given = _answers(values, len(contents), target)
    sources = [Path(each) if isinstance(each, str) and modality != "text" else each for each in contents]
    names = unique_names(
        shown(each.as_posix()) if isinstance(each, Path) else f"item {index}"
        for index, each in enumerate(sources)
    )
    items = (make_item(*each) for each in zip(names, sources, given, strict=True))
    return Dataset(tuple(items), modality, target=target or "label")


def _contents(source: NDArray[Any] | Iterable[Source]) -> list[Source]:
    if isinstance(source, np.ndarray) and source.dtype.kind not in "OUS":
        if source.dtype != np.uint8 or source.ndim != 4 or source.shape[-1] != 3:
            received = f"{source.dtype} {list(source.shape)}"
            raise DataError(
                "pictures as a uint8 array [n, h, w, 3]", received, "convert it: (x * 255).astype('uint8')"
            )
        return list(source)
    if not isinstance(source, Iterable):
        raise DataError("a folder, file, list or array", type(source).__name__, "see headstart.data.open")
    contents = [Path(each) if isinstance(each, os.PathLike) else each for each in source]
    for index, each in enumerate(contents):
        if isinstance(each, np.ndarray) and each.dtype != np.uint8:
            raise DataError("uint8 arrays", f"{each.dtype} at position {index}", "convert it to 0 … 255")
        if not isinstance(each, (Path, str, bytes, np.ndarray)):
            kind = type(each).__name__
            raise DataError(
                "paths, texts, bytes or arrays", f"{kind} at position {index}", "see headstart.data.open"
            )
    return contents


def _modality_of_list(contents: Sequence[Source]) -> str:
    words = [str(each) for each in contents if isinstance(each, (Path, str))]
    found = modality_of(words)
    if found is None and any(isinstance(each, str) and suffix(each) for each in contents):
        raise DataError(
            "paths of known kinds", repr(shown(words[0][:60])), "say modality='text' if these are texts"
        )
    return found or "image"


def _answers(values: Sequence[Any], count: int, target: Target) -> list[Answer]:
    if len(values) != count:
        raise DataError(
            f"a label for each of the {count} items", f"{len(values)} labels", "give as many of both"
        )
    result = []
    for index, value in enumerate(values):
        answer, _ = read_answer(list(value) if isinstance(value, np.ndarray) else value, target)
        if answer is None:
            what = "a finite number" if target == "number" else "a label"
            raise DataError(
                f"{what} for each item", f"{value!r} at position {index}", "leave the item out or label it"
            )
        result.append(answer)
    return result


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, np.ndarray))


def _check_target(source: object, target: Target | None) -> None:
    if target is not None and target not in TARGETS:
        raise OptionError(f"a target that is one of {', '.join(TARGETS)}", repr(target), "choose one of them")
    if isinstance(source, Dataset) and target not in (None, source.target):
        fix = f"open it with target={target!r}"
        raise OptionError(f"a data set opened for the target {target}", f"one for {source.target}", fix)
