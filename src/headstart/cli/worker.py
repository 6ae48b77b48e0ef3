"""`headstart worker`: does what is asked for in the studio, beside the server and never inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart worker --state /var/lib/headstart"


def run(
    state: Annotated[
        Path | None,
        typer.Option(help="The server's state folder. Default: where `headstart serve` keeps it."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long one job may take.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing waits.")] = False,
    json: common.JsonOption = False,
) -> int:
    """Do the studio's jobs, one after the other, at low priority.

    Start it beside `headstart serve`; several may share one queue.
    """
    from headstart.errors import OptionError
    from headstart.serving.settings import default_state
    from headstart.studio.worker import step_back, work

    if minutes <= 0:
        raise OptionError("more than no time for a job", f"--minutes {minutes:g}", "leave it out")
    step_back()
    taken = work(state or default_state(), minutes=minutes, once=once, say=common.tell)
    if json:
        common.show_json({"jobs": taken})
    return 0
