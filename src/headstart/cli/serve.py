"""`headstart serve`: saved models behind a web server, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common, person

EXAMPLE = "Example: headstart serve cats.headstart --port 8080. Also: headstart serve reload | key | person"
_ANYWHERE = ("127.0.0.1", "::1", "localhost")

StateOption = Annotated[
    Path | None,
    typer.Option(
        help="Where keys, people and feedback are kept. Default: $HEADSTART_STATE or ~/.local/state."
    ),
]


app = typer.Typer(cls=common.default_command("models"), help="Answer over HTTP.", epilog=EXAMPLE)
key = typer.Typer(help="API keys of machines; while there is none, everybody may ask.", no_args_is_help=True)
app.add_typer(key, name="key")
app.add_typer(person.app, name="person")


@app.command("models", epilog=EXAMPLE)
def run(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Saved models, or folders with versions of one: cats/1.headstart, cats/2.headstart."
        ),
    ],
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at.")] = 8080,
    socket: Annotated[
        Path | None, typer.Option(help="Listen at this Unix socket instead, for nginx in front.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. Default: one for each core.", min=1)] = None,
    state: StateOption = None,
    deadline: Annotated[
        float, typer.Option(help="Seconds within which an answer must be there.", min=0.1)
    ] = 10.0,
    queue: Annotated[
        int, typer.Option(help="Items that may wait in a worker before it says: later.", min=1)
    ] = 32,
    max_body: Annotated[int, typer.Option(help="MiB of a request's body.", min=1)] = 32,
    max_pixels: Annotated[float, typer.Option(help="Megapixels of a picture.", min=0.01)] = 32.0,
    max_seconds: Annotated[float, typer.Option(help="Seconds of a sound.")] = 300.0,
    keep_traffic: Annotated[
        float, typer.Option(help="Share of the traffic to keep for review and monitoring.", min=0, max=1)
    ] = 0.0,
    keep_days: Annotated[
        float, typer.Option(help="Days after which kept traffic is deleted.", min=0.01)
    ] = 30.0,
) -> int:
    """Answer over HTTP about pictures, texts or sounds, as many models at once as you like."""
    from headstart.serving.security import Keys
    from headstart.serving.server import serve
    from headstart.serving.settings import MIB, Settings, default_state

    folder = state or default_state()
    settings = Settings(
        tuple(models),
        folder.absolute(),
        workers=workers,
        deadline=deadline,
        queue=queue,
        threads=queue + 16,
        body=max_body * MIB,
        pixels=int(max_pixels * 1e6),
        seconds=max_seconds,
        keep_share=keep_traffic,
        keep_days=keep_days,
    )
    if socket is None and host not in _ANYWHERE and not Keys(folder).names:
        common.tell(
            f"warning: everybody who reaches {host} may ask; to change that: headstart serve key add NAME"
        )
    where = f"unix:{socket}" if socket else f"http://{host}:{port}"
    common.tell(f"serving {', '.join(path.name for path in models)} at {where} (Ctrl-C ends it)")
    serve(settings, host=host, port=port, unix=socket)
    return 0


@app.command("reload", epilog="Example: headstart serve reload --state /var/lib/headstart")
def reload(state: StateOption = None) -> int:
    """Tell the running server to take up new versions of its models; nobody has to wait meanwhile."""
    from headstart.serving.running import tell_to_reload
    from headstart.serving.settings import default_state

    folder = state or default_state()
    running = tell_to_reload(folder)
    if running is None:
        common.tell(f"error: no server runs on {folder}; name its folder: --state DIR")
        return 2
    common.tell(f"told {running.address} (process {running.pid}) to reload")
    return 0


@key.command("add", epilog="Example: headstart serve key add camera")
def add_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")], state: StateOption = None
) -> None:
    """Make a key and print it, once: only a digest is kept."""
    from headstart.serving.security import Keys
    from headstart.serving.settings import default_state

    common.show(Keys(state or default_state()).add(name))


@key.command("list")
def list_keys(state: StateOption = None) -> None:
    """List the keys' names."""
    from headstart.serving.security import Keys
    from headstart.serving.settings import default_state

    for name in Keys(state or default_state()).names:
        common.show(name)


@key.command("remove")
def remove_key(name: Annotated[str, typer.Argument(help="Which key.")], state: StateOption = None) -> None:
    """Make a key worthless, at once."""
    from headstart.serving.security import Keys
    from headstart.serving.settings import default_state

    Keys(state or default_state()).remove(name)
