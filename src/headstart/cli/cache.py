"""`headstart cache`: what headstart keeps so as not to compute it again."""

from __future__ import annotations

import typer

from headstart.cli import common

app = typer.Typer(help="The feature store: how large it is, and how to empty it.", no_args_is_help=True)


@app.command(epilog="Example: headstart cache info")
def info(json: common.JsonOption = False) -> int:
    """Say where the store is, how large, and what is in it."""
    from rich.table import Table

    from headstart.transfer.store import FeatureStore

    with FeatureStore() as store:
        found = store.info()
    table = Table("backbone", "output", "view", "engine", "precision", "items", "MB", title=found["folder"])
    for space in found["spaces"]:
        about = space["description"]
        columns = [str(about.get(key, "")) for key in ("backbone", "output", "view", "engine", "precision")]
        if isinstance(about.get("view"), dict):
            columns[2] = f"distorted, {about['view']['number']}"
        table.add_row(*columns, f"{space['items']:,}", f"{space['bytes'] / 1e6:.1f}")
    common.console(json).print(table)
    common.tell(f"{found['bytes'] / 1e6:.1f} MB of at most {found['limit'] / 1e9:.1f} GB")
    if json:
        common.show_json(found)
    return 0


@app.command(epilog="Example: headstart cache clear")
def clear(json: common.JsonOption = False) -> int:
    """Remove every stored feature that no running command uses. Weights and your own files stay."""
    from headstart.transfer.store import FeatureStore

    with FeatureStore() as store:
        freed = store.clear()
    common.tell(f"freed {freed / 1e6:.1f} MB")
    if json:
        common.show_json({"freed_bytes": freed})
    return 0
