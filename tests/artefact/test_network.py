from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import FEATURES, Tiny

from headstart.artefact.network import OUTPUTS, answering_network, outputs
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import OpenVinoEngine, read_ir
from headstart.errors import ArtefactError
from headstart.transfer.calibration import (
    Abstention,
    AnyCalibration,
    Calibration,
    Conformal,
    Interval,
    Thresholds,
    sigmoid,
    softmax,
)
from headstart.transfer.heads import Head


def scaled(temperature: float) -> Calibration:
    return Calibration(temperature, Conformal(0.9, 0.1), Abstention(0.99, 0.5, 1.0))


def random_head(hidden: tuple[int, ...], classes: int, seed: int) -> Head:
    generator = np.random.default_rng(seed)
    sizes = (FEATURES, *hidden, classes)
    layers = [
        (generator.normal(size=(a, b)).astype(np.float32), generator.normal(size=b).astype(np.float32))
        for a, b in pairwise(sizes)
    ]
    return Head("mlp" if hidden else "linear", tuple(layers))


@settings(deadline=None, max_examples=15)
@given(
    hidden=st.sampled_from([(), (5,), (1,), (7, 4)]),
    classes=st.integers(2, 9),
    temperature=st.floats(0.05, 20),
    seed=st.integers(0, 1000),
    count=st.integers(1, 9),
)
def test_all_outputs_agree_with_numpy(
    tiny: Tiny,
    tmp_path_factory: pytest.TempPathFactory,
    hidden: tuple[int, ...],
    classes: int,
    temperature: float,
    seed: int,
    count: int,
) -> None:
    """Also for many pictures at once: a broadcast product instead of a MatMul is computed wrongly then."""
    head = random_head(hidden, classes, seed)
    path = tmp_path_factory.getbasetemp() / "answering.xml"
    save_ir(answering_network(tiny.network, head, scaled(temperature)), path)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert tuple(output.get_any_name() for output in compiled.outputs) == OUTPUTS
    found = compiled(np.stack([picture[:16, :16] for picture in tiny.pictures[:count]]))
    assert found["grid"].shape == (count, FEATURES, 8, 8)
    np.testing.assert_allclose(found["features"], found["grid"].mean((2, 3)), atol=1e-5)
    logits = head.logits(found["features"])
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"], softmax(found["logits"], temperature), atol=1e-4)


def test_large_weights_that_cancel_are_not_lost_in_bf16(tiny: Tiny) -> None:
    """Where features hardly differ a head looks like this."""
    pictures = np.stack([picture[:16, :16] for picture in tiny.pictures])
    plain = OpenVinoEngine(answering_network(tiny.network, tiny.head(), scaled(1.0)))
    middle = np.mean([plain.one(picture, ("features",))["features"] for picture in pictures], 0)
    weight = np.random.default_rng(1).normal(0, 3000, (len(middle), 3)).astype(np.float32)
    head = Head("linear", ((weight, -(middle @ weight)),))
    engine = OpenVinoEngine(answering_network(tiny.network, head, scaled(1.0)))  # in bf16 where there is such
    for picture in pictures:
        found = engine.one(picture, ("features", "logits"))
        np.testing.assert_allclose(found["logits"], head.logits(found["features"][None])[0], atol=0.1)


@pytest.mark.parametrize(
    ("calibration", "columns", "last"),
    [(Thresholds(0.7, (0.5,) * 4), 4, "probabilities"), (Interval(0.9, 1.0), 1, "value")],
)
def test_the_last_output_is_the_answer_of_the_target(
    tiny: Tiny, calibration: AnyCalibration, columns: int, last: str
) -> None:
    head = random_head((5,), columns, 3)
    engine = OpenVinoEngine(answering_network(tiny.network, head, calibration), "fp32")
    assert last == outputs(calibration.target)[-1]
    assert set(engine.outputs) == set(outputs(calibration.target))
    found = engine.one(tiny.pictures[4][:16, :16], ("features", last))
    logits = head.logits(found["features"][None])
    expected = sigmoid(logits, 0.7) if columns == 4 else logits
    np.testing.assert_allclose(found[last], expected[0], rtol=1e-4, atol=1e-4)


def test_features_are_the_torch_backbones(tiny: Tiny) -> None:
    engine = OpenVinoEngine(answering_network(tiny.network, tiny.head(), scaled(1.0)), "fp32")
    pixels = tiny.pictures[4][:16, :16]
    with torch.inference_mode():
        grid, features = tiny.backbone(torch.from_numpy(pixels)[None])
    found = engine.one(pixels, ("grid", "features"))
    np.testing.assert_allclose(found["grid"], grid[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found["features"], features[0].numpy(), atol=1e-5)


def test_plain_openvino_answers_any_number_of_pictures(saved: Path, model: object, tiny: Tiny) -> None:
    compiled = openvino.Core().compile_model(
        str(saved / "network.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    batch = np.stack([picture[:16, :16] for picture in tiny.pictures[:5]])
    found = compiled({"pixels": batch})
    assert {output.get_any_name(): tuple(found[output].shape) for output in compiled.outputs} == {
        "grid": (5, FEATURES, 8, 8),
        "features": (5, FEATURES),
        "logits": (5, 3),
        "probabilities": (5, 3),
    }
    np.testing.assert_allclose(found["probabilities"].sum(1), 1, atol=1e-5)


def test_a_batch_of_one_becomes_free_again(tiny: Tiny) -> None:
    fixed = read_ir(tiny.network)
    fixed.reshape([1, 16, 16, 3])
    save_ir(fixed, tiny.network.with_name("fixed.xml"))
    model = answering_network(tiny.network.with_name("fixed.xml"), tiny.head(), scaled(1.0))
    assert all(output.partial_shape[0].is_dynamic for output in model.outputs)


def test_a_head_can_be_replaced(tiny: Tiny, tmp_path: Path) -> None:
    """A network that already has a head gives its backbone for another one: loaded models can be saved."""
    first, second = random_head((), 3, 0), random_head((4,), 5, 1)
    save_ir(answering_network(tiny.network, first, scaled(2.0)), tmp_path / "first.xml")
    engine = OpenVinoEngine(answering_network(tmp_path / "first.xml", second, scaled(0.5)), "fp32")
    found = engine.one(tiny.pictures[0][:16, :16], OUTPUTS)
    np.testing.assert_allclose(
        found["logits"], second.logits(found["features"][None])[0], rtol=1e-4, atol=1e-5
    )


def test_missing_backbone(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        answering_network(tmp_path / "gone.xml", tiny.head(), scaled(1.0))
