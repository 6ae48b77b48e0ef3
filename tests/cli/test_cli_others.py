"""`headstart inspect`, `export`, `backbones`, `cache`, `doctor`, and what all commands have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headstart as hs

Run = Callable[..., Any]
COMMANDS = (
    *(("inspect",), ("fit",), ("evaluate",), ("predict",), ("compare",), ("export",), ("demo",), ("doctor",)),
    *(("diagnose",), ("distill",)),
    *(("backbones", name) for name in ("list", "show", "fetch", "add")),
    *(("cache", name) for name in ("info", "clear")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(headstart: Run, command: tuple[str, ...]) -> None:
    done = headstart(*command, "--help")
    assert done.code == 0
    assert f"Example: headstart {' '.join(command)}" in " ".join(done.out.split())
    assert "--json" in done.out


@pytest.mark.parametrize("command", ["fit", "distill", "evaluate", "compare", "demo"])
def test_where_something_is_random_it_has_a_seed(headstart: Run, command: str) -> None:
    assert "--seed" in headstart(command, "--help").out


@pytest.mark.parametrize("command", [("fit",), ("demo",), ("backbones", "fetch"), ("backbones", "show")])
def test_where_something_is_fetched_one_can_stay_off_line(headstart: Run, command: tuple[str, ...]) -> None:
    assert "--offline" in headstart(*command, "--help").out


def test_version_and_help(headstart: Run) -> None:
    assert headstart("--version").out.strip() == f"headstart {hs.__version__}"
    assert "inspect" in headstart("--help").out
    assert headstart().code in (0, 2)  # the help, and how typer of the day counts that


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("fit", "--nonsense"), ("fit",), ("fit", "x", "-o", "m", "--head", "x")]
)
def test_mistakes_in_the_options(headstart: Run, arguments: tuple[str, ...]) -> None:
    done = headstart(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Error" in done.err
    assert headstart(*arguments, "--json").json["error"]


def test_inspect_finds_what_hurts(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    clean = headstart("inspect", pattern_pictures, "--json")
    assert clean.code == 0
    assert clean.json["items"] == 42
    assert clean.json["hurts"] is False
    picture = (pattern_pictures / "along" / "01.jpg").read_bytes()
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            other = pattern_pictures / "checks" / f"{number + (label == 'b') * 5:02d}.jpg"
            (tmp_path / "data" / label / f"{number}.jpg").write_bytes(other.read_bytes())
        (tmp_path / "data" / label / "same.jpg").write_bytes(picture)
    (tmp_path / "data" / "a" / "cut.jpg").write_bytes(picture[:200])
    before = sorted(tmp_path.rglob("*"))
    done = headstart("inspect", tmp_path / "data", "--json")
    assert done.code == 1
    assert done.json["corrupt"][0]["name"] == "a/cut.jpg"
    assert len(done.json["label_conflicts"]) == 1
    assert sorted(tmp_path.rglob("*")) == before  # nothing is deleted
    people = headstart("inspect", tmp_path / "data", "--html", tmp_path / "page.html")
    assert people.code == 1
    assert "a/cut.jpg" in people.out
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<img") >= 5


def test_labels_are_not_markup(headstart: Run, pattern_pictures: Path, tmp_path: Path) -> None:
    for label in ("[bold]x[/bold]", "[/]"):
        folder = tmp_path / label.replace("/", "÷")
        folder.mkdir()
        for number in range(2):
            source = pattern_pictures / "along" / f"{number + 4 * (label == '[/]'):02d}.jpg"
            (folder / f"{number}.jpg").write_bytes(source.read_bytes())
    manifest = tmp_path / "list.jsonl"
    rows = [
        {"path": str(path), "label": path.parent.name.replace("÷", "/")}
        for path in sorted(tmp_path.rglob("*.jpg"))
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    done = headstart("inspect", manifest)
    assert done.code in (0, 1)
    assert "[bold]x[/bold]" in done.out
    assert "[/]" in done.out


def test_export(headstart: Run, fitted: Path, tmp_path: Path) -> None:
    for to, name in (("openvino", "network.xml"), ("onnx", "network.onnx")):
        done = headstart("export", fitted, "-o", tmp_path, "--to", to, "--json")
        assert done.code == 0
        assert done.json["file"] == str(tmp_path / name)
        assert (tmp_path / name).is_file()
    assert headstart("export", fitted, "-o", tmp_path, "--to", "tflite").code == 2


def test_backbones(headstart: Run, tmp_path: Path) -> None:
    done = headstart("backbones", "list", "--json")
    assert done.code == 0
    names = {card["name"]: card for card in done.json["backbones"]}
    assert next(iter(names)) == "efficientnet_lite0"
    listed = headstart("backbones", "list").out
    assert "efficientnet_lite0" in listed
    assert "untrained" in next(line for line in listed.splitlines() if "basic_cnn" in line)
    assert "128 tokens" in next(line for line in listed.splitlines() if "minilm-l6" in line)
    assert headstart("backbones", "fetch", "basic_cnn").code == 2
    shown = headstart("backbones", "show", "efficientnet_lite0", "--json").json
    assert (shown["features"], len(shown["digest"])) == (1280, 64)
    fetched = headstart("backbones", "fetch", "efficientnet_lite0", "--json")
    assert fetched.code == 0
    added = headstart("backbones", "add", "efficientnet_lite0", fetched.json["file"], "--json")
    assert added.code == 0
    assert added.json == fetched.json
    unknown = headstart("backbones", "show", "efficientnet_light0", "--json")
    assert unknown.code == 2
    assert "did you mean 'efficientnet_lite0'" in unknown.json["error"]
    (tmp_path / "w.safetensors").write_bytes(b"no tensors")
    assert headstart("backbones", "add", "efficientnet_lite0", tmp_path / "w.safetensors").code == 2


def test_cache(
    headstart: Run, pattern_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    assert headstart("cache", "info", "--json").json["items"] == 0
    assert headstart("inspect", pattern_pictures).code == 0
    known = headstart("cache", "info", "--json").json
    assert str(tmp_path) in known["folder"]
    assert headstart("cache", "clear", "--json").json["freed_bytes"] >= 0
    assert headstart("cache", "info", "--json").json["items"] == 0
    assert len(list(pattern_pictures.rglob("*.jpg"))) == 42


def test_doctor(headstart: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = headstart("doctor", "--json", "--offline")
    assert done.code == 0
    found = done.json
    assert found["headstart"] == hs.__version__
    assert found["cores"] >= 1
    assert found["extras"]["train"] is True
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "not" / "yet"))
    told = headstart("doctor", "--offline")
    assert "headstart backbones fetch" in told.err
