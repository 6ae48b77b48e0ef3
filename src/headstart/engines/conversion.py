"""From a torch backbone to OpenVINO's own format (IR), once for each set of weights."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Spec, Tokens, Waves
from headstart.engines.openvino_engine import read_ir, version
from headstart.engines.precision import POOLED
from headstart.errors import StorageError, missing_extra
from headstart.files import atomic_file, cache_dir, digest_json, storage_errors

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.card import Card

_CONVERSION = 1
"""Changes whenever the same weights would be converted into a network that computes something else."""


def ir_path(card: Card, precision: str = "fp32", outputs: tuple[str, ...] = POOLED) -> Path:
    """Return where the IR of a network is kept in the cache; it may not exist yet.

    Args:
        card: The backbone's card; after `Backbone.cut` or `Backbone.at` that of what is left.
        precision: "int8" for the quantised network, anything else for the one in 32 bits. Defaults to "fp32".
        outputs: What the network gives. Defaults to ("grid", "features").

    Returns:
        The Path of the .xml file; the weights are in the .bin file beside it.
    """
    kind = "int8" if precision == "int8" else "fp32"
    spec = card.preprocess.to_json()
    spec |= {"email": False} if "email" in spec else {}  # the network is the same
    what = [card.digest, card.blocks[-1], spec, list(outputs)]
    key = digest_json([*what, _CONVERSION, version(), kind])
    return cache_dir() / "networks" / f"{card.name.replace('/', '_').replace(':', '_')}-{kind}-{key[:16]}.xml"


def backbone_ir(card: Card, load: Callable[[], nn.Module], outputs: tuple[str, ...] = POOLED) -> Path:
    """Return the IR of a network, converting it when the cache does not hold it yet.

    Args:
        card: The backbone's card, as for `ir_path`.
        load: Called for the network only when it has to be converted.
        outputs: Names of what the network gives, in its order. Defaults to ("grid", "features").

    Returns:
        The Path of the .xml file, whose outputs have these names.
    """
    path = ir_path(card, outputs=outputs)
    if not _complete(path):
        save_ir(convert(load(), card, outputs), path)
    return path


def int8_ir(
    card: Card,
    load: Callable[[], nn.Module],
    calibration: Iterable[NDArray[np.uint8]],
    outputs: tuple[str, ...] = POOLED,
) -> Path:
    """Return the int8 IR of a backbone, quantising it on the user's own items when it is not cached.

    Args:
        card: The backbone's card.
        load: Called for the network only when needed.
        calibration: Prepared inputs, uint8 [h, w, 3]; 100 to 300 are enough.
        outputs: As for `backbone_ir`. Defaults to ("grid", "features").

    Returns:
        The Path of the .xml file.

    Raises:
        MissingExtraError: nncf is not installed.

    References:
        Post-training quantisation as in NNCF, https://github.com/openvinotoolkit/nncf.
    """
    path = ir_path(card, "int8", outputs)
    if not _complete(path):
        try:
            import nncf
        except ImportError as error:
            raise missing_extra("nncf", "int8", "int8 features") from error
        model = read_ir(backbone_ir(card, load, outputs))
        shape = model.input(0).partial_shape
        shape[0] = 1
        model.reshape(shape)
        inputs = [value[None] for value in calibration]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nncf's own dependencies deprecate each other
            quantised = nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs))
        save_ir(quantised, path)
    return path


def convert(network: nn.Module, card: Card, outputs: tuple[str, ...] = POOLED) -> Any:
    """Convert a network to an openvino.Model: one input, "pixels", "tokens" or "patches", and named outputs.

    Args:
        network: From uint8 [n, size, size, 3], int32 [n, tokens] or float32 [n, frames, bands] to a tensor or
            a tuple of tensors; in evaluation mode.
        card: The backbone's card, which says what goes in.
        outputs: A name for each result, in order. Defaults to ("grid", "features").

    Returns:
        The openvino.Model with a free batch axis.
    """
    import openvino

    name, example, shape = network_input(card.preprocess)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer warnings about shapes, which are fixed here
        model = openvino.convert_model(network, example_input=example, input=[openvino.PartialShape(shape)])
    model.input(0).set_names({name})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.set_names({name})
    return model


def network_input(spec: Spec) -> tuple[str, Any, list[int]]:
    """Return the name of a network's input, a tensor to try it on, and its shape, -1 where it is free.

    Args:
        spec: How items become inputs.
    """
    import torch

    size = spec.size
    if isinstance(spec, Tokens):
        return "tokens", torch.ones(1, size, dtype=torch.int32), [-1, -1]
    if isinstance(spec, Waves):
        return "patches", torch.zeros(1, size, spec.bands), [-1, size, spec.bands]
    return "pixels", torch.zeros(1, size, size, 3, dtype=torch.uint8), [-1, size, size, 3]


def save_ir(model: Any, path: Path) -> None:
    """Write an IR: first the weights, then the graph, each whole or not at all.

    Args:
        model: The openvino.Model.
        path: Where the .xml goes; the .bin goes beside it.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    import openvino

    with storage_errors(path), tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "network.xml"
        try:
            openvino.save_model(model, str(draft), compress_to_fp16=False)
        except RuntimeError as error:  # how OpenVINO reports a failed write
            fix = "free some space or name another place; nothing was lost"
            raise StorageError(f"room on the disk for {path.name}", "a write that failed", fix) from error
        for suffix in (".bin", ".xml"):
            with atomic_file(path.with_suffix(suffix)) as temporary:
                temporary.write_bytes(draft.with_suffix(suffix).read_bytes())


def _complete(path: Path) -> bool:
    return path.is_file() and path.with_suffix(".bin").is_file()
