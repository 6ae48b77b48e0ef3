"""`headstart caption`: what photographs show, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli import common
from headstart.errors import OptionError

EXAMPLE = "Example: headstart caption holidays.captioner photo.jpg -o strips/"


def run(
    model: Annotated[
        str,
        typer.Argument(
            help="What `headstart caption-train` left, a folder; or hf:owner/model for BLIP or GIT from the "
            "Hugging Face hub, hf:/a/folder for one that is here."
        ),
    ],
    photos: Annotated[list[Path], typer.Argument(help="Photographs, and folders of them.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Also draw where the captioner looked for each word: a folder; or for one photograph a .png "
            "or .jpg.",
        ),
    ] = None,
    beam: Annotated[
        int, typer.Option(help="Beginnings of each caption that are followed; more are slower.")
    ] = 5,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always the most probable next word: fastest, a little worse.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw the words at random from the most probable ones.")
    ] = False,
    top_p: Annotated[
        float, typer.Option(help="For --sample: the share of probability that is drawn from.")
    ] = 0.9,
    temperature: Annotated[float, typer.Option(help="For --sample: above 1 is more daring.")] = 1.0,
    seed: common.SeedOption = 0,
    offline: common.OfflineOption = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a photograph, for machines.")
    ] = False,
) -> int:
    """Say what photographs show, a line for each.

    Exit code 1 if some could not be read, 2 if none could.
    """
    from headstart.errors import require

    require(["torch"], "train", "captions")
    if greedy and sample:
        raise OptionError("--greedy or --sample", "both", "leave one out")
    files = list(_files(photos))
    places = [None] * len(files) if output is None else _places(output, files)
    from headstart.images.decode import decode_file
    from headstart.images.saving import save_picture
    from headstart.studio.caption.captioner import Caption
    from headstart.studio.caption.pretrained import open_captioner
    from headstart.studio.caption.strip import strip

    captioner = open_captioner(model, offline=offline)
    how = "sample" if sample else "greedy" if greedy else "beam"
    said = captioner.caption(files, how=how, width=beam, top_p=top_p, temperature=temperature, seed=seed)
    failed = 0
    for file, place, found in zip(files, places, said, strict=True):
        if not isinstance(found, Caption):
            failed += 1
            common.tell(f"error: {file}: {found.reason}")
            if json:
                common.show_json({"input": str(file), "error": found.reason})
            continue
        if json:
            common.show_json(found.to_json())
        else:
            common.show(found.text if len(files) == 1 else f"{file}\t{found.text}")
        if place is not None:
            save_picture(place, strip(decode_file(file), found))
    if output is not None and failed < len(files):
        common.tell(f"wrote {output}")
    return 0 if not failed else 2 if failed == len(files) else 1


def _files(photos: list[Path]) -> Iterator[Path]:
    for path in photos:
        if path.is_dir():
            yield from common.files_in(path, "image")
        else:
            yield path


def _places(output: Path, files: list[Path]) -> list[Path]:
    """Return where the picture of each photograph's caption goes; two may have one name."""
    from headstart.images.saving import PICTURE_ENDINGS

    if output.suffix.lower() in PICTURE_ENDINGS and not output.is_dir():
        if len(files) > 1:
            raise OptionError("a folder for the pictures of several captions", output.name, "name a folder")
        return _kept_apart([output], files)
    if output.is_file():
        raise OptionError("a folder for the pictures, or one .png or .jpg", output.name, "name another")
    names: dict[str, None] = {}  # in order
    for file in files:
        name, number = f"{file.stem}.jpg", 1
        while name in names:
            number += 1
            name = f"{file.stem}-{number}.jpg"
        names[name] = None
    return _kept_apart([output / name for name in names], files)


def _kept_apart(places: list[Path], files: list[Path]) -> list[Path]:
    """Return the places after checking that no photograph would be written over."""
    photographs = {file.resolve() for file in files}
    for place in places:
        if place.resolve() in photographs:
            raise OptionError("another place than a photograph's own", str(place), "name another one")
    return places
