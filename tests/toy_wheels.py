"""Wheels for tests: on no index, with whatever files."""

from __future__ import annotations

import zipfile
from pathlib import Path


def make_wheel(path: Path, project: str, files: dict[str, bytes]) -> None:
    """Write a wheel of a project, version 1.0, with these files beside its own."""
    info = f"{project}-1.0.dist-info"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
