"""What the doctor finds, with programs that answer as real ones do."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from headstart import machine


def program(folder: Path, name: str, says: str, code: int = 0) -> None:
    """Write a program that says something, standard error included where it fails."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {code}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def answering() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_processor_has_a_name_and_its_instructions_follow_each_other() -> None:
    found = machine.processor()
    assert found["name"]
    if found.get("avx512_bf16"):
        assert found["avx512"]
        assert found["avx2"]


def test_memory_is_told_and_little_of_it_is_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    left, advice = machine.memory()
    assert left is None or 0 < left < 10_000
    monkeypatch.setattr(machine, "available_memory", lambda: 500_000_000)
    left, advice = machine.memory()
    assert left == 0.5
    assert "--workers 1" in advice[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU that works")
def test_a_card_beside_a_torch_for_the_cpu_is_remarked(bin_folder: Path) -> None:
    program(bin_folder, "nvidia-smi", "NVIDIA L4, 550.54.15, 23034 MiB")
    found, advice = machine.gpu()
    assert found is not None
    assert found["cards"] == [{"name": "NVIDIA L4", "driver": "550.54.15", "memory": "23034 MiB"}]
    assert "built for" in advice[0]


def test_a_driver_that_does_not_answer_is_remarked(bin_folder: Path) -> None:
    program(bin_folder, "nvidia-smi", "Failed to initialize NVML: Driver/library version mismatch", 18)
    found, advice = machine.gpu()
    assert found is None
    assert "mismatch" in advice[0]
    assert "restart" in advice[0]


def test_what_computes_agrees_with_the_cpu() -> None:
    assert machine._multiplies("cpu")


def test_the_hub_is_reached_or_not(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", answering)
    assert machine.hub(offline=False) is True
    assert machine.hub(offline=True) is None
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert machine.hub(offline=False) is False
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    assert machine.hub(offline=False) is False
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert machine.hub(offline=False) is None


def test_nginx_says_its_version(bin_folder: Path) -> None:
    (bin_folder / "nginx").write_text("#!/bin/sh\necho 'nginx version: nginx/1.22.1' >&2\n")
    (bin_folder / "nginx").chmod(0o755)
    assert machine.nginx() == "1.22.1"
