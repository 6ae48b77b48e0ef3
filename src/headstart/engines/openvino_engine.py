"""OpenVINO: what runs a network on a CPU, for feature passes and for answering. Needs no torch."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.engines.precision import Outputs, Precision
from headstart.errors import ArtefactError, OptionError

K = TypeVar("K")
_HINTS = {"bf16": "bf16", "fp32": "f32", "int8": "bf16"}
# Two requests for each stream: one waits while the other runs, so a stream need not wait for Python's lock
# between two inputs. One request was measured to cost a tenth of the speed of a pass.
_REQUESTS_PER_STREAM = 2


@cache
def core() -> Any:
    """Return the process's one OpenVINO core."""
    import openvino

    # openvino_telemetry would look for a consent file and may report usage; nothing leaves this machine.
    logging.getLogger("openvino").setLevel(logging.ERROR)
    return openvino.Core()


def version() -> str:
    """Return OpenVINO's version, such as "2026.4.1"."""
    import openvino

    return str(openvino.get_version()).split("-")[0]


def has_bf16() -> bool:
    """Return whether this CPU computes in bfloat16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def default_precision(precision: Precision | None) -> Precision:
    """Return the precision itself, or for None what this CPU does best: bf16 where it computes in it."""
    if precision is not None and precision not in _HINTS:
        raise OptionError("the precision bf16, fp32 or int8", repr(precision), "name one of the three")
    return precision or ("bf16" if has_bf16() else "fp32")


def openvino_key(precision: Precision | None) -> dict[str, str]:
    """Return what the engine's numbers depend on: engine, version, precision."""
    return {"engine": "openvino", "version": version(), "precision": default_precision(precision)}


class OpenVinoEngine:
    """Runs an OpenVINO network on the CPU, one input at a time on as many streams as there are cores.

    One input at a time was measured to be as fast as any batch on streams of one thread, and it makes a
    row independent of what it was computed with.

    Args:
        model: Path of an IR (.xml), or an openvino.Model, whose first input is [n, …].
        precision: "bf16", "fp32" or "int8". Defaults to None: bf16 where the CPU computes in it.
            An "int8" model is already quantised; its remaining layers run in bf16.
        threads: Number of streams, int. Defaults to None: one for each core that this process may use.

    Raises:
        ArtefactError: The file is not a network that OpenVINO reads.
        OptionError: Unknown precision.
    """

    name = "openvino"

    def __init__(
        self, model: Path | Any, precision: Precision | None = None, threads: int | None = None
    ) -> None:
        self.precision = default_precision(precision)
        self.streams = threads or available_cores()
        if isinstance(model, Path):
            model = read_ir(model)
        shape = model.input(0).partial_shape
        shape[0] = 1
        model.reshape(shape)
        hint = _HINTS[self.precision] if has_bf16() else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": str(self.streams),
            "INFERENCE_NUM_THREADS": str(self.streams),
            "ENABLE_CPU_PINNING": "NO",  # decoding threads share these cores
        }
        self._compiled = core().compile_model(model, "CPU", settings)
        self.outputs = tuple(output.get_any_name() for output in self._compiled.outputs)

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on: engine, version, precision."""
        return openvino_key(self.precision)

    def run(
        self, inputs: Iterable[tuple[K, NDArray[Any]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[K, Outputs]]:
        """Run the network over a stream of inputs.

        Args:
            inputs: Pairs of a key, which is handed through, and an input without its batch axis.
            wanted: Names of the outputs to return.

        Yields:
            Pairs of a key and {output name: float32 array without the batch axis}, in order.
        """
        import openvino

        queue = openvino.AsyncInferQueue(self._compiled, _REQUESTS_PER_STREAM * self.streams)
        finished: dict[int, Outputs] = {}

        def keep(request: Any, number: int) -> None:
            finished[number] = {name: request.get_tensor(name).data[0].copy() for name in wanted}

        queue.set_callback(keep)
        waiting: deque[tuple[int, K]] = deque()
        try:
            for number, (key, value) in enumerate(inputs):
                queue.start_async({0: value[None]}, number)
                waiting.append((number, key))
                while waiting and waiting[0][0] in finished:
                    first, done = waiting.popleft()
                    yield done, finished.pop(first)
        finally:
            queue.wait_all()
        for number, key in waiting:
            yield key, finished.pop(number)

    def one(self, value: NDArray[Any], wanted: tuple[str, ...]) -> Outputs:
        """Run the network on a single input, without its batch axis."""
        # Shared, a later input would be written over this one's memory: golden vectors would change.
        results = self._compiled(value[None], share_inputs=False)
        return {name: np.array(results[name][0], dtype=np.float32) for name in wanted}


def read_ir(path: Path) -> Any:
    """Read an IR or ONNX file.

    Args:
        path: The .xml (with its .bin beside it) or .onnx file.

    Returns:
        The openvino.Model.

    Raises:
        ArtefactError: It cannot be read.
    """
    if not path.is_file():
        raise ArtefactError(f"a network at {path.name}", "no such file", "save or export the model again")
    try:
        return core().read_model(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ArtefactError(
            "a network in OpenVINO's format", reason, "save or export the model again"
        ) from error


def available_cores() -> int:
    """Return how many cores this process may use, int."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
