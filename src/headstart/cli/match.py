"""`headstart match`: whether two items show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart match one.jpg other.jpg --calibrate photos/"


def run(
    a: Annotated[str, typer.Argument(help="A file; or a text itself.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    model: Annotated[
        Path | None, typer.Option(help="A saved model: are both of the same of its classes?")
    ] = None,
    backbone: common.BackboneOption = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Labelled data whose pairs say how similar is similar enough.")
    ] = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Say whether two items show the same, and how probable that is. Exit code 1 if not."""
    from headstart.fitting.matching import match

    sources = [Path(each) if Path(each).is_file() else each for each in (a, b)]
    found = match(
        sources[0],
        sources[1],
        model=model,
        backbone=backbone,
        source=calibrate,
        offline=offline,
        say=common.tell,
    )
    said = "the same" if found.same else "different"
    common.show(f"{said}, with a probability of {found.probability:.0%} that they are the same")
    if json:
        common.show_json(found.to_json())
    return 0 if found.same else 1
