"""Collections of texts: folders with and without suffixes, manifests, what lies beside them, what is odd."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from headstart import data as hs_data
from headstart.data.audit import audit
from headstart.data.audit_html import audit_html
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item
from headstart.data.kinds import looks_like_text
from headstart.errors import DataError


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_texts_of_every_suffix_in_class_folders(tmp_path: Path) -> None:
    names = ["a/1.txt", "a/2.md", "a/3.HTML", "b/4.htm", "b/5.eml", "b/6"]
    data = hs_data.open(write(tmp_path, {name: f"text {name}" for name in names} | {"b/7.jpg": b"\xff\xd8"}))
    assert data.modality == "text"
    assert [item.name for item in data] == names
    assert [(problem.name, problem.reason) for problem in data.problems] == [
        ("b/7.jpg", "is of another kind: image")
    ]


def test_news_messages_without_a_suffix_are_told_by_their_bytes(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"talk.misc/{n}": f"From: a{n}@b.org\n\nNumber {n}\xe9".encode("latin-1") for n in range(30)
    }
    files |= {f"sci.space/{n}": f"Subject: {n}\n\nüber" for n in range(30)}
    data = hs_data.open(
        write(tmp_path, {**files, "README.md": "About them", "sci.space/photo.png": b"\x89PNG"})
    )
    assert data.modality == "text"
    assert data.counts() == {"sci.space": 30, "talk.misc": 30}
    assert {problem.name for problem in data.problems} == {"README.md", "sci.space/photo.png"}


def test_pictures_without_a_suffix_stay_pictures_beside_a_readme(tmp_path: Path) -> None:
    noise = random.Random(0)
    files = {f"{label}/{n}": b"\xff\xd8\xff" + noise.randbytes(400) for label in "ab" for n in range(4)}
    assert hs_data.open(write(tmp_path, {**files, "README.md": "Pictures"})).modality == "image"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plain", True),
        ("über\t\r\n".encode("latin-1"), True),
        ("wide".encode("utf-16"), True),
        (b"", False),
        (b" \n", False),
        (b"a\0b", False),
        (b"%PDF-1.4 text", False),
    ],
)
def test_what_looks_like_text(tmp_path: Path, content: str | bytes, expected: bool) -> None:
    assert looks_like_text(write(tmp_path, {"x": content}) / "x") == expected
    assert not looks_like_text(tmp_path / "absent")


def test_a_single_file_without_a_suffix(tmp_path: Path) -> None:
    write(tmp_path, {"note": "hello", "picture": b"\xff\xd8\xff\0\1"})
    assert hs_data.open(tmp_path / "note").modality == "text"
    assert hs_data.open(tmp_path / "picture").modality == "image"


def rows(*labels: object) -> bytes:
    lines = (
        json.dumps({"id": f"{n}", "text": f"text {n}", "label": label}) for n, label in enumerate(labels)
    )
    return "\n".join(lines).encode()


def test_a_folder_of_split_manifests_beside_what_describes_it(tmp_path: Path) -> None:
    files = {"train.jsonl.gz": gzip.compress(rows(0, 1, 1)), "test.jsonl.gz": gzip.compress(rows(1, 0))}
    data = hs_data.open(write(tmp_path, {**files, "PROVENANCE.md": "From there", "groups.json": "{}"}))
    assert data.modality == "text"
    assert data.classes == ("0", "1")
    assert data.target == "label"
    assert [item.split for item in data] == ["train"] * 3 + ["test"] * 2
    assert data.items[0].source == "text 0"


@pytest.mark.parametrize("beside", ["README.md", "readme.txt", "LICENSE", "report.html"])
def test_one_manifest_beside_what_describes_it(tmp_path: Path, beside: str) -> None:
    assert len(hs_data.open(write(tmp_path, {"all.jsonl": rows("x", "y"), beside: "About"}))) == 2


@pytest.mark.parametrize("column", ["text", "Text", "sentence", "review", "document", "message", "comment"])
def test_columns_that_hold_texts_are_found(tmp_path: Path, column: str) -> None:
    write(tmp_path, {"a.csv": f'{column},stars,label\n"good, really",5,pos\n"  ",1,neg\nbad,1,neg\n'})
    data = hs_data.open(tmp_path / "a.csv")
    assert [item.source for item in data] == ["good, really", "bad"]
    assert len(data.problems) == 1
    assert data.problems[0].reason == f"has no {column}"


def test_a_column_of_another_name_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.csv": "words,stars,label\ngood,5,pos\nbad,1,neg\n"}) / "a.csv"
    with pytest.raises(DataError, match=r"--text-column \(text_column=\)"):
        hs_data.open(path)
    assert hs_data.open(path, text_column="words").items[1].source == "bad"


def test_a_manifest_may_name_files_of_texts(tmp_path: Path) -> None:
    data = hs_data.open(
        write(tmp_path, {"a.csv": "path,label\n1.txt,x\n2.md,y\n", "1.txt": "a", "2.md": "b"}) / "a.csv"
    )
    assert data.modality == "text"
    assert data.items[1].source == tmp_path / "2.md"


def test_parquet_and_very_long_cells(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    long = "long " * 400_000
    parquet.write_table(pa.table({"text": [long, "short"], "label": [1, 0]}), tmp_path / "a.parquet")
    write(tmp_path, {"b.csv": f"text,label\n{long},1\nshort,0\n"})
    for name in ("a.parquet", "b.csv"):
        data = hs_data.open(tmp_path / name)
        assert [(item.source, item.label) for item in data] == [(long, "1"), ("short", "0")]


@pytest.mark.parametrize(("name", "classes"), [("imdb", 2), ("news20", 20), ("mr", 2)])
def test_the_research_data_open_as_they_are(data_folder: Path, name: str, classes: int) -> None:
    data = hs_data.open(data_folder / "text" / name)
    assert data.modality == "text"
    assert len(data.classes) == classes
    assert {item.split for item in data} == {"train", "test"}
    assert all(item.group is None for item in data)


def texts(*facts: Facts) -> Dataset:
    return Dataset(tuple(Item(f"{n}.txt", "", "ab"[n % 2]) for n in range(len(facts))), "text")


def test_the_audit_of_texts_names_their_oddities() -> None:
    facts = [
        Facts("0", 1, (40, 9), "UTF-8 Latin"),
        Facts("1", 1 << 63, (4, 1), "Windows-1252 Latin"),
        Facts("2", 3 << 20, (60, 12), "UTF-8 Cyrillic"),
        Facts("3", None, (1_000_000, 180_000), "UTF-8 HTML Latin cut"),
        Facts("4", error="an empty one (0 bytes); remove it"),
    ]
    found = audit(texts(*facts), facts)
    sentences = [finding.sentence for finding in found.findings]
    assert "1 text has fewer than 3 words: 1.txt." in sentences
    assert "1 text is too long to be read to the end: 3.txt." in sentences
    assert "The texts are in several scripts: Latin 3, Cyrillic 1." in sentences
    assert found.quantiles()["words"]["max"] == 180_000
    assert list(found.quantiles()) == ["characters", "words"]
    assert found.corrupt[0].name == "4.txt"


def test_the_page_shows_texts_escaped_and_their_lengths() -> None:
    facts = [Facts(f"{n}", None, (40 + n, 9 + n), "UTF-8 Latin") for n in range(12)]
    data = texts(*facts)
    page = audit_html(audit(data, facts), {item.name: "5 < 6 & <script>" for item in data})
    assert '<blockquote dir="auto">5 &lt; 6 &amp; &lt;script&gt;</blockquote>' in page
    assert "Distribution of the words" in page
    assert "pixels" not in page
