"""`headstart demo`: the guided tour on real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart demo --out demo"


def run(
    out: Annotated[Path, typer.Option(help="Where the report and the model go.")] = Path("demo"),
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Inspect, fit, evaluate and predict on real photographs, with a report at the end."""
    from headstart.demo import tour

    found = tour(out, seed=seed, offline=offline, say=common.tell)
    if json:
        common.show_json(found)
    return 0
