"""The sets of sounds that several benchmarks use."""

from __future__ import annotations

import csv

from headstart.data.items import Dataset, Item
from support.common import data_folder


def esc10() -> Dataset:
    """Return ESC-10's clips with their official folds; clips of one recording are a group."""
    folder = data_folder("esc10", "audio")
    with (folder / "meta.csv").open(newline="", encoding="utf-8") as file:
        items = tuple(
            Item(
                row["filename"],
                folder / "clips" / row["filename"],
                label=row["category"],
                group=row["freesound_id"],
                fold=row["fold"],
            )
            for row in csv.DictReader(file)
        )
    return Dataset(items, "audio", folder)
