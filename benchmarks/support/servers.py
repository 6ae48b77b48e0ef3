"""Servers under load, for the benchmarks of serving: started, asked by wrk and at random times, measured."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8
LUA = """
local bodies = {}
for n, name in ipairs({%s}) do
  local file = io.open(name, "rb"); bodies[n] = file:read("*a"); file:close()
end
local n = 0
request = function()
  n = n %% #bodies + 1
  return wrk.format("POST", "%s", {["Content-Type"] = "%s"}, bodies[n])
end
"""


@dataclass(frozen=True)
class Load:
    """What a server did under load.

    Args:
        rate: Requests a second.
        cpu: CPU seconds of the server a request.
        failed: Answers that were no 2xx.
    """

    rate: float
    cpu: float
    failed: int


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Args:
        pids: Its processes; their children count, too.
        port: Where it listens.
        cold: Seconds from its command until it was ready.
        path: What is asked for.
        files: The bodies of requests.
        media: Their type. Defaults to JPEG.
        tls: Whether it speaks TLS. Defaults to False.
    """

    pids: Sequence[int]
    port: int
    cold: float
    path: str
    files: Sequence[Path]
    media: str = "image/jpeg"
    tls: bool = False

    @property
    def processes(self) -> list[int]:
        return [each for pid in self.pids for each in tree(pid)]

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all its processes so far."""
        total = 0
        for each in self.processes:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Return the MiB that the largest of its worker processes has."""
        sizes = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in self.processes[1:]]
        return max(sizes) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def load(self, seconds: float) -> Load:
        """Let wrk ask for a while."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "ask.lua"
            script.write_text(LUA % (", ".join(f'"{file}"' for file in self.files), self.path, self.media))
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(script)]
            url = f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"
            before = self.cpu_seconds()
            done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
            spent = self.cpu_seconds() - before
        count = int(re.findall(r"(\d+) requests in", done.stdout)[0])
        failed = re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
        rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
        return Load(rate, spent / count, int(failed[0]) if failed else 0)

    def latencies(self, rate: float, seconds: float) -> list[float]:
        """Ask at random times, on average `rate` times a second (0: one after the other); return seconds."""
        found: list[float] = []
        kept = threading.local()
        bodies = [file.read_bytes() for file in self.files]

        def ask(body: bytes) -> None:
            started = time.perf_counter()
            if not hasattr(kept, "connection"):
                kept.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            kept.connection.request("POST", self.path, body, {"Content-Type": self.media})
            kept.connection.getresponse().read()
            found.append(time.perf_counter() - started)

        generator = random.Random(0)
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(32) as pool:
            due = time.monotonic()
            while time.monotonic() < until:
                body = generator.choice(bodies)
                if rate:
                    due += generator.expovariate(rate)
                    time.sleep(max(0.0, due - time.monotonic()))
                    pool.submit(ask, body)
                else:
                    ask(body)
        return sorted(found)


@contextmanager
def running(
    commands: Sequence[Sequence[str]],
    port: int,
    path: str,
    files: Sequence[Path],
    media: str = "image/jpeg",
    *,
    ready: str = "/readyz",
    tls: bool = False,
    **environment: str,
) -> Iterator[Server]:
    """Start the programs that make up a server, and end them."""
    started = time.monotonic()
    processes = [
        subprocess.Popen(
            command, env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        for command in commands
    ]  # fmt: skip
    try:
        while not is_ready(port, ready, tls=tls):
            gone = [each for each in processes if each.poll() is not None]
            if gone or time.monotonic() - started > 120:
                sys.exit(f"{' '.join(map(str, (gone or processes)[0].args))} did not start")
            time.sleep(0.02)
        cold = time.monotonic() - started
        yield Server([each.pid for each in processes], port, cold, path, files, media, tls)
    finally:
        for each in processes:
            each.send_signal(signal.SIGTERM)
        for each in processes:
            each.wait(60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)  # children that outlive their parent


def is_ready(port: int, path: str, *, tls: bool) -> bool:
    """Return whether a server of this machine says that it is ready."""
    context = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def tree(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
