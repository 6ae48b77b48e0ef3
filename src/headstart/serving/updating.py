"""Models that don't stay as they are: a version that has learned from corrections, and the way back."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.artefact import Model, load
from headstart.artefact.versions import DEFAULT, SUFFIX, Versions, find
from headstart.data.items import Dataset, Item
from headstart.errors import ArtefactError, DataError
from headstart.files import storage_errors, write_text
from headstart.progress import Say, quiet
from headstart.serving.feedback import FeedbackStore
from headstart.serving.records import Correction

if TYPE_CHECKING:
    from headstart.fitting.refitting import Refit

_DIGITS = 16


@dataclass(frozen=True, eq=False)
class Update:
    """What came of an update.

    Args:
        refit: The challenger, and how it compares.
        name: The model's name, str.
        champion: The version that was there, str.
        promoted: The challenger's version where it took over, str; None where the champion stays.
        folder: Where the version that answers now is.
    """

    refit: Refit
    name: str
    champion: str
    promoted: str | None
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "model": self.name,
            "champion": self.champion,
            "promoted": self.promoted,
            "folder": str(self.folder),
            **self.refit.to_json(),
        }


def update(
    path: Path,
    feedback: FeedbackStore,
    data: Dataset | Path | None = None,
    *,
    seed: int = 0,
    offline: bool = False,
    say: Say = quiet,
) -> Update:
    """Let a model learn from what was corrected; the new version answers only if it is better.

    Better is: right more often on corrections that the old one has not learned from, by McNemar's test, and
    at most half a point (or one item) worse on old items. Every version is kept: a saved model cats.headstart
    becomes a folder of that name with 1.headstart, 2.headstart, … in it.

    Args:
        path: A saved model, or a folder of versions of it.
        feedback: The store with the corrections.
        data: What the model was fitted on. Defaults to None: where it was found then.
        seed: As for `fit`. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text at each step. Defaults to saying nothing.

    Returns:
        The update.

    Raises:
        ArtefactError: There is no model at the path.
        DataError: There are no new corrections, or the old data cannot be found.
        OptionError: A model that cannot be updated.
        StorageError: The new version cannot be written; the old one goes on answering.

    Example:
        >>> update(Path("cats.headstart"), FeedbackStore(Path("feedback.sqlite"))).promoted  # doctest: +SKIP
        '2'
    """
    from headstart.fitting.refitting import refit
    from headstart.fitting.whereabouts import remember

    versions = find(path)
    champion = load(versions.folders[versions.default])
    corrections = feedback.corrections(versions.name)
    if not corrections:
        fix = "correct answers in the review tab of the server, or with POST /v1/models/NAME:correct"
        raise DataError(f"corrections of {versions.name!r}", f"none in {feedback.path}", fix)
    items = [_item(each, champion.modality) for each in corrections if isinstance(each.answer, str)]
    source = _data_of(champion) if data is None else data
    found = refit(champion, source, items, seed=seed, offline=offline, say=say)
    promoted = None
    if found.better:
        promoted = keep(path, versions, found.model)
        root = source.root if isinstance(source, Dataset) else source
        remember(found.model.data["digest"], root)
    folder = find(path).folders[promoted or versions.default]
    return Update(found, versions.name, versions.default, promoted, folder)


def keep(path: Path, versions: Versions, model: Model) -> str:
    """Write a new version of a model, which answers from now on.

    Args:
        path: The saved model, or the folder of its versions.
        versions: What is there.
        model: The new version.

    Returns:
        What the new version is called, str.

    Raises:
        StorageError: It cannot be written; nothing has changed.
    """
    path = path.absolute()
    numbers = [int(name) for name in versions.folders if name.isdecimal()]
    new = str(max(numbers, default=len(versions.folders)) + 1)
    alone = versions.folders[versions.default] == path
    with storage_errors(path):
        if alone:
            _make_room(path, model, new)
        else:
            model.save(path / f"{new}{SUFFIX}")
            write_text(path / DEFAULT, f"{new}\n")
    return new


def _make_room(path: Path, model: Model, new: str) -> None:
    """Put a folder of versions in the place of a saved model, which becomes the first of them."""
    beside = path.with_name(f".{path.name}.versions")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, beside, ignore_errors=True)
        model.save(beside / f"{new}{SUFFIX}")
        write_text(beside / DEFAULT, f"{new}\n")
        undo.pop_all()
    first = beside / f"1{SUFFIX}"
    path.rename(first)
    try:
        beside.rename(path)
    except OSError:
        first.rename(path)
        raise


def rollback(path: Path) -> str:
    """Let the version before the one that answers now answer again; none is removed.

    Args:
        path: The folder of versions.

    Returns:
        The version that answers from now on, str.

    Raises:
        ArtefactError: There is no version before.
        StorageError: It cannot be written down.
    """
    versions = find(path)
    names = list(versions.folders)
    place = names.index(versions.default)
    if place == 0:
        fix = "there is nothing to go back to"
        raise ArtefactError(f"a version of {versions.name!r} before {versions.default}", "none", fix)
    write_text(path / DEFAULT, f"{names[place - 1]}\n")
    return names[place - 1]


def _item(correction: Correction, modality: str) -> Item:
    content = correction.content
    source = content.decode("utf-8", "replace") if modality == "text" else content
    return Item(correction.digest[:_DIGITS], source, label=str(correction.answer))


def _data_of(model: Model) -> Path:
    from headstart.fitting.whereabouts import whereabouts

    found = whereabouts(str(model.data.get("digest", "")))
    if found is None:
        fix = "name it: headstart update MODEL --data DIR"
        raise DataError("the data that the model was fitted on", "no trace of it on this machine", fix)
    return found
