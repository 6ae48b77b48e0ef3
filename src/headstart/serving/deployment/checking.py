"""`headstart deploy check`: whether an installation can work, and what to do where it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from headstart.errors import ArtefactError, HeadstartError, OptionError
from headstart.machine import nginx_program
from headstart.serving.deployment import certificates
from headstart.serving.deployment.writing import FILE, Deployment
from headstart.serving.models import find

_SOON = 21
"""Days before a certificate ends in which somebody should be told."""
_PRIVILEGED = 1024
_HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome= in the units hides from the services."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: What, str.
        good: Whether it is as it should be, bool; None where it could not be told here.
        words: What was found, and what to do about it, str.
    """

    about: str
    good: bool | None
    words: str


def read_deployment(folder: Path) -> tuple[Deployment, tuple[str, ...]]:
    """Return what `headstart deploy` wrote into a folder: the deployment and its models' folder names.

    Raises:
        OptionError: There is none, or it is damaged.
    """
    try:
        value = json.loads((folder / FILE).read_bytes())
        models = tuple(str(name) for name in value.pop("models"))
        known = {field.name for field in fields(Deployment)}
        return Deployment(**{name: value[name] for name in known & set(value)}), models
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fix = "name the folder that `headstart deploy` wrote"
        raise OptionError(f"an installation's {FILE}", f"{folder}: {error}", fix) from error


def check(folder: Path) -> list[Finding]:
    """Look at an installation: configuration, certificates, ports, permissions, models, whether it answers.

    Args:
        folder: What `headstart deploy` wrote.

    Returns:
        What was found, Finding.

    Raises:
        OptionError: It is no such folder.
    """
    deployment, models = read_deployment(folder)
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _place(deployment, folder),
        lambda: _certificate(deployment),
        lambda: _nginx(folder),
        lambda: _units(folder),
        lambda: _ports(deployment),
        lambda: _models(models, folder),
        lambda: _answers(deployment),
    )
    return [finding for look in looks for finding in look()]


def _place(deployment: Deployment, folder: Path) -> Iterator[Finding]:
    homes = [home for home in _HOMES if Path(deployment.to).is_relative_to(home)]
    if homes:
        words = f"lies in {homes[0]}, where services may not look: write again with --to /srv/headstart"
        yield Finding("folder", False, words)
    elif Path(deployment.to) == folder.resolve():
        yield Finding("folder", True, f"lies at {deployment.to}, as it was written for")
    else:
        words = f"was written for {deployment.to}: copy it there, or write again with --to {folder.resolve()}"
        yield Finding("folder", False, words)
    state = Path(deployment.state)
    if not state.is_dir():
        yield Finding("state", None, f"{state} is not there yet: systemd makes it when the server starts")
    elif stat.S_IMODE(state.stat().st_mode) & 0o077:
        yield Finding("state", False, f"others can read {state}, keys and feedback in it: chmod 700 {state}")
    else:
        yield Finding("state", True, f"{state} is its owner's alone")


def _certificate(deployment: Deployment) -> Iterator[Finding]:
    certificate, key = Path(deployment.certificate), Path(deployment.key)
    missing = [str(path) for path in (certificate, key) if not _is_file(path)]
    if missing:
        how = "certbot, see README.md" if deployment.tls == "letsencrypt" else "headstart deploy once more"
        yield Finding("certificate", False, f"not there, or not readable here: {', '.join(missing)} ({how})")
        return
    try:
        found = certificates.read(certificate)
        matching = certificates.belong_together(certificate, key)
    except HeadstartError as error:
        yield Finding("certificate", False, str(error))
        return
    if not matching:
        words = f"{key} is not the key of {certificate}: remove both, and make them again"
        yield Finding("certificate", False, words)
    elif not any(_covers(name, deployment.domain) for name in found.names):
        names = ", ".join(found.names) or "nobody"
        yield Finding("certificate", False, f"is for {names}, not for {deployment.domain}: make it again")
    elif found.days < _SOON:
        when = f"ends in {found.days:.0f} days" if found.days > 0 else "has ended"
        how = "certbot renew" if deployment.tls == "letsencrypt" else "remove it, then headstart deploy"
        yield Finding("certificate", False, f"{when}: renew it ({how})")
    else:
        yield Finding("certificate", True, f"for {deployment.domain}, {found.days:.0f} days left")
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Finding("private key", False, f"others can read {key}: chmod 600 {key}")
    else:
        yield Finding("private key", True, "readable by its owner alone")


def _covers(name: str, domain: str) -> bool:
    return name == domain or (name.startswith("*.") and domain.partition(".")[2] == name[2:])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:
        return False


def _nginx(folder: Path) -> Iterator[Finding]:
    program = nginx_program()
    if program is None:
        yield Finding("nginx", None, "is not installed here: apt-get install nginx")
        return
    configuration = folder / "nginx" / "nginx.conf"
    done = _run(program, "-t", "-q", "-c", str(configuration.resolve()))
    said = [line for line in done.stderr.splitlines() if "[emerg]" in line or "[error]" in line]
    if done.returncode == 0:
        yield Finding("nginx", True, "nginx -t finds nothing wrong")
    elif os.geteuid() != 0 and any("Permission denied" in line for line in said):
        yield Finding("nginx", None, f"not all can be read without root: sudo nginx -t -c {configuration}")
    else:
        words = said[0].split("] ", 1)[-1] if said else "nginx -t fails"
        yield Finding("nginx", False, f"{words} (see {configuration.parent})")
    listed = Path("/etc/nginx/sites-enabled/default")
    if listed.exists() and Path("/etc/nginx/conf.d/headstart.conf").exists():
        yield Finding("nginx", False, f"Debian's example page answers, too: rm {listed}")


def _units(folder: Path) -> Iterator[Finding]:
    program = shutil.which("systemd-analyze")
    if program is None:
        yield Finding("systemd", None, "is not here: the units were not looked at")
        return
    done = _run(program, "verify", *map(str, sorted((folder / "systemd").glob("*.service"))))
    # That the program or the user is not there yet is told elsewhere, or by the first start.
    wrong = [
        line for line in done.stderr.splitlines()
        if "headstart" in line and "is not executable" not in line and "Failed to create" not in line
    ]  # fmt: skip
    yield Finding("systemd", not wrong, wrong[0] if wrong else "systemd-analyze verify finds nothing wrong")


def _ports(deployment: Deployment) -> Iterator[Finding]:
    for port in (deployment.http_port, deployment.https_port):
        if _listens(port):
            yield Finding(f"port {port}", True, "somebody listens there: nginx, if it is started")
        elif port < _PRIVILEGED and os.geteuid() != 0:
            yield Finding(f"port {port}", None, "free; nginx needs root to listen there")
        else:
            yield Finding(f"port {port}", True, "free")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _models(models: tuple[str, ...], folder: Path) -> Iterator[Finding]:
    if not models:
        yield Finding("models", False, "none: write the installation again and name some")
    for name in models:
        try:
            found = find(folder / "models" / name)
        except ArtefactError as error:
            yield Finding(f"model {name}", False, str(error))
        else:
            yield Finding(f"model {found.name}", True, "is there")


def _answers(deployment: Deployment) -> Iterator[Finding]:
    """Ask the application at its socket."""
    if not os.access(deployment.socket, os.R_OK | os.W_OK):
        words = f"does not listen at {deployment.socket} yet (or you may not ask there): start the service"
        yield Finding("application", None, words)
        return
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(deployment.socket)
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        answer = connection.recv(99)
    good = b" 200 " in answer
    yield Finding("application", good, "is ready" if good else "is not ready: journalctl -u headstart")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
