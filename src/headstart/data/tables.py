"""Reads CSV, TSV, JSON lines and Parquet, plain or .gz, as rows of named cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.data.items import Problem
from headstart.data.kinds import table_format
from headstart.errors import DataError, missing_extra

_field_limit = threading.Lock()


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Args:
        path: Where it came from, Path.
        columns: The names of its columns, tuple of str.
        rows: The line (Parquet: row) number and the cells by column of each row.
        problems: Rows that could not be used, tuple of Problem.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, Any]]]
    problems: tuple[Problem, ...] = ()


def read_table(path: Path) -> Table:
    """Read a manifest's rows, whatever its format.

    Args:
        path: A file that ends in .csv, .tsv, .jsonl, .ndjson (also with .gz behind) or .parquet.

    Returns:
        The table.

    Raises:
        DataError: It is not what its suffix says; the message names the line.
        MissingExtraError: It is Parquet and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "meta.csv"
        >>> _ = path.write_text("path,label\\na.jpg,cat\\n")
        >>> read_table(path).rows
        [(2, {'path': 'a.jpg', 'label': 'cat'})]
    """
    form = table_format(path.name)
    if form == "parquet":
        return _parquet(path)
    text = _text(path)
    if form in ("jsonl", "ndjson"):
        return _json_lines(path, text)
    return _delimited(path, text, "\t" if form == "tsv" else None)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"a readable manifest '{path.name}'", str(error), "check the file") from error
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"UTF-8 text in '{path.name}'",
            f"bytes in line {line} that are not ({error.reason})",
            "save the file as UTF-8 (a spreadsheet calls it 'CSV UTF-8')",
        ) from error


def _delimited(path: Path, text: str, delimiter: str | None) -> Table:
    if delimiter is None:
        header = text.partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
    with _field_limit:
        # Texts may be longer than the 131,072 characters that the module allows, process-wide, by default.
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            lines = _numbered(path, reader)
            _, header_cells = next(lines, (0, []))
            columns = _columns(path, header_cells)
            rows, problems = [], []
            for number, cells in lines:
                if len(cells) == len(columns):
                    rows.append((number, dict(zip(columns, cells, strict=True))))
                elif cells:
                    reason = f"has {len(cells)} cells where the header has {len(columns)}"
                    problems.append(Problem(f"{path.name}:{number}", reason))
        finally:
            csv.field_size_limit(before)
    return Table(path, columns, rows, tuple(problems))


def _numbered(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line it starts on."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"a well-formed table in '{path.name}'",
                f"{error} in the row at line {line}",
                "check its quotes",
            ) from error
        yield line, cells


def _columns(path: Path, header: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in header)
    if not any(columns):
        raise DataError(
            f"a first line with column names in '{path.name}'", "none", "add one, e.g. path,label"
        )
    if len(set(columns)) < len(columns):
        raise DataError(
            f"different column names in '{path.name}'", ", ".join(columns), "rename the repeated ones"
        )
    return columns


def _json_lines(path: Path, text: str) -> Table:
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_an_object(path, number, str(error)) from error
        if not isinstance(value, dict):
            raise _not_an_object(path, number, type(value).__name__)
        rows.append((number, value))
    return Table(path, tuple(dict.fromkeys(key for _, row in rows for key in row)), rows)


def _not_an_object(path: Path, line: int, received: str) -> DataError:
    fix = 'write one object a line, e.g. {"path": "a.jpg", "label": "cat"}'
    return DataError(f"a JSON object in line {line} of '{path.name}'", received, fix)


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "train", f"reading '{path.name}'") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise DataError(f"a Parquet file '{path.name}'", str(error), "check the file") from error
    return Table(path, tuple(table.column_names), list(enumerate(table.to_pylist(), 1)))
