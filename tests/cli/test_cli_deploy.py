"""`headstart deploy` and `headstart deploy check`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@needs_openssl
def test_an_installation_is_written_and_checked(tmp_path: Path, headstart: Run) -> None:
    site = tmp_path / "site"
    done = headstart("deploy", site, "--domain", "example.org", "--json")
    assert done.code == 0
    assert str(site / "nginx" / "site.conf") in json.loads(done.out)["files"]
    assert "headstart deploy check" in done.err
    checked = headstart("deploy", "check", site, "--json")
    assert checked.code == 1
    found = {each["about"]: each for each in json.loads(checked.out)["findings"]}
    assert found["models"]["good"] is False
    assert found["certificate"]["good"] is True


@needs_openssl
def test_a_workstation_is_written(tmp_path: Path, headstart: Run) -> None:
    assert headstart("deploy", tmp_path, "--workstation", "gpu.example.org").code == 0
    assert (tmp_path / "tunnel.sh").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--domain or --workstation"),
        (["--domain", "https://example.org"], "a domain name"),
        (["--domain", "example.org", "--to", "a b"], "an absolute path"),
        (["--domain", "example.org", "--model", "nowhere"], "a saved model"),
    ],
)
def test_what_cannot_be_written_is_said(
    arguments: list[str], said: str, tmp_path: Path, headstart: Run
) -> None:
    done = headstart("deploy", tmp_path / "site", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_folder_that_is_no_installation_is_refused(tmp_path: Path, headstart: Run) -> None:
    done = headstart("deploy", "check", tmp_path)
    assert done.code == 2
    assert "deploy.json" in done.err
