"""A folder per class, with or without train/val/test above it, becomes a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from headstart.data.items import Dataset, Item, Problem, Split, natural_order
from headstart.data.kinds import (
    SPLIT_WORDS,
    SUFFIXES,
    is_clutter,
    looks_like_text,
    modality_of,
    suffix,
    table_format,
)
from headstart.errors import DataError

_LOOKS = 16
_FEW = 10  # files without a suffix to each with one: then those without say what it is
_FIX = "put the files of each class into a folder with its name, or write a manifest (path,label)"


def open_folder(root: Path, modality: str | None = None) -> Dataset:
    """Open a folder per class.

    The label is the first folder below the root, or below train/val/test where the root has those;
    folders further down belong to the class. Files that lie in no class folder are problems, unless
    there is no class folder at all: then the data set is unlabelled. Links are followed, except
    those that lead back into the root.

    Args:
        root: The folder, Path.
        modality: "image", "text" or "audio". Defaults to None (what most suffixes say).

    Returns:
        The data set, in natural order of the names.

    Raises:
        DataError: There is nothing to learn from in the folder.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat/1.jpg", "dog/2.jpg"):
        ...     (root / name).parent.mkdir()
        ...     _ = (root / name).write_bytes(b"")
        >>> open_folder(root).counts()
        {'cat': 1, 'dog': 1}
    """
    walk = _Walk(root)
    files = list(_layout(root, walk))
    if modality is None:
        modality = _modality(files)
    names = unique_names(_shown(file.path, walk.root) for file in files)
    by_name = dict(zip(names, files, strict=True))
    items: list[Item] = []
    problems = walk.problems
    labelled = any(file.label is not None for file in files)
    for name in natural_order(by_name):
        path, label, split = by_name[name]
        reason = _foreign(path, modality)
        if reason is None and labelled and label is None:
            reason = "lies in no class folder"
        if reason is None:
            items.append(Item(name, Path(path), label, split))
        else:
            problems.append(Problem(name, reason))
    if modality is None or not items:
        received = "none"
        if problems:
            received = f"{len(problems)} that cannot be used, first {problems[0].name}: {problems[0].reason}"
        raise DataError(f"pictures, texts or recordings in the folder '{shown(str(root))}'", received, _FIX)
    return Dataset(tuple(items), modality, root, tuple(problems))


def shown(text: str) -> str:
    """Return a file name that can be printed: bytes that are not UTF-8 as ``\\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def unique_names(names: Iterable[str]) -> list[str]:
    """Return the names with " (2)", " (3)" … behind those that were there before.

    Example:
        >>> unique_names(["a", "b", "a"])
        ['a', 'b', 'a (2)']
    """
    seen: set[str] = set()
    result = []
    for name in names:
        free, count = name, 1
        while free in seen:
            count += 1
            free = f"{name} ({count})"
        seen.add(free)
        result.append(free)
    return result


def _modality(files: Sequence[_File]) -> str | None:
    """Tell what most files hold: by their suffix, or by a look at some of those that have none."""
    files = [file for file in files if file.label is not None] or files
    bare = [file.path for file in files if not suffix(file.path)]
    known = [file.path for file in files if modality_of([file.path])]
    if not bare or _FEW * len(known) > len(bare):
        return modality_of(known)
    some = [bare[n * len(bare) // _LOOKS] for n in range(_LOOKS)] if len(bare) > _LOOKS else bare
    texts = sum(looks_like_text(Path(path)) for path in some)
    return "text" if 2 * texts > len(some) else "image"  # the decoder finds out


class _File(NamedTuple):
    path: str
    label: str | None
    split: Split | None


class _Folder(NamedTuple):
    path: str
    real: str  # the same place without links

    @property
    def name(self) -> str:
        return os.path.basename(self.path)  # noqa: PTH119 — it may not be valid Unicode


def _layout(root: Path, walk: _Walk) -> Iterator[_File]:
    """Find out what the folders below the root mean, and yield all files with their label and split."""
    loose, folders = walk.entries(_Folder(str(root), walk.top))
    yield from (_File(path, None, None) for path in loose)
    contents = {f: walk.entries(f) for f in folders if f.name.casefold() in SPLIT_WORDS}
    has_classes = any(below for _, below in contents.values())
    if not has_classes and len(contents) < len(folders):
        # Pictures lie directly in a folder "test" beside "cat" and "dog": it is a class of that name.
        for folder in folders:
            known = contents.get(folder)
            yield from _labelled(folder, walk.files(folder) if known is None else known[0], None, walk)
        return
    splits = {f: SPLIT_WORDS[f.name.casefold()] for f in contents}
    for folder, (files, classes) in contents.items():
        yield from (_File(path, None, splits[folder]) for path in files)
        for each in classes:
            yield from _labelled(each, walk.files(each), splits[folder], walk)
    for folder in folders:
        if folder in contents:
            continue
        if "train" in splits.values():
            walk.problem(folder.path, "is none of the folders train, val and test that lie beside it")
        else:
            yield from _labelled(folder, walk.files(folder), None, walk)


def _labelled(folder: _Folder, files: Iterable[str], split: Split | None, walk: _Walk) -> Iterator[_File]:
    label = shown(folder.name)
    empty = True
    for path in files:
        empty = False
        yield _File(path, label, split)
    if empty:
        walk.problem(folder.path, "is an empty folder")


class _Walk:
    """Reads folders, each once, and remembers what was wrong."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.top = os.path.realpath(root)
        self.problems: list[Problem] = []
        self._seen: set[str] = set()

    def entries(self, folder: _Folder) -> tuple[list[str], list[_Folder]]:
        """Return the files and the folders that lie directly in a folder."""
        try:
            with os.scandir(folder.path) as scan:
                found = sorted((entry for entry in scan if not is_clutter(entry.name)), key=lambda e: e.name)
        except OSError as error:
            self.problem(folder.path, f"cannot be read: {error.strerror}")
            return [], []
        files, folders = [], []
        for entry in found:
            kind = _kind(entry)
            if kind == "file":
                files.append(entry.path)
            elif kind == "folder":
                linked = entry.is_symlink()
                real = os.path.realpath(entry.path) if linked else f"{folder.real}{os.sep}{entry.name}"
                if (linked and self._leads_back(real)) or real in self._seen:
                    self.problem(entry.path, "is a link to a folder that is read already")
                else:
                    self._seen.add(real)
                    folders.append(_Folder(entry.path, real))
            else:
                self.problem(entry.path, kind)
        return files, folders

    def files(self, folder: _Folder) -> Iterator[str]:
        """Yield the files in a folder and in all folders below it."""
        waiting = [folder]
        while waiting:
            files, folders = self.entries(waiting.pop())
            yield from files
            waiting += folders

    def problem(self, path: str, reason: str) -> None:
        """Remember that something is left out."""
        self.problems.append(Problem(_shown(path, self.root) or shown(self.root), reason))

    def _leads_back(self, real: str) -> bool:
        """Tell whether a link leads to a folder that is read where it is, or to one around the root."""
        if real == self.top or self.top.startswith(real.rstrip(os.sep) + os.sep):
            return True
        inside = real.startswith(self.top + os.sep)
        return inside and not any(map(is_clutter, Path(real).relative_to(self.top).parts))


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "file", "folder", or why it is neither."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    except OSError as error:  # a link in a circle, or into a folder that is closed to us
        return f"is a link that leads nowhere: {error.strerror}"
    return "is a link that leads nowhere" if entry.is_symlink() else "is no file"


def _shown(path: str, root: str) -> str:
    """Return the path below the root as people see it: printable, with forward slashes."""
    return shown(path[len(root) :].lstrip(os.sep).replace(os.sep, "/"))


def _foreign(path: str, modality: str | None) -> str | None:
    """Return why a file is no item of the modality, or None if it is one."""
    name = os.path.basename(path)  # noqa: PTH119
    if modality is None or (found := suffix(name)) in SUFFIXES[modality] or not found:
        return None
    if table_format(name):
        return "is a table; open it by itself if it lists the items"
    kind = modality_of([name])
    return f"is of another kind: {kind}" if kind else f"is of a kind that is not known: .{shown(found)}"
