"""`headstart explain`: why a model answers as it does, and what the layers of a network respond to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headstart.cli import common
from headstart.errors import DecodeError, OptionError

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.explain import Explanation

EXAMPLE = (
    "Example: headstart explain photos.headstart cat.jpg -o why.png, or of a network: headstart explain "
)
EXAMPLE += "vgg16 cat.jpg --activations block1_conv1 -o maps.png"
_PAGES = (".html", ".htm")


def run(
    model: Annotated[
        Path, typer.Argument(help="A saved model; with --activations also a backbone's name, such as vgg16.")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(help="What to explain the answers to: pictures, texts, sounds, or folders of them."),
    ],
    method: Annotated[
        Literal["auto", "gradcam", "hirescam", "gradients", "occlusion"],
        typer.Option(help="How. Default: what is most faithful for this model."),
    ] = "auto",
    label: Annotated[
        str | None, typer.Option(help="Which answer to explain. Default: the most probable one.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="A picture (.png, .jpg), a page (.html), .json, or a folder for all of it."
        ),
    ] = None,
    activations: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="Instead: what each channel of a layer answers to a picture."),
    ] = None,
    channels: Annotated[int, typer.Option(help="With --activations: most channels to show.")] = 64,
    strongest: Annotated[
        bool,
        typer.Option("--strongest", help="With --activations: the channels that answer most come first."),
    ] = False,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> int:
    """Show why a model answers as it does. Exit code 1 if some files could not be read, 2 if none could."""
    if activations is not None:
        return _activations(str(model), files, activations, output, channels, strongest, offline, json)
    from headstart.artefact import load
    from headstart.explain.explaining import explain
    from headstart.progress import track

    asked = load(model)
    files = [
        file
        for path in files
        for file in (common.files_in(path, asked.modality) if path.is_dir() else [path])
    ]
    _check_output(output, len(files), asked.modality)
    found: list[Explanation] = []
    for file in track(files, "explaining"):
        try:
            why = explain(asked, file, method=method, label=label, name=str(file), offline=offline)
        except DecodeError as error:
            common.tell(f"error: {file}: {error}")
            if json:
                common.show_json({"input": str(file), "error": str(error)})
            continue
        found.append(why)
        if json:
            common.show_json(why.to_json())
        else:
            common.show(f"{why.name}\t{why.headline}\t{why.top}")
    if output is not None and found:
        _write(output, found)
        common.tell(f"wrote {output}")
    return 0 if len(found) == len(files) else 1 if found else 2


def _check_output(output: Path | None, files: int, modality: str) -> None:
    if output is None or output.suffix == "" or output.is_dir() or output.suffix.lower() in _PAGES:
        return
    if files > 1:
        received, fix = f"{files} files and {output.name}", "name a page (why.html) or a folder"
        raise OptionError("one file for one picture", received, fix)
    if output.suffix.lower() == ".json":
        return
    if modality == "text":
        raise OptionError("a page (.html), .json or a folder for words", output.name, "correct the ending")
    from headstart.images.saving import check_picture_name

    check_picture_name(output)


def _write(output: Path, found: list[Explanation]) -> None:
    from headstart.explain.base import explanations_page
    from headstart.files import write_text

    if output.suffix.lower() in _PAGES:
        write_text(output, explanations_page(found))
    elif output.suffix == "" or output.is_dir():
        for number, why in enumerate(found, 1):
            name = f"{number:03d}-{Path(why.name).stem}" if len(found) > 1 else Path(why.name).stem
            for ending in (".json", why.picture_ending):
                why.save(output / f"{name}{ending}")
        write_text(output / "index.html", explanations_page(found))
    else:
        found[0].save(output)


def _activations(
    model: str,
    files: list[Path],
    layer: str,
    output: Path | None,
    channels: int,
    strongest: bool,
    offline: bool,
    json: bool,
) -> int:
    """Write the activation maps of a layer as one contact sheet."""
    from headstart.errors import require
    from headstart.images.saving import check_picture_name, save_picture

    require(["torch", "matplotlib"], "train", "the activations of a network")
    from headstart.explain.activations import activation_maps, contact_sheet

    if len(files) != 1:
        raise OptionError("one picture to show activations of", f"{len(files)}", "name one")
    output = output or Path(f"{files[0].stem}-{layer}.png")
    check_picture_name(output)
    backbone = _backbone(model, offline)
    maps, seen = activation_maps(backbone, files[0], layer)
    title = f"{backbone.card.name}, {layer}"
    save_picture(output, contact_sheet(maps, seen, title, channels=channels, strongest=strongest))
    common.tell(f"wrote {output}")
    if json:
        strength = abs(maps).mean((1, 2))
        order = [int(channel) for channel in (-strength).argsort(kind="stable")]
        shape = {"channels": maps.shape[0], "rows": maps.shape[1], "columns": maps.shape[2]}
        common.show_json({"input": str(files[0]), "layer": layer, **shape, "strongest": order[:channels]})
    return 0


def _backbone(model: str, offline: bool) -> Backbone:
    if Path(model).exists():
        from headstart.artefact import load

        return load(model).torch_network(offline=offline)
    from headstart import backbones

    return backbones.load(model, offline=offline, say=common.tell)
