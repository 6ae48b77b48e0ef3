"""`headstart deploy`: nginx, systemd, containers around a server, or a training machine; and a check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headstart.cli import common

EXAMPLE = (
    "Example: headstart deploy site/ --model cats.headstart --domain models.example.org. "
    "Also: headstart deploy check site/"
)

app = typer.Typer(cls=common.default_command("write"), help="Write an installation.", epilog=EXAMPLE)


@app.command("write", epilog=EXAMPLE)
def run(
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    domain: Annotated[str | None, typer.Option(help="The name that the server is asked by.")] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="A saved model, or a folder of its versions; may be repeated.")
    ] = None,
    tls: Annotated[
        Literal["self-signed", "letsencrypt"], typer.Option(help="Where the certificate comes from.")
    ] = "self-signed",
    to: Annotated[
        str | None, typer.Option(help="Where the folder will lie on the server. Default: where it is.")
    ] = None,
    http_port: Annotated[int, typer.Option(help="Where plain HTTP is sent on to TLS.")] = 80,
    https_port: Annotated[int, typer.Option(help="Where TLS is spoken.")] = 443,
    rate: Annotated[int, typer.Option(help="Requests a second that one address may make.", min=1)] = 50,
    max_body: Annotated[int, typer.Option(help="MiB of a request's body.", min=1)] = 32,
    workstation: Annotated[
        str | None,
        typer.Option(help="Instead: prepare this machine for training, Jupyter with TLS and a password."),
    ] = None,
    json: common.JsonOption = False,
) -> int:
    """Write nginx's configuration, systemd's units, container files and a guide for a server."""
    from headstart.errors import OptionError
    from headstart.serving.deployment.workstation import write_workstation
    from headstart.serving.deployment.writing import Deployment, write

    if workstation is not None:
        written = write_workstation(folder, workstation)
    elif domain is None:
        raise OptionError("--domain or --workstation", "neither", "add --domain models.example.org")
    else:
        deployment = Deployment(
            domain, to or str(folder.resolve()), tls=tls,
            http_port=http_port, https_port=https_port, rate=rate, body=max_body,
        )  # fmt: skip
        written = write(deployment, tuple(model or ()), folder)
        if not model:
            common.tell("no models yet: name them with --model, or copy them and write again")
    for path in written:
        common.tell(f"wrote {path}")
    guide = "setup.sh" if workstation else f"{folder / 'README.md'}; then: headstart deploy check {folder}"
    common.tell(f"go on with {guide}")
    if json:
        common.show_json({"folder": str(folder), "files": [str(path) for path in written]})
    return 0


@app.command("check", epilog="Example: headstart deploy check site/")
def check(
    folder: Annotated[Path, typer.Argument(help="What `headstart deploy` wrote.")],
    json: common.JsonOption = False,
) -> int:
    """Look whether an installation can work: nginx -t, certificate, ports, rights. Exit code 1 if not."""
    from dataclasses import asdict

    from headstart.serving.deployment.checking import check as look

    found = look(folder)
    marks = {True: "good", False: "wrong", None: "open"}
    for finding in found:
        common.tell(f"{marks[finding.good]:6} {finding.about}: {finding.words}")
    wrong = sum(finding.good is False for finding in found)
    common.tell(f"{wrong} to fix" if wrong else "nothing to fix")
    if json:
        common.show_json({"findings": [asdict(finding) for finding in found]})
    return 1 if wrong else 0
