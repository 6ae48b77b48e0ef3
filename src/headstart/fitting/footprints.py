"""How large a model is and how fast it answers here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from headstart.artefact.golden import Golden
from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.artefact.schema import NAME
from headstart.engines.openvino_engine import read_ir
from headstart.errors import ArtefactError
from headstart.evaluation.distillation import Footprint

_ROUNDS, _SECONDS = 200, 3.0
"""Every model answers at most so often, and the measurement ends after so long."""
_FEWEST = 5
_WEIGHTS = ("f32", "f16", "bf16", "i8", "u8")


def footprints(models: Sequence[Model]) -> list[Footprint]:
    """Measure models as they are saved: size on the disk, parameters, time for one item.

    The models take turns, so that whatever else the machine does meets all of them; the median counts. Only
    what answers is weighed: networks and heads, not the weights that are kept for training them further.

    Args:
        models: Fitted or loaded, with golden vectors.

    Returns:
        One Footprint each.

    Raises:
        ArtefactError: A model has no golden vectors: what it is timed with.

    Example:
        >>> footprints([hs.load("cats.headstart")])[0].parameters  # doctest: +SKIP
        3373490
    """
    with ExitStack() as stack:
        saved = [model if _folder(model) else _saved(model, stack) for model in models]
        seconds: list[list[float]] = [[] for _ in saved]
        for model in saved:
            _answer(model)  # networks start at the first question
        until = time.monotonic() + _SECONDS * len(saved)
        while len(seconds[0]) < _ROUNDS and (time.monotonic() < until or len(seconds[0]) < _FEWEST):
            for model, taken in zip(saved, seconds, strict=True):
                taken.append(_answer(model))
        return [
            Footprint(_bytes(model) / 1e6, _parameters(model), 1000 * float(np.median(taken)))
            for model, taken in zip(saved, seconds, strict=True)
        ]


def _folder(model: Model) -> bool:
    """Whether the model's networks are those of a saved model."""
    return (model.network.parent / NAME).is_file()


def _saved(model: Model, stack: ExitStack) -> Model:
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    return load(model.save(Path(folder) / "model"))


def _answer(model: Model) -> float:
    """Let all networks of a model answer about one prepared item; return the seconds that took."""
    inputs = dict(zip(model.front_ends, (_golden(model).inputs, *_golden(model).others), strict=True))
    started = time.perf_counter()
    for member in model.members:
        engine = model.engine_of(member)
        engine.one(inputs[member.front_end][0], engine.outputs[-1:])
    return time.perf_counter() - started


def _golden(model: Model) -> Golden:
    if model.golden is None:
        fix = "call model.record_golden([…]) first"
        raise ArtefactError("a model with golden vectors, to measure it", "one without", fix)
    return model.golden


def _bytes(model: Model) -> int:
    """Return the size of the networks' files, which have the heads in them."""
    return sum(
        member.network.with_suffix(suffix).stat().st_size
        for member in model.members
        for suffix in ((".xml", ".bin") if member.is_ir else (".json", ".safetensors"))
    )


def _parameters(model: Model) -> int:
    """Count the numbers in the saved networks, whatever they are kept as; batch norm is part of its layer."""
    terms = sum(member.backbone.parameters for member in model.members if not member.is_ir)
    return terms + sum(
        int(np.prod(node.get_output_shape(0)))
        for member in model.members
        if member.is_ir
        for node in read_ir(member.network).get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in _WEIGHTS
    )
