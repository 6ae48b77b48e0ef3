"""Files of tensors in four formats, read without unpickling objects, and the digest of what they hold."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # what torch raises when it refuses; nothing is unpickled here

import numpy as np
import torch
from torch import Tensor

from headstart.errors import BackboneError, MissingExtraError, missing_extra
from headstart.files import atomic_file

FORMATS = (".safetensors", ".onnx", ".onnx.zip", ".h5", ".pth")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names in sorted order, types, shapes and bytes.

    The file format does not matter: the same weights have the same digest through every door.

    Args:
        tensors: Name → tensor.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> a, b = torch.zeros(2), torch.ones(1)
        >>> digest({"a": a, "b": b}) == digest({"b": b, "a": a})
        True
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        # A copy: `contiguous` leaves the strides of empty and one-element tensors as they are.
        tensor = tensors[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        hasher.update(json.dumps(header).encode())
        hasher.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a file, by its ending: .safetensors, .onnx, .onnx.zip, .h5 or .pth.

    A .pth is opened with `weights_only`: it can hold tensors, never code.

    Args:
        path: The file.

    Returns:
        Name → tensor, as the file names them.

    Raises:
        BackboneError: The file is missing, damaged, of another format, or holds more than tensors.
        MissingExtraError: The package that reads this format is not installed.
    """
    readers = {".safetensors": _safetensors, ".onnx": _onnx, ".h5": _h5, ".pth": _pth, ".zip": _zipped_onnx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BackboneError(
            f"a file of weights ({', '.join(FORMATS)})", f"{path.name!r}", "convert it to .safetensors first"
        )
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    except UnpicklingError as error:
        raise unreadable(path, "it holds more than tensors, or is damaged") from error


def unreadable(path: Path, reason: object) -> BackboneError:
    """Build the error for a file of weights that cannot be read."""
    first_line = (str(reason).splitlines() or [type(reason).__name__])[0]
    return BackboneError(
        f"a whole file of weights at {path}", first_line, "get the file again, or name another one"
    )


def write(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all.

    Args:
        path: Where the file is wanted.
        tensors: Name → tensor.
        notes: Where they come from, kept in the file's header.
    """
    from safetensors.torch import save

    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(notes))
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def notes(path: Path) -> dict[str, str]:
    """Return what `write` kept in the header of a safetensors file.

    Raises:
        BackboneError: The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        # The whole file at once, not mapped: a file that is cut short later cannot kill the process.
        return dict(load(path.read_bytes()))
    except SafetensorError as error:
        raise unreadable(path, error) from error


def _pth(path: Path) -> dict[str, Tensor]:
    value = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} instead of named tensors")
    return {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}


def _onnx(path: Path) -> dict[str, Tensor]:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx import numpy_helper
    except ImportError as error:
        raise missing_extra("onnx", "train", "reading .onnx files of weights") from error
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise unreadable(path, error) from error
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _zipped_onnx(path: Path) -> dict[str, Tensor]:
    """Read an ONNX file whose weights lie in a file beside it, both in one archive."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder, zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():  # names may say folders, or try to lead out of this one
                (Path(folder) / Path(member.filename).name).write_bytes(archive.read(member))
        found = sorted(Path(folder).glob("*.onnx"))
        if len(found) != 1:
            raise ValueError(f"{len(found)} .onnx files in the archive instead of one")
        return _onnx(found[0])


def _h5(path: Path) -> dict[str, Tensor]:
    try:
        import h5py  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingExtraError(
            "the package 'h5py' for reading .h5 files of weights",
            "an environment without it",
            "pip install h5py, or convert the file to .safetensors",
        ) from error
    found: dict[str, Tensor] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind == "f":
            found[name] = torch.from_numpy(np.asarray(node[()], dtype=np.float32))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found
