"""A real server for tests, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from headstart.cli import main; main()", "serve"]


@dataclass
class Server:
    """A real server, in processes of its own.

    Args:
        process: Gunicorn's master.
        url: Where it answers.
        state: Its state folder.
        log: What it and its workers wrote.
    """

    process: subprocess.Popen[bytes]
    url: str
    state: Path
    log: Path

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.loads(answer.read())

    def predict(self, model: str, content: bytes, kind: str = "image/jpeg", **headers: str) -> Any:
        """Ask about one item."""
        request = urllib.request.Request(
            f"{self.url}/v1/models/{model}:predict",
            data=content,
            headers={"Content-Type": kind, **headers},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def workers(self) -> list[int]:
        """Return the workers' process numbers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(each) for each in children.split()]

    def wait(self, met: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is so."""
        until = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < until, f"not within {seconds} s\n{self.log.read_text()[-3000:]}"
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Return whether it answers that it is."""
        try:
            return bool(self.get("/readyz")["status"] == "ready")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def run_server(state: Path, *models: Path, options: tuple[str, ...] = ()) -> Iterator[Server]:
    """Serve models with the command line, until the block ends."""
    port = free_port()
    command = [*COMMAND, *map(str, models), "--port", str(port), "--state", str(state), *options]
    log = state.parent / f"{state.name}.log"
    with log.open("wb") as output:
        environment = {key: value for key, value in os.environ.items() if key != "HEADSTART_STATE"}
        process = subprocess.Popen(command, stderr=output, stdout=output, env=environment)
    server = Server(process, f"http://127.0.0.1:{port}", state, log)
    try:
        server.wait(server.is_ready)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
