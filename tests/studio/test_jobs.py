"""The studio's queue: nothing is lost, nothing is done twice, no order of events confuses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError, StorageError
from headstart.studio import jobs as jobs_module
from headstart.studio.commands import Command, Input, Option, Progress, command, commands, register
from headstart.studio.jobs import Job, JobStore
from headstart.studio.making import SUMMARIZE
from headstart.studio.worker import perform, work


def rest(_i: Mapping[str, Sequence[Path]], _o: Mapping[str, Any], _out: Path, _p: Progress) -> None:
    """Do nothing."""


NAP = Command("nap", "Nap", "Rests.", (), (), rest)
JOIN = Command("join", "Join", "Joins.", (Input("parts", "Parts", "files", ("text",), most=2),), (), rest)


def hand_in(store: JobStore, by: Command = NAP, *files: tuple[str, bytes]) -> Job:
    """Submit a job with some files."""
    return store.submit(by, {}, {"parts": files} if files else {}, {}, "ada")


def test_first_come_first_served(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    names = [hand_in(store).id for _ in range(3)]
    claimed = [store.claim() for _ in range(4)]
    assert [job and job.id for job in claimed] == [*names, None]
    assert all(job.status == "running" and job.started for job in claimed if job)


def test_two_workers_never_get_the_same(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    names = {hand_in(store).id for _ in range(24)}
    got: list[str] = []

    def take() -> None:
        own = JobStore(tmp_path)
        while job := own.claim():
            got.append(job.id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 24
    assert set(got) == names


def test_files_keep_their_content_and_a_harmless_name(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store, JOIN, ("../../etc/passwd", b"one"), ("..\\ü.txt", b"two"))
    paths = [Path(path) for path in job.inputs["parts"]]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert [path.name for path in paths] == ["passwd", "ü.txt"]
    assert all(path.is_relative_to(job.folder.resolve()) for path in paths)


@settings(deadline=None, max_examples=20)
@given(name=st.text(max_size=300))
def test_any_file_name_stays_inside(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = JobStore(tmp_path_factory.mktemp("state"))
    path = Path(hand_in(store, JOIN, (name, b"x")).inputs["parts"][0])
    assert path.is_relative_to(store.folder.resolve())
    assert path.read_bytes() == b"x"


def test_how_a_job_ends(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    good, bad = hand_in(store), hand_in(store)
    store.claim(), store.claim()
    store.progress(good.id, 0.5, "half way")
    assert (store.get(good.id).share, store.get(good.id).step) == (0.5, "half way")
    store.finish(good.id)
    store.finish(bad.id, "no light")
    assert (store.get(good.id).status, store.get(good.id).share) == ("done", 1.0)
    assert (store.get(bad.id).status, store.get(bad.id).error) == ("failed", "no light")


def test_what_was_sent_is_deleted_when_a_job_has_ended(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    done, cancelled = (hand_in(store, JOIN, ("private.txt", b"private")) for _ in range(2))
    store.claim()
    store.progress(done.id, 0.5, "reading")
    assert Path(done.inputs["parts"][0]).exists()
    (done.out / "result.txt").write_text("kept")
    store.finish(done.id)
    store.cancel(cancelled.id)
    assert not any(Path(job.inputs["parts"][0]).exists() for job in (done, cancelled))
    assert [file.name for file in store.get(done.id).results()] == ["result.txt"]


def test_what_has_ended_stays_ended(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store)
    assert store.cancel(job.id)
    assert store.claim() is None
    store.progress(job.id, 0.9, "nearly")
    store.finish(job.id)
    assert not store.cancel(job.id)
    assert not store.beat(job.id)
    assert (store.get(job.id).status, store.get(job.id).share) == ("cancelled", 0)


def test_only_what_has_ended_is_removed_and_with_its_files(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store, JOIN, ("a.txt", b"a"))
    assert not store.remove(job.id)
    store.cancel(job.id)
    assert store.remove(job.id)
    assert not job.folder.exists()
    with pytest.raises(OptionError, match="id of a job"):
        store.get(job.id)


def test_a_dead_workers_job_is_done_once_more_and_then_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store)
    assert store.claim() is not None
    assert store.claim() is None
    monkeypatch.setattr(jobs_module, "_SILENT", -1.0)
    again = store.claim()
    assert again is not None
    assert again.id == job.id
    assert store.claim() is None
    assert store.get(job.id).status == "failed"
    assert "died" in store.get(job.id).error


def test_the_queue_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "MOST_WAITING", 3)
    store = JobStore(tmp_path)
    for _ in range(3):
        hand_in(store)
    with pytest.raises(OptionError, match="fewer than 3"):
        hand_in(store)


def test_missing_and_too_many_files_are_refused(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    with pytest.raises(OptionError, match="one to 2"):
        hand_in(store, JOIN)
    with pytest.raises(OptionError, match="received 3"):
        hand_in(store, JOIN, *[("a.txt", b"")] * 3)
    assert store.jobs() == []


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state")
    if os.name == "posix":
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
        assert store.folder.stat().st_mode & 0o077 == 0


def test_a_damaged_queue_says_so(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="queue"):
        JobStore(tmp_path)


@pytest.mark.parametrize(
    ("option", "given", "read"),
    [
        (Option("n", "N", 3, least=1, most=9), "4", 4),
        (Option("n", "N", 3), " ", 3),
        (Option("n", "N", 3), None, 3),
        (Option("x", "X", 0.5), "1", 1.0),
        (Option("b", "B", True), None, False),
        (Option("b", "B", False), "on", True),
        (Option("w", "W", "a", choices=("a", "b")), "b", "b"),
    ],
)
def test_options_are_read(option: Option, given: str | None, read: object) -> None:
    found = option.read(given)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("option", "given"),
    [
        (Option("n", "N", 3, least=1, most=9), "10"),
        (Option("n", "N", 3, least=1), "0"),
        (Option("n", "N", 3, least=1, most=9), "9" * 4000),
        (Option("n", "N", 3, least=1, most=9), "9" * 5000),
        (Option("n", "N", 3), "3.5"),
        (Option("x", "X", 0.5), "nan"),
        (Option("x", "X", 0.5), "inf"),
        (Option("w", "W", "a", choices=("a", "b")), "c"),
        (Option("w", "W", "a", most=3), "abcd"),
    ],
)
def test_wrong_options_are_refused(option: Option, given: str) -> None:
    with pytest.raises(OptionError, match="to fix"):
        option.read(given)


def test_commands_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.studio import commands as module

    monkeypatch.setattr(module, "_COMMANDS", dict(module._COMMANDS))
    register(NAP)
    assert NAP in commands()
    assert command("nap") is NAP
    with pytest.raises(OptionError, match="studio command"):
        command("dance")


def test_the_work_of_a_job_and_what_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.studio import commands as module

    monkeypatch.setattr(module, "_COMMANDS", dict(module._COMMANDS))

    def shout(
        inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
    ) -> None:
        progress(0.5, "shouting")
        for part in inputs["parts"]:
            text = part.read_text()
            if not text:
                raise OptionError("something to shout", "nothing", "say something")
            (out / "page.html").write_text(text.upper() + options["end"])

    said = Command("shout", "Shout", "Shouts.", JOIN.inputs, (Option("end", "End", "!"),), shout)
    register(said)
    store = JobStore(tmp_path)
    for content in (b"hello", b""):
        store.submit(said, {}, {"parts": [("a.txt", content)]}, said.read({}), "ada")
    first, second = store.claim(), store.claim()
    assert first is not None
    assert second is not None
    perform(store, first)
    perform(store, second)
    assert [path.read_text() for path in store.get(first.id).results()] == ["HELLO!"]
    assert store.get(first.id).status == "done"
    assert store.get(second.id).status == "failed"
    assert "something to shout" in store.get(second.id).error


def test_a_job_that_takes_too_long_or_crashes_fails_and_the_next_one_is_done(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    slow, gone = hand_in(store), hand_in(store)
    module = tmp_path / "slow_job.py"
    module.write_text(
        f"import sys, time\nif sys.argv[2] == {slow.id!r}: time.sleep(60)\nraise SystemExit('boom')"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        assert work(tmp_path, once=True, minutes=0.02, module="slow_job") == 2
    assert "took longer than 0.02 minutes" in store.get(slow.id).error
    assert "ended with code 1: boom" in store.get(gone.id).error


def test_a_job_may_vanish_while_it_is_being_done(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = hand_in(store)
    (tmp_path / "vanishing_job.py").write_text(
        "import sys, time\nfrom pathlib import Path\nfrom headstart.studio.jobs import JobStore\n"
        "store = JobStore(Path(sys.argv[1]))\nstore.cancel(sys.argv[2])\nstore.remove(sys.argv[2])\n"
        "time.sleep(60)"
    )
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        assert work(tmp_path, once=True, module="vanishing_job", say=said.append) == 1
    assert said[-1] == f"{job.id}: removed"


def start_worker(state: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `headstart worker` on a state folder."""
    code = "from headstart.cli import main; main()"
    line = [sys.executable, "-c", code, "worker", "--state", str(state), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_until(true: Any, seconds: float = 30) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_the_worker_process_notes_failures_and_goes_on(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    unknown = hand_in(store)  # this process knows "nap", the worker's does not
    nowhere = store.submit(
        SUMMARIZE, {"model": tmp_path / "none"}, {"texts": [("a.txt", b"Hi.")]}, SUMMARIZE.read({}), "ada"
    )
    done = start_worker(tmp_path, "--once", "--json")
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    assert b'{"jobs": 2}' in out
    assert "a studio command" in store.get(unknown.id).error
    assert store.get(nowhere.id).status == "failed"


def test_a_worker_that_has_to_end_gives_its_job_back(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    fifo = tmp_path / "model"
    fifo.mkdir()
    os.mkfifo(fifo / "artefact.json")  # a model that never opens
    job = store.submit(SUMMARIZE, {"model": fifo}, {"texts": [("a.txt", b"Hi.")]}, SUMMARIZE.read({}), "ada")
    worker = start_worker(tmp_path)
    try:
        wait_until(lambda: store.get(job.id).step == "opening the model")
        worker.terminate()
        worker.communicate(timeout=30)
        assert worker.returncode == 143
        assert store.get(job.id).status == "queued"
        worker = start_worker(tmp_path)
        wait_until(lambda: store.get(job.id).step == "opening the model")
        begun = time.monotonic()
        store.cancel(job.id)
        wait_until(lambda: b"cancelled" in (worker.stderr.readline() if worker.stderr else b""), 10)
        assert time.monotonic() - begun < 5
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_a_job_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
        except (FileNotFoundError, ProcessLookupError):
            return False

    store = JobStore(tmp_path)
    fifo = tmp_path / "model"
    fifo.mkdir()
    os.mkfifo(fifo / "artefact.json")  # a model that never opens
    job = store.submit(SUMMARIZE, {"model": fifo}, {"texts": [("a.txt", b"Hi.")]}, SUMMARIZE.read({}), "ada")
    worker = start_worker(tmp_path)
    wait_until(lambda: store.get(job.id).step == "opening the model")
    (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    assert lives(int(child))
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    wait_until(lambda: not lives(int(child)), 10)
