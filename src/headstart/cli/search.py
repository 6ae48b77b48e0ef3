"""`headstart search`: find items of an index by words, by meaning, by both, or by an example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from headstart.retrieval.index import Hit

EXAMPLE = "Example: headstart search letters.index 'late parcel' -n 5, or: search photos.index --like new.jpg"


def run(
    index: Annotated[Path, typer.Argument(help="What `headstart index` wrote, a folder.")],
    query: Annotated[str | None, typer.Argument(help="What is looked for.")] = None,
    like: Annotated[Path | None, typer.Option(help="Find what is like this file, instead.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", help="How many hits at most.")] = 10,
    by: Annotated[
        Literal["words", "meaning", "both"] | None,
        typer.Option(help="What is compared. Default: both, where the index can."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Where the model is that the index was made with, if it was moved.")
    ] = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Find items of an index, the best first. Exit code 1 if nothing was found."""
    from headstart.errors import OptionError
    from headstart.searching import item_encoder, open_index

    if (query is None) == (like is None):
        received = "neither" if query is None else "both"
        raise OptionError("a query, or --like FILE", received, "give one of the two")
    if like is not None and by not in (None, "meaning"):
        raise OptionError("--like, which compares by meaning", f"--by {by}", "leave --by out")
    found = open_index(index, model=model, offline=offline)
    if like is not None:
        hits = found.like(item_encoder(found, offline=offline)([like])[0], number)
    else:
        hits = found.search(query or "", number, by)
    for hit in hits:
        (common.tell if json else common.show)(_line(hit))
    if not hits:
        common.tell("nothing found")
    if json:
        common.show_json(
            {"query": query, "like": like and str(like), "hits": [hit.to_json() for hit in hits]}
        )
    return 0 if hits else 1


def _line(hit: Hit) -> str:
    parts = (hit.name, f"{hit.score:.4f}", hit.label or "", hit.snippet)
    return "\t".join(parts).rstrip("\t")
