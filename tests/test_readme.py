"""What the README shows really runs, and its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from headstart.cli import run

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")


def _block(heading: str, language: str) -> str:
    found = re.search(rf"## {heading}\n\n```{language}\n(.*?)```", _README, re.DOTALL)
    assert found is not None, f"the README has no {language} under {heading!r}"
    return found[1]


@pytest.fixture
def here(pattern_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos/ in it, as the README has it."""
    shutil.copytree(pattern_pictures, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_ten_lines_of_command_line_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        shlex.split(line, comments=True)
        for line in _block("Ten lines of command line", "console").splitlines()
    ]
    assert len(lines) == 10
    for program, *arguments in lines:
        assert program == "headstart"
        assert run(arguments) == 0, (arguments, capsys.readouterr().err)
    for name in ("photos.html", "report.html", "answers.csv", "network.xml", "photos.headstart"):
        assert (here / name).exists()


def test_the_ten_lines_of_python_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _block("Ten lines of Python", "python")
    assert len([line for line in source.splitlines() if line.strip()]) == 10
    exec(compile(source, "README.md", "exec"), {})
    assert "(1, 1280)" in capsys.readouterr().out
    assert (here / "report.html").is_file()


def test_the_two_commands_are_targets_of_make() -> None:
    makefile = (_ROOT / "Makefile").read_text(encoding="utf-8")
    for line in _block_of_make():
        assert re.search(rf"^{line}:", makefile, re.MULTILINE)


def _block_of_make() -> list[str]:
    return re.findall(r"^make ([a-z-]+)", _README, re.MULTILINE)


def test_links_lead_somewhere() -> None:
    for page in [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *(_ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
