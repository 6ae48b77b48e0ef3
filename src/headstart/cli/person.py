"""`headstart serve person`: the people who may log in to a server's studio, review and monitor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

StateOption = Annotated[
    Path | None,
    typer.Option(help="The server's state folder. Default: $HEADSTART_STATE or ~/.local/state/headstart."),
]
NameArgument = Annotated[str, typer.Argument(help="Who.")]
app = typer.Typer(
    help="People who may log in to the studio, the review and the monitor.", no_args_is_help=True
)


@app.command("add", epilog="Example: headstart serve person add ada")
def add(name: NameArgument, state: StateOption = None) -> None:
    """Let somebody log in, or give them another password; it is asked for twice, or read from a pipe."""
    from headstart.serving.people import People
    from headstart.serving.settings import default_state

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    People(state or default_state()).add(name, password)
    common.tell(f"{name} may log in")


@app.command("list")
def show(state: StateOption = None) -> None:
    """List who may log in."""
    from headstart.serving.people import People
    from headstart.serving.settings import default_state

    for name in People(state or default_state()).names():
        common.show(name)


@app.command("remove")
def remove(name: NameArgument, state: StateOption = None) -> None:
    """Let somebody in no more; what they are logged in to ends at once."""
    from headstart.serving.people import People
    from headstart.serving.settings import default_state

    People(state or default_state()).remove(name)
    common.tell(f"{name} may not log in any more")
