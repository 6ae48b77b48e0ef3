"""The studio's worker: takes one job after the other and does each in a process of its own.

A process for each job gives its memory back, cannot take the worker down, and can be stopped at any step. The
server only ever writes into the queue, so that nothing the studio does makes an answer wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.process import tune_process
from headstart.progress import Say, quiet
from headstart.studio import making  # noqa: F401 (registers its commands)
from headstart.studio.commands import command
from headstart.studio.jobs import Job, JobStore

_PAUSE = 0.25
"""Seconds between two looks at the queue, or at a running job."""
_GRACE = 5.0
"""Seconds that a stopped job gets to end by itself."""


def work(
    state: Path, *, minutes: float = 60.0, once: bool = False, say: Say = quiet, module: str = __name__
) -> int:
    """Do the jobs of a queue, until interrupted.

    Args:
        state: The state folder of a served installation.
        minutes: How long one job may take, float; a longer one fails. Defaults to 60.
        once: Whether to return when the queue is empty. Defaults to False.
        say: Told of every job. Defaults to nobody.
        module: What does one job when it is run with `python -m`: `main` of this module, after more commands
            have been registered. Defaults to this one.

    Returns:
        How many jobs were taken.

    Raises:
        StorageError: The queue cannot be written.

    Example:
        >>> import tempfile
        >>> work(Path(tempfile.mkdtemp()), once=True)
        0
    """
    store, taken = JobStore(state), 0
    while True:
        job = store.claim()
        if job is not None:
            taken += 1
            say(f"{job.id}: {job.command} for {job.person}")
            _watch(store, job, [sys.executable, "-m", module, str(state), job.id], minutes)
            known = {each.id: each.status for each in store.jobs()}
            say(f"{job.id}: {known.get(job.id, 'removed')}")
        elif once:
            return taken
        else:
            time.sleep(_PAUSE)


def _watch(store: JobStore, job: Job, line: Sequence[str], minutes: float) -> None:
    """Start a job's process; stop it when the job is cancelled, takes too long, or the worker has to end."""
    log = job.folder / "log.txt"
    try:
        errors = log.open("wb")
    except FileNotFoundError:  # it was cancelled and removed at this very moment
        return
    begun = time.monotonic()
    # Nothing is written to its input: that it closes is how the process learns that this one has died.
    with errors, subprocess.Popen(line, stdin=subprocess.PIPE, stdout=errors, stderr=errors) as process:
        try:
            while process.poll() is None:
                time.sleep(_PAUSE)
                if time.monotonic() - begun > 60 * minutes:
                    store.finish(job.id, f"it took longer than {minutes:g} minutes")
                if not store.beat(job.id):  # it has ended by itself, or nobody wants it any more
                    _stop(process)
            if process.returncode and store.beat(job.id):
                store.finish(job.id, _last_line(log, process.returncode))
        finally:
            if process.poll() is None:  # the worker itself has to end: another one will do the job
                _stop(process)
                store.release(job.id)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path, code: int) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return f"its process ended with code {code}" + (f": {lines[-1]}" if lines else "")


def perform(store: JobStore, job: Job) -> None:
    """Do a claimed job in this process, and note how it ended; what headstart refuses is its error.

    Args:
        store: The queue.
        job: A job of status "running".
    """
    told = 0.0

    def progress(share: float, step: str) -> None:
        nonlocal told
        if time.monotonic() - told > _PAUSE:
            store.progress(job.id, share, step)
            told = time.monotonic()

    inputs = {name: [Path(path) for path in paths] for name, paths in job.inputs.items()}
    try:
        command(job.command).run(inputs, job.options, job.out, progress)
    except HeadstartError as error:
        store.finish(job.id, str(error))
    else:
        store.finish(job.id)


def step_back() -> None:
    """Give this process, and those it starts, a low priority, so that answering comes first."""
    if hasattr(os, "nice"):
        os.nice(10)


def _end_with_worker() -> None:
    """End this process when its worker has died: nobody could stop it, and another does the job anew."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # the worker never writes: this is the end of the pipe
        os._exit(1)

    threading.Thread(target=wait, name="worker", daemon=True).start()


def main() -> None:
    """Do the job that the command line names: STATE ID; as long as standard input is open."""
    _end_with_worker()
    tune_process()
    state, name = sys.argv[1:]
    store = JobStore(Path(state))
    perform(store, store.get(name))


if __name__ == "__main__":
    main()
