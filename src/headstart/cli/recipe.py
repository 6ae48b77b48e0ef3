"""`headstart recipe`: studies that the project reproduces, flat scripts to read and to run."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common
from headstart.errors import OptionError

EXAMPLE = "Example: headstart recipe run dogs-vs-cats-ladder --data photos/"

app = typer.Typer(no_args_is_help=True, help="Studies that the project reproduces.", epilog=EXAMPLE)


def folder() -> Path:
    """Return where the recipes are: inside an installed package, beside `src` in a clone."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parents[1] / "recipes"


def recipes() -> dict[str, Path]:
    """Return the recipes by name."""
    return {path.stem.replace("_", "-"): path for path in sorted(folder().glob("*.py"))}


@app.command("list", epilog="Example: headstart recipe list")
def list_recipes(json: common.JsonOption = False) -> int:
    """List the recipes with what they do."""
    known = {name: _purpose(path) for name, path in recipes().items()}
    for name, purpose in known.items():
        (common.tell if json else common.show)(f"{name:22} {purpose}")
    if json:
        common.show_json({"recipes": known})
    return 0


@app.command(
    "run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, epilog=EXAMPLE
)
def run_recipe(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name that `headstart recipe list` shows.")],
) -> int:
    """Run a recipe. What follows its name goes to it: --data DIR, and what its own --help says."""
    known = recipes()
    if name not in known:
        raise OptionError(f"a recipe: {', '.join(known)}", repr(name), "headstart recipe list")
    before = sys.argv
    sys.argv = [f"headstart recipe run {name}", *context.args]
    try:
        runpy.run_path(str(known[name]), run_name="__main__")
    finally:
        sys.argv = before
    return 0


def _purpose(path: Path) -> str:
    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return found.partition("\n")[0]
