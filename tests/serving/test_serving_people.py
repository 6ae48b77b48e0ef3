"""Who may log in: passwords are never kept, guessing is slow, nobody locks anybody out."""

from __future__ import annotations

import io
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.cli import run
from headstart.errors import OptionError, StorageError
from headstart.serving import people as people_module
from headstart.serving.people import Attempts, People

GOOD = "difference engine"


def test_a_password_is_right_or_wrong_and_never_kept(tmp_path: Path) -> None:
    people = People(tmp_path / "state")
    people.add("ada", GOOD)
    assert people.matches("ada", GOOD)
    assert not people.matches("ada", GOOD + "x")
    assert not people.matches("ada", "")
    assert not people.matches("grace", GOOD)
    assert GOOD not in people.path.read_text()
    if os.name == "posix":
        assert people.path.stat().st_mode & 0o077 == 0


def test_two_people_with_one_password_have_different_hashes(tmp_path: Path) -> None:
    people = People(tmp_path)
    people.add("ada", GOOD)
    people.add("grace", GOOD)
    kept = json.loads(people.path.read_text())
    assert kept["ada"] != kept["grace"]
    assert people.names() == ["ada", "grace"]


def test_a_session_ends_with_its_password_and_its_person(tmp_path: Path) -> None:
    people = People(tmp_path)
    people.add("ada", GOOD)
    mark = people.mark("ada")
    assert mark is not None
    assert people.is_still("ada", mark)
    people.add("ada", "another password")
    assert not people.is_still("ada", mark)
    people.remove("ada")
    assert people.mark("ada") is None
    assert not people.is_still("ada", mark)


@pytest.mark.parametrize(
    ("name", "password"), [("", GOOD), ("a/b", GOOD), ("a" * 61, GOOD), ("ada", "short"), ("ada", "x" * 201)]
)
def test_names_and_passwords_have_limits(name: str, password: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="to fix"):
        People(tmp_path).add(name, password)
    assert not People(tmp_path).path.exists()


def test_nobody_cannot_be_removed_and_damage_is_named(tmp_path: Path) -> None:
    people = People(tmp_path)
    with pytest.raises(OptionError, match="somebody"):
        people.remove("ada")
    people.path.write_text("{")
    with pytest.raises(StorageError, match="people"):
        people.names()


def fail(attempts: Attempts, name: str, address: str, times: int = 1) -> list[int]:
    """Begin attempts that do not succeed, and return how long each had to wait."""
    return [attempts.begin(name, address) for _ in range(times)]


def test_a_guesser_waits_and_a_neighbour_does_not(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    assert fail(attempts, "ada", "192.0.2.1", 5) == [0] * 5
    (seconds,) = fail(attempts, "ada", "192.0.2.1")
    assert 800 < seconds <= 900
    assert attempts.begin("ada", "192.0.2.2") == 0
    assert attempts.begin("grace", "192.0.2.1") == 0


def test_many_at_once_gain_nothing(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: attempts.begin("ada", "192.0.2.1"), range(32)))
    assert waits.count(0) == 5


def test_many_names_from_one_address_and_many_addresses_for_one_name(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    for number in range(20):
        fail(attempts, f"name{number}", "192.0.2.1")
    assert attempts.begin("ada", "192.0.2.1") > 0
    assert attempts.begin("ada", "192.0.2.2") == 0
    for number in range(60):
        fail(attempts, "grace", f"198.51.100.{number}")
    assert attempts.begin("grace", "203.0.113.1") > 0


def test_what_succeeds_is_forgotten(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    fail(attempts, "ada", "192.0.2.1", 4)
    assert attempts.begin("ada", "192.0.2.1") == 0
    attempts.succeeded("ada", "192.0.2.1")
    assert fail(attempts, "ada", "192.0.2.1", 4) == [0] * 4
    for number in range(40):  # an office behind one address
        assert attempts.begin(f"name{number}", "203.0.113.1") == 0
        attempts.succeeded(f"name{number}", "203.0.113.1")


def test_time_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(tmp_path)
    fail(attempts, "ada", "192.0.2.1", 5)
    now = time.time()
    monkeypatch.setattr(people_module.time, "time", lambda: now + 901)
    assert attempts.begin("ada", "192.0.2.1") == 0


def test_neither_names_nor_addresses_are_kept_in_the_clear(tmp_path: Path) -> None:
    Attempts(tmp_path).begin("my secret password typed as a name", "192.0.2.77")
    kept = (tmp_path / "logins.sqlite").read_bytes()
    assert b"secret" not in kept
    assert b"192.0.2.77" not in kept


def test_people_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path)]
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD + "\n"))
    assert run(["serve", "person", "add", "ada", *state]) == 0
    assert People(tmp_path).matches("ada", GOOD)
    capfd.readouterr()
    assert run(["serve", "person", "list", *state]) == 0
    assert capfd.readouterr().out == "ada\n"
    assert run(["serve", "person", "remove", "ada", *state]) == 0
    assert run(["serve", "person", "remove", "ada", *state]) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run(["serve", "person", "add", "ada", *state]) == 2
