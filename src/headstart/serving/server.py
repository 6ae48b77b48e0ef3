"""Gunicorn around the application: processes, threads, signals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from headstart.errors import HeadstartError, OptionError
from headstart.files import digest_bytes
from headstart.serving import logs
from headstart.serving.models import find_all
from headstart.serving.running import Running, announced
from headstart.serving.settings import METRICS_FOLDER, MIB, Settings, make_state

_HEADERS_WITHIN, _BODY_WITHIN = 10.0, 60.0
"""Seconds that a client has to send a request: slower ones would hold the threads that others wait for."""
_NEXT_WITHIN_MS = 5
_KEEPALIVE = 75
_GRACE = 30
_ROOM = 1024 * MIB
"""What a worker may grow by before another takes its place."""
_MEMORY = Path("/dev/shm")
_AGAIN_AFTER = 1.0
"""Seconds before a worker that could not start is followed by the next."""


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 8080, unix: Path | None = None) -> None:
    """Serve until a signal ends it: SIGTERM gracefully, SIGINT at once; SIGHUP looks for new versions.

    Args:
        settings: What is served, and within which limits.
        host: The address to listen at, str. Defaults to "127.0.0.1", this machine only.
        port: The port, int. Defaults to 8080.
        unix: A socket's path to listen at instead. Defaults to None.

    Raises:
        ArtefactError: There is no model at one of the places.
        OptionError: The address is in use, or two models have one name.
        StorageError: Another server runs on the state folder, or it cannot be made.
    """
    found = find_all(settings.models)
    names = {each.name: str(path.absolute()) for each, path in zip(found, settings.models, strict=True)}
    bind, address = (f"unix:{unix}",) * 2 if unix else (f"{host}:{port}", f"http://{host}:{port}")
    if unix is None:
        _check_free(host, port)
    else:
        _check_socket(unix)
    with announced(settings.state, Running(os.getpid(), address, names)), _counting(settings.state):
        _Server(settings, bind).run()


class _Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn as a library."""

    def __init__(self, settings: Settings, bind: str) -> None:
        self.settings = settings
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        values = {
            "bind": self._bind,
            "workers": self.settings.processes,
            "threads": self.settings.threads,
            "worker_class": "headstart.serving.server.Worker",
            "logger_class": _Log,
            "keepalive": _KEEPALIVE,
            "timeout": 60,
            "graceful_timeout": _GRACE,
            "control_socket_disable": True,
            "worker_tmp_dir": str(_MEMORY) if _MEMORY.is_dir() else None,
            "forwarded_allow_ips": "*" if self._bind.startswith("unix:") else "127.0.0.1,::1",
            "child_exit": _forget,
            "proc_name": "headstart",
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        from headstart.serving.app import create_app

        logs.set_up()
        try:
            return create_app(self.settings)
        except HeadstartError as error:
            logs.LOGGER.error(str(error))
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from error

    def run(self) -> None:
        # What all workers need is read once; a network is loaded by each worker itself.
        import openvino  # noqa: F401

        import headstart.serving.app  # noqa: F401

        util.write_error = _write_error  # Gunicorn's own are HTML
        _Arbiter(self).run()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """The master process: SIGHUP is handed to the workers, which exchange models without stopping."""

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)

    def spawn_worker(self) -> Any:
        """Start a worker; one that takes another's place and cannot start does not end those that answer."""
        try:
            return super().spawn_worker()
        except SystemExit as end:  # in the worker's process
            failed = end.code in (self.APP_LOAD_ERROR, self.WORKER_BOOT_ERROR)
            if failed and self.worker_age > self.num_workers:
                time.sleep(_AGAIN_AFTER)
                raise SystemExit(1) from end
            raise


class Worker(ThreadWorker):  # type: ignore[misc]
    """A worker process with threads, which reloads, gives up on slow clients, and minds its memory."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reading: dict[TConn, float] = {}
        self._most = 0
        self._checked = 0.0

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, self._handle_hup)
        signal.siginterrupt(signal.SIGHUP, False)

    def run(self) -> None:
        self._most = _resident() + _ROOM
        super().run()

    def notify(self) -> None:
        super().notify()
        if time.monotonic() - self._checked > 5:
            self._checked = time.monotonic()
            if _resident() > self._most:
                self.log.warning("Worker has grown beyond %d MiB, another takes its place", self._most // MIB)
                self.alive: bool = False

    def handle(self, conn: TConn) -> Any:
        while True:
            self._reading[conn] = time.monotonic() + _HEADERS_WITHIN
            try:
                kept = super().handle(conn)
            finally:
                self._reading.pop(conn, None)
            if kept is not True or not self._goes_on(conn):
                return kept

    def _goes_on(self, conn: TConn) -> bool:
        """Return whether the next request comes at once: then it needs no detour through the main thread.

        That detour is two thirds of what Python does for a request (py-spy). Nobody is kept waiting: it is
        spared only while there is a thread for each connection.
        """
        if not self.alive or self.nr_conns > self.cfg.threads:
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(conn.parser.unreader.buf.getvalue()) or bool(poll.poll(_NEXT_WITHIN_MS))

    def handle_request(self, req: Any, conn: TConn) -> bool:
        self._reading[conn] = time.monotonic() + _BODY_WITHIN
        kept: bool = super().handle_request(req, conn)
        return kept

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        for conn, until in list(self._reading.items()):
            if now > until:
                self._reading.pop(conn, None)
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)  # the thread reads the end, and is free

    def _handle_hup(self, _number: int, _frame: FrameType | None) -> None:
        if self.booted:  # otherwise it is loading the newest anyway
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        from headstart.serving.shared import NAME

        shared = self.wsgi.extensions[NAME]
        with (shared.settings.state / "reload.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker after the other
            try:
                changed = shared.registry.reload()
            except HeadstartError as error:
                logs.LOGGER.error("not reloaded: %s", error)
            else:
                logs.LOGGER.info("reloaded", extra={"fields": {"changed": changed}})


class _Log(Logger):  # type: ignore[misc]
    """Gunicorn's own log in the form of the application's."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.JsonFormatter())


def _write_error(connection: socket.socket, status: int, reason: str, message: str) -> None:
    """Answer what is not even HTTP, as JSON."""
    code = reason.lower().replace(" ", "_")
    value = {"error": {"code": code, "message": message or reason, "request_id": ""}}
    body = json.dumps(value)
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    util.write_nonblock(connection, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin1"))


def _forget(_server: Any, worker: Any) -> None:
    """Take the gauges of a worker that has ended out of the metrics."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _counting(state: Path) -> Iterator[None]:
    """Let the workers count in files in memory, as long as the server runs.

    They are mapped: on a disk that is full, writing to one of them would end the process (SIGBUS).
    """
    master = os.getpid()
    try:
        folder = _fresh(_MEMORY / f"headstart-{digest_bytes(str(state.resolve()).encode())[:16]}")
    except OSError:  # there is no such place, or it is somebody else's
        folder = _fresh(make_state(state) / "metrics")
    os.environ[METRICS_FOLDER] = str(folder)
    try:
        yield
    finally:
        if os.getpid() == master:  # workers leave through here, too
            shutil.rmtree(folder, ignore_errors=True)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _resident() -> int:
    """Return the bytes of memory that this process has; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            fix = "name another port (--port), or stop what listens there"
            raise OptionError("an address to listen at", f"{host}:{port} ({error})", fix) from error


def _check_socket(path: Path) -> None:
    """Refuse a socket that somebody listens at: Gunicorn would take it away from them."""
    fix = "name another place (--socket) in a folder that exists, or stop what listens there"
    if not path.parent.is_dir() or (path.exists() and not path.is_socket()):
        raise OptionError("a place for a socket", str(path), fix)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):  # there is none, or one that is left over
            return
        except OSError as error:
            raise OptionError("a socket to listen at", f"{path} ({error})", fix) from error
    raise OptionError("a socket that nobody listens at", str(path), fix)
