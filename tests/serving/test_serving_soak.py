"""The server under load for a while: workers are killed, models exchanged, clients dawdle."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from real_server import Server, run_server

import headstart as hs
from headstart.serving.running import tell_to_reload

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("HEADSTART_SOAK_SECONDS", "90"))
CLIENTS = 3
KILL_EVERY, RELOAD_EVERY = 15.0, 10.0


@dataclass
class Heard:
    """What the clients heard."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    later: int = 0


def ask_on_and_on(
    server: Server, items: list[tuple[bytes, str]], heard: Heard, ended: threading.Event
) -> None:
    """Ask, with a pause between questions, about items whose answers are known."""
    address = server.url.removeprefix("http://")
    generator = random.Random(threading.get_ident())
    connection = http.client.HTTPConnection(address, timeout=30)
    while not ended.is_set():
        body, label = generator.choice(items)
        started = time.monotonic()
        try:
            connection.request("POST", "/v1/models/patterns:predict", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            said = answer.read().decode()
            if answer.status == 200 and f'"label":"{label}"' in said:
                heard.right += 1
            elif answer.status == 429:
                heard.later += 1
            else:
                heard.wrong.append(f"{answer.status}: {said[:200]}")
        except (OSError, http.client.HTTPException):
            heard.lost.append(started)
            connection.close()
            connection = http.client.HTTPConnection(address, timeout=30)
        time.sleep(generator.expovariate(1 / 0.02))
    connection.close()


def dawdle(server: Server, ended: threading.Event) -> None:
    """Send a request's head, a byte a second."""
    host, port = server.url.removeprefix("http://").split(":")
    while not ended.is_set():
        try:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                for byte in b"POST /v1/models/patterns:predict HTTP/1.1\r\nX-Slow: " + b"a" * 60:
                    connection.send(bytes([byte]))
                    if ended.wait(1):
                        return
        except OSError:
            ended.wait(0.5)


def resident(server: Server) -> float:
    """Return the MiB of the largest worker."""
    sizes = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.workers()]
    return max(sizes) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_it_goes_on_answering_rightly(patterns: Path, pattern_pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "patterns"
    for version in ("1", "2"):
        shutil.copytree(patterns, folder / f"{version}.headstart")
    bodies = [file.read_bytes() for file in sorted(pattern_pictures.rglob("*.jpg"))]
    model = hs.load(patterns)
    items = [(body, str(each.label)) for body, each in zip(bodies, model.predict(bodies), strict=True)]
    heard, ended, killed = Heard(), threading.Event(), list[float]()
    with run_server(tmp_path / "state", folder, options=("--workers", "2")) as server:
        threads = [
            *(
                threading.Thread(target=ask_on_and_on, args=(server, items, heard, ended))
                for _ in range(CLIENTS)
            ),
            *(threading.Thread(target=dawdle, args=(server, ended)) for _ in range(4)),
        ]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        sizes: list[float] = []
        kill_at, reload_at, number = begun + KILL_EVERY, begun + RELOAD_EVERY, 0
        while time.monotonic() < begun + SECONDS:
            time.sleep(0.2)
            now = time.monotonic()
            if now > kill_at and len(server.workers()) == 2:
                killed.append(now)
                os.kill(random.choice(server.workers()), signal.SIGKILL)
                kill_at = now + KILL_EVERY
            elif now > reload_at:
                number += 1
                (folder / "default").write_text(str(1 + number % 2))
                assert tell_to_reload(server.state) is not None
                reload_at = now + RELOAD_EVERY
                sizes.append(resident(server))
        ended.set()
        for thread in threads:
            thread.join(40)
        server.wait(lambda: len(server.workers()) == 2)
        log = server.log.read_text()
    assert heard.wrong == []
    assert heard.right > 5 * SECONDS
    # Lost is only what the killed worker had in hand, or sent on a connection to it that was kept alive.
    assert len(heard.lost) <= CLIENTS * len(killed)
    assert all(any(-31 < lost - at < 2 for at in killed) for lost in heard.lost)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    errors = [line["message"] for line in lines if line["level"] == "error"]
    assert [each for each in errors if "SIGKILL" not in each] == []
    assert "Traceback" not in log
    reloads = [line for line in lines if line["message"] == "reloaded"]
    assert len(reloads) >= number  # by those that were not killed meanwhile
    assert max(sizes) < 350
    assert max(sizes[len(sizes) // 2 :]) < min(sizes) + 60  # flat
