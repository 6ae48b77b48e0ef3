from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from tiny_model import Tiny

from headstart import backbones
from headstart.artefact import exporting, load
from headstart.artefact.exporting import export
from headstart.artefact.golden import Golden
from headstart.artefact.model import Model
from headstart.backbones.backbone import Backbone
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import ArtefactError, BackboneError, MissingExtraError, OptionError, StorageError

OUTPUTS = ("grid", "features", "logits", "probabilities")


@pytest.fixture
def found_backbone(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny backbone is in no catalogue: let it be found under its name."""

    def load_tiny(name: str, offline: bool = False) -> Backbone:
        assert name == "tiny"
        return tiny.backbone

    monkeypatch.setattr(backbones, "load", load_tiny)


@pytest.mark.usefixtures("found_backbone")
@pytest.mark.parametrize(("to", "suffix"), [("openvino", ".xml"), ("onnx", ".onnx")])
def test_exported_networks_answer_the_same(
    model: Model, tiny: Tiny, tmp_path: Path, to: str, suffix: str
) -> None:
    written = export(model, tmp_path / f"cats{suffix}", to=to)
    assert written == tmp_path / f"cats{suffix}"
    names = {f"cats{suffix}"} | ({"cats.bin"} if to == "openvino" else set())
    assert {path.name for path in tmp_path.iterdir()} == names
    compiled = openvino.Core().compile_model(str(written), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert tuple(output.get_any_name() for output in compiled.outputs) == OUTPUTS
    batch = np.stack([picture[2:18, 4:20] for picture in tiny.pictures])  # a free batch axis
    answers = compiled({"pixels": batch})["probabilities"]
    np.testing.assert_allclose(answers, model.predict_proba([*batch]), atol=0.02)
    np.testing.assert_array_equal(answers.argmax(1), np.repeat([0, 1, 2], 3))


@pytest.mark.usefixtures("found_backbone")
def test_onnx_file_is_valid_and_in_double_checked_names(model: Model, tmp_path: Path) -> None:
    written = export(model, tmp_path, to="onnx")
    assert written == tmp_path / "network.onnx"
    network = onnx.load(written)
    onnx.checker.check_model(network, full_check=True)
    (pixels,) = network.graph.input
    assert pixels.name == "pixels"
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [axis.dim_param or axis.dim_value for axis in pixels.type.tensor_type.shape.dim]
    assert shape == ["n", 16, 16, 3]
    assert tuple(output.name for output in network.graph.output) == OUTPUTS


def test_a_loaded_model_exports_to_openvino_without_its_backbone(
    saved: Path, tiny: Tiny, tmp_path: Path
) -> None:
    written = export(load(saved), tmp_path / "folder")
    assert written == tmp_path / "folder" / "network.xml"
    found = OpenVinoEngine(written).one(tiny.pictures[0][:16, :16], OUTPUTS)
    assert found["probabilities"].argmax() == 0


def test_a_missing_backbone_is_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="'tiny'"):
        export(model, tmp_path / "x.onnx", to="onnx")
    assert not list(tmp_path.iterdir())


def test_other_weights_of_the_same_name_are_refused(
    tiny: Tiny, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(tiny.backbone.card, digest="ef" * 32)
    other = Backbone(card, dict(tiny.backbone.blocks.items()))
    monkeypatch.setattr(backbones, "load", lambda name, offline: other)
    with pytest.raises(BackboneError, match="others"):
        export(model, tmp_path / "x.onnx", to="onnx")


@pytest.mark.usefixtures("found_backbone")
@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_an_export_that_answers_otherwise_is_not_kept(tiny: Tiny, tmp_path: Path, to: str) -> None:
    model = tiny.model()
    assert model.golden is not None
    model.golden = Golden(model.golden.inputs, model.golden.probabilities[::-1])
    with pytest.raises(ArtefactError, match="the exported network"):
        export(model, tmp_path, to=to)
    assert not list(tmp_path.iterdir())


def test_an_export_needs_golden_vectors(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="record_golden"):
        export(tiny.model(golden=False), tmp_path)


def test_int8_is_no_onnx(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="received int8"):
        export(tiny.model(precision="int8"), tmp_path, to="onnx")


def test_unknown_format(model: Model, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="received 'tflite'"):
        export(model, tmp_path, to="tflite")


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_onnx_needs_an_extra(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*headstart\[train\]"):
        export(model, tmp_path, to="onnx")


def test_a_place_that_cannot_be_written(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        export(model, tmp_path / "file" / "network.xml")


def test_a_full_disk_keeps_the_older_export(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(model, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(model: Any, draft: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_network", full)
    with pytest.raises(StorageError, match="room on the disk"):
        export(model, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
