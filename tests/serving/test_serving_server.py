"""The real server: Gunicorn's processes, started by the command line, asked over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import COMMAND, Server, free_port, run_server

import headstart as hs
from headstart.serving.running import tell_to_reload, what_runs

TRAINING = {"torch", "sklearn", "scipy", "pandas", "matplotlib", "pyarrow", "transformers", "onnx", "nncf"}


@pytest.fixture(scope="module")
def server(patterns: Path, mood: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both models served by two workers; of the texts two versions, of which the first answers."""
    folder = tmp_path_factory.mktemp("server")
    for version in ("1", "2"):
        shutil.copytree(mood, folder / "moods" / f"{version}.headstart")
    (folder / "moods" / "default").write_text("1")
    with run_server(folder / "state", patterns, folder / "moods", options=("--workers", "2")) as running:
        yield running


def loaded(pid: int) -> set[str]:
    """Return which shared libraries of packages a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = [line.split()[-1] for line in lines if "site-packages" in line]
    return {path.split("site-packages/")[1].split("/")[0] for path in paths}


def test_it_answers_as_the_model_does(server: Server, pattern_pictures: Path, patterns: Path) -> None:
    files = sorted(pattern_pictures.rglob("*.jpg"))[::3]
    wanted = [each.to_json() for each in hs.load(patterns).predict([f.read_bytes() for f in files])]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda file: server.predict("patterns", file.read_bytes()), files))
    for answer, expected in zip(answers, wanted, strict=True):
        assert answer["predictions"] == [{**expected, "input": "input 1"}]


def test_it_says_what_runs(server: Server) -> None:
    running = what_runs(server.state)
    assert running is not None
    assert (running.pid, running.address) == (server.process.pid, server.url)
    assert set(running.models) == {"patterns", "moods"}
    assert server.get("/readyz")["models"] == {"patterns": "1", "moods": "1"}


def test_workers_hold_nothing_that_training_needs(server: Server, picture: bytes) -> None:
    for _ in range(8):
        server.predict("patterns", picture)
    workers = server.workers()
    assert len(workers) == 2
    for pid in workers:
        assert "openvino" in loaded(pid)
        assert loaded(pid) & TRAINING == set()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident < 350 << 20


def test_metrics_are_those_of_all_workers(server: Server) -> None:
    def count() -> float:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith("headstart_predictions_total") and "moods" in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    before = count()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: server.predict("moods", b"What a day!", "text/plain"), range(24)))
    assert count() == before + 24
    assert count() == before + 24  # whichever worker is asked


def test_versions_are_exchanged_without_losing_a_request(server: Server, tmp_path: Path) -> None:
    folder = Path(what_runs(server.state).models["moods"])  # type: ignore[union-attr]
    seen: list[str] = []
    failed: list[Exception] = []
    workers = server.workers()

    def ask(_: int) -> None:
        try:
            seen.append(server.predict("moods", b"What a day!", "text/plain")["version"])
        except (urllib.error.URLError, ConnectionError) as error:
            failed.append(error)

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(ask, n) for n in range(100)]
        (folder / "default").write_text("2")
        command = [*COMMAND, "reload", "--state", str(server.state)]
        done = subprocess.run(command, capture_output=True, check=True)
        assert server.url.encode() in done.stderr
        for task in tasks:
            task.result(60)
        server.wait(lambda: server.log.read_text().count('"changed": ["moods: version 2"]') >= 2)
    assert failed == []
    assert set(seen) <= {"1", "2"}
    assert server.predict("moods", b"What a day!", "text/plain")["version"] == "2"
    assert server.workers() == workers  # nobody was stopped
    (folder / "default").write_text("1")
    assert tell_to_reload(server.state) is not None
    server.wait(lambda: server.get("/readyz")["models"]["moods"] == "1")


def test_a_killed_worker_is_replaced(server: Server, picture: bytes) -> None:
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    server.wait(lambda: len(server.workers()) == 2 and victim not in server.workers())
    for _ in range(8):
        assert server.predict("patterns", picture)["predictions"][0]["label"] == "along"


def test_what_is_not_http_is_answered_with_json_or_not_at_all(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/models/mood:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        *(
            b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + chunks
            for path in (b"/v1/models/patterns:predict", b"/v2/models/patterns/infer", b"/login")
            for chunks in (b"ZZ\r\nabc", b"-5\r\nabc\r\n0\r\n\r\n", b"3\r\nabcXX\r\n0\r\n\r\n", b"\r\n")
        ),
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        if answer:
            head, body = answer.split(b"\r\n\r\n", 1)
            assert head.split()[1][:1] == b"4", answer
            assert json.loads(body)["error"]
    assert server.is_ready()


def test_a_body_that_does_not_come_whole_is_a_clean_end(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/models/patterns:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc"
        )
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer == b"" or answer.split()[1] == b"400"
    assert server.is_ready()


def test_who_hangs_up_does_not_disturb(server: Server, picture: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/models/patterns:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head.encode() + picture)
    assert server.predict("patterns", picture)["predictions"][0]["label"] == "along"


def test_two_servers_do_not_share_a_state_folder(server: Server, mood: Path) -> None:
    command = [*COMMAND, str(mood)]
    command += ["--state", str(server.state), "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "where a server runs" in done.stderr
    assert server.is_ready()


def test_mistakes_are_told_before_anything_starts(server: Server, mood: Path, tmp_path: Path) -> None:
    port = server.url.rsplit(":", 1)[1]
    twin = shutil.copytree(mood, tmp_path / "other" / mood.name)
    for arguments, said in (
        ([str(mood), "--port", port], "an address to listen at"),
        ([str(tmp_path / "nothing"), "--port", str(free_port())], "which holds none"),
        ([str(mood), "--port", "99999"], "an address to listen at"),
        (
            [str(mood), str(twin)],
            "models of different names",
        ),
        ([str(mood), "--socket", str(tmp_path / "nowhere" / "socket")], "a place for a socket"),
        ([str(mood), "--queue", "0"], "--queue"),
        ([str(mood), "--deadline", "0"], "--deadline"),
        (["reload"], "no server runs"),
    ):
        command = [*COMMAND, *arguments]
        command += ["--state", str(tmp_path / "state")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_socket_is_not_taken_from_another_server(mood: Path, tmp_path: Path) -> None:
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        command = [*COMMAND, str(mood), "--socket", str(place), "--state", str(tmp_path / "state")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "a socket that nobody listens at" in done.stderr
    assert place.is_socket()


def all_answer(server: Server) -> bool:
    """Ask once more, and tell whether each worker has answered something: it has loaded its models."""
    server.get("/readyz")
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return set(server.workers()) <= {line["pid"] for line in lines if line["message"] == "request"}


def test_a_model_that_vanishes_does_not_end_those_that_answer(
    patterns: Path, mood: Path, picture: bytes, tmp_path: Path
) -> None:
    gone = shutil.copytree(mood, tmp_path / "gone.headstart")
    with run_server(tmp_path / "state", patterns, gone, options=("--workers", "2")) as server:
        server.wait(lambda: len(server.workers()) == 2 and all_answer(server))
        gone.rename(tmp_path / "elsewhere")
        victim, survivor = server.workers()
        os.kill(victim, signal.SIGKILL)
        server.wait(lambda: server.log.read_text().count("which holds none") >= 2)
        assert survivor in server.workers()
        assert server.predict("patterns", picture)["predictions"][0]["label"] == "along"
        assert server.predict("gone", b"What a day!", "text/plain")["model"] == "gone"
        (tmp_path / "elsewhere").rename(gone)
        told = server.log.read_text().count("which holds none")
        server.wait(lambda: len(server.workers()) == 2 and victim not in server.workers())
        time.sleep(2)
        assert server.log.read_text().count("which holds none") <= told + 1


def test_counting_takes_no_disk(server: Server) -> None:
    server.get("/v1/models")
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in server.workers())
    mapped = {line.split()[-1] for line in maps.splitlines() if line.endswith(".db")}
    assert mapped
    assert all(Path(each).is_relative_to("/dev/shm") for each in mapped)


def test_a_model_that_answers_differently_is_not_served(mood: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(mood, tmp_path / "broken.headstart")
    (broken / "head.safetensors").write_bytes(b"nonsense")
    command = [*COMMAND, str(broken)]
    command += ["--state", str(tmp_path / "state"), "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in {0, 1}
    assert "as it was saved" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_ends_gracefully(patterns: Path, picture: bytes, tmp_path: Path) -> None:
    started = time.monotonic()
    with run_server(tmp_path / "state", patterns, options=("--workers", "1")) as server:
        ready = time.monotonic() - started
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(server.predict, "patterns", picture) for _ in range(8)]
            time.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            done = [each.exception(30) for each in asked]
        assert server.process.wait(20) == 0
        assert what_runs(server.state) is None
    # What was accepted is answered; what came too late is refused, not lost.
    assert all(error is None or isinstance(error, urllib.error.URLError | ConnectionError) for error in done)
    assert ready < 15  # three seconds on a machine that has nothing else to do


def test_tritonclient_works_unchanged(server: Server, pattern_pictures: Path, patterns: Path) -> None:
    import tritonclient.http as triton

    files = sorted(pattern_pictures.rglob("*.jpg"))[::9]
    contents = [file.read_bytes() for file in files]
    wanted = hs.load(patterns).predict(contents)
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("patterns")
        assert client.get_server_metadata()["name"] == "headstart"
        about: dict[str, Any] = client.get_model_metadata("patterns")
        assert [each["name"] for each in about["outputs"]] == ["label", "confidence", "probabilities"]
        tensor = triton.InferInput("input", [len(contents)], "BYTES")
        tensor.set_data_from_numpy(np.array(contents, dtype=np.object_))
        found = client.infer("patterns", [tensor], request_id="7", timeout=5_000_000)
        assert found.as_numpy("label").tolist() == [str(each.label).encode() for each in wanted]
        assert found.get_response()["id"] == "7"
        expected = [list(each.probabilities.values()) for each in wanted]
        np.testing.assert_allclose(found.as_numpy("probabilities"), expected, rtol=1e-6)
        chosen = [
            triton.InferRequestedOutput("confidence", binary_data=False),
            triton.InferRequestedOutput("label", binary_data=True),
        ]
        found = client.infer("patterns", [tensor], outputs=chosen, model_version="1")
        confidence = [each.confidence for each in wanted]
        np.testing.assert_allclose(found.as_numpy("confidence"), confidence, rtol=1e-6)
        assert found.as_numpy("label").tolist() == [str(each.label).encode() for each in wanted]
        texts = triton.InferInput("input", [2], "BYTES")
        texts.set_data_from_numpy(np.array(["a good day", "ein böser Tag"], np.object_), binary_data=False)
        assert client.infer("moods", [texts]).as_numpy("label").shape == (2,)
        with pytest.raises(triton.InferenceServerException, match="no model 'none'"):
            client.infer("none", [tensor])
        tensor.set_data_from_numpy(np.array([b"no picture"] * len(contents), dtype=np.object_))
        with pytest.raises(triton.InferenceServerException, match="item 0 of the tensor"):
            client.infer("patterns", [tensor])
    finally:
        client.close()
