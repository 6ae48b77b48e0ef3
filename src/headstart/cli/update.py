"""`headstart update`: a model learns from corrections, and answers anew only if it is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common
from headstart.cli.serve import StateOption

EXAMPLE = "Example: headstart update cats.headstart. And back: headstart update cats.headstart --rollback"


def run(
    model: common.ModelArgument,
    state: StateOption = None,
    data: Annotated[
        Path | None,
        typer.Option(help="What the model was fitted on. Default: where it was found then."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Let the version before answer again; none is removed.")
    ] = False,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Fit the head again on old features and corrections; a running server takes a better one up at once."""
    from headstart.serving import updating
    from headstart.serving.feedback import open_store
    from headstart.serving.settings import default_state

    folder = state or default_state()
    if rollback:
        version = updating.rollback(model)
        common.tell(f"version {version} answers again")
        told = _tell_server(folder)
        if json:
            common.show_json({"version": version, "server_told": told})
        return 0
    columns = path_column, text_column, label_column, group_column, fold_column
    dataset = None if data is None else common.open_data(data, *columns, "label")
    found = updating.update(model, open_store(folder), dataset, seed=seed, offline=offline, say=common.tell)
    told = False
    if found.promoted is None:
        common.tell(f"version {found.champion} stays")
    else:
        common.tell(f"version {found.promoted} answers from now on: {found.folder}")
        told = _tell_server(folder)
    if json:
        common.show_json({**found.to_json(), "server_told": told})
    return 0


def _tell_server(state: Path) -> bool:
    from headstart.serving.running import tell_to_reload

    running = tell_to_reload(state)
    if running is not None:
        common.tell(f"the server at {running.address} takes it up")
    return running is not None
