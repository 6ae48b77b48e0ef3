"""TLS certificates: one that a machine signs itself, and what is in one."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import OptionError, StorageError
from headstart.files import storage_errors

_DAYS = 825
"""Browsers refuse certificates that are valid for longer."""


def self_signed(domain: str, folder: Path) -> list[Path]:
    """Make a private key and a certificate that it signs itself, unless there is one for this domain.

    Args:
        domain: A host's name or address, str.
        folder: Where to write certificate.pem and key.pem; the key is readable by its owner alone.

    Returns:
        Both files.

    Raises:
        StorageError: openssl is not installed, or the folder cannot be written.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if certificate.is_file() and key.is_file() and domain in read(certificate).names:
        return [certificate, key]
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        key.chmod(0o600)
    name = f"IP:{domain}" if is_address(domain) else f"DNS:{domain}"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(key), "-out", str(certificate), "-days", str(_DAYS),
        "-subj", f"/CN={domain}"[:67], "-addext", f"subjectAltName={name}",
        "-addext", "extendedKeyUsage=serverAuth",
    )  # fmt: skip
    return [certificate, key]


@dataclass(frozen=True)
class Certificate:
    """What a certificate says.

    Args:
        names: The hosts that it is for, tuple of str.
        ends: When it ends, float, in seconds since 1970.
    """

    names: tuple[str, ...]
    ends: float

    @property
    def days(self) -> float:
        """How many days are left; below 0 it has ended."""
        return (self.ends - time.time()) / 86400


def read(path: Path) -> Certificate:
    """Read a certificate.

    Args:
        path: A PEM file; of a chain the first is read.

    Raises:
        OptionError: It is no certificate.
        StorageError: openssl is not installed.
    """
    said = _openssl("x509", "-in", str(path), "-noout", "-enddate", "-ext", "subjectAltName")
    names, ends = [], 0.0
    for line in said.splitlines():
        if line.startswith("notAfter="):
            ends = ssl.cert_time_to_seconds(line.removeprefix("notAfter="))
        elif "DNS:" in line or "IP Address:" in line:
            names += [part.split(":", 1)[1] for part in line.strip().split(", ") if ":" in part]
    return Certificate(tuple(names), ends)


def belong_together(certificate: Path, key: Path) -> bool:
    """Return whether a private key is that of a certificate.

    Raises:
        OptionError: One of them is not what it should be.
        StorageError: openssl is not installed.
    """
    ours = _openssl("pkey", "-in", str(key), "-pubout")
    return ours == _openssl("x509", "-in", str(certificate), "-noout", "-pubkey")


def is_address(domain: str) -> bool:
    """Return whether a domain is an IP address: who asks for one names nobody in the handshake."""
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def _openssl(*arguments: str) -> str:
    program = shutil.which("openssl")
    if program is None:
        fix = "install it (apt-get install openssl), or use --tls letsencrypt"
        raise StorageError("openssl, which makes and reads certificates", "none on the PATH", fix)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason"]
        fix = "remove both, and make them again: headstart deploy"
        raise OptionError("a certificate and its key in PEM files", said[0][:200], fix)
    return done.stdout
