"""The machine that trains: Jupyter behind TLS and a password, a tunnel to it, and whether its GPU works."""

from __future__ import annotations

import re
from pathlib import Path

from headstart import __version__
from headstart.errors import OptionError
from headstart.serving.deployment.certificates import self_signed
from headstart.serving.deployment.writing import write_rendered

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")
_FILES = {
    "README.md": "workstation.md",
    "setup.sh": "workstation-setup.sh",
    "jupyter_server_config.py": "jupyter_server_config",
    "jupyter.service": "jupyter.service",
    "tunnel.sh": "tunnel.sh",
    "check-gpu.sh": "check-gpu.sh",
}


def write_workstation(folder: Path, host: str, *, port: int = 8888) -> list[Path]:
    """Write what prepares a training machine, rented or one's own.

    Jupyter listens at the machine itself only; one reaches it through an SSH tunnel. Its password is asked
    for on that machine by Jupyter's own program, which keeps an argon2 digest: none passes through here.

    Args:
        folder: Where to write.
        host: The machine's name or address, str.
        port: Of Jupyter, int. Defaults to 8888.

    Returns:
        The files.

    Raises:
        OptionError: The host is no name and no address, or the port none.
        StorageError: The folder cannot be written, or openssl is missing.
    """
    if not _HOST.fullmatch(host):
        raise OptionError("a machine's name or address", repr(host), "use gpu.example.org, or 192.0.2.7")
    if not 1024 <= port < 65536:
        raise OptionError("a port from 1024 to 65535", str(port), "use 8888")
    written = write_rendered(_FILES, {"host": host, "port": port, "version": __version__}, folder)
    return [*written, *self_signed("localhost", folder / "tls")]
