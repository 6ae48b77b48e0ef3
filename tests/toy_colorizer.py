"""A colorizer that knows two things: what is light is blue, what is dark is brown. Nothing was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.files import digest_file, write_json

SIZE = 32
BINS = ((0.0, 0.0), (0.0, -40.0), (20.0, 30.0))
"""Grey, blue, brown."""


def toy_colorizer(folder: Path, kind: str = "unet") -> Path:
    """Write such a colorizer as training leaves one, and return its folder."""
    import openvino
    from openvino import opset13 as ops

    light = ops.parameter([-1, 1, SIZE, SIZE], np.float32, "lightness")
    coarse = ops.avg_pool(light, [4, 4], [0, 0], [0, 0], [4, 4], exclude_pad=True)
    slopes: tuple[float, ...]
    constants: tuple[float, ...]
    if kind == "unet":  # logits: 0, and whatever speaks for blue and for brown
        slopes, constants, output = (0.0, 0.2, -0.2), (0.0, -10.0, 10.0), "logits"
    else:
        slopes, constants, output = (-0.2, -0.7), (10.0, 35.0), "ab"
    kernel = np.asarray(slopes, np.float32).reshape(-1, 1, 1, 1)
    found = ops.convolution(coarse, ops.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
    found = ops.add(found, ops.constant(np.asarray(constants, np.float32).reshape(1, -1, 1, 1)))
    model = openvino.Model([found], [light], "toy")
    model.input(0).set_names({"lightness"})
    model.output(0).set_names({output})
    folder.mkdir(parents=True)
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)
    (folder / "weights.safetensors").write_bytes(b"none")
    files = ("network.xml", "network.bin", "weights.safetensors")
    card: dict[str, Any] = {
        "schema": 1,
        "kind": kind,
        "size": SIZE,
        "output": output,
        "bins": BINS,
        "prior": [0.6, 0.2, 0.2],
        "temperature": 0.38,
        "mix": 0.5,
        "files": {name: digest_file(folder / name) for name in files},
    }
    write_json(folder / "colorizer.json", card)
    return folder
