"""Lets torchvision be imported beside a torch that its compiled operators do not fit.

PyPI's torchvision is compiled against CUDA torch. Beside a CPU build its operators do not load, and
`import torchvision` (so timm, so transformers) dies with "operator torchvision::nms does not exist":
it registers a fake kernel for an operator that nobody declared. Declaring the schemas is enough for
models and transforms; `torchvision.io` and `ops.nms` themselves still do not work.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: torch.library.Library | None = None  # declarations end with the object that made them


def declare() -> tuple[str, ...]:
    """Declare the operators that torchvision needs at import, where they are missing.

    Called before the first import of torchvision. Does nothing where its compiled operators load, and
    nothing the second time.

    Returns:
        Names of the operators that were declared, tuple of str.

    Raises:
        ImportError: torchvision is not installed.
    """
    global _library
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        raise ImportError("torchvision is not installed")
    _load_compiled(spec.submodule_search_locations or [])
    missing = tuple(name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name))
    if missing and _library is None:
        _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in missing:
            _library.define(_SCHEMAS[name])  # type: ignore[no-untyped-call]
        return missing
    return ()


def _load_compiled(folders: list[str]) -> None:
    """Load torchvision's compiled operators as it would itself, so that only missing ones are declared."""
    for folder in folders:
        for file in sorted([*Path(folder).glob("_C*.so"), *Path(folder).glob("_C*.pyd")]):
            try:
                torch.ops.load_library(file)  # type: ignore[no-untyped-call]
            except OSError:
                continue  # built for another torch: exactly the case this module is for
