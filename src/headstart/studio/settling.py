"""Networks whose inner values are settled once: for one style, or for all tiles of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.engines.openvino_engine import core


def settle(model: Any, places: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Replace what places of a network give by what they give now, for ever.

    Args:
        model: An openvino.Model; it is changed.
        places: Outputs of its nodes.
        inputs: For which inputs, an array for each.
    """
    import openvino
    from openvino import opset13 as ops

    probe = openvino.Model([ops.result(place) for place in places], model.get_parameters(), "probe")
    compiled = core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(list(inputs))
    for place, value in zip(places, [found[number] for number in range(len(places))], strict=True):
        known = ops.constant(value.copy()).output(0)
        for reader in place.get_target_inputs():
            reader.replace_source_output(known)


def depend_on(model: Any, parameter: Any) -> list[Any]:
    """Return the places up to which a network depends on one of its inputs alone.

    Args:
        model: An openvino.Model.
        parameter: The node of that input.
    """
    alone = {parameter.get_name()}
    needs: dict[str, set[str]] = {}
    found: dict[tuple[str, int], Any] = {}
    for node in model.get_ordered_ops():
        sources = [value.get_source_output() for value in node.inputs()]
        own = {node.get_name()} if node.get_type_name() == "Parameter" else set()
        needs[node.get_name()] = own.union(*(needs[each.get_node().get_name()] for each in sources))
        for each in sources:
            if needs[each.get_node().get_name()] == alone != needs[node.get_name()]:
                found[each.get_node().get_name(), each.get_index()] = each
    return list(found.values())


def with_norms_of(model: Any, picture: Any) -> Any:
    """Return a network whose instance norms use one picture's means and variances, whatever they see.

    A picture that is painted in tiles then comes out as if it had been painted at once.

    Args:
        model: An openvino.Model with one input; it stays as it is.
        picture: What it is given, an array.
    """
    from openvino import opset13 as ops

    model = model.clone()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MVN":
            x, axes = node.input_value(0), node.input_value(1)
            off = ops.subtract(x, ops.reduce_mean(x, axes, keep_dims=True))
            variance = ops.reduce_mean(ops.multiply(off, off), axes, keep_dims=True)
            spread = ops.sqrt(ops.add(variance, np.float32(node.get_attributes()["eps"])))
            node.output(0).replace(ops.divide(off, spread).output(0))
    means = [node.output(0) for node in model.get_ordered_ops() if node.get_type_name() == "ReduceMean"]
    settle(model, means, [picture])
    return model
