"""From a folder of photographs to a trained colorizer: opened, trained, kept."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart import backbones, data
from headstart.backbones import tensors as tensor_files
from headstart.backbones.backbone import Backbone
from headstart.data.items import Dataset, Item
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.engines.openvino_engine import version as openvino_version
from headstart.errors import OptionError
from headstart.files import atomic_folder, digest_file, digest_json, write_json
from headstart.images.decode import Pixels, decode
from headstart.images.resizing import shrunk
from headstart.images.saving import save_picture
from headstart.progress import Say, quiet
from headstart.studio.colorize import card as names
from headstart.studio.colorize.card import is_colorizer
from headstart.studio.colorize.colorizer import paint
from headstart.studio.colorize.lab import colourfulness, lab_to_rgb
from headstart.studio.colorize.networks import STRIDE, Classic, ClassicEncoder, Encoder, UNet, Whole
from headstart.studio.colorize.photographs import Floats, Photographs, Usable, Views, stacked, usable, view_of
from headstart.studio.colorize.quantising import TEMPERATURE, bins, mean_colour, rebalancing
from headstart.studio.colorize.seen import See, Stream
from headstart.studio.colorize.sheet import row, sheet
from headstart.studio.colorize.training import ColorTraining, Look, TrainOptions
from headstart.training.checkpoints import FOLDER, Checkpoints, Identity

PREVIEW = "preview.jpg"
BACKBONE = "efficientnet_lite0"
_AT_ONCE = 20
_ENOUGH = 5
"""Batches held out that decide how vivid colours are."""
_SHOWN, _SHOWN_SIDE = 6, 320
_MIXES = (1.0, 0.97, 0.94, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
"""From no rebalancing of rare colours to Zhang's."""
_VIVID = 0.85
"""Share of the photographs' colourfulness that is enough: more of it costs more wrong colours."""


def make_colorizer(
    photos: Path | Dataset,
    output: Path,
    *,
    kind: str = "unet",
    minutes: float = 30.0,
    resume: bool = False,
    offline: bool = False,
    say: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Train a network to colour grey photographs, and keep it in a folder.

    The states of the training, and `preview.jpg`, some photographs that are held out: grey, as they are
    coloured now, and as they are, are in the folder OUTPUT.run beside it.

    Args:
        photos: A folder or manifest of colour photographs, or a data set; labels are not needed. Where
            there are splits, "val" decides when to stop and "test" is not looked at.
        output: Where the trained colorizer goes, a folder.
        kind: "unet" or "classic", see `TrainOptions`. Defaults to "unet".
        minutes: Time for the training, float; with `resume` for all of it together. Defaults to 30.
        resume: Whether to go on with the training in OUTPUT.run. Defaults to False.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        **options: The fields of `TrainOptions`.

    Returns:
        The card, as it is kept.

    Raises:
        DataError: There are no photographs with colours.
        OptionError: A value outside its range; nothing to resume; or a training that was cut off is there.
        StorageError: The disk is full or the folder cannot be written.
    """
    if not 0 < minutes < math.inf:
        raise OptionError("a time above 0 minutes", f"{minutes:g}", "use --minutes 30")
    if output.exists() and not is_colorizer(output):
        raise OptionError("a place for a colorizer", f"{output.name}, something else", "name another")
    wanted = TrainOptions(kind=kind, **options)
    dataset = data.open(photos, unlabelled=True)
    backbone = backbones.load(BACKBONE, offline=offline)
    run = output.with_name(f"{output.name}.run")
    identity = Identity("", f"{BACKBONE} {backbone.card.digest}", _digest(dataset), ())
    checkpoints = Checkpoints(run / FOLDER, identity)
    if not resume and checkpoints.unfinished():
        fix = "go on with --resume, or remove that folder"
        raise OptionError("a new training", f"one that was cut off, in {run.name}", fix)
    found = usable(dataset, wanted.seed)
    _tell_left_out(found, say)
    encoder, network = build(backbone, wanted)
    encode = _seeing(encoder)
    training = ColorTraining(network, encode, _views(found.held_out, wanted.size), wanted, checkpoints)
    if resume:
        training.resume()
    else:
        checkpoints.clear()

    def see(look: Look) -> None:
        save_picture(run / PREVIEW, _preview(found.held_out, look.told.numpy(), found.prior))
        say(
            f"epoch {look.epoch}, {look.seconds / 60:.1f} of {minutes:g} minutes: loss {look.loss:.4g}, "
            f"error {look.error:.4f} of the best constant colour's{', the best so far' * look.best}"
        )

    photographs = Photographs(found.train, wanted.size, wanted.seed)
    training.go(Stream(photographs, encode, wanted.batch), minutes, see=see)
    trained = training.finished()
    card = {
        **described(wanted, found.prior, _vivid(training.told(trained), found.prior)),
        "encoder": {"name": backbone.card.name, "digest": backbone.card.digest},
        "photographs": {
            "train": len(found.train),
            "held_out": len(found.held_out),
            "left_out": len(found.left_out),
            "digest": identity.data,
        },
        "options": {**training.does(), "epochs": wanted.epochs, "patience": wanted.patience},
        "training": {
            "epochs": len(training.errors),
            "minutes": round(training.seconds / 60, 2),
            "best_epoch": training.best,
            "errors": [round(error, 5) for error in training.errors],
        },
    }
    return save_colorizer(Whole(encoder, trained), output, card)


def build(backbone: Backbone, options: TrainOptions) -> tuple[Encoder | ClassicEncoder, UNet | Classic]:
    """Return what looks at photographs, and an untrained network that will colour them.

    Args:
        backbone: The pretrained network.
        options: Kind, size and seed.
    """
    encoder = Encoder(backbone, options.size).eval()
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        if options.kind == "unet":
            return encoder, UNet(encoder.shapes, len(bins()))
        return ClassicEncoder(encoder).eval(), Classic(encoder.shapes[-1][0])


def described(options: TrainOptions, prior: Floats, mix: float = 0.5) -> dict[str, Any]:
    """Return what has to be known to use a network of these options, JSON-able.

    Args:
        options: Kind and size.
        prior: Share of pixels that each bin has, float32 [bins].
        mix: How strongly rare colours are favoured in annealed ones, see `rebalancing`. Defaults to 0.5.
    """
    card: dict[str, Any] = {"kind": options.kind, "size": options.size}
    if options.kind == "classic":
        return {**card, "output": names.AB}
    return {
        **card,
        "output": names.LOGITS,
        "bins": bins().tolist(),
        "prior": [round(float(share), 8) for share in prior],
        "temperature": TEMPERATURE,
        "mix": mix,
    }


def save_colorizer(network: Whole, folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write a trained network as a folder that is opened without torch, whole or not at all.

    Args:
        network: Encoder and what was trained.
        folder: Where.
        card: What is known about it, JSON-able: `described` at least.

    Returns:
        The card with schema, versions and the digests of the files.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    from headstart import __version__

    with atomic_folder(folder) as draft:
        save_ir(_converted(network.eval(), card["size"], (card["output"],)), draft / names.NETWORK)
        tensor_files.write(draft / names.WEIGHTS, network.network.state_dict(), {"kind": card["kind"]})
        card = {
            "schema": names.SCHEMA,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **card,
            "versions": {
                "headstart": __version__,
                "torch": torch.__version__,
                "openvino": openvino_version(),
            },
            "files": {name: digest_file(draft / name) for name in names.FILES},
        }
        write_json(draft / names.CARD, card)
    return card


def _converted(network: nn.Module, size: int, outputs: tuple[str, ...]) -> Any:
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes: they are fixed
        model = openvino.convert_model(
            network,
            example_input=torch.zeros(1, 1, size, size),
            input=[openvino.PartialShape([-1, 1, size, size])],
        )
    model.input(0).set_names({names.LIGHTNESS})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.set_names({name})
    return model


def _seeing(encoder: Encoder | ClassicEncoder) -> See:
    """Return the frozen encoder as OpenVINO runs it, several times as fast as torch."""
    with torch.inference_mode():
        count = len(encoder(torch.zeros(1, 1, encoder.size, encoder.size)))
    outputs = tuple(f"seen{number}" for number in range(count))
    engine = OpenVinoEngine(_converted(encoder, encoder.size, outputs))

    def see(lightness: Floats) -> tuple[Floats, ...]:
        rows = [found for _, found in engine.run(enumerate(lightness), outputs)]
        return tuple(np.stack([row[name] for row in rows]) for name in outputs)

    return see


def _vivid(told: Iterable[tuple[Tensor, Views]], prior: Floats) -> float:
    """Return the mildest mix with which photographs held out become almost as colourful as they were."""
    made, were = np.zeros(len(_MIXES)), 0.0
    for logits, views in islice(told, _ENOUGH):
        light = views.lightness[:, 0].reshape(-1, *2 * (views.ab.shape[1], STRIDE)).mean((2, 4))
        were += _colourful(light, views.ab)
        if logits.shape[1] == 2:
            return _MIXES[0]
        for place, mix in enumerate(_MIXES):
            made[place] += _colourful(light, colours_told(logits.numpy(), prior, mix))
    vivid = made >= _VIVID * were
    return _MIXES[int(vivid.argmax())] if vivid.any() else _MIXES[-1]


def _colourful(light: Floats, ab: Floats) -> float:
    pictures = lab_to_rgb(np.concatenate([light[..., None], ab], 3))
    return sum(colourfulness(picture) for picture in pictures)


def colours_told(told: Floats, prior: Floats, mix: float) -> Floats:
    """Return annealed colours, ab [n, h, w, 2], of what a network tells: logits, or ab [n, 2, h, w]."""
    if told.shape[1] == 2:
        return np.moveaxis(told, 1, 3)
    return mean_colour(told, bins(), temperature=TEMPERATURE, weights=rebalancing(prior, mix))


def _preview(items: tuple[Item, ...], told: Floats, prior: Floats) -> Pixels:
    """Return some photographs held out: grey, as they are coloured now, and as they are."""
    rows = []
    for item, ab in zip(items[:_SHOWN], colours_told(told[:_SHOWN], prior, 0.5), strict=False):
        picture = shrunk(decode(item.source, at_least=_SHOWN_SIDE), _SHOWN_SIDE)
        rows.append(row(Path(item.name).name, picture, paint(picture, picture, ab), had_colour=True))
    return sheet(rows)


def _views(items: tuple[Item, ...], size: int) -> list[Views]:
    views = [view_of(decode(item.source, at_least=size), size) for item in items]
    return [stacked(views[start : start + _AT_ONCE]) for start in range(0, len(views), _AT_ONCE)]


def _tell_left_out(found: Usable, say: Say) -> None:
    for problem in found.left_out:
        say(f"left out: {problem.name}: {problem.reason}")
    say(
        f"{len(found.train)} photographs to learn from, {len(found.held_out)} held out, "
        f"{len(found.left_out)} left out"
    )


def _digest(dataset: Dataset) -> str:
    # Their names and sizes: reading a thousand photographs again would take longer than it is worth.
    return digest_json(
        [
            [item.name, item.split, item.source.stat().st_size if isinstance(item.source, Path) else 0]
            for item in dataset.items
        ]
    )
