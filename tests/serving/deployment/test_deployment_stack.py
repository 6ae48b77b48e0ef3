"""Real nginx, with the configuration that is written, in front of real Gunicorn."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headstart.serving.deployment.checking import check
from headstart.serving.deployment.writing import Deployment, write

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class Stack:
    """nginx and Gunicorn, and the installation that they run from."""

    deployment: Deployment
    site: Path
    gunicorn: subprocess.Popen[bytes]

    def ask(
        self, method: str, path: str, body: bytes | None = None, host: str = "localhost", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask over TLS, whose certificate is checked."""
        context = ssl.create_default_context(cafile=str(self.site / "tls" / "certificate.pem"))
        with contextlib.closing(
            http.client.HTTPSConnection("localhost", self.deployment.https_port, timeout=30, context=context)
        ) as connection:
            connection.request(method, path, body, {"Host": host, **headers})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def logged(self, path: str) -> dict[str, Any]:
        """Return the last line of the access log about a path; nginx writes it a moment after it answered."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            lines = (Path(self.deployment.log) / "headstart.access.log").read_text().splitlines()
            found[:] = [each for each in map(json.loads, lines) if each["path"] == path]
            return bool(found)

        until(there, 5)
        return found[-1]

    def predict(self, picture: bytes) -> tuple[int, bytes]:
        status, _, body = self.ask(
            "POST", "/v1/models/patterns:predict", picture, **{"Content-Type": "image/jpeg"}
        )
        return status, body


def until(met: object, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not met():  # type: ignore[operator]
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def stack(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("s")
    site, run = root / "site", root / "run"
    run.mkdir()
    http_port, https_port = free_ports(2)
    deployment = Deployment(
        "localhost", str(site), http_port=http_port, https_port=https_port, socket=str(run / "socket"),
        state=str(root / "state"), log=str(run), run=str(run), cache=str(run / "cache"),
        run_as="root" if os.geteuid() == 0 else "", body=1, rate=200,
    )  # fmt: skip
    write(deployment, (patterns,), site)
    command = [sys.executable, "-c", "from headstart.cli import main; main()", "serve"]
    command += [str(site / "models" / "patterns.headstart"), "--socket", deployment.socket]
    command += ["--state", deployment.state, "--workers", "1", "--max-body", "1"]
    with (root / "gunicorn.log").open("wb") as log:
        gunicorn = subprocess.Popen(command, stdout=log, stderr=log)
    assert NGINX is not None
    nginx = subprocess.Popen([NGINX, "-c", str(site / "nginx" / "nginx.conf"), "-g", "daemon off;"])
    found = Stack(deployment, site, gunicorn)

    def ready() -> bool:
        with contextlib.suppress(OSError):
            return found.ask("GET", "/readyz")[0] == 200
        return False

    try:
        until(ready)
        yield found
    finally:
        for process in (nginx, gunicorn):
            process.send_signal(signal.SIGTERM)
        for process in (nginx, gunicorn):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_a_picture_is_answered_over_tls(stack: Stack, picture: bytes) -> None:
    status, body = stack.predict(picture)
    assert status == 200
    assert b"along" in body


def test_headers_protect_and_the_program_is_not_named(stack: Stack) -> None:
    _, headers, _ = stack.ask("GET", "/readyz")
    assert "max-age" in headers["strict-transport-security"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "nginx"
    assert headers["x-request-id"]


def test_plain_http_is_sent_on(stack: Stack) -> None:
    with contextlib.closing(
        http.client.HTTPConnection("localhost", stack.deployment.http_port)
    ) as connection:
        connection.request("GET", "/x?y=1")
        answer = connection.getresponse()
    assert answer.status == 301
    assert answer.getheader("Location") == f"https://localhost:{stack.deployment.https_port}/x?y=1"


def test_other_names_are_not_answered(stack: Stack) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", stack.deployment.https_port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="other.example.org")


def test_http2_and_only_new_tls_are_spoken(stack: Stack) -> None:
    context = ssl.create_default_context(cafile=str(stack.site / "tls" / "certificate.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", stack.deployment.https_port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == "TLSv1.3"


def test_bodies_that_are_too_large_are_refused_as_json(stack: Stack) -> None:
    status, _, body = stack.ask(
        "POST", "/v1/models/patterns:predict", b"x" * (2 << 20), **{"Content-Type": "image/jpeg"}
    )
    assert status == 413
    assert json.loads(body)["error"]["code"] == "too_large"


def test_text_is_packed(stack: Stack) -> None:
    _, headers, body = stack.ask("GET", "/openapi.json", **{"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))


def test_the_access_log_is_json_without_payloads(stack: Stack, picture: bytes) -> None:
    stack.predict(picture)
    last = stack.logged("/v1/models/patterns:predict")
    assert last["status"] == 200
    assert last["request_id"]


def test_the_page_and_its_files_come_from_nginx(stack: Stack) -> None:
    page = stack.ask("GET", "/")[2].decode()
    file = re.search(r'href="(/static/[^"]+)"', page)
    assert file is not None
    path = file[1].split("?")[0]
    first, again = stack.ask("GET", file[1]), stack.ask("GET", file[1])
    assert first[0] == again[0] == 200
    assert first[2] == again[2]
    until(lambda: stack.logged(path)["cache"] == "HIT", 5)
    stack.ask("GET", "/")
    until(lambda: stack.logged("/")["cache"] == "HIT", 5)
    # Who is logged in gets a page of their own.
    assert stack.ask("GET", "/", Cookie="session=x")[0] == 200
    until(lambda: stack.logged("/")["cache"] != "HIT", 5)


def test_the_check_finds_nothing_wrong_while_it_runs(stack: Stack) -> None:
    found = check(stack.site)
    assert [finding for finding in found if finding.good is False] == []
    assert {finding.about: finding.good for finding in found}["application"] is True


def test_a_backup_is_whole_while_the_server_runs(stack: Stack, tmp_path: Path) -> None:
    script = (stack.site / "backup.sh").read_text().replace(f"{stack.site}/venv/bin/python", sys.executable)
    (tmp_path / "backup.sh").write_text(script)
    subprocess.run(
        ["sh", str(tmp_path / "backup.sh"), str(tmp_path / "kept")], check=True, capture_output=True
    )
    (archive,) = (tmp_path / "kept").iterdir()
    assert archive.stat().st_mode & 0o077 == 0
    back = tmp_path / "back"
    back.mkdir()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(back)], check=True)
    assert list(back.rglob("patterns.headstart/artefact.json"))
    databases = list(back.rglob("feedback.sqlite"))
    assert databases
    with contextlib.closing(sqlite3.connect(databases[0])) as opened_again:
        assert opened_again.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_while_the_application_is_away_clients_are_told_to_try_again(stack: Stack, picture: bytes) -> None:
    """The last test here: it kills the worker."""
    children = Path(f"/proc/{stack.gunicorn.pid}/task/{stack.gunicorn.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    seen = set()

    def back() -> bool:
        status, headers, body = stack.ask("GET", "/readyz")
        seen.add(status)
        if status != 200:
            assert json.loads(body)["error"]["code"] == "unavailable"
            assert headers["retry-after"] == "1"
        return status == 200

    until(back)
    assert seen <= {200, 503}
    assert stack.predict(picture)[0] == 200
