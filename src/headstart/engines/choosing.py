"""Which engine runs a backbone here: chosen from the machine, or by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from numpy.typing import NDArray

from headstart.engines.precision import POOLED, Outputs, Precision
from headstart.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.card import Card

K = TypeVar("K")


class Engine(Protocol):
    """Runs a network over a stream of inputs; a row depends on its input alone."""

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on: engine, version, precision."""

    def run(
        self, inputs: Iterable[tuple[K, NDArray[Any]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[K, Outputs]]:
        """Yield (key, named outputs) for (key, input) pairs, in order."""


@dataclass(frozen=True)
class Choice:
    """An engine that is decided on but not started: what its rows will depend on, and how to start it.

    Args:
        key: Engine, version, precision (and device), {str: str}.
        start: Starts it; slow the first time that a backbone is converted.
    """

    key: dict[str, str]
    start: Callable[[], Engine]


def choose(
    card: Card,
    load: Callable[[], nn.Module],
    *,
    engine: str = "auto",
    precision: Precision | None = None,
    calibration: Callable[[], Iterable[NDArray[Any]]] | None = None,
    outputs: tuple[str, ...] = POOLED,
) -> Choice:
    """Decide what runs a backbone, or another network that is made of its blocks.

    "auto" takes torch where torch is installed and sees a GPU, OpenVINO otherwise: on a CPU it was
    measured to be 3 to 5 times faster (benchmarks/feature_pass.py).

    Args:
        card: The backbone's card; after `Backbone.cut` or `Backbone.at` that of what is left.
        load: Called for the network only when it is needed.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16", "fp32" or "int8". Defaults to None: bf16 where the hardware computes in it.
        calibration: For int8: gives a few hundred prepared inputs to quantise on. Defaults to None.
        outputs: Names of what the network gives, in its order. Defaults to ("grid", "features").

    Returns:
        The choice.

    Raises:
        OptionError: Unknown engine, or a precision that it does not have.
    """
    if engine not in ("auto", "openvino", "torch"):
        raise OptionError("the engine auto, openvino or torch", repr(engine), "choose one of them")
    if engine == "auto":
        engine = "torch" if precision != "int8" and _sees_gpu() else "openvino"
    if engine == "torch":
        return _torch(load, precision, outputs)
    return _openvino(card, load, precision, calibration, outputs)


def _sees_gpu() -> bool:
    """Ask the driver's files first: a machine without a GPU need not wait for the import of torch."""
    import importlib.util
    import sys
    from pathlib import Path

    maybe = sys.platform == "darwin" or Path("/proc/driver/nvidia").exists() or Path("/dev/kfd").exists()
    if not (maybe or sys.platform == "win32") or importlib.util.find_spec("torch") is None:
        return False
    from headstart.engines.torch_engine import best_device

    return best_device() != "cpu"


def _torch(load: Callable[[], nn.Module], precision: Precision | None, outputs: tuple[str, ...]) -> Choice:
    from headstart.engines.torch_engine import TorchEngine, torch_key

    return Choice(torch_key(precision), lambda: TorchEngine(load(), precision, outputs=outputs))


def _openvino(
    card: Card,
    load: Callable[[], nn.Module],
    precision: Precision | None,
    calibration: Callable[[], Iterable[NDArray[Any]]] | None,
    outputs: tuple[str, ...],
) -> Choice:
    from headstart.engines.conversion import backbone_ir, int8_ir
    from headstart.engines.openvino_engine import OpenVinoEngine, openvino_key

    def start() -> Engine:
        if precision == "int8":
            if calibration is None:
                raise OptionError("items to quantise the network on", "none", "use bf16 or fp32 here")
            return OpenVinoEngine(int8_ir(card, load, calibration(), outputs), "int8")
        return OpenVinoEngine(backbone_ir(card, load, outputs), precision)

    return Choice(openvino_key(precision), start)
