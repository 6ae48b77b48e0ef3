"""The search itself: an Optuna study in an SQLite file, worked on by one process or by several."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.exceptions import StorageInternalError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from headstart.engines.openvino_engine import available_cores
from headstart.errors import HeadstartError, OptionError, StorageError
from headstart.process import tune_process
from headstart.transfer.store import FeatureStore
from headstart.tuning.objectives import TIME_UP, GivenUp, Objective, Score, Task
from headstart.tuning.space import Blocks, Space, in_words, planned

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["hyperband", "none"]

FILE = "study.sqlite"
INTERRUPTED = "interrupted"
FIRST = "first"
"""Marks the plan itself among the trials: others are compared with it, so it is never given up."""
_NAME = "tuning"
_LOCK = "study.lock"
_WAIT = 120  # seconds for another process's write


@dataclass(frozen=True)
class Search:
    """How to look for a better plan, as every process needs to know it.

    Args:
        folder: Where the study is kept.
        sampler: "tpe" (Bayesian: a tree-structured Parzen estimator), "random" or "grid".
        pruner: "hyperband" stops trials that do badly early, "none" lets all finish.
        metric: "accuracy" or "loss".
        space: What may be varied.
        blocks: As for `search_space`.
        seed: Of the sampler, int.
        deadline: `time.time()` at which no trial may go on, float, or None: processes share no other clock.
    """

    folder: Path
    sampler: Sampler
    pruner: Pruner
    metric: str
    space: Space
    blocks: Blocks
    seed: int
    deadline: float | None


@contextlib.contextmanager
def speaking(folder: Path) -> Iterator[None]:
    """Turn what Optuna and SQLite say into errors that tell how to go on, and keep Optuna's log quiet."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause: BaseException = error
        while not isinstance(cause, sqlite3.Error) and cause.__cause__ is not None:
            cause = cause.__cause__
        fix = "free some space or name another folder with --study; finished trials are kept"
        raise StorageError(f"a study that can be written at {folder / FILE}", str(cause), fix) from error
    finally:
        optuna.logging.set_verbosity(level)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a study's folder, so that what is still marked as running there was left by a kill.

    The lock is the operating system's: it ends with the process, however that ends.

    Raises:
        StorageError: Another process holds it.
    """
    lock = sqlite3.connect(folder / _LOCK, timeout=0, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:  # the file is locked
            fix = "wait for that one, or name another folder with --study"
            raise StorageError(f"a study that nobody else works on at {folder}", str(error), fix) from error
        yield
    finally:
        lock.close()


def open_study(folder: Path) -> Study:
    """Open the study in a folder, making it where there is none.

    Raises:
        StorageError: The file is no SQLite database, or cannot be written.
    """
    path = folder / FILE
    if path.exists() and path.stat().st_size and path.read_bytes()[:16] != b"SQLite format 3\0":
        fix = "name another folder with --study, or move that file away"
        raise StorageError("a study, an SQLite database", f"something else at {path}", fix)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"creator": lambda: _connect(path)}
    )
    return optuna.create_study(
        storage=storage,
        study_name=_NAME,
        direction="minimize",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.NopPruner(),
    )


def _connect(path: Path) -> sqlite3.Connection:
    # A trial is some twenty small writes: with a log they need not each wait for the disk, and a kill still
    # loses none of them.
    database = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    return database


def check_same(study: Study, about: Mapping[str, Any]) -> None:
    """Keep what a study is about, or make sure that it has not changed.

    Args:
        study: New or old.
        about: What trials have to share to be compared, {name: JSON value}.

    Raises:
        OptionError: The study is about something else.
    """
    known = study.user_attrs
    for name, value in json.loads(json.dumps(about)).items():  # as the study gives it back
        if name not in known:
            study.set_user_attr(name, value)
        elif known[name] != value:
            fix = "name another folder with --study, or run the command that began this one"
            now, then = _shown(value), _shown(known[name])
            raise OptionError(f"a study whose {name} is {now}", f"one whose {name} is {then}", fix)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def requeue(study: Study) -> int:
    """Put what a kill left running back into the queue, and return how many trials that were."""
    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        wanted = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        Trial(study, trial._trial_id).set_user_attr(INTERRUPTED, True)
        study.tell(trial.number, state=TrialState.FAIL)
        marks = {FIRST: True} if FIRST in trial.user_attrs else None
        study.enqueue_trial(wanted, marks)
    return len(left)


def counted(trial: FrozenTrial) -> bool:
    """Return whether a trial was tried to its end: not waiting, not running, not interrupted."""
    return trial.state.is_finished() and INTERRUPTED not in trial.user_attrs


def search(
    study: Study,
    task: Task,
    how: Search,
    objective: Objective,
    *,
    trials: int,
    jobs: int,
    done: Callable[[FrozenTrial], None],
) -> None:
    """Try so many plans, in this process or in several.

    Args:
        study: Where they are kept.
        task: What to try them on.
        how: How to look.
        objective: Tries a plan in this process.
        trials: How many, int.
        jobs: In how many processes, int; 1 stays in this one.
        done: Hears of each finished trial.

    Raises:
        StorageError: The study cannot be written, or a process was killed.
    """
    # Another seed after each resume: the same one would ask the same again.
    seed = how.seed + 100_003 * len(study.get_trials(deepcopy=False))
    tpe = how.sampler == "tpe"
    study.sampler = optuna.samplers.TPESampler(seed=seed) if tpe else optuna.samplers.RandomSampler(seed=seed)
    study.pruner = _pruner(how, objective.steps)
    asked = itertools.islice(_asked(study, how), max(0, trials))
    if jobs > 1:
        _in_processes(study, task, how, asked, jobs, done)
        return
    for trial in asked:
        done(_tell(study, trial, attempt(trial, how, objective)))


def _asked(study: Study, how: Search) -> Iterator[Trial]:
    """Yield what to try next, while there is something and time for it."""
    while how.deadline is None or time.time() < how.deadline:
        if how.sampler == "grid" and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return  # the whole grid has been tried
        yield study.ask(how.space)


def _pruner(how: Search, steps: int) -> optuna.pruners.BasePruner:
    if how.pruner == "hyperband" and steps >= 3:  # fewer steps leave nothing to be saved
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps)
    return optuna.pruners.NopPruner()


def attempt(trial: Trial, how: Search, objective: Objective) -> float | TrialState:
    """Try one plan; how it went is noted with the trial.

    Returns:
        What is minimised, or PRUNED or FAIL.

    Raises:
        StorageError: Nothing that another plan would do better.
    """
    started = time.monotonic()
    last: list[Score] = []

    def report(step: int, score: Score) -> None:
        last.append(score)
        trial.report(score.value(how.metric), step)
        if how.deadline is not None and time.time() >= how.deadline:
            raise GivenUp(TIME_UP)
        if FIRST not in trial.user_attrs and trial.should_prune():
            raise GivenUp

    outcome: float | TrialState
    try:
        plan = planned(objective.task.plan, trial.params, how.blocks)
        left = None if how.deadline is None else time.monotonic() + how.deadline - time.time()
        last.append(objective(plan, report, left))
        outcome = last[-1].value(how.metric)
    except GivenUp as end:
        trial.set_user_attr("reason", str(end))
        outcome = TrialState.PRUNED
    except StorageError:
        raise
    except HeadstartError as error:
        trial.set_user_attr("reason", str(error))
        outcome = TrialState.FAIL
    if last:
        trial.set_user_attr("loss", last[-1].loss)
        trial.set_user_attr("accuracy", last[-1].accuracy)
    trial.set_user_attr("seconds", time.monotonic() - started)
    return outcome


def _tell(study: Study, trial: Trial, outcome: float | TrialState) -> FrozenTrial:
    if isinstance(outcome, TrialState):
        return study.tell(trial, state=outcome)
    return study.tell(trial, outcome)


# -- several processes ---------------------------------------------------------------------------------
# Only the first process asks and tells: on SQLite two that ask at once may be given the same trial.


def _in_processes(
    study: Study,
    task: Task,
    how: Search,
    asked: Iterator[Trial],
    jobs: int,
    done: Callable[[FrozenTrial], None],
) -> None:
    context = multiprocessing.get_context("spawn")  # forked processes would share locks and threads
    lifeline, ours = context.Pipe(duplex=False)
    numbers = context.SimpleQueue()
    for number in range(jobs):
        numbers.put(number)
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (task, how, jobs, numbers, lifeline))
    running: dict[Future[float | TrialState], Trial] = {}
    try:
        while True:
            for trial in itertools.islice(asked, jobs - len(running)):
                running[pool.submit(_attempt_here, trial.number)] = trial
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done(_tell(study, running.pop(future), future.result()))
    except BrokenProcessPool as error:
        fix = "run the same command again to go on; with fewer --jobs if memory ran out"
        raise StorageError("processes that finish their trials", "one that was killed", fix) from error
    finally:
        ours.close()  # ends the others, whatever they are doing
        pool.shutdown(cancel_futures=True)


_given: list[tuple[Task, Search]] = []
"""What one of several processes was told to work on."""


def _start_worker(
    task: Task, how: Search, jobs: int, numbers: SimpleQueue[int], lifeline: Connection
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    # Progress bars of several processes would overwrite each other; errors come back with the answers.
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    tune_process()
    _share_cores(numbers.get(), jobs, task.plan.changes_backbone)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _given.append((task, how))


@functools.cache
def _own() -> tuple[Study, Search, Objective]:
    """Return this process's view of the study and its objective, made at its first trial."""
    task, how = _given[0]
    study = open_study(how.folder)
    objective = Objective(task, FeatureStore(task.store))
    study.pruner = _pruner(how, objective.steps)
    return study, how, objective


def _attempt_here(number: int) -> float | TrialState:
    with speaking(_given[0][1].folder):
        study, how, objective = _own()
        trial = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
        return attempt(trial, how, objective)


def _end_with_parent(lifeline: Connection) -> None:
    """The first process holds the other end: it closes when that process is done, or is killed."""
    lifeline.poll(None)
    os._exit(1)


def _share_cores(number: int, jobs: int, trains: bool) -> None:
    """Keep a process to its part of the cores, so that all together do not ask for more than there are."""
    share = max(1, available_cores() // jobs)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number % len(cores) :: jobs])
        share = available_cores()
    os.environ["OMP_NUM_THREADS"] = str(share)
    if trains:
        import torch

        torch.set_num_threads(share)


def describe(trial: FrozenTrial) -> str:
    """Say how a trial went, a line for people."""
    found = trial.user_attrs
    accuracy, loss = found.get("accuracy"), found.get("loss")
    figures = "" if loss is None else f"loss {loss:.4f}"
    if accuracy is not None:
        figures = f"accuracy {accuracy:.4f}, {figures}"
    how = {
        TrialState.COMPLETE: figures,
        TrialState.PRUNED: f"given up after {len(trial.intermediate_values)} steps, {figures}",
        TrialState.FAIL: f"failed: {found.get('reason', INTERRUPTED)}",
    }
    return f"{how.get(trial.state, 'running')} ({in_words(trial.params)})"
