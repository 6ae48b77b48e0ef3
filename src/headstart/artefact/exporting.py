"""Exporting: the network with its head for other people's programs, checked after it is written."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.artefact.network import outputs, write_network
from headstart.artefact.rebuilding import torch_network
from headstart.engines.conversion import network_input
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.engines.precision import Precision
from headstart.errors import (
    ArtefactError,
    HeadstartError,
    OptionError,
    StorageError,
    missing_extra,
)
from headstart.files import atomic_file, storage_errors
from headstart.transfer.calibration import Interval, Thresholds
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from headstart.artefact.model import Model


def export(model: Model, path: str | Path, to: str = "openvino") -> Path:
    """Write a model's network for programs that know nothing of headstart.

    Input: "pixels", uint8 [n, side, side, 3], RGB; of a model for texts "tokens", int32 [n, t] or
    [n, sentences, t]; for sounds "patches", float32 [n, frames, bands]. Outputs: "grid", "features",
    "logits", "probabilities"; of a model for numbers "grid", "features", "value".
    The golden vectors are checked on the file before it gets its name.

    Args:
        model: A fitted or loaded model.
        path: The file: .xml for OpenVINO (the weights go beside it in .bin), .onnx for ONNX. Another name is
            taken as a folder, and the file in it is called network.xml or network.onnx.
        to: "openvino", or "onnx" (needs headstart[train] and the backbone's weights). Defaults to "openvino".

    Returns:
        The file.

    Raises:
        OptionError: Another format, ONNX from a model in int8 or for texts, members with different front
            ends, or one that is no network but counts terms.
        ArtefactError: What was written answers differently.
        BackboneError: The backbone's weights, which ONNX is made from, cannot be had.
        StorageError: The disk is full or the place cannot be written.

    Example:
        >>> export(model, "cats.onnx", to="onnx")  # doctest: +SKIP
        PosixPath('cats.onnx')
    """
    formats = {"openvino": (".xml", _openvino), "onnx": (".onnx", _onnx)}
    if to not in formats:
        raise OptionError("the format openvino or onnx", repr(to), "choose one of the two")
    _check_members(model, to)
    suffix, write = formats[to]
    file = Path(path)
    if file.suffix != suffix:
        file = file / f"network{suffix}"
    with _storage(file), tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        draft = Path(folder) / f"network{suffix}"
        write(model, draft)
        for part in sorted(draft.parent.iterdir()):  # .bin before .xml
            with atomic_file(file.with_suffix(part.suffix)) as temporary:
                temporary.write_bytes(part.read_bytes())
    return file


def _check_members(model: Model, to: str) -> None:
    fix = "save it as a model of headstart, or fit with one --backbone that is a network"
    if not all(member.is_ir for member in model.members):
        raise OptionError("a model of networks alone", "one that also counts terms, which is no network", fix)
    if len(model.front_ends) > 1:
        sides = ", ".join(str(front.preprocess.size) for front in model.front_ends)
        fix = "save it as a model of headstart, or export the members one by one"
        raise OptionError("members that see the same input", f"inputs of {sides}, each its own way", fix)
    if to == "onnx" and model.modality == "text":
        raise OptionError("the format openvino for a model of texts", "onnx", "export it to openvino")


@contextmanager
def _storage(file: Path) -> Iterator[None]:
    """Turn every error of the operating system into a `StorageError`."""
    try:
        with storage_errors(file):
            yield
    except HeadstartError:
        raise
    except OSError as error:
        raise StorageError(
            f"a place to write {file}", error.strerror or str(error), "name another place"
        ) from error


def _check(model: Model, draft: Path, precision: Precision | None) -> None:
    if model.golden is None:
        raise ArtefactError("golden vectors", "a model without", "call model.record_golden([…]) first")
    engine = OpenVinoEngine(draft, precision)
    answer = outputs(model.target)[-1]
    answers = [engine.one(value, (answer,))[answer] for value in model.golden.inputs]
    model.golden.check(np.stack(answers), f"the exported {draft.name}")


def _openvino(model: Model, draft: Path) -> None:
    write_network(model, draft)
    _check(model, draft, model.precision)


def _onnx(model: Model, draft: Path) -> None:
    if model.precision == "int8":
        fix = "export it to openvino, or fit in bf16 or fp32"
        raise OptionError("a model in bf16 or fp32: ONNX is made from the original weights", "int8", fix)
    try:
        import onnx  # noqa: F401
        import torch
    except ImportError as error:
        raise missing_extra(error.name or "torch", "train", "exporting to ONNX") from error
    network = _answering(model)
    names = outputs(model.target)
    taken, example, _ = network_input(model.front_end.preprocess)
    with warnings.catch_warnings():
        # The newer exporter needs another package (onnxscript); this one is deprecated, not broken.
        for message in (
            "You are using the legacy TorchScript-based ONNX export",
            "The feature will be removed",
        ):
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        # Shapes are fixed here, so what a tracer cannot follow does not vary.
        warnings.filterwarnings("ignore", "Converting a tensor|torch.tensor results are registered")
        torch.onnx.export(
            network,
            (example,),
            str(draft),
            dynamo=False,
            input_names=[taken],
            output_names=list(names),
            dynamic_axes={name: {0: "n"} for name in (taken, *names)},
        )
    _check(model, draft, "fp32")  # what other programs will most likely compute in


def _answering(model: Model) -> Any:
    """Return a torch module from pixels to the outputs."""
    import torch
    from torch import nn

    calibration, target, count = model.calibration, model.target, len(model.members)

    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbones = nn.ModuleList(torch_network(member) for member in model.members)
            self.heads = nn.ModuleList(_torch_head(member.head) for member in model.members)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen = [backbone(pixels) for backbone in self.backbones]
            each = [head(features) for head, (_, features) in zip(self.heads, seen, strict=True)]
            logits = each[0] if count == 1 else self.combined(torch.stack(each))
            if isinstance(calibration, Interval):
                return *seen[0], logits
            scaled = logits / calibration.temperature
            several = isinstance(calibration, Thresholds)
            return *seen[0], logits, scaled.sigmoid() if several else scaled.softmax(1)

        @staticmethod
        def combined(each: torch.Tensor) -> torch.Tensor:
            if target == "number":
                return each.mean(0)
            if target == "labels":
                return each.sigmoid().mean(0).logit(1e-7)
            return each.softmax(2).mean(0).clamp_min(1e-30).log()

    return Answering().eval()


def _torch_head(head: Head) -> Any:
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for weight, bias in head.layers:
        linear = nn.Linear(*weight.shape)
        linear.weight.data = torch.from_numpy(np.ascontiguousarray(weight.T))
        linear.bias.data = torch.from_numpy(np.ascontiguousarray(bias))
        layers += [nn.ReLU(), linear] if layers else [linear]
    return nn.Sequential(*layers)
