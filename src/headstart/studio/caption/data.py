"""Photographs with captions, as they come: a table, or a token file with lists of the splits beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.data.items import Dataset, Item, Problem, Split
from headstart.data.kinds import SPLIT_WORDS, SUFFIXES, suffix
from headstart.data.tables import read_table
from headstart.errors import DataError
from headstart.studio.caption.vocabulary import tokenize

_NAMES = ("captions.txt", "Flickr8k.token.txt", "captions.csv", "captions.jsonl")
_LISTS: tuple[tuple[Split, str], ...] = (("train", "train"), ("val", "dev"), ("val", "val"), ("test", "test"))
_PHOTO_COLUMNS, _CAPTION_COLUMNS = (
    ("image", "path", "file", "filename", "photo"),
    ("caption", "text", "comment"),
)
_FOLDERS = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "photos", ".")
_SPLIT_WORDS = SPLIT_WORDS | {"dev": "val"}
_FIX = "give a table with the columns image and caption, or Flickr8k's token file (docs/captions.md)"


@dataclass(frozen=True)
class Captioned:
    """Photographs, and what people said about each.

    Args:
        photographs: The data set; its items know their split where a list or column says so.
        captions: Those of each item, in its order, as they were written.
        problems: What was left out, and why.
    """

    photographs: Dataset
    captions: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.captions)

    def only(self, split: Split) -> Captioned:
        """Return those of one split."""
        return self.take([n for n, item in enumerate(self.photographs) if item.split == split])

    def take(self, places: list[int]) -> Captioned:
        """Return some of them, by position."""
        return Captioned(
            self.photographs.take(places), tuple(self.captions[n] for n in places), self.problems
        )

    @property
    def tokens(self) -> list[list[list[str]]]:
        """The words of every caption of each photograph."""
        return [[tokenize(caption) for caption in each] for each in self.captions]


def open_captions(source: Path, photos: Path | None = None) -> Captioned:
    """Open photographs with their captions.

    Args:
        source: A table (.csv, .tsv, .jsonl, .parquet) with the columns image and caption and maybe split, one
            row a caption; a token file as Flickr8k has it ("photo.jpg#0", a tab, the caption); or a folder
            that holds one of them. Files beside it whose names end in trainImages.txt, devImages.txt and
            testImages.txt say which photographs are in which split.
        photos: The folder with the photographs. Defaults to None: found beside the captions.

    Returns:
        The photographs in the order in which they are named first. Captions without words and photographs
        that are not there are left out and listed.

    Raises:
        DataError: There is no such file, it holds no captions, or no photograph is where it should be.
    """
    file = _file(source)
    problems: list[Problem] = []
    said: dict[str, list[str]] = defaultdict(list)
    split_of: dict[str, Split] = _lists(file.parent)
    listed = bool(split_of)
    for row, name, caption, split in _rows(file):
        if not tokenize(caption):
            problems.append(Problem(f"{file.name}:{row}", f"the caption of {name} has no words"))
            continue
        said[name].append(caption.strip())
        if split is not None:
            split_of[name] = split
    if not said:
        raise DataError(f"captions in {file.name}", "none that has words", _FIX)
    items, captions = [], []
    folders = [photos] if photos is not None else [file.parent / name for name in _FOLDERS]
    for name, each in said.items():
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            problems.append(Problem(name, "no such photograph"))
        elif listed and name not in split_of:
            problems.append(Problem(name, "in none of the lists of splits"))
        else:
            items.append(Item(name, path, split=split_of.get(name)))
            captions.append(tuple(each))
    if not items:
        looked = ", ".join(folder.name or str(folder) for folder in folders)
        fix = "name their folder with --photos"
        raise DataError(f"the photographs that {file.name} names", f"none of {len(said)} in {looked}", fix)
    return Captioned(Dataset(tuple(items), "image", file), tuple(captions), tuple(problems))


def with_splits(data: Captioned, seed: int = 0, share: float = 0.1) -> Captioned:
    """Return the same with a train and a val split; nothing changes where there are such already.

    Args:
        data: Photographs with captions.
        seed: Which photographs are taken, int. Defaults to 0.
        share: How many of them for val, float. Defaults to 0.1.

    Raises:
        DataError: There are too few photographs to hold any back.
    """
    import numpy as np

    items = data.photographs.items
    splits = {item.split for item in items}
    if {"train", "val"} <= splits:
        return data
    free = [n for n, item in enumerate(items) if item.split in (None, "train")]
    if len(free) < 2:
        fix = "give more photographs with captions; some hundred are a beginning"
        raise DataError("at least 2 photographs to learn from and to check on", str(len(free)), fix)
    chosen = np.random.default_rng(seed).permutation(free)[: max(1, round(share * len(free)))]
    held, decidable = set(chosen.tolist()), set(free)
    decided = tuple(
        replace(item, split="val" if n in held else "train") if n in decidable else item
        for n, item in enumerate(items)
    )
    return replace(data, photographs=replace(data.photographs, items=decided))


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    if not source.is_dir():
        raise DataError("captions, a file or folder", f"nothing at {source}", _FIX)
    found = [source / name for name in _NAMES if (source / name).is_file()]
    if not found:
        raise DataError(f"one of {', '.join(_NAMES)} in {source.name}", "none of them", _FIX)
    return found[0]


def _lists(folder: Path) -> dict[str, Split]:
    found: dict[str, Split] = {}
    for split, word in _LISTS:
        for path in sorted(folder.glob(f"*{word}Images.txt")):
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            found |= {line.strip(): split for line in lines if line.strip()}
    return found


def _rows(file: Path) -> Iterator[tuple[int, str, str, Split | None]]:
    """Yield the number of each row, the photograph's name, the caption and the split that it says."""
    if file.suffix.lower() == ".txt":
        yield from _token_rows(file)
        return
    table = read_table(file)
    photo, caption = (_column(table.columns, wanted, file) for wanted in (_PHOTO_COLUMNS, _CAPTION_COLUMNS))
    for number, row in table.rows:
        split = _SPLIT_WORDS.get(str(row.get("split") or "").strip().lower())
        yield number, str(row.get(photo) or "").strip(), str(row.get(caption) or ""), split


def _token_rows(file: Path) -> Iterator[tuple[int, str, str, Split | None]]:
    """Yield the rows of Flickr8k's token file, and of the text file "image,caption" that Kaggle has of it."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        name, _, caption = line.partition("\t") if "\t" in line else line.partition(",")
        name = name.rpartition("#")[0] if "#" in name else name
        if suffix(name) in SUFFIXES["image"]:  # a heading has none
            yield number, name.strip(), caption, None


def _column(columns: tuple[str, ...], wanted: tuple[str, ...], file: Path) -> str:
    for name in columns:
        if name.strip().lower() in wanted:
            return name
    raise DataError(f"a column {' or '.join(wanted[:2])} in {file.name}", ", ".join(columns), _FIX)
