"""Which files hold what: suffixes, the words for splits, and what a folder holds besides data."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from headstart.data.items import Split
from headstart.errors import OptionError

SUFFIXES: dict[str, frozenset[str]] = {
    "image": frozenset(
        ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif")
    ),
    "text": frozenset({"txt", "md", "html", "htm", "eml"}),
    "audio": frozenset({"wav", "flac", "ogg", "mp3"}),
}
"""The file name suffixes of each modality, lower case, without the dot."""

TABLES: frozenset[str] = frozenset({"csv", "tsv", "jsonl", "ndjson", "parquet"})
"""The suffixes of manifests; all but Parquet may be followed by .gz."""

SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""How folders and manifests spell the splits (in any case)."""

_CLUTTER = frozenset({"thumbs.db", "desktop.ini"})
_ABOUT = frozenset(
    {"readme", "license", "licence", "copying", "notice", "provenance", "changelog", "citation"}
)
_PAGES = frozenset({"md", "html", "htm"})
_SAMPLE = 4096
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")


def suffix(name: str) -> str:
    """Return the suffix of a file name in lower case without the dot, "" if there is none.

    Example:
        >>> suffix("a/Cat.JPG"), suffix("a.b/cat"), suffix("meta.csv.gz")
        ('jpg', '', 'gz')
    """
    return os.path.splitext(name)[1][1:].lower()  # noqa: PTH122 — three times as fast as Path.suffix


def table_format(name: str) -> str | None:
    """Return which manifest format a file name announces, or None.

    Example:
        >>> table_format("Meta.CSV"), table_format("train.jsonl.gz"), table_format("cat.jpg")
        ('csv', 'jsonl', None)
    """
    found = suffix(name)
    if found == "gz":
        found = suffix(name[:-3])
        return found if found in TABLES - {"parquet"} else None
    return found if found in TABLES else None


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is hidden or left by a file manager, so never worth a word."""
    return name.startswith(".") or name.casefold() in _CLUTTER


def modality_of(names: Iterable[str]) -> str | None:
    """Return the modality that most of the file names belong to by their suffix.

    Args:
        names: File names or paths, str.

    Returns:
        "image", "text" or "audio"; None if no suffix is known.

    Example:
        >>> modality_of(["a.jpg", "b.PNG", "notes.txt"])
        'image'
    """
    found = Counter(suffix(name) for name in names)
    votes = {kind: sum(found[each] for each in suffixes) for kind, suffixes in SUFFIXES.items()}
    best = max(votes, key=lambda kind: votes[kind])
    return best if votes[best] else None


def is_about(name: str) -> bool:
    """Tell whether a file more likely is about the data beside it than part of it: a README, a web page.

    Example:
        >>> is_about("README.txt"), is_about("LICENSE"), is_about("report.html"), is_about("1.txt")
        (True, True, True, False)
    """
    return suffix(name) in _PAGES or name.partition(".")[0].casefold() in _ABOUT


def looks_like_text(path: Path) -> bool:
    """Tell whether a file plainly holds text, by a look at its first bytes.

    Args:
        path: The file.

    Returns:
        Whether it has characters and no control characters among them; UTF-16 counts where it is marked.
        False for what is empty or cannot be read.

    Example:
        >>> looks_like_text(Path(__file__))
        True
    """
    try:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return bool(sample.strip()) and not sample.startswith(b"%PDF-") and _CONTROLS.isdisjoint(sample)


def check_modality(modality: str | None) -> None:
    """Refuse a modality that does not exist.

    Raises:
        OptionError: It is none of those in `SUFFIXES`.
    """
    if modality is not None and modality not in SUFFIXES:
        raise OptionError(f"a modality: {', '.join(SUFFIXES)}", repr(modality), "name one of these")
