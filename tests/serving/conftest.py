"""What tests of serving share: small real models, an application around them, a real server."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import headstart as hs
from headstart.serving.app import create_app
from headstart.serving.settings import Settings


@dataclass
class Server:
    """A real server, in processes of its own.

    Args:
        process: Gunicorn's master.
        url: Where it answers.
        state: Its state folder.
    """

    process: subprocess.Popen[bytes]
    url: str
    state: Path
    log: Path = field(default=Path())

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
    command = [sys.executable, "-c", "from headstart.cli import main; main()", "serve"]
    command += [*map(str, models), "--port", str(port), "--state", str(state), *options]
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


@pytest.fixture(scope="session")
def patterns(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model for pictures: across, along and checks."""
    return hs.fit(pattern_pictures).save(tmp_path_factory.mktemp("served") / "patterns.headstart")


@pytest.fixture(scope="session")
def mood(folder_of_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model for texts: good and bad; its terms are counted, no network is needed."""
    folder = tmp_path_factory.mktemp("served_texts")
    return hs.fit(folder_of_texts, backbone="terms").save(folder / "mood.headstart")


@pytest.fixture(scope="session")
def settings(patterns: Path, mood: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Both models, and a state folder."""
    return Settings((patterns, mood), tmp_path_factory.mktemp("state") / "headstart", workers=2, items=8)


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """A client of an application of its own."""
    return create_app(settings).test_client()


@pytest.fixture(scope="session")
def shared_client(settings: Settings) -> FlaskClient:
    """A client of an application that tests share, where they leave no trace."""
    return create_app(settings).test_client()


@pytest.fixture(scope="session")
def picture(pattern_pictures: Path) -> bytes:
    """A picture of the class "along"."""
    return (pattern_pictures / "along" / "01.jpg").read_bytes()
