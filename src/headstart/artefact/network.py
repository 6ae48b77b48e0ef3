"""The artefact's network: the backbone with the head behind it, as one OpenVINO graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import read_ir
from headstart.transfer.calibration import AnyCalibration, Interval, Thresholds
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from headstart.artefact.members import Member
    from headstart.artefact.model import Model

OUTPUTS = ("grid", "features", "logits", "probabilities")
_NUMBER_OUTPUTS = ("grid", "features", "value")
_SUMMED = 32
"""Columns of a layer up to which each is a node of its own."""


def outputs(target: Target) -> tuple[str, ...]:
    """Return the names of a network's outputs by what it answers; the last one is the answer."""
    return _NUMBER_OUTPUTS if target == "number" else OUTPUTS


def answering_network(backbone: Path, head: Head, calibration: AnyCalibration) -> Any:
    """Append a head to a backbone's IR, so that plain OpenVINO answers without anything of ours.

    `predict` computes the head in NumPy, in 32 bits; here hidden layers, and more than 32 classes, run in
    whatever the CPU is told to. In bf16 the probabilities of real models moved by at most 0.002 (cifar10,
    three kinds of head, Lite0).

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
    body = _Body(backbone)
    return _whole(body, body.logits(head), calibration)


def joined_network(members: Sequence[Member], calibration: AnyCalibration) -> Any:
    """Put members that see the same pixels side by side in one graph that answers as all of them together.

    Args:
        members: Two or more, with equal front ends.
        calibration: What turns the combined logits into answers.

    Returns:
        As `answering_network`; grid and features are the first member's.

    Raises:
        ArtefactError: An IR is missing or damaged.
    """
    from openvino import opset13 as ops

    bodies = [_Body(member.network) for member in members]
    for body in bodies[1:]:
        body.see(bodies[0])
    each = [body.logits(member.head) for body, member in zip(bodies, members, strict=True)]
    share = ops.constant(np.array([[1 / len(members)]], np.float32))
    # Further from zero than this no probability is: its logarithm stays finite.
    least = ops.constant(np.array([[1e-30]], np.float32))

    def mean(values: list[Any]) -> Any:
        return ops.multiply(reduce(ops.add, values), share)

    def logarithm(values: list[Any]) -> Any:
        return ops.log(ops.maximum(mean(values), least))

    if calibration.target == "number":
        logits = mean(each)
    elif calibration.target == "labels":
        yes, no = (
            logarithm([ops.sigmoid(x) for x in side]) for side in (each, [ops.negative(x) for x in each])
        )
        logits = ops.subtract(yes, no)
    else:
        logits = logarithm([ops.softmax(x, 1) for x in each])
    return _whole(bodies[0], logits, calibration)


def untempered(calibration: AnyCalibration) -> AnyCalibration:
    """Return a calibration of the same kind that leaves logits as they are."""
    return calibration if isinstance(calibration, Interval) else replace(calibration, temperature=1.0)


class _Body:
    """A backbone's graph, to which a head is appended."""

    def __init__(self, network: Path) -> None:
        model = read_ir(network)
        shape = model.input(0).partial_shape
        shape[0] = -1  # a quantised network comes with a batch of one
        model.reshape(shape)
        self.model = model
        named = {output.get_any_name(): output.get_node().input_value(0) for output in model.outputs}
        self.features = named["features"]
        self.grid = named.get("grid", self.features)

    def logits(self, head: Head) -> Any:
        """Append a head; return its last node."""
        from openvino import opset13 as ops

        x = self.features
        for number, (weight, bias) in enumerate(head.layers):
            product = _product(ops.relu(x) if number else x, weight)
            x = ops.add(product, ops.constant(np.ascontiguousarray(bias[None])))
        return x

    def see(self, other: _Body) -> None:
        """Take the pixels from another graph's input."""
        pixels = other.model.input(0).get_node().output(0)
        for place in self.model.input(0).get_node().output(0).get_target_inputs():
            place.replace_source_output(pixels)


def _product(x: Any, weight: NDArray[np.float32]) -> Any:
    """Multiply by a matrix, in 32 bits where that costs little.

    Of features that hardly differ between items a head has large weights that cancel: in bf16 nothing right
    is left of its answer. OpenVINO computes matrix products in bf16 where it may, but what comes behind the
    last of them, such as these sums, in 32 bits.
    """
    from openvino import opset13 as ops

    if weight.shape[1] > _SUMMED:
        return ops.matmul(x, ops.constant(weight), False, False)
    # A column at a time: OpenVINO computes a product that broadcasts both sides wrongly for several items.
    columns = [ops.multiply(x, ops.constant(np.ascontiguousarray(column[None]))) for column in weight.T]
    return ops.concat([ops.reduce_sum(column, 1, keep_dims=True) for column in columns], 1)


def _whole(body: _Body, x: Any, calibration: AnyCalibration) -> Any:
    import openvino
    from openvino import opset13 as ops

    results = [body.grid, body.features, x.output(0)]
    if not isinstance(calibration, Interval):
        scaled = ops.multiply(x, ops.constant(np.array([[1 / calibration.temperature]], np.float32)))
        several = isinstance(calibration, Thresholds)
        results.append((ops.sigmoid(scaled) if several else ops.softmax(scaled, 1)).output(0))
    whole = openvino.Model([ops.result(value) for value in results], body.model.get_parameters(), "headstart")
    for output, name in zip(whole.outputs, outputs(calibration.target), strict=True):
        output.set_names({name})
    return whole


def write_network(model: Model, path: Path) -> None:
    """Write a model's answering network, the .xml and the .bin beside it.

    Args:
        model: A fitted or loaded model; its members have equal front ends.
        path: The .xml file.

    Raises:
        ArtefactError: A backbone's IR is missing or damaged.
        StorageError: The disk is full or the folder cannot be written.
    """
    if len(model.members) == 1:
        save_ir(answering_network(model.network, model.head, model.calibration), path)
    else:
        save_ir(joined_network(model.members, model.calibration), path)
