"""A table of paths (or texts) and labels becomes a data set."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headstart.data.folder import shown, unique_names
from headstart.data.items import SPLITS, Answer, Dataset, Problem, Split, Target, in_words
from headstart.data.kinds import SPLIT_WORDS, SUFFIXES, is_clutter, modality_of, suffix
from headstart.data.tables import Table, read_table
from headstart.data.targets import NO_LABEL, as_text, make_item, read_answer
from headstart.errors import DataError

_ALIASES: dict[str, tuple[str, ...]] = {
    "path": ("filename", "file_name", "filepath", "file", "image"),
    "text": ("sentence", "review", "document", "message", "comment"),
    "label": ("category", "class"),
}
_KNOWN = frozenset().union(*SUFFIXES.values())
_MEDIA_FOLDERS = frozenset({"images", "clips", "files"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a manifest hold what; see `headstart.data.open`."""

    path: str = "path"
    text: str = "text"
    label: str = "label"
    group: str = "group"
    fold: str = "fold"
    split: str = "split"


def open_manifests(
    tables: Mapping[Path, Split | None],
    columns: Columns = Columns(),
    modality: str | None = None,
    root: Path | None = None,
    target: Target | None = None,
    *,
    unlabelled: bool = False,
) -> Dataset:
    """Open one manifest, or one for each split.

    Args:
        tables: The manifests, each with the split of its rows (None: the split column says it).
        columns: The names of the columns. Defaults to those of `Columns`.
        modality: "image", "text" or "audio". Defaults to None (what most suffixes say).
        root: What the data set is called after, Path. Defaults to None (the first manifest).
        target: What the label column holds. Defaults to None: several labels where its cells are lists,
            otherwise one label.
        unlabelled: Whether rows without a label are kept, and no label column is needed. Defaults to False.

    Returns:
        The data set, in the order of the rows.

    Raises:
        DataError: A manifest cannot be read, lacks a column, or no row can be used.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp()) / "train.jsonl"
        >>> _ = table.write_text('{"text": "good", "label": 1}\\n{"text": "bad", "label": 0}\\n')
        >>> data = open_manifests({table: "train"})
        >>> data.items[0].name, data.items[0].source, data.items[0].label, data.items[0].split
        ('train.jsonl:1', 'good', '1', 'train')
    """
    rows: list[_Row] = []
    problems: list[Problem] = []
    readers = [
        _Reader(read_table(path), columns, split, modality, unlabelled) for path, split in tables.items()
    ]
    if target is None:
        target = "labels" if all(reader.has_lists for reader in readers) else "label"
    for reader in readers:
        problems += reader.table.problems
        rows += reader.rows(target, problems)
    rows = _without_repeats(rows, problems)
    if not rows:
        received = f"none that can be used; the first problem: {problems[0].reason}" if problems else "none"
        manifests = ", ".join(path.name for path in tables)
        fix = "check the paths: they are relative to the manifest's folder"
        if problems and problems[0].reason == NO_LABEL:
            fix = "fill the label column, or name another one: --label-column (label_column=)"
        raise DataError(f"rows in '{manifests}'", received, fix)
    if _groups_are_labels(rows):
        problems.append(
            Problem(columns.group, "names the classes again, so it is not used to keep items together")
        )
        rows = [row._replace(group=None) for row in rows]
    if modality is None:
        paths = [str(row.source) for row in rows if isinstance(row.source, Path)]
        modality = (modality_of(paths) or "image") if paths else "text"
    names = unique_names(row.name for row in rows)
    items = tuple(
        make_item(name, row.source, row.answer, split=row.split, group=row.group, fold=row.fold)
        for name, row in zip(names, rows, strict=True)
    )
    return Dataset(items, modality, root or next(iter(tables)), tuple(problems), target)


class _Row(NamedTuple):
    place: str
    name: str
    source: Path | str
    answer: Answer | None
    split: Split | None
    group: str | None
    fold: str | None


class _Reader:
    """Reads the rows of one manifest."""

    def __init__(
        self, table: Table, columns: Columns, split: Split | None, modality: str | None, unlabelled: bool
    ) -> None:
        self.table = table
        self.unlabelled = unlabelled
        self.split = split
        self.finder = Finder(table.path)
        path = self._column("path", columns.path)
        text = self._column("text", columns.text, required=columns.text not in ("text", columns.path))
        explicit_text = columns.text != "text" or modality == "text"
        self.is_text = text is not None and (path is None or explicit_text)
        source = text if self.is_text else path or self._column("path", "id")
        if source is None:
            wanted = columns.path if columns.path == columns.text else f"{columns.path}' or '{columns.text}"
            raise self._missing(wanted, "--path-column", "--text-column")
        self.source = source
        self.label = self._label(columns.label)
        self.optional = {
            kind: self._column(kind, getattr(columns, kind), required=getattr(columns, kind) != kind)
            for kind in ("split", "group", "fold")
        }

    @property
    def has_lists(self) -> bool:
        """Whether the label column holds lists: then items have several labels."""
        cells = [
            row[self.label] for _, row in self.table.rows if self.label is not None and self.label in row
        ]
        cells = [cell for cell in cells if cell is not None]
        return bool(cells) and all(isinstance(cell, list) for cell in cells)

    def rows(self, target: Target, problems: list[Problem]) -> Iterator[_Row]:
        """Yield the rows that can be used; say of the others why not."""
        for number, cells in self.table.rows:
            place = f"{self.table.path.name}:{number}"
            row = self._row(place, cells, target)
            if isinstance(row, _Row):
                yield row
            else:
                problems.append(Problem(place, row))

    def _row(self, place: str, cells: Mapping[str, Any], target: Target) -> _Row | str:
        cell = cells.get(self.label) if self.label is not None else None
        answer, reason = read_answer(cell, target) if self.label in cells else (None, NO_LABEL)
        if answer is None and not (self.unlabelled and as_text(cell) == ""):
            return reason
        given = as_text(cells.get(self.source), strip=False)
        if not given or not given.strip():
            return f"has no {self.source}"
        split, group, fold = (
            as_text(cells.get(column)) or None if column else None for column in self.optional.values()
        )
        source: Path | str = given
        name = place
        if not self.is_text:
            found = self.finder.find(given)
            if isinstance(found, str):
                return found
            source, name = found, self.finder.name(found)
        return _Row(place, name, source, answer, self._split(split, place), group, fold)

    def _split(self, word: str | None, place: str) -> Split | None:
        if word is None:
            return self.split
        split = SPLIT_WORDS.get(word.casefold())
        if split is None:
            raise DataError(
                f"train, val or test as the split at {place}", repr(word), "rename it, or leave it empty"
            )
        return split

    def _column(self, kind: str, name: str, required: bool = False) -> str | None:
        """Return the table's own spelling of a column, or that of an alias of a default name."""
        spelled = {column.casefold(): column for column in reversed(self.table.columns)}
        if name in self.table.columns:
            return name
        for candidate in (name, *(_ALIASES.get(kind, ()) if name == kind else ())):
            if candidate.casefold() in spelled:
                return spelled[candidate.casefold()]
        if required:
            raise self._missing(name, f"--{kind}-column")
        return None

    def _label(self, name: str) -> str | None:
        found = self._column("label", name, required=name != "label")
        if found is not None:
            return found
        others = [column for column in self.table.columns if column != self.source]
        if len(others) == 1:  # of two columns the other one is the label
            return others[0]
        if self.unlabelled:
            return None
        raise self._missing(name, "--label-column")

    def _missing(self, name: str, *options: str) -> DataError:
        have = ", ".join(self.table.columns) or "no column"
        ways = " or ".join(f"{option} ({option[2:].replace('-', '_')}=)" for option in options)
        fix = f"rename a column, or name it with {ways}"
        return DataError(f"a column '{name}' in '{self.table.path.name}'", f"the columns {have}", fix)


class Finder:
    """Finds the files that a manifest names, with or without their suffix.

    Args:
        manifest: The manifest, Path; its folder, and beside it the only folder, one named images,
            clips or files, or one named like the manifest, are searched.
    """

    def __init__(self, manifest: Path) -> None:
        self.root = manifest.parent
        stem = manifest.name.partition(".")[0]
        try:
            folders = [
                entry for entry in self.root.iterdir() if not is_clutter(entry.name) and entry.is_dir()
            ]
        except OSError:  # files can be read in a folder that cannot be listed
            folders = []
        near = [each for each in folders if each.name.casefold() in _MEDIA_FOLDERS or each.name == stem]
        self.bases = [str(self.root), *map(str, near or (folders if len(folders) == 1 else []))]
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, text: str) -> Path | str:
        """Return the file that a cell names, or the reason why there is none."""
        spellings = dict.fromkeys((text, text.strip(), text.strip().replace("\\", "/")))
        places = [os.path.join(base, each) for each in spellings for base in self.bases]  # noqa: PTH118
        for place in places:
            if os.path.isfile(place):  # noqa: PTH113 — never raises, unlike Path, on NUL or long names
                return Path(place)
        for place in places:
            folder, stem = os.path.split(place)
            found = self._index(folder).get(stem, [])
            known = [name for name in found if suffix(name) in _KNOWN] or found
            if len(known) == 1:
                return Path(folder, known[0])
            if known:
                return f"names several files: {', '.join(map(shown, sorted(known)))}"
        return f"names a file that does not exist: {shown(text)}"

    def name(self, path: Path) -> str:
        """Return what people see: the path below the manifest's folder where it is there."""
        inside = path.is_relative_to(self.root)
        return shown((path.relative_to(self.root) if inside else path).as_posix())

    def _index(self, folder: str) -> dict[str, list[str]]:
        """Return the files of a folder by their name without suffix; each folder is read once."""
        if folder not in self._stems:
            stems: dict[str, list[str]] = defaultdict(list)
            try:
                with os.scandir(folder) as scan:
                    for entry in scan:
                        if suffix(entry.name) and entry.is_file():
                            stems[os.path.splitext(entry.name)[0]].append(entry.name)  # noqa: PTH122
            except (OSError, ValueError):  # no such folder, or a NUL in its name
                stems.clear()
            self._stems[folder] = dict(stems)
        return self._stems[folder]


def _without_repeats(rows: Iterable[_Row], problems: list[Problem]) -> list[_Row]:
    """Keep each file once: its row in the most protected split; none if its rows disagree about the label."""
    by_source: dict[Any, list[_Row]] = defaultdict(list)
    for row in rows:
        is_path = isinstance(row.source, Path)
        by_source[os.path.normpath(row.source) if is_path else (row.place,)].append(row)
    kept = []
    for same in by_source.values():
        first = max(same, key=_protection)
        answers = dict.fromkeys(row.answer for row in same if row.answer is not None)
        if len(answers) > 1:
            labels = ", ".join(map(in_words, answers))
            problems.append(
                Problem(first.name, f"is listed with different labels ({labels}), so it is left out")
            )
            continue
        kept.append(first)
        if len(same) > 1:
            where = ", ".join(row.place for row in same if row is not first)
            problems.append(Problem(first.name, f"is listed {len(same)} times (again at {where}), kept once"))
    return kept


def _protection(row: _Row) -> tuple[int, bool]:
    return -1 if row.split is None else SPLITS.index(row.split), row.answer is not None


def _groups_are_labels(rows: Sequence[_Row]) -> bool:
    pairs = {(row.answer, row.group) for row in rows}
    labels, groups = {answer for answer, _ in pairs}, {group for _, group in pairs}
    return len(labels) > 1 and None not in groups and len(pairs) == len(labels) == len(groups) < len(rows)
