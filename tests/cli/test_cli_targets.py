"""--target labels and --target number from fit to predict, and what they refuse."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.cli import run

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def manifests(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The patterns again: checks have both labels, across one, along none; and a number for each pattern."""
    labels = {"across": "striped", "along": "", "checks": "striped;squared"}
    numbers = {"across": "1.5", "along": "-2", "checks": "10"}
    root = tmp_path_factory.mktemp("manifests")
    found = {}
    for target, answer in (("labels", labels), ("number", numbers)):
        found[target] = root / f"{target}.csv"
        with found[target].open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "split"])
            for picture in sorted(pattern_pictures.rglob("*.jpg")):
                split = "test" if picture.stem in ("00", "01", "02") else ""
                writer.writerow([picture, answer[picture.parent.name], split])
    return found


@pytest.fixture(scope="module")
def models(manifests: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for target, manifest in manifests.items():
        assert run(["fit", str(manifest), "-o", str(root / target), "--target", target]) == 0
    return {target: root / target for target in manifests}


def test_fit_says_what_it_learned(headstart: Run, manifests: dict[str, Path], tmp_path: Path) -> None:
    for target, figure in (("labels", "mean_average_precision"), ("number", "mae")):
        report = tmp_path / f"{target}.html"
        ran = headstart(
            "fit",
            manifests[target],
            "-o",
            tmp_path / target,
            "--target",
            target,
            "--report",
            report,
            "--json",
        )
        assert ran.code == 0
        assert ran.json["target"] == target
        assert ran.json["test"]["items"] == 9
        assert ran.json["test"][figure] >= 0
        assert ran.json["val"][figure] >= 0
        page = report.read_text()
        assert "On 9 pictures it had never seen" in page
        assert f"{target}.headstart --target {target}\n" in page  # to do it again


def test_evaluate_follows_the_model(
    headstart: Run, models: dict[str, Path], manifests: dict[str, Path]
) -> None:
    labels = headstart("evaluate", models["labels"], manifests["labels"], "--json")
    assert (labels.code, labels.json["target"], labels.json["items"]) == (0, "labels", 9)
    assert labels.json["mean_average_precision"] > 0.9
    assert "mean_average_precision" in labels.err
    number = headstart("evaluate", models["number"], manifests["number"], "--json")
    assert number.json["r2"] > 0.8
    assert number.json["mae"] < 2
    assert headstart("evaluate", models["number"], manifests["labels"]).code == 2


def test_predict_prints_labels_and_numbers(
    headstart: Run, models: dict[str, Path], pattern_pictures: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    asked = [pattern_pictures / label / "05.jpg" for label in ("across", "along", "checks")]
    ran = headstart("predict", models["labels"], *asked, bad, "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1
    assert [set(each.get("labels", ["?"])) for each in found] == [
        {"striped"},
        set(),
        {"squared", "striped"},
        {"?"},
    ]
    assert "no label" in headstart("predict", models["labels"], asked[1]).out
    ran = headstart("predict", models["number"], *asked, bad, "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert found[1]["value"] < found[0]["value"] < found[2]["value"]
    assert all(each["interval"][0] < each["value"] < each["interval"][1] for each in found[:3])
    assert " to " in headstart("predict", models["number"], asked[0]).out
    assert headstart("predict", models["number"], asked[0], "--abstain").code == 2


def test_predict_writes_tables(
    headstart: Run, models: dict[str, Path], pattern_pictures: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    for target, columns in (
        ("labels", ["input", "labels", "error", "p(squared)", "p(striped)"]),
        ("number", ["input", "value", "low", "high", "error"]),
    ):
        headstart(
            "predict", models[target], pattern_pictures / "checks" / "05.jpg", bad, "-o", tmp_path / "a.csv"
        )
        with (tmp_path / "a.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == columns
        if target == "labels":
            assert rows[1][1] == "squared|striped"
        else:
            value, low, high = map(float, rows[1][1:4])
            assert low < value < high
        assert "expected" in rows[2][columns.index("error")]


def test_inspect_counts_labels_and_numbers(
    headstart: Run, manifests: dict[str, Path], tmp_path: Path
) -> None:
    labels = headstart("inspect", manifests["labels"], "--target", "labels", "--json")
    assert labels.code == 0
    assert labels.json["classes"]["striped"] == {"test": 6, "undecided": 22}
    assert labels.json["splits"] == {"test": 9, "undecided": 33}
    page = tmp_path / "numbers.html"
    numbers = headstart("inspect", manifests["number"], "--target", "number", "--html", page, "--json")
    assert numbers.json["shapes"]["number"]["max"] == 10
    assert "Distribution of the number" in page.read_text()


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ("a.jpg,cat\nb.jpg,dog\n", ["--target", "number"], "not a finite number: 'cat'"),
        ("a.jpg,nan\nb.jpg,inf\n", ["--target", "number"], "not a finite number"),
        ("a.jpg,3\nb.jpg,3.0\n", ["--target", "number"], "at least two different numbers"),
        ("a.jpg,x\nb.jpg,x\n", ["--target", "labels"], "items with different labels"),
        ("a.jpg,\nb.jpg,\n", ["--target", "labels"], "no label for each item"),
        ("a.jpg,1\nb.jpg,2\n", ["--target", "number", "--head", "centroid"], "linear or mlp"),
        ("a.jpg,1\nb.jpg,2\n", ["--target", "number", "--class-weight", "balanced"], "class_weight"),
        ("a.jpg,1\nb.jpg,2\n", ["--target", "number", "--review", "r.html"], "to review labels"),
        ("a.jpg,1\nb.jpg,2\n", ["--target", "age"], "'age'"),
    ],
)
def test_bad_input_ends_with_2_and_a_sentence(
    headstart: Run, pattern_pictures: Path, tmp_path: Path, rows: str, options: list[str], says: str
) -> None:
    for name in ("a", "b"):
        picture = pattern_pictures / "across" / f"0{'ab'.index(name)}.jpg"
        (tmp_path / f"{name}.jpg").write_bytes(picture.read_bytes())
    (tmp_path / "m.csv").write_text(f"path,label\n{rows}")
    ran = headstart("fit", tmp_path / "m.csv", "-o", tmp_path / "model", *options)
    assert ran.code == 2
    assert says in ran.err.replace("\n", " ")
    assert "Traceback" not in ran.err
    assert not (tmp_path / "model").exists()


def test_folders_and_manifests_without_a_label_column_say_so(
    headstart: Run, pattern_pictures: Path, tmp_path: Path
) -> None:
    ran = headstart("fit", pattern_pictures, "-o", tmp_path / "model", "--target", "number")
    assert (ran.code, "a manifest with a label column" in ran.err) == (2, True)
    (tmp_path / "m.csv").write_text("path,width,height\nx.jpg,1,2\n")
    ran = headstart("fit", tmp_path / "m.csv", "-o", tmp_path / "model", "--target", "number")
    assert (ran.code, "--label-column" in ran.err) == (2, True)


def test_serving_them_needs_no_torch(models: dict[str, Path], pattern_pictures: Path) -> None:
    code = (
        "import sys\nfor name in ('torch', 'sklearn', 'scipy'):\n    sys.modules[name] = None\n"
        "from headstart.cli import run\nsys.exit(run(sys.argv[1:]))"
    )
    picture = pattern_pictures / "along" / "05.jpg"
    for model in models.values():
        command = [sys.executable, "-c", code, "predict", str(model), str(picture)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
