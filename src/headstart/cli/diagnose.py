"""`headstart diagnose`: what a training run says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common

EXAMPLE = "Example: headstart diagnose runs/cats -o diagnosis.html"


def run(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a training run, finished or not.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write a page with curves and pictures here (.html)."),
    ] = None,
    json: common.JsonOption = False,
) -> int:
    """Say in plain words what went well in a training run, what did not, and what to change.

    The exit code is 1 where something should be changed.
    """
    from headstart.files import write_text
    from headstart.training.diagnostics import read

    diagnosis = read(_run_in(folder))
    say = common.tell if json else common.show
    for finding in diagnosis.findings:
        say(f"{finding.severity + ':':7}{finding.sentence}")
    if output is not None:
        from headstart.training.diagnosis_page import diagnosis_html

        write_text(output, diagnosis_html(diagnosis))
        common.tell(f"wrote {output}")
    if json:
        common.show_json(diagnosis.to_json())
    return int(diagnosis.hurts)


def _run_in(folder: Path) -> Path:
    """Return the folder itself, or of the runs that a fit made in it the one that was written to last."""
    from headstart.training.history import FILE

    if (folder / FILE).is_file():
        return folder
    runs = sorted(folder.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
    if len(runs) > 1:
        common.tell(f"the last of the runs {', '.join(path.parent.name for path in runs)}")
    return runs[-1].parent if runs else folder
