"""torch: what runs a network on any device: CUDA (bf16, channels_last), Apple's MPS, or the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.engines.precision import POOLED, Outputs, Precision
from headstart.errors import OptionError

if TYPE_CHECKING:
    import torch
    from torch import nn

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
    """Runs a network with torch, in batches of one fixed size (the last one is filled up).

    The fixed size keeps a row independent of its neighbours' number: torch chooses its kernels by shape.

    Args:
        network: From uint8 [n, side, side, 3] or int32 [n, tokens] to a tensor or a tuple of tensors; a
            Backbone, say.
        precision: "bf16" or "fp32". Defaults to None: bf16 on CUDA, fp32 elsewhere.
        device: "cuda", "mps" or "cpu". Defaults to None: the best there is.
        outputs: A name for each result, in order. Defaults to ("grid", "features").

    Raises:
        OptionError: A precision that torch does not run here.
    """

    name = "torch"

    def __init__(
        self,
        network: nn.Module,
        precision: Precision | None = None,
        device: str | None = None,
        outputs: tuple[str, ...] = POOLED,
    ) -> None:
        import torch

        self.device = device or best_device()
        self.precision = _default_precision(precision, self.device)
        self.batch = _BATCH.get(self.device, 16)
        self.outputs = outputs
        self._network = network.to(self.device)
        self._network = self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on: engine, version, precision and device."""
        return torch_key(self.precision, self.device)

    def run(
        self, inputs: Iterable[tuple[K, NDArray[Any]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[K, Outputs]]:
        """Run the network over a stream of inputs, as `OpenVinoEngine.run` does."""
        stream = iter(inputs)
        while chunk := list(islice(stream, self.batch)):
            found: dict[int, Outputs] = {}
            shapes = [value.shape for _, value in chunk]
            for shape in dict.fromkeys(shapes):  # texts have several, pictures one
                places = [place for place, its in enumerate(shapes) if its == shape]
                results = self._forward(self._filled([chunk[place][1] for place in places]))
                found |= {
                    place: {name: results[name][row] for name in wanted} for row, place in enumerate(places)
                }
            for place, (key, _) in enumerate(chunk):
                yield key, found[place]

    def _filled(self, values: list[NDArray[Any]]) -> NDArray[Any]:
        """Return a batch of the one fixed size."""
        filler = np.zeros((self.batch - len(values), *values[0].shape), values[0].dtype)
        return np.concatenate([np.stack(values), filler])

    def one(self, value: NDArray[Any], wanted: tuple[str, ...]) -> Outputs:
        """Run the network on a single input, without its batch axis."""
        return next(self.run([(None, value)], wanted))[1]

    def _forward(self, values: NDArray[Any]) -> Outputs:
        import torch

        pixels = torch.from_numpy(values).to(self.device, non_blocking=True)
        half = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=half):
            results = self._network(pixels)
        results = results if isinstance(results, tuple) else (results,)
        return {name: _to_numpy(result) for name, result in zip(self.outputs, results, strict=True)}


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    result: NDArray[np.float32] = tensor.float().cpu().numpy()
    return result
