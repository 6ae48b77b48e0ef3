"""`headstart cluster`, and `headstart fit` with several label columns or unlabelled items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_cluster_lists_sizes_and_names(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    done = headstart("cluster", pattern_pictures, "-k", 3, "--report", tmp_path / "page.html")
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert sum(int(size) for size, _ in lines) == 42
    assert len({name for _, name in lines}) == 3
    assert "adjusted Rand index" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_cluster_for_machines(headstart: Run, pattern_pictures: Path) -> None:
    done = headstart("cluster", pattern_pictures, "-k", 2, "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    assert len(done.json["clusters"]) == 2
    assert sum(len(each["items"]) for each in done.json["clusters"]) == 42
    assert -1 <= done.json["agreement"] <= 1


def test_cluster_says_what_is_wrong(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    assert headstart("cluster", pattern_pictures, "-k", 1).code == 2
    done = headstart("cluster", tmp_path / "absent", "--json")
    assert done.code == 2
    assert "does not exist" in done.json["error"]


@pytest.fixture(scope="module")
def manifest(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = tmp_path_factory.mktemp("columns") / "two.csv"
    rows = ["path,kind,checked"]
    for path in sorted(pattern_pictures.rglob("*.jpg")):
        rows.append(f"{path},{path.parent.name},{'yes' if path.parent.name == 'checks' else 'no'}")
    table.write_text("\n".join(rows))
    return table


def test_several_label_columns_become_several_models(headstart: Run, manifest: Path, tmp_path: Path) -> None:
    done = headstart("fit", manifest, "--label-column", "kind,checked", "-o", tmp_path / "both", "--json")
    assert done.code == 0
    assert set(done.json["tasks"]) == {"kind", "checked"}
    assert (tmp_path / "both" / "tasks.html").is_file()
    picture = next(manifest.parent.parent.rglob("checks/01.jpg"), None)
    assert picture is not None
    for task, label in (("kind", "checks"), ("checked", "yes")):
        asked = headstart("predict", tmp_path / "both" / f"{task}.headstart", picture)
        assert asked.code == 0
        assert label in asked.out


def test_several_columns_and_options_that_are_for_one(headstart: Run, manifest: Path, tmp_path: Path) -> None:
    for option in (("--minutes", 1), ("--head", "mlp"), ("--target", "labels"), ("--scratch",)):
        done = headstart("fit", manifest, "--label-column", "kind,checked", "-o", tmp_path / "x", *option)
        assert done.code == 2
        assert "several label columns" in done.err
    assert not (tmp_path / "x").exists()


def test_fit_with_unlabelled_items(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    some = tmp_path / "some.csv"
    rows = [f"{path},{path.parent.name}" for path in sorted(pattern_pictures.rglob("*[05].jpg"))]
    some.write_text("\n".join(["path,label", *rows]))
    done = headstart("fit", some, "-o", tmp_path / "m", "--unlabelled", pattern_pictures, "--json")
    assert done.code == 0
    assert f"{42 - len(rows)} unlabelled items: labels spread to them" in done.err
