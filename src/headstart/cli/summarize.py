"""`headstart summarize`: the sentences of a text that a model's answer comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart summarize reviews.headstart review.txt -n 3 --html summary.html"


def run(
    model: common.ModelArgument,
    files: Annotated[list[Path], typer.Argument(help="Texts; - for standard input.")],
    number: Annotated[int, typer.Option("-n", "--number", help="How many sentences.")] = 3,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with all sentences marked by what they bring.")
    ] = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Summarise texts by the sentences that a model's answer comes from.

    Exit code 1 if some could not be read, 2 if none could.
    """
    from headstart.artefact import load
    from headstart.errors import DecodeError
    from headstart.files import write_text
    from headstart.progress import track
    from headstart.studio.summary import Summarizer, summaries_page

    summarizer = Summarizer(load(model), offline=offline)
    found = []
    for file in track(files, "summarising"):
        source, name = (sys.stdin.buffer.read(), "standard input") if str(file) == "-" else (file, str(file))
        try:
            summary = summarizer.summarize(source, number, name=name)
        except DecodeError as error:
            common.tell(f"error: {name}: {error}")
            if json:
                common.show_json({"input": name, "error": str(error)})
            continue
        found.append(summary)
        if json:
            common.show_json(summary.to_json())
            continue
        if len(files) > 1:
            common.show(f"== {name}")
        common.tell(summary.headline)
        common.show("\n".join(summary.sentences[place] for place in summary.chosen))
    if html is not None and found:
        write_text(html, summaries_page(found))
        common.tell(f"wrote {html}")
    return 0 if len(found) == len(files) else 1 if found else 2
