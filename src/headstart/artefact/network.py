"""The artefact's network: the backbone with the head behind it, as one OpenVINO graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.items import Target
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import read_ir
from headstart.transfer.calibration import AnyCalibration, Interval, Thresholds
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from headstart.artefact.model import Model

OUTPUTS = ("grid", "features", "logits", "probabilities")
_NUMBER_OUTPUTS = ("grid", "features", "value")


def outputs(target: Target) -> tuple[str, ...]:
    """Return the names of a network's outputs by what it answers; the last one is the answer."""
    return _NUMBER_OUTPUTS if target == "number" else OUTPUTS


def answering_network(backbone: Path, head: Head, calibration: AnyCalibration) -> Any:
    """Append a head to a backbone's IR, so that plain OpenVINO answers without anything of ours.

    `predict` computes the head in NumPy, in 32 bits; here it runs in whatever the CPU is told to. In bf16 the
    probabilities of real models moved by at most 0.002 (cifar10, three kinds of head, Lite0).

    Args:
        backbone: The .xml of an IR with the outputs "grid" and "features" (others are dropped).
        head: What turns features into logits.
        calibration: What turns logits into answers.

    Returns:
        An openvino.Model: input "pixels" uint8 [n, h, w, 3]; outputs "grid", "features", "logits" and
        "probabilities" (softmax, or sigmoid where items have several labels), or for numbers "grid",
        "features" and "value".

    Raises:
        ArtefactError: The backbone's IR is missing or damaged.
    """
    import openvino
    from openvino import opset13 as ops

    model = read_ir(backbone)
    shape = model.input(0).partial_shape
    shape[0] = -1  # a quantised network comes with a batch of one
    model.reshape(shape)
    grid, features = (model.output(name).get_node().input_value(0) for name in OUTPUTS[:2])
    x = features
    for number, (weight, bias) in enumerate(head.layers):
        product = ops.matmul(ops.relu(x) if number else x, ops.constant(weight), False, False)
        x = ops.add(product, ops.constant(np.ascontiguousarray(bias[None])))
    results = [grid, features, x.output(0)]
    if not isinstance(calibration, Interval):
        scaled = ops.multiply(x, ops.constant(np.array([[1 / calibration.temperature]], np.float32)))
        several = isinstance(calibration, Thresholds)
        results.append((ops.sigmoid(scaled) if several else ops.softmax(scaled, 1)).output(0))
    whole = openvino.Model([ops.result(value) for value in results], model.get_parameters(), "headstart")
    for output, name in zip(whole.outputs, outputs(calibration.target), strict=True):
        output.set_names({name})
    return whole


def write_network(model: Model, path: Path) -> None:
    """Write a model's answering network, the .xml and the .bin beside it.

    Args:
        model: A fitted or loaded model.
        path: The .xml file.

    Raises:
        ArtefactError: The backbone's IR is missing or damaged.
        StorageError: The disk is full or the folder cannot be written.
    """
    save_ir(answering_network(model.network, model.head, model.calibration), path)
