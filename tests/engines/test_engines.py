"""Engines agree with each other, and a row depends on nothing but its input."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from headstart import backbones
from headstart.backbones import Card, Preprocess
from headstart.backbones.backbone import Backbone
from headstart.engines.choosing import choose
from headstart.engines.conversion import backbone_ir, convert, int8_ir, ir_path, save_ir
from headstart.engines.openvino_engine import OpenVinoEngine, has_bf16, read_ir
from headstart.engines.torch_engine import TorchEngine
from headstart.errors import ArtefactError, OptionError
from headstart.images.preprocess import prepare

LITE = "efficientnet_lite0"


def toy(seed: int = 0) -> Backbone:
    """A small convolutional backbone with random weights."""
    torch.manual_seed(seed)
    spec = Preprocess(size=32, mean=(127.0,) * 3, std=(64.0,) * 3)
    blocks = {
        "stem": nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6()),
        "body": nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()),
    }
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 16, tuple(blocks), 1416, f"toy-{seed}")
    return Backbone(card, blocks)


@cache
def toy_ir() -> Path:
    """The toy, converted once for the whole file: conversion takes a second."""
    path = Path(tempfile.mkdtemp()) / "toy.xml"
    save_ir(convert(toy(), toy().card), path)
    return path


def pixels(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def features(engine: OpenVinoEngine | TorchEngine, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack([outputs["features"] for _, outputs in engine.run(enumerate(inputs), ("features",))])


@pytest.fixture(autouse=True)
def _own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "lite" not in request.node.name:  # Lite0's weights and conversion stay in the shared cache
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))


def test_openvino_in_fp32_is_torch() -> None:
    backbone, inputs = toy(), pixels(21)
    expected = features(TorchEngine(backbone, device="cpu"), inputs)
    found = features(OpenVinoEngine(toy_ir(), "fp32"), inputs)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        assert np.allclose(expected, backbone(torch.from_numpy(inputs))[1].numpy(), rtol=1e-5, atol=1e-6)


class Squares(nn.Module):
    """Two results that are no backbone's."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = pixels.float().mean((1, 2))
        return x, x.square()


def test_any_network_may_name_its_outputs() -> None:
    inputs, names = pixels(5), ("means", "squares")
    for name in ("torch", "openvino"):
        engine = choose(toy().card, Squares, engine=name, precision="fp32", outputs=names).start()
        assert engine.outputs == names  # type: ignore[attr-defined]
        for (_, found), value in zip(engine.run(enumerate(inputs), names), inputs, strict=True):
            means = value.mean((0, 1))
            assert np.allclose(found["means"], means, rtol=1e-3)
            assert np.allclose(found["squares"], means**2, rtol=1e-3)


def test_a_cut_another_size_and_other_outputs_are_other_files() -> None:
    backbone = toy()
    cards = [backbone.card, backbone.cut("stem").card, backbone.at(48).card]
    outputs = (("grid", "features"), ("depths",))
    paths = {ir_path(card, kind, names) for card in cards for kind in ("fp32", "int8") for names in outputs}
    assert len(paths) == 12
    assert backbone_ir(backbone.cut("stem").card, lambda: backbone.cut("stem")) in paths
    engine = OpenVinoEngine(ir_path(backbone.cut("stem").card))
    assert engine.one(pixels(1)[0], ("features",))["features"].shape == (8,)


def test_keys_and_order_are_kept() -> None:
    inputs = pixels(50)
    for engine in (OpenVinoEngine(toy_ir()), TorchEngine(toy(), device="cpu")):
        assert [key for key, _ in engine.run(enumerate(inputs), ("features",))] == list(range(50))
        assert list(engine.run(iter(()), ("features",))) == []
        outputs = engine.one(inputs[3], ("grid", "features"))
        assert outputs["grid"].shape == (16, 8, 8)
        assert np.allclose(outputs["grid"].mean((1, 2)), outputs["features"], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_does_not_depend_on_its_neighbours_or_the_threads(threads: int) -> None:
    inputs = pixels(40)
    one_by_one = np.stack(
        [OpenVinoEngine(toy_ir(), threads=1).one(x, ("features",))["features"] for x in inputs[:9]]
    )
    together = features(OpenVinoEngine(toy_ir(), threads=threads), inputs)
    assert np.array_equal(together[:9], one_by_one)
    engine = TorchEngine(toy(), device="cpu")
    assert np.array_equal(features(engine, inputs)[:5], features(engine, inputs[:5]))


def test_an_error_in_the_stream_comes_out_and_leaves_the_engine_usable() -> None:
    engine = OpenVinoEngine(toy_ir())

    def broken():
        yield 0, pixels(1)[0]
        raise KeyError("source failed")

    with pytest.raises(KeyError, match="source failed"):
        list(engine.run(broken(), ("features",)))
    stream = engine.run(enumerate(pixels(20)), ("features",))
    next(stream)
    stream.close()
    assert features(engine, pixels(4)).shape == (4, 16)


def test_the_network_is_converted_once() -> None:
    calls = []

    def load() -> Backbone:
        calls.append(1)
        return toy()

    first = backbone_ir(toy().card, load)
    assert backbone_ir(toy().card, load) == first
    assert len(calls) == 1
    first.with_suffix(".bin").unlink()
    backbone_ir(toy().card, load)
    assert len(calls) == 2
    assert ir_path(toy(1).card) != first


def test_unreadable_networks(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        read_ir(tmp_path / "network.xml")
    path = tmp_path / "broken.xml"
    path.write_text("<net name='x'")
    with pytest.raises(ArtefactError, match="OpenVINO"):
        read_ir(path)
    assert features(OpenVinoEngine(toy_ir()), pixels(2)).shape == (2, 16)


def test_choices_and_their_keys() -> None:
    backbone = toy()
    for engine, precision in (("openvino", "fp32"), ("torch", "fp32"), ("auto", None)):
        choice = choose(backbone.card, lambda: backbone, engine=engine, precision=precision)
        assert choice.start().key == choice.key
    with pytest.raises(OptionError, match="openvino"):
        choose(backbone.card, lambda: backbone, engine="onnx")
    with pytest.raises(OptionError, match="int8"):
        choose(backbone.card, lambda: backbone, engine="torch", precision="int8")
    with pytest.raises(OptionError, match="bf16"):
        choose(backbone.card, lambda: backbone, engine="openvino", precision="fp16")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="items"):
        choose(backbone.card, lambda: backbone, engine="openvino", precision="int8").start()


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


@pytest.fixture(scope="module")
def lite_inputs(photos: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Real photographs, in many crops, prepared for Lite0."""
    spec = backbones.card(LITE).preprocess
    crops = [
        photo[top : top + side, left : left + side]
        for photo in photos.values()
        for side in (150, 220, 280)
        for top in (0, 60, 119)
        for left in (0, 80, 119)
    ]
    return np.stack([prepare(crop, spec) for crop in crops])


def test_lite_in_bf16_is_close_to_fp32_on_photographs(lite_inputs: NDArray[np.uint8]) -> None:
    if not has_bf16():
        pytest.skip("this CPU does not compute in bfloat16")
    path = backbone_ir(backbones.card(LITE), lambda: backbones.load(LITE))
    exact = features(OpenVinoEngine(path, "fp32"), lite_inputs)
    half = features(OpenVinoEngine(path, "bf16"), lite_inputs)
    assert np.median(cosine(exact, half)) >= 0.999
    assert np.allclose(
        exact, features(TorchEngine(backbones.load(LITE), device="cpu"), lite_inputs), atol=5e-4
    )


def test_lite_in_int8_is_close_to_fp32_on_photographs(lite_inputs: NDArray[np.uint8]) -> None:
    path = backbone_ir(backbones.card(LITE), lambda: backbones.load(LITE))
    quantised = int8_ir(backbones.card(LITE), lambda: backbones.load(LITE), list(lite_inputs))
    exact = features(OpenVinoEngine(path, "fp32"), lite_inputs)
    assert np.median(cosine(exact, features(OpenVinoEngine(quantised, "int8"), lite_inputs))) >= 0.9


def test_torch_cuda_agrees_with_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    inputs = pixels(300)
    expected = features(TorchEngine(toy(), device="cpu"), inputs)
    assert np.allclose(features(TorchEngine(toy(), "fp32", "cuda"), inputs), expected, rtol=1e-3, atol=1e-3)
    assert np.median(cosine(features(TorchEngine(toy(), "bf16", "cuda"), inputs), expected)) >= 0.999
