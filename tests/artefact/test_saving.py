from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import Tiny

from headstart.artefact import load, saving
from headstart.artefact.golden import Golden
from headstart.artefact.model import Model
from headstart.errors import ArtefactError, StorageError
from headstart.files import digest_file
from headstart.transfer.heads import Head

FILES = ("README.md", "artefact.json", "golden.safetensors", "head.safetensors", "network.bin", "network.xml")


def content(folder: Path) -> dict[str, str]:
    return {file.name: digest_file(file) for file in sorted(folder.iterdir())}


def test_round_trip(model: Model, saved: Path, tiny: Tiny) -> None:
    found = load(saved)
    assert tuple(content(saved)) == FILES
    np.testing.assert_array_equal(found.predict_proba(tiny.pictures), model.predict_proba(tiny.pictures))
    np.testing.assert_array_equal(found.embed(tiny.pictures), model.embed(tiny.pictures))
    assert found.predict(tiny.pictures) == model.predict(tiny.pictures)
    for name in ("labels", "modality", "front_end", "backbone", "calibration", "created"):
        assert getattr(found, name) == getattr(model, name)
    assert found.plan == {"head": "linear", "strength": 0.5, "folds": None}
    assert found.metrics == {"test": {"accuracy": 0.5, "auc": None, "accuracy_interval": [0.4, 0.6]}}
    assert found.report is None
    assert load(str(saved)).labels == model.labels


def test_readme_is_the_model_card(model: Model, saved: Path) -> None:
    assert (saved / "README.md").read_text(encoding="utf-8") == model.card


@pytest.mark.parametrize("kind", ["mlp", "centroid"])
def test_every_kind_of_head(tiny: Tiny, tmp_path: Path, kind: Any) -> None:
    (weight, bias), *_ = tiny.head().layers
    identity = (np.eye(len(bias), dtype=np.float32), np.zeros(len(bias), np.float32))
    layers = ((weight, bias), identity) if kind == "mlp" else ((weight, bias),)
    model = tiny.model(head=Head(kind, layers))
    found = load(model.save(tmp_path / "m"))
    assert found.head.kind == kind
    np.testing.assert_array_equal(found.predict_proba(tiny.pictures), model.predict_proba(tiny.pictures))


def test_a_loaded_model_can_be_saved_again_also_over_itself(saved: Path, tiny: Tiny, tmp_path: Path) -> None:
    first = load(saved)
    expected = first.predict_proba(tiny.pictures)
    first.save(saved)
    first.save(tmp_path / "deep" / "copy")
    for folder in (saved, tmp_path / "deep" / "copy"):
        np.testing.assert_array_equal(load(folder).predict_proba(tiny.pictures), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "tiny.headstart"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete", "folder"])
def test_any_damage_to_any_file_is_named(saved: Path, name: str, damage: str) -> None:
    path = saved / name
    data = path.read_bytes()
    path.unlink()
    if damage == "flip":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])
    elif damage == "truncate":
        path.write_bytes(data[:-1] if name != "artefact.json" else data[:-3])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        load(saved)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_flipped_bit_is_noticed(
    model: Model, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    if not folder.exists():
        model.save(folder)
    path = folder / data.draw(st.sampled_from(FILES))
    whole = path.read_bytes()
    position, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[position] ^= 1 << bit
    if path.suffix == ".json":
        try:
            if json.loads(flipped) == json.loads(whole):
                return  # white space, or the case of a letter in an escape: nothing was changed
        except ValueError:
            pass
    path.write_bytes(flipped)
    try:
        with pytest.raises(ArtefactError):
            load(folder)
    finally:
        path.write_bytes(whole)


def reseal(folder: Path, **changes: Any) -> None:
    """Change the artefact as somebody would who knows how digests work."""
    from headstart.files import digest_json

    value = json.loads((folder / "artefact.json").read_text())
    value["files"] = {name: digest_file(folder / name) for name in value["files"]}
    value = {key: part for key, part in {**value, **changes}.items() if key != "digest"}
    (folder / "artefact.json").write_text(json.dumps({**value, "digest": digest_json(value)}))


def test_golden_vectors_catch_what_digests_do_not(tiny: Tiny, saved: Path, tmp_path: Path) -> None:
    (weight, bias), *_ = tiny.head().layers
    other = tiny.model(head=Head("linear", ((-weight, bias),))).save(tmp_path / "other")
    for name, by in (("head.safetensors", "predict"), ("network.xml", "the network")):
        folder = shutil.copytree(saved, tmp_path / name)
        for file in (name, "network.bin") if name == "network.xml" else (name,):
            shutil.copy(other / file, folder / file)
        reseal(folder)
        with pytest.raises(ArtefactError, match=f"golden vectors.*by {by}"):
            load(folder)


def test_a_changed_temperature_is_caught(saved: Path) -> None:
    value = json.loads((saved / "artefact.json").read_text())
    reseal(saved, calibration={**value["calibration"], "temperature": 5.0})
    with pytest.raises(ArtefactError, match="golden vectors"):
        load(saved)


def test_files_that_do_not_belong_together(tiny: Tiny, saved: Path, tmp_path: Path) -> None:
    value = json.loads((saved / "artefact.json").read_text())
    member = value["members"][0]
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "labels": ({"labels": ["a", "b"]}, "6 features to 2 labels"),
        "members": ({"members": []}, "at least one member"),
        "kind": (
            {"members": [{**member, "head": {"kind": "linear", "file": "golden.safetensors"}}]},
            "layers that follow each other",
        ),
        "not tensors": ({"golden": {**value["golden"], "file": "README.md"}}, r"tensors in README\.md"),
        "not golden": (
            {"golden": {**value["golden"], "file": "head.safetensors"}},
            "inputs and probabilities",
        ),
    }
    for name, (change, says) in changes.items():
        folder = shutil.copytree(saved, tmp_path / name)
        reseal(folder, **change)
        with pytest.raises(ArtefactError, match=says):
            load(folder)


def test_a_network_without_a_head_is_no_artefacts(tiny: Tiny, saved: Path) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copy(tiny.network.with_suffix(suffix), saved / f"network{suffix}")
    reseal(saved)
    with pytest.raises(ArtefactError, match="none named logits, probabilities"):
        load(saved)


def test_what_is_no_saved_model(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(ArtefactError, match="received a file"):
        load(saved / "artefact.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match="no such file"):
        load(tmp_path / "empty")


def test_save_replaces_only_saved_models(model: Model, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"dear to me")
    with pytest.raises(ArtefactError, match="a new folder, or a saved model to replace"):
        model.save(tmp_path / "photos")
    (tmp_path / "notes.txt").write_text("also dear")
    with pytest.raises(ArtefactError, match="received a file"):
        model.save(tmp_path / "notes.txt")
    (saved / "report.html").write_text("kept beside the model")
    with pytest.raises(ArtefactError, match=r"also report\.html"):
        model.save(saved)
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"dear to me"
    assert (tmp_path / "notes.txt").read_text() == "also dear"
    assert (saved / "report.html").exists()
    load(saved)
    (tmp_path / "empty").mkdir()
    load(model.save(tmp_path / "empty"))


def test_a_link_is_followed(model: Model, saved: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(saved, target_is_directory=True)
    before = content(saved)
    model.save(link)
    assert link.is_symlink()
    assert content(link) == content(saved)
    assert content(saved).keys() == before.keys()
    load(link)


def test_save_needs_golden_vectors(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="record_golden"):
        tiny.model(golden=False).save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_that_answers_otherwise_is_not_saved(tiny: Tiny, saved: Path) -> None:
    model = tiny.model()
    assert model.golden is not None
    model.golden = Golden(model.golden.inputs, model.golden.probabilities[::-1])
    before = content(saved)
    with pytest.raises(ArtefactError, match="golden vectors"):
        model.save(saved)
    assert content(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("limit", [100, 4000, 5000])
def test_a_full_disk_loses_nothing(saved: Path, limit: int) -> None:
    """A process that may not write files larger than a limit meets the same failing writes."""
    before = content(saved)
    code = f"""
import resource
from headstart.artefact import load
from headstart.errors import StorageError
model = load({str(saved)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    model.save({str(saved)!r})
except StorageError as error:
    print("refused:", error)
"""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "refused: expected" in done.stdout
    assert content(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("step", ["head", "network", "readme", "artefact"])
def test_no_space_at_any_step(model: Model, saved: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    import errno

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def openvino_full(*_: Any, **__: Any) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    if step == "network":
        monkeypatch.setattr(openvino, "save_model", openvino_full)
    elif step == "artefact":
        monkeypatch.setattr(saving.schema, "write", full)
    else:
        real = Path.write_bytes
        wanted = {"head": "head.safetensors", "readme": "README.md"}[step]
        monkeypatch.setattr(
            Path, "write_bytes", lambda self, data: full() if self.name == wanted else real(self, data)
        )
    before = content(saved)
    with pytest.raises(StorageError, match="room on the disk"):
        model.save(saved)
    assert content(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


def test_interrupting_a_save_loses_nothing(
    model: Model, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "load", interrupted)
    before = content(saved)
    with pytest.raises(KeyboardInterrupt):
        model.save(saved)
    assert content(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_place_that_cannot_be_written(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="to fix: name another place"):
        model.save(tmp_path / "file" / "m")
    with pytest.raises(StorageError):
        model.save(tmp_path / ("x" * 300))
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission(model: Model, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="permission"):
            model.save(tmp_path / "m")
    finally:
        tmp_path.chmod(0o700)


def test_loading_and_answering_load_no_torch(saved: Path, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    code = f"""
import sys
import headstart.artefact
assert "openvino" not in sys.modules, "the import must be light"
model = headstart.artefact.load({str(saved)!r})
assert model.predict([{str(tmp_path / "a.png")!r}])[0].label == "class 2"
assert model.save({str(tmp_path / "copy")!r}).is_dir()
heavy = "torch sklearn scipy pandas matplotlib transformers onnx pyarrow nncf jinja2".split()
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
