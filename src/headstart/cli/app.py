"""The commands, put together. Importing this loads no numerical library."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart import __version__
from headstart.cli import (
    adapt,
    backbones,
    cache,
    caption,
    caption_train,
    cluster,
    colorize,
    colorize_train,
    common,
    compare,
    demo,
    deploy,
    diagnose,
    distill,
    doctor,
    dream,
    evaluate,
    explain,
    export,
    filters,
    fit,
    index,
    inspect,
    listen,
    match,
    monitor,
    plan,
    predict,
    recipe,
    search,
    serve,
    style_train,
    stylize,
    summarize,
    tune,
    update,
    worker,
)

app = typer.Typer(
    name="headstart",
    help="Bring a folder, leave with a model you can trust, explain and serve.",
    epilog="First try: headstart demo. Your own pictures: headstart fit PHOTOS -o MODEL",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _end(code: int, **_: object) -> None:
    raise typer.Exit(code)


@app.callback(invoke_without_command=True, result_callback=_end)
def _start(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        common.show(f"headstart {__version__}")
        raise typer.Exit
    common.start()


for command in (
    inspect,
    plan,
    tune,
    fit,
    evaluate,
    predict,
    explain,
    listen,
    compare,
    index,
    search,
    cluster,
    match,
    dream,
    filters,
    stylize,
    style_train,
    caption,
    caption_train,
    colorize,
    colorize_train,
    summarize,
    export,
    distill,
    adapt,
    diagnose,
    monitor,
    update,
    demo,
    doctor,
    worker,
):
    app.command(command.__name__.rsplit(".", 1)[1].replace("_", "-"), epilog=command.EXAMPLE)(command.run)
app.add_typer(serve.app, name="serve")
app.add_typer(deploy.app, name="deploy")
app.add_typer(backbones.app, name="backbones")
app.add_typer(cache.app, name="cache")
app.add_typer(recipe.app, name="recipe")
