"""torch: what runs a backbone on any device: CUDA (bf16, channels_last), Apple's MPS, or the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.engines.precision import Outputs, Precision
from headstart.errors import OptionError

if TYPE_CHECKING:
    import torch

    from headstart.backbones.backbone import Backbone

K = TypeVar("K")
_BATCH = {"cpu": 16, "mps": 32, "cuda": 128}


def best_device() -> str:
    """Return "cuda", "mps" or "cpu": the fastest that torch finds here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def torch_key(precision: Precision | None = None, device: str | None = None) -> dict[str, str]:
    """Return what the engine's numbers depend on: engine, version, precision and device."""
    import torch

    device = device or best_device()
    release = torch.__version__.split("+")[0]
    return {
        "engine": "torch",
        "version": release,
        "precision": _default_precision(precision, device),
        "device": device,
    }


def _default_precision(precision: Precision | None, device: str) -> Precision:
    if precision == "int8":
        raise OptionError("bf16 or fp32 for the torch engine", "int8", "use the OpenVINO engine for int8")
    return precision or ("bf16" if device == "cuda" else "fp32")


class TorchEngine:
    """Runs a backbone with torch, in batches of one fixed size (the last one is filled up).

    The fixed size keeps a row independent of its neighbours' number: torch chooses its kernels by shape.

    Args:
        backbone: The network.
        precision: "bf16" or "fp32". Defaults to None: bf16 on CUDA, fp32 elsewhere.
        device: "cuda", "mps" or "cpu". Defaults to None: the best there is.

    Raises:
        OptionError: A precision that torch does not run here.
    """

    name = "torch"

    def __init__(
        self, backbone: Backbone, precision: Precision | None = None, device: str | None = None
    ) -> None:
        import torch

        self.device = device or best_device()
        self.precision = _default_precision(precision, self.device)
        self.batch = _BATCH.get(self.device, 16)
        self.outputs = ("grid", "features")
        self._backbone = backbone.to(self.device)
        self._backbone = self._backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on: engine, version, precision and device."""
        return torch_key(self.precision, self.device)

    def run(
        self, inputs: Iterable[tuple[K, NDArray[np.uint8]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[K, Outputs]]:
        """Run the backbone over a stream of inputs, as `OpenVinoEngine.run` does."""
        stream = iter(inputs)
        while chunk := list(islice(stream, self.batch)):
            values = np.stack([value for _, value in chunk])
            filler = np.zeros((self.batch - len(chunk), *values.shape[1:]), np.uint8)
            results = self._forward(np.concatenate([values, filler]))
            for row, (key, _) in enumerate(chunk):
                yield key, {name: results[name][row] for name in wanted}

    def one(self, value: NDArray[np.uint8], wanted: tuple[str, ...]) -> Outputs:
        """Run the backbone on a single input, without its batch axis."""
        return next(self.run([(None, value)], wanted))[1]

    def _forward(self, values: NDArray[np.uint8]) -> Outputs:
        import torch

        pixels = torch.from_numpy(values).to(self.device, non_blocking=True)
        half = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=half):
            grid, features = self._backbone(pixels)
        return {"grid": _to_numpy(grid), "features": _to_numpy(features)}


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    result: NDArray[np.float32] = tensor.float().cpu().numpy()
    return result
