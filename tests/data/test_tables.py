"""Tables in every format, well formed and not."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.data.tables import read_table
from headstart.errors import DataError

WANTED = [{"path": "a.jpg", "label": "cat"}, {"path": "b, c.jpg", "label": 'the "dog"\nsecond line'}]


def cells(path: Path) -> list[dict[str, object]]:
    return [row for _, row in read_table(path).rows]


def as_csv(rows: list[dict[str, str]], **options: str) -> str:
    import io

    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["path", "label"], **options)  # type: ignore[arg-type]
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("form", ["csv", "tsv", "semicolon", "jsonl", "parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_one_table_in_every_format(tmp_path: Path, form: str, packed: bool) -> None:
    path = tmp_path / f"t.{'csv' if form == 'semicolon' else form}"
    if form == "parquet":
        if packed:
            pytest.skip("Parquet packs itself")
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(WANTED), path)
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, WANTED)) + "\n\n")
    else:
        delimiter = {"csv": ",", "tsv": "\t", "semicolon": ";"}[form]
        path.write_text(as_csv(WANTED, delimiter=delimiter), newline="")
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_name(path.name + ".gz")
    assert read_table(path).columns == ("path", "label")
    assert cells(path) == WANTED


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + b"path,label\na.jpg,\xc3\xa9\n",
        b"path,label\r\na.jpg,\xc3\xa9\r\n",
        b"path,label\ra.jpg,\xc3\xa9\r",
        b" path , label \na.jpg,\xc3\xa9",
        b"path,label\n\n\na.jpg,\xc3\xa9\n\n",
        "path,label\na.jpg,é\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "path,label\na.jpg,é\n".encode("utf-16-be"),
    ],
)
def test_marks_line_ends_and_blanks(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert cells(path) == [{"path": "a.jpg", "label": "é"}]


def test_rows_know_the_line_they_start_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('path,label\n"a\nb",x\n\nc,y\n')
    assert [line for line, _ in read_table(path).rows] == [2, 5]


def test_rows_of_another_length_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path,label\na.jpg,cat,extra\nb.jpg\nc.jpg,dog\n")
    table = read_table(path)
    assert [row["path"] for _, row in table.rows] == ["c.jpg"]
    assert [(p.name, p.reason) for p in table.problems] == [
        ("t.csv:2", "has 3 cells where the header has 2"),
        ("t.csv:3", "has 1 cells where the header has 2"),
    ]


def test_texts_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'text,label\n"{"x" * 200_000}",a\n')
    before = csv.field_size_limit()
    assert len(str(cells(path)[0]["text"])) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"path,label\na.jpg,cat\nb.jpg,\xe9\n", "line 3"),
        ("t.csv", b'path,label\na.jpg,cat\n"b.jpg,dog\nc.jpg,x\n', "line 3"),
        ("t.csv", b"", "column names"),
        ("t.csv", b"\n\n", "column names"),
        ("t.csv", b"path,label,label\n", "different column names"),
        ("t.csv.gz", b"not gzip", "readable manifest"),
        ("t.csv.gz", gzip.compress(b"path,label\n" * 50)[:-12], "readable manifest"),
        ("t.csv.gz", gzip.compress(b"path,label\n" * 50)[:12] + b"\xff" * 40, "readable manifest"),
        ("t.jsonl", b'{"path": 1}\n{"path": \n', "line 2"),
        ("t.jsonl", b'{"path": 1}\n\n[1]\n', "line 3"),
        ("t.jsonl", b"[" * 100_000, "line 1"),
        ("t.parquet", b"rubbish", "Parquet"),
    ],
)
def test_damaged_tables_say_where(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "t.csv")


def test_json_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"path": "a"}\n{"label": "x\u2028y", "path": "b"}\n')
    assert read_table(path).columns == ("path", "label")
    assert cells(path)[1]["label"] == "x\u2028y"


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"path": text, "label": text}), max_size=5))
def test_what_python_writes_is_read_back(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(as_csv(rows).encode())
    assert cells(path) == rows
    path = tmp_path / "t.jsonl"
    path.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    assert cells(path) == rows
