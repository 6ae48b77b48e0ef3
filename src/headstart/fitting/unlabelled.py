"""Items without labels beside a fit: which they are, and the view that learns from them, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart import data
from headstart.data.items import Dataset, Problem
from headstart.errors import DataError, OptionError
from headstart.fitting.gathering import Gathered
from headstart.modalities import modality
from headstart.progress import Say
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled
from headstart.transfer.unlabelled.spreading import Spread

Source = Dataset | Path | str | Sequence[Path | str]


def check_unlabelled(target: str, head: str, *, trains: bool) -> None:
    """Raise `OptionError` where unlabelled items cannot help."""
    fix = "leave the unlabelled items out"
    if target != "label" or head != "linear":
        received = f"a {head} head for the target {target}"
        raise OptionError("a linear head for one label an item, beside unlabelled items", received, fix)
    if trains:
        raise OptionError("a frozen network beside unlabelled items", "a network to train", fix)


def gather_unlabelled(
    source: Source, gathered: Gathered, gather: Callable[[Dataset], Gathered], say: Say
) -> Features:
    """Return features of items whose labels, if any, are not looked at.

    Args:
        source: What `headstart.data.open` opens. What is also among the labelled items is left out.
        gathered: The labelled items.
        gather: Gives features of a data set, by the same network.
        say: Where it is told how many there are.

    Raises:
        DataError: None is left, or they are of another kind.
    """
    dataset = source if isinstance(source, Dataset) else data.open(source, unlabelled=True)
    if dataset.modality != gathered.dataset.modality:
        received = f"{modality(dataset.modality).noun} beside {modality(gathered.dataset.modality).noun}"
        raise DataError("unlabelled items of the same kind", received, "name another folder")
    found = gather(replace(dataset, target="label", problems=tuple[Problem, ...]()))
    known = {facts.digest for facts in gathered.facts}
    new = np.array([n for n, facts in enumerate(found.facts) if facts.digest not in known], np.int64)
    if not len(new):
        fix = "name a folder with other items"
        raise DataError("items that are not labelled already", f"{len(found.facts)} that are", fix)
    say(f"{len(new):,} unlabelled items: labels spread to them")
    return found.features.take(new)


def with_spread(
    views: Mapping[str, Sequence[Labelled]],
    labelled: Labelled,
    name: str,
    unlabelled: Features,
    own: Sequence[Labelled],
    seed: int,
) -> dict[str, Sequence[Labelled]]:
    """Return the views with one more alternative to the backbone's own: the one that learns from both.

    Args:
        views: From `views_of`; {} where the backbone's features are all there is.
        labelled: The backbone's features of the labelled items.
        name: The backbone's.
        unlabelled: Features of the others.
        own: What heads on the labelled items' features may be made by, where `views` is {}.
        seed: For the propagation, int.
    """
    return {**views, name: [*(views.get(name) or own), Spread.of(labelled, unlabelled, seed)]}
