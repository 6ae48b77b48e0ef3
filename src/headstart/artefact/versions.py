"""Versions of a model beside each other in a folder, one of which answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headstart.artefact.schema import NAME as ARTEFACT
from headstart.data.items import natural_order
from headstart.errors import ArtefactError

SUFFIX = ".headstart"
DEFAULT = "default"
"""A file of this name in a folder of versions holds the name of the one that answers by default."""


@dataclass(frozen=True)
class Versions:
    """What is on the disk of one model.

    Args:
        name: The model's, str.
        folders: Its versions, {version: folder}, in natural order.
        default: The version that answers where none is named, str.
    """

    name: str
    folders: dict[str, Path]
    default: str


def find(path: Path) -> Versions:
    """Look up what a model argument names.

    Args:
        path: A saved model, such as cats.headstart, which is its only version "1"; or a folder with versions
            of it, such as cats/1.headstart and cats/2.headstart, of which the last in natural order answers
            by default, unless a file `default` beside them names another.

    Returns:
        The versions.

    Raises:
        ArtefactError: There is no saved model.
    """
    path = path.absolute()
    name = path.name.removesuffix(SUFFIX)
    if not name or ":" in name:
        raise ArtefactError("a model's folder without a colon in its name", repr(path.name), "rename it")
    if (path / ARTEFACT).is_file():
        return Versions(name, {"1": path}, "1")
    found = {each.parent.name: each.parent for each in path.glob(f"*/{ARTEFACT}")}
    folders = {
        key.removesuffix(SUFFIX): found[key] for key in natural_order(found) if not key.startswith(".")
    }
    if not folders:
        fix = "name the folder that `headstart fit` wrote, or a folder of such folders"
        raise ArtefactError("a saved model", f"{str(path)!r}, which holds none", fix)
    default = list(folders)[-1]
    if (path / DEFAULT).is_file():
        default = (path / DEFAULT).read_text(encoding="utf-8").strip().removesuffix(SUFFIX)
        if default not in folders:
            fix = f"write one of {', '.join(folders)} into it, or remove it"
            raise ArtefactError(f"the name of a version in {path / DEFAULT}", repr(default), fix)
    return Versions(name, folders, default)


def answering(path: Path) -> Path:
    """Return the saved model that answers: of a folder of versions the default one, otherwise the path.

    Args:
        path: A saved model, or a folder of versions of it.

    Raises:
        ArtefactError: The file `default` names no version.

    Example:
        >>> answering(Path("cats.headstart")).name
        'cats.headstart'
    """
    if (path / ARTEFACT).is_file() or not any(path.glob(f"*/{ARTEFACT}")):
        return path
    versions = find(path)
    return versions.folders[versions.default]
