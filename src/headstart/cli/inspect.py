"""`headstart inspect`: what somebody should know about a data set before learning from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headstart.cli import common

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.console import Console

    from headstart.data.audit import Audit
    from headstart.data.audit_html import Gallery
    from headstart.data.items import Dataset, Source

EXAMPLE = "Example: headstart inspect photos/ --html photos.html"
_LISTED = 12
_PORTRAITS = 6
"""Sounds without a class that are drawn."""
_MOST_PORTRAITS, _MOST_MEANS = 20, 50
_AVERAGED = 100
"""Sounds of a class that are averaged."""
_PORTRAIT = (
    "From above: the wave; mel spectrograms of the sound, of its harmonic part (steady in time: tones) and "
    "of its percussive part (steady over frequencies: clicks, noise); how much of each of the twelve notes."
)
_MEAN = (
    "Mel spectrograms, averaged over sounds of a class that are brought to one level and laid on each other "
    "at their loudest moment; low notes are below. Classes that look alike here are told apart otherwise."
)


def run(
    data: common.DataArgument,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots and examples.")] = None,
    target: common.TargetOption = None,
    augment: Annotated[
        Literal["none", "light", "standard", "strong"] | None,
        typer.Option(help="Also draw what a network will see of some pictures while it learns."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where --augment draws, .png, .jpg or .html. Default: augment.png."
        ),
    ] = None,
    path_column: common.PathColumn = "path",
    text_column: common.TextColumn = "text",
    label_column: common.LabelColumn = "label",
    group_column: common.GroupColumn = "group",
    fold_column: common.FoldColumn = "fold",
    seed: common.SeedOption = 0,
    json: common.JsonOption = False,
) -> int:
    """Look at a collection: classes, balance, sizes, unreadable files, duplicates. Deletes nothing.

    Exit code 1 when something would hurt training.
    """
    from headstart.data.audit import audit
    from headstart.modalities import modality
    from headstart.transfer.passes import examine
    from headstart.transfer.store import FeatureStore

    place = _place(augment, output, html)
    dataset = common.open_data(
        data, path_column, text_column, label_column, group_column, fold_column, target
    )
    with FeatureStore() as store:
        facts = examine(dataset, store)
    found = audit(dataset, facts, distance=modality(dataset.modality).near)
    _print(found, common.console(json))
    sheet = _sheet(dataset, augment, seed) if augment else None
    if sheet is not None and place is not None:
        _write_sheet(sheet, place)
        common.tell(f"wrote {place}")
    if html is not None:
        _write_page(found, dataset, html, sheet)
        common.tell(f"wrote {html}")
    if json:
        common.show_json(found.to_json())
    return 1 if found.hurts else 0


def _print(found: Audit, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    splits = found.splits
    known = sum(found.parts.values())
    noun = "label" if found.target == "labels" else "class"
    table = Table("" if found.numbers else noun, *splits, "all", title=f"{known:,} items")
    for label, counts in found.classes.items():
        row = [str(counts.get(split, 0)) for split in splits]
        table.add_row(Text(label), *row, str(sum(counts.values())))
    if noun == "label" or found.numbers:
        table.add_row(Text("items", style="italic"), *map(str, found.parts.values()), str(known))
    console.print(table)
    sizes = found.quantiles()
    if sizes:
        measures = Table(
            "", "smallest", "median", "largest", title="numbers and sizes" if found.numbers else "sizes"
        )
        for name, values in sizes.items():
            measures.add_row(name, *(f"{values[key]:g}" for key in ("min", "median", "max")))
        console.print(measures)
    for problem in found.corrupt[:_LISTED]:
        console.print(Text(f"unreadable: {problem.name}: {problem.reason}"))
    for copy in found.duplicates[:_LISTED]:
        console.print(
            Text(f"{copy.kind} duplicate: {copy.first} = {copy.second} ({' / '.join(copy.splits)})")
        )
    for finding in found.findings:
        style = "bold red" if finding.severity == "hurts" else "yellow"
        console.print(Text(f"{finding.severity}: {finding.sentence}", style=style))
    if not found.findings:
        console.print(Text("nothing found that would hurt training", style="green"))


_Sheet = tuple["Image", str]
"""A contact sheet and what it shows."""


def _place(augment: str | None, output: Path | None, html: Path | None) -> Path | None:
    """Return where a sheet of its own goes; none is written where it is part of the page."""
    from headstart.errors import OptionError, require

    if augment is None:
        if output is not None:
            raise OptionError(
                "--augment beside --output", f"--output {output} alone", "add --augment standard"
            )
        return None
    require(["torch"], "train", "the contact sheet")
    if output is None:
        return None if html is not None else Path("augment.png")
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg", ".html"):
        raise OptionError("an --output that ends in .png, .jpg or .html", str(output), "name it so")
    return output


def _sheet(dataset: Dataset, augment: str, seed: int) -> _Sheet:
    from headstart import backbones
    from headstart.errors import OptionError
    from headstart.images.augmentation import preset
    from headstart.images.contact_sheet import contact_sheet
    from headstart.modalities import modality

    if dataset.modality != "image":
        noun = modality(dataset.modality).noun
        raise OptionError("pictures beside --augment", noun, "leave --augment out")
    augmentation = preset(augment)
    spec = backbones.card(modality(dataset.modality).default_backbone).pixels
    shows = f"The plain view and what seven epochs of augmentation {augment!r} see: {augmentation.words()}."
    return contact_sheet(dataset, augmentation, spec, seed=seed), shows


def _jpeg(sheet: _Sheet) -> tuple[bytes, str]:
    from io import BytesIO

    buffer = BytesIO()
    sheet[0].save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), sheet[1]


def _write_sheet(sheet: _Sheet, path: Path) -> None:
    from headstart import pages
    from headstart.files import atomic_file, write_text

    if path.suffix.lower() == ".html":
        page = pages.Page("Augmentation", lead=sheet[1]).section("", pages.sheet(*_jpeg(sheet)), bare=True)
        write_text(path, page.html())
        return
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".png":
            sheet[0].save(temporary, "PNG")
        else:
            temporary.write_bytes(_jpeg(sheet)[0])


def _write_page(found: Audit, dataset: Dataset, path: Path, sheet: _Sheet | None) -> None:
    from headstart.data.audit_html import audit_html, pictured
    from headstart.files import write_text
    from headstart.fitting.reporting import glimpses

    glimpse = glimpses(dataset)
    shown = {name: each for name in pictured(found) if (each := glimpse(name)) is not None}
    title = dataset.root.name if dataset.root else "Data set"
    galleries = _sound_galleries(found, dataset) if dataset.modality == "audio" else ()
    write_text(path, audit_html(found, shown, title, _jpeg(sheet) if sheet else None, galleries))


def _sound_galleries(found: Audit, dataset: Dataset) -> tuple[Gallery, ...]:
    """Draw what sounds look like: an example of each class, and the mean of each class."""
    from headstart.audio.decode import read_bytes
    from headstart.audio.portraits import mean_pictures, portrait
    from headstart.data.audit_html import Gallery
    from headstart.progress import track

    bad = {problem.name for problem in found.corrupt}
    good = [item for item in dataset if item.name not in bad]
    sources = {item.name: item.source for item in good}
    if not good:
        return ()
    # Without classes, a few sounds from all over.
    examples = found.examples or {"": tuple(item.name for item in good[:: -(-len(good) // _PORTRAITS)])}
    chosen = [(label, name) for label, names in examples.items() for name in names[: 1 if label else None]]
    drawn = tuple(
        (f"{label}: {name}" if label else name, portrait(read_bytes(sources[name])))
        for label, name in track(chosen[:_MOST_PORTRAITS], "drawing sounds")
    )
    galleries = (Gallery("Examples, drawn", _PORTRAIT, drawn),)
    if not found.classes:
        return galleries
    members: dict[str, list[Source]] = {label: [] for label in list(found.classes)[:_MOST_MEANS]}
    for item in good:
        for tag in item.tags:
            if tag in members and len(members[tag]) < _AVERAGED:
                members[tag].append(item.source)
    picture = mean_pictures({label: map(read_bytes, sources) for label, sources in members.items()})
    return (*galleries, Gallery("The mean of each class", _MEAN, (("", picture),)))
