"""What serving costs: CPU seconds a request beside what decoding and the network alone need, and peers.

    python benchmarks/serve.py [--seconds 10] [--repeat 3] [--peers PYTHON]

A model is fitted on hymenoptera and served by `headstart serve`; wrk (apt-get install wrk) asks with its
photographs over the same two cores. Beside it stands what one writes first, Flask with torch in eager mode
under Gunicorn (support/plain_server.py), and decoding with the compiled network, alone in a loop. With
--peers PYTHON, an interpreter that has fastapi and uvicorn beside headstart, the same network answers behind
FastAPI, too.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.common import cores, data_folder, median, photographs, record, table, timed, verdict

import headstart as hs
from headstart.artefact.streaming import prepare

HEADSTART = [sys.executable, "-c", "from headstart.cli import main; main()"]
CONNECTIONS = 8
LUA = """
local files = {%s}
local bodies = {}
for n, name in ipairs(files) do
  local file = io.open(name, "rb"); bodies[n] = file:read("*a"); file:close()
end
local n = 0
request = function()
  n = n %% #bodies + 1
  return wrk.format("POST", "%s", {["Content-Type"] = "image/jpeg"}, bodies[n])
end
"""


@dataclass
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


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[tuple[int, float]]:
    """Start a server; give its process number and how long it took to be ready."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() - started > 120:
                sys.exit(f"{' '.join(command)} did not start")
            time.sleep(0.02)
        yield process.pid, time.monotonic() - started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_ready(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def tree(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children so far."""
    total = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return the MiB that the largest of the worker processes has."""
    sizes = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in tree(pid)[1:]]
    return max(sizes) * os.sysconf("SC_PAGE_SIZE") / 2**20


def load(pid: int, port: int, path: str, files: list[Path], seconds: float) -> Load:
    """Let wrk ask for a while."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(LUA % (", ".join(f'"{file}"' for file in files), path))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(script)]
        before = cpu_seconds(pid)
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
        )
        spent = cpu_seconds(pid) - before
    count = int(re.findall(r"(\d+) requests in", done.stdout)[0])
    failed = re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    wall = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
    return Load(wall, spent / count, int(failed[0]) if failed else 0)


def latencies(port: int, path: str, bodies: list[bytes], rate: float, seconds: float) -> list[float]:
    """Ask at random times, on average `rate` times a second (0: one after the other); return seconds each."""
    found: list[float] = []
    kept = threading.local()

    def ask(body: bytes) -> None:
        started = time.perf_counter()
        if not hasattr(kept, "connection"):
            kept.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        kept.connection.request("POST", path, body, {"Content-Type": "image/jpeg"})
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alone(model: hs.Model, bodies: list[bytes]) -> float:
    """Return the CPU seconds an item that decoding and the compiled network need."""
    front = model.front_end

    def rows() -> Iterator[tuple[int, object]]:
        for number, body in enumerate(bodies):
            yield number, prepare((1, body), [front], "image").inputs[front][0]

    return timed(lambda: list(model.engine.run(rows(), ("features",)))).cpu / len(bodies)


def peer(command: list[str], path: Path, files: list[Path], options: argparse.Namespace) -> list[Load]:
    """Start another server on the same model and load it as ours."""
    port = free_port()
    said = [part.format(port=port) for part in command]
    with running(said, port, MODEL=str(path.absolute())) as (pid, _):
        load(pid, port, "/predict", files, 2)
        return [load(pid, port, "/predict", files, options.seconds) for _ in range(options.repeat)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", type=Path, help="A saved model instead of one that is fitted here.")
    parser.add_argument("--peers", help="A Python with fastapi, uvicorn and headstart.")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This benchmark needs wrk: apt-get install wrk")
    folder = data_folder("hymenoptera")
    files = photographs(folder)[:200]
    bodies = [file.read_bytes() for file in files]
    with tempfile.TemporaryDirectory() as temporary:
        path = options.model or Path(temporary) / "hymenoptera.headstart"
        if options.model is None:
            hs.fit(folder).save(path)
        measure(path, files, bodies, options, Path(temporary))


def measure(
    path: Path, files: list[Path], bodies: list[bytes], options: argparse.Namespace, temporary: Path
) -> None:
    seconds, repeat = options.seconds, options.repeat
    model = hs.load(path, threads=1)
    name = path.name.removesuffix(".headstart")
    ours: list[Load] = []
    needed: list[float] = []
    port = free_port()
    command = [*HEADSTART, "serve", str(path), "--port", str(port), "--state", str(temporary / "state")]
    ask = f"/v1/models/{name}:predict"
    with running(command, port) as (pid, cold):
        load(pid, port, ask, files, 2)
        for _ in range(repeat):
            needed.append(alone(model, bodies))
            ours.append(load(pid, port, ask, files, seconds))
        single = latencies(port, ask, bodies, 0, seconds / 2)
        half = latencies(port, ask, bodies, median(each.rate for each in ours) / 2, seconds)
        memory = resident(pid)
    support = Path(__file__).parent / "support"
    gunicorn = [sys.executable, "-m", "gunicorn", "plain_server:app", "--timeout", "120", "-w", str(cores())]
    plain = peer([*gunicorn, "--chdir", str(support), "-b", "127.0.0.1:{port}"], path, files, options)
    fast: list[Load] = []
    if options.peers:
        uvicorn = [options.peers, "-m", "uvicorn", "peer_fastapi:app", "--app-dir", str(support)]
        more = ["--no-access-log", "--workers", str(cores()), "--port", "{port}"]
        fast = peer([*uvicorn, *more], path, files, options)
    cpu, least = median(each.cpu for each in ours), median(needed)
    rate, theirs = median(each.rate for each in ours), median(each.rate for each in plain)
    p99, one = half[int(0.99 * len(half))], median(single)
    figures: dict[str, object] = {
        "cold_start_s": cold,
        "rss_mib": memory,
        "cpu_ms": 1e3 * cpu,
        "alone_ms": 1e3 * least,
        "cpu_ratio": cpu / least,
        "rate": rate,
        "plain_rate": theirs,
        "plain_cpu_ms": 1e3 * median(each.cpu for each in plain),
        "rate_ratio": rate / theirs,
        "single_ms": 1e3 * one,
        "p99_half_ms": 1e3 * p99,
        "p99_ratio": p99 / one,
        "failed": sum(each.failed for each in ours),
    }
    rows: list[tuple[object, ...]] = [
        ("what", "value", "target", ""),
        ("cold start, s", cold, 3, verdict(cold, 3, at_least=False)),
        ("memory of a worker, MiB", memory, 350, verdict(memory, 350, at_least=False)),
        ("CPU ms a request", 1e3 * cpu, "", ""),
        ("CPU ms to decode and compute alone", 1e3 * least, "", ""),
        ("ratio", cpu / least, 1.3, verdict(cpu / least, 1.3, at_least=False)),
        ("requests a second", rate, "", ""),
        ("Flask and torch eager, requests a second", theirs, "", ""),
        ("ratio", rate / theirs, 3, verdict(rate / theirs, 3)),
        ("one request, ms", 1e3 * one, "", ""),
        ("p99 at half load, ms", 1e3 * p99, "", ""),
        ("ratio", p99 / one, 3, verdict(p99 / one, 3, at_least=False)),
    ]
    if fast:
        beside = median(each.cpu for each in fast)
        figures |= {"fastapi_cpu_ms": 1e3 * beside, "fastapi_cpu_ratio": cpu / beside}
        figures |= {"fastapi_rate": median(each.rate for each in fast)}
        rows += [
            ("FastAPI, CPU ms a request", 1e3 * beside, "", ""),
            ("ratio", cpu / beside, 1.05, verdict(cpu / beside, 1.05, at_least=False)),
        ]
    table(f"Serving {path.name}, {model.engine.precision}, {cores()} cores", rows)
    record("serve", figures, ("openvino", "flask", "gunicorn", "torch"))


if __name__ == "__main__":
    main()
