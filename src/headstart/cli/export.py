"""`headstart export`: a model for programs that know nothing of headstart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart export photos.headstart -o photos.onnx --to onnx"


def run(
    model: common.ModelArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file, .xml or .onnx, or a folder for it.")
    ],
    to: Annotated[Literal["openvino", "onnx"], typer.Option(help="The format.")] = "openvino",
    json: common.JsonOption = False,
) -> int:
    """Write a model's network as one file, checked against its golden vectors."""
    from headstart.artefact import export, load

    written = export(load(model), output, to)
    common.tell(f"wrote {written}")
    if json:
        common.show_json({"model": str(model), "format": to, "file": str(written)})
    return 0
