"""Checkpoints: whole or absent, refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_training import LATE, toy_plan

from headstart.errors import OptionError, StorageError
from headstart.training.checkpoints import Checkpoints, Identity, load_optimiser, optimiser_state
from headstart.training.optimisers import build
from headstart.training.plan import Settings

IDENTITY = Identity("plan", "toy digest", "data", ("a", "b"))


def fill(folder: Path, count: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder, IDENTITY)
    for number in range(count):
        weights = {"w": torch.full((2,), float(number))}
        checkpoints.save(
            {"t": torch.tensor([number])}, {"number": number}, f"best-{number}", lambda w=weights: w
        )
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_two_newest_and_their_best_weights_stay(tmp_path: Path) -> None:
    fill(tmp_path, 4)
    assert names(tmp_path) == sorted(
        [f"0000000{n}.{kind}" for n in (3, 4) for kind in ("json", "safetensors")]
        + ["best-2.safetensors", "best-3.safetensors"]
    )
    tensors, notes, best = Checkpoints(tmp_path, IDENTITY).load()
    assert (tensors["t"].item(), notes, best["w"].tolist()) == (3, {"number": 3}, [3.0, 3.0])


def test_unchanged_best_weights_are_written_once(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    checkpoints.save({"t": torch.zeros(1)}, {}, "best-1", lambda: {"w": torch.ones(1)})
    checkpoints.save({"t": torch.zeros(1)}, {}, "best-1", lambda: pytest.fail("written again"))
    again = Checkpoints(tmp_path, IDENTITY)
    again.load()
    again.save({"t": torch.zeros(1)}, {}, "best-1", lambda: pytest.fail("written again"))


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    fill(folder)
    name = data.draw(st.sampled_from(["00000003.json", "00000003.safetensors", "best-2.safetensors"]))
    path = folder / name
    content = bytearray(path.read_bytes())
    match data.draw(st.sampled_from(["flip", "cut", "gone", "empty"])):
        case "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
    checkpoints = Checkpoints(folder, IDENTITY)
    tensors, notes, best = checkpoints.load()
    # A flipped space between JSON values may leave the checkpoint as it was.
    assert notes["number"] in ((1, 2) if name.endswith("json") else (1,))
    assert tensors["t"].item() == notes["number"] == best["w"][0].item()
    # Whatever was damaged, the run goes on from there.
    checkpoints.save({"t": torch.tensor([9])}, {"number": 9}, "best-9", lambda: {"w": torch.ones(2)})
    assert Checkpoints(folder, IDENTITY).load()[1] == {"number": 9}


def test_when_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    fill(tmp_path)
    for path in tmp_path.glob("0*.safetensors"):
        path.write_bytes(b"not tensors")
    with pytest.raises(StorageError, match=r"2 damaged ones.*remove .* without --resume"):
        Checkpoints(tmp_path, IDENTITY).load()


def test_nothing_to_resume(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(OptionError, match="no checkpoint in"):
            Checkpoints(folder, IDENTITY).load()


@pytest.mark.parametrize(
    ("other", "received"),
    [
        (
            Identity("plan", "vgg16 digest", "data", ("a", "b")),
            "the backbone vgg16 digest, received one of toy",
        ),
        (Identity("plan", "toy digest", "other", ("a", "b")), "the data other, received one of data"),
        (Identity("plan", "toy digest", "data", ("a", "c")), "the labels a, c, received one of a, b"),
        (Identity("plan", "toy digest", "0f" * 32, ("a", "b")), "the data 0f0f0f0f0f0f…, received"),
        (Identity("other", "toy digest", "data", ("a", "b")), r"the plan other.*plan\.json"),
    ],
)
def test_checkpoints_of_something_else_are_refused(tmp_path: Path, other: Identity, received: str) -> None:
    fill(tmp_path)
    with pytest.raises(OptionError, match=received):
        Checkpoints(tmp_path, other).load()


def test_evidence_and_predicted_minutes_do_not_make_another_plan() -> None:
    plan = toy_plan()
    mine = Identity.of(plan, "w", "d", ())
    assert mine == Identity.of(plan.replace(minutes=3.0, evidence={"items": 9}), "w", "d", ())
    for changes in ({"seed": 4}, {"phases": (LATE,)}, {"settings": Settings(batch=9)}, {"size": 32}):
        assert Identity.of(plan.replace(**changes), "w", "d", ()).plan != mine.plan


def test_a_newer_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.training.checkpoints._SCHEMA", 2)
    fill(tmp_path)
    monkeypatch.undo()
    with pytest.raises(OptionError, match="schema 1, received one of 2"):
        Checkpoints(tmp_path, IDENTITY).load()


def test_what_a_kill_left_behind_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = fill(tmp_path)
    for name in (".00000004.json.abc.tmp", "00000009.safetensors", "best-77.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"half")
    checkpoints.save({"t": torch.zeros(1)}, {"number": 5}, None, dict)
    left = set(names(tmp_path))
    assert {"00000003.json", "00000004.json", "notes.txt"} <= left
    assert not left & {".00000004.json.abc.tmp", "00000009.safetensors", "best-77.safetensors"}


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        fill(tmp_path / "checkpoints")


def test_notes_are_plain_json_with_a_digest(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    content = json.loads((tmp_path / "00000001.json").read_text())
    assert content["of"]["labels"] == ["a", "b"]
    assert len(content["digest"]) == len(content["files"]["tensors"]["digest"]) == 64


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "nesterov", "adagrad", "rmsprop"])
def test_optimisers_go_on_to_the_bit(name: str) -> None:
    def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
        group = {"params": list(layer.parameters()), "lr": 0.1, "name": "layer"}
        return layer, build(Settings(optimiser=name), [group])  # type: ignore[arg-type]

    def step(layer: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        x = torch.arange(2 * 3 * 5 * 5.0).view(2, 3, 5, 5) / 100
        layer(x).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    layer, optimiser = made()
    for _ in range(3):
        step(layer, optimiser)
    twin, its_optimiser = made()
    twin.load_state_dict(layer.state_dict())
    kept = {key: value.contiguous().clone() for key, value in optimiser_state(optimiser).items()}
    load_optimiser(its_optimiser, kept)
    for _ in range(3):
        step(layer, optimiser)
        step(twin, its_optimiser)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), twin.parameters(), strict=True))
    assert its_optimiser.param_groups[0]["name"] == "layer"
