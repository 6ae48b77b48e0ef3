"""What serving costs: CPU seconds a request beside what decoding and the network alone need, and peers.

    python benchmarks/serve.py [--seconds 6] [--repeat 3] [--precision int8] [--peers PYTHON]

A model is fitted on hymenoptera and served by `headstart serve`; wrk (apt-get install wrk) asks with its
photographs over the same two cores. All servers are up, one at a time is asked, in turns: Flask with torch in
eager mode under Gunicorn, what one writes first (support/plain_server.py); decoding with the compiled
network, alone in a loop; the same installation behind nginx as `headstart deploy` writes it; and, with
--peers PYTHON, an interpreter that has fastapi, uvicorn and litserve beside headstart, the same network
behind these. LitServe takes JSON with base64, and so does headstart where it is compared with it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from support.common import cores, data_folder, median, photographs, record, table, timed, verdict
from support.servers import Load, Server, free_port, running

import headstart as hs
from headstart.artefact.streaming import prepare
from headstart.machine import nginx_program
from headstart.serving.deployment.writing import Deployment, write

HEADSTART = [sys.executable, "-c", "from headstart.cli import main; main()", "serve"]
SUPPORT = Path(__file__).parent / "support"


def alone(model: hs.Model, bodies: list[bytes]) -> float:
    """Return the CPU seconds an item that decoding and the compiled network need."""
    front = model.front_end

    def rows() -> Iterator[tuple[int, object]]:
        for number, body in enumerate(bodies):
            yield number, prepare((1, body), [front], "image").inputs[front][0]

    return timed(lambda: list(model.engine.run(rows(), ("features",)))).cpu / len(bodies)


def start_all(
    stack: ExitStack, path: Path, files: list[Path], folder: Path, peers: str | None
) -> dict[str, Server]:
    """Start headstart, headstart behind nginx, and what they are compared with."""
    ask = f"/v1/models/{path.name.removesuffix('.headstart')}:predict"
    port = free_port()
    ours = [*HEADSTART, str(path), "--port", str(port), "--state", str(folder / "state")]
    found = {"headstart": stack.enter_context(running([ours], port, ask, files))}
    nginx = nginx_program()
    if nginx is not None:
        found["nginx"] = stack.enter_context(_behind_nginx(nginx, path, ask, files, folder))
    port = free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", "plain_server:app", "--timeout", "120", "-w", str(cores())]
    plain = [*gunicorn, "--chdir", str(SUPPORT), "-b", f"127.0.0.1:{port}"]
    model = str(path.absolute())
    found["plain"] = stack.enter_context(running([plain], port, "/predict", files, MODEL=model))
    if peers is None:
        return found
    port = free_port()
    uvicorn = [peers, "-m", "uvicorn", "peer_fastapi:app", "--app-dir", str(SUPPORT), "--no-access-log"]
    fast = [*uvicorn, "--workers", str(cores()), "--port", str(port)]
    found["fastapi"] = stack.enter_context(running([fast], port, "/predict", files, MODEL=model))
    port = free_port()
    lit = [peers, str(SUPPORT / "peer_litserve.py"), str(port)]
    coded = _as_json(files, folder / "json")
    kind = "application/json"
    server = running([lit], port, "/predict", coded, kind, ready="/health", MODEL=model)
    found["litserve"] = stack.enter_context(server)
    first = found["headstart"]
    found["headstart_json"] = Server(first.pids, first.port, first.cold, ask, coded, kind)
    return found


def _behind_nginx(nginx: str, path: Path, ask: str, files: list[Path], folder: Path) -> object:
    """Return the same server on a socket, with nginx in front as `headstart deploy` configures it."""
    run, site, port = folder / "run", folder / "site", free_port()
    run.mkdir()
    deployment = Deployment(
        "localhost", str(site), http_port=free_port(), https_port=port, socket=str(run / "socket"),
        state=str(folder / "behind"), log=str(run), run=str(run), cache=str(run / "cache"),
        run_as="root" if os.geteuid() == 0 else "", rate=100_000,
    )  # fmt: skip
    write(deployment, (path,), site)
    ours = [*HEADSTART, str(path), "--socket", deployment.socket, "--state", deployment.state]
    front = [nginx, "-c", str(site / "nginx" / "nginx.conf"), "-g", "daemon off;"]
    return running([ours, front], port, ask, files, tls=True)


def _as_json(files: list[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    for number, file in enumerate(files):
        body = {"items": [base64.b64encode(file.read_bytes()).decode()]}
        (folder / f"{number}.json").write_text(json.dumps(body))
    return sorted(folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--precision", choices=("bf16", "fp32", "int8"))
    parser.add_argument("--model", type=Path, help="A saved model instead of one that is fitted here.")
    parser.add_argument("--peers", help="A Python with fastapi, uvicorn, litserve and headstart.")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This benchmark needs wrk: apt-get install wrk")
    folder = data_folder("hymenoptera")
    files = photographs(folder)[:200]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        path = options.model or Path(temporary) / "hymenoptera.headstart"
        if options.model is None:
            hs.fit(folder, precision=options.precision).save(path)
        servers = start_all(stack, path, files, Path(temporary), options.peers)
        measure(hs.load(path, threads=1), servers, files, options)


def measure(
    model: hs.Model, servers: dict[str, Server], files: list[Path], options: argparse.Namespace
) -> None:
    """Ask all servers in turns, then record and show what was found."""
    ours = servers["headstart"]
    bodies = [file.read_bytes() for file in files]
    needed: list[float] = []
    loads: dict[str, list[Load]] = {name: [] for name in servers}
    for server in servers.values():
        server.load(2)
    for _ in range(options.repeat):
        needed.append(alone(model, bodies))
        for name, server in servers.items():
            loads[name].append(server.load(options.seconds))
    cpu = {name: 1e3 * median(each.cpu for each in found) for name, found in loads.items()}
    rate = {name: median(each.rate for each in found) for name, found in loads.items()}
    least, times = 1e3 * median(needed), 4.0 if model.engine.precision == "int8" else 3.0
    figures: dict[str, object] = {"precision": model.engine.precision}
    rows: list[tuple[object, ...]] = [("what", "value", "target", "")]

    def show(key: str, what: str, value: float, most: float | None = None) -> None:
        told = "" if most is None else verdict(value, most, at_least=False)
        figures[key] = value
        rows.append((what, value, most or "", told))

    def show_least(key: str, what: str, value: float, least: float) -> None:
        figures[key] = value
        rows.append((what, value, least, verdict(value, least)))

    show("cold_start_s", "cold start, s", ours.cold, 3)
    show("rss_mib", "memory of a worker, MiB", ours.resident(), 350)
    show("alone_ms", "CPU ms to decode and compute alone", least)
    for name in servers:
        show(f"cpu_ms_{name}", f"{name}: CPU ms a request", cpu[name])
        show(f"rate_{name}", f"{name}: requests a second", rate[name])
    show("cpu_ratio", "CPU against alone", cpu["headstart"] / least, 1.3)
    show_least("rate_ratio", "rate against Flask and torch", rate["headstart"] / rate["plain"], times)
    if "nginx" in servers:
        through = rate["nginx"] / rate["headstart"]
        show_least("nginx_rate", "rate through nginx with TLS", through, 0.9)
        show("nginx_cpu", "CPU through nginx with TLS", cpu["nginx"] / cpu["headstart"], 1.1)
    if "fastapi" in servers:
        show("fastapi_ratio", "CPU against FastAPI", cpu["headstart"] / cpu["fastapi"], 1.05)
        show("litserve_ratio", "CPU against LitServe", cpu["headstart_json"] / cpu["litserve"], 1.05)
    for name in ("headstart", "fastapi"):
        if name in servers:
            one = median(servers[name].latencies(0, options.seconds / 2))
            half = servers[name].latencies(rate[name] / 2, options.seconds)
            p99 = half[int(0.99 * len(half))]
            show(f"single_ms_{name}", f"{name}: one request, ms", 1e3 * one)
            show(f"p99_ms_{name}", f"{name}: p99 at half load, ms", 1e3 * p99)
            show(f"p99_ratio_{name}", f"{name}: ratio", p99 / one, 3)
    figures["failed"] = sum(each.failed for found in loads.values() for each in found)
    table(f"Serving, {model.engine.precision}, {cores()} cores", rows)
    record("serve", figures, ("openvino", "flask", "gunicorn", "torch"))


if __name__ == "__main__":
    main()
