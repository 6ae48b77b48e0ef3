"""From a folder of photographs and one picture to a trained style: opened, trained, kept."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from headstart import backbones, data
from headstart.backbones import tensors as tensor_files
from headstart.data.items import Dataset
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import version as openvino_version
from headstart.errors import OptionError
from headstart.files import atomic_folder, digest_file, digest_json, write_json
from headstart.images.decode import decode_file
from headstart.images.saving import save_picture
from headstart.networks.style_network import Exported, StyleNetwork
from headstart.progress import Say, quiet
from headstart.studio.fast_style import CARD, NETWORK, PAINTED, SCHEMA, WEIGHTS, is_style
from headstart.studio.fast_training import Look, Photographs, StyleTraining, TrainOptions
from headstart.studio.layers import Layers
from headstart.training.checkpoints import FOLDER, Checkpoints, Identity

PREVIEW = "preview.jpg"


def make_style(
    photos: Path,
    style: Path,
    output: Path,
    *,
    minutes: float = 40.0,
    resume: bool = False,
    every: int = 50,
    offline: bool = False,
    say: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Train a network to paint photographs in the style of a picture, and keep it in a folder.

    The states of the training, and `preview.jpg`, a photograph as it is painted now, are in the folder
    OUTPUT.run beside it.

    Args:
        photos: A folder or manifest of photographs; labels are not needed.
        style: The picture that it shall paint like.
        output: Where the trained style goes, a folder.
        minutes: Time for the training, float; with `resume` for all of it together. Defaults to 40.
        resume: Whether to go on with the training in OUTPUT.run. Defaults to False.
        every: Steps between two previews, int. Defaults to 50.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        **options: The fields of `TrainOptions`.

    Returns:
        The card, as it is kept: style, photographs, options, steps, loss.

    Raises:
        DataError: There are no photographs, or none that can be read.
        DecodeError: The style picture cannot be read.
        OptionError: A value outside its range; nothing to resume; or a training that was cut off is there.
        StorageError: The disk is full or the folder cannot be written.
    """
    if not 0 < minutes < math.inf:
        raise OptionError("a time above 0 minutes", f"{minutes:g}", "use --minutes 40")
    if output.exists() and not is_style(output):
        raise OptionError("a place for a trained style", f"{output.name}, something else", "name another")
    wanted = TrainOptions(**options)
    picture = decode_file(style)
    dataset = data.open(photos, unlabelled=True)
    photographs = Photographs(dataset, wanted.size, wanted.seed)
    network = backbones.load("vgg16", offline=offline)
    run = output.with_name(f"{output.name}.run")
    identity = Identity("", f"vgg16 {network.card.digest} {digest_file(style)}", _digest(dataset), ())
    checkpoints = Checkpoints(run / FOLDER, identity)
    if not resume and checkpoints.unfinished():
        fix = "go on with --resume, or remove that folder"
        raise OptionError("a new training", f"one that was cut off, in {run.name}", fix)
    training = StyleTraining(picture, lambda names: Layers(network, names), wanted, checkpoints)
    if resume:
        training.resume()
    else:
        checkpoints.clear()

    def see(look: Look) -> None:
        save_picture(run / PREVIEW, look.picture)
        say(f"step {look.step}, {look.seconds / 60:.1f} of {minutes:g} minutes: loss {look.loss:.4g}")

    training.go(photographs, minutes, every=every, see=see)
    card = {
        "style": {"name": style.name, "digest": digest_file(style)},
        "photographs": {
            "count": len(dataset.items),
            "digest": identity.data,
            "unread": len(photographs.unread),
        },
        "options": {**training.does(), "steps": wanted.steps},
        "network": {"width": wanted.width, "blocks": wanted.blocks},
        "training": {
            "steps": training.step,
            "minutes": round(training.seconds / 60, 2),
            "loss": training.loss,
        },
        "judge": {"name": network.card.name, "digest": network.card.digest},
    }
    return save_style(training.finished(), output, card)


def save_style(network: StyleNetwork, folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write a trained network as a folder that `FastStyle` opens, whole or not at all.

    Args:
        network: What was trained.
        folder: Where.
        card: What is known about it, JSON-able.

    Returns:
        The card with schema, versions and the digests of the files.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    from headstart import __version__

    with atomic_folder(folder) as draft:
        save_ir(_convert(network), draft / NETWORK)
        tensor_files.write(draft / WEIGHTS, network.state_dict(), {"style": card["style"]["name"]})
        names = (NETWORK, Path(NETWORK).with_suffix(".bin").name, WEIGHTS)
        card = {
            "schema": SCHEMA,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **card,
            "versions": {
                "headstart": __version__,
                "torch": torch.__version__,
                "openvino": openvino_version(),
            },
            "files": {name: digest_file(draft / name) for name in names},
        }
        write_json(draft / CARD, card)
    return card


def _convert(network: StyleNetwork) -> Any:
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes: they stay free
        model = openvino.convert_model(
            Exported(network).eval(),
            example_input=torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
            input=[openvino.PartialShape([-1, -1, -1, 3])],
        )
    model.input(0).set_names({"pixels"})
    model.output(0).set_names({PAINTED})
    return model


def _digest(dataset: Dataset) -> str:
    # Their names and sizes: reading a thousand photographs again would take longer than it is worth.
    sizes = [
        [item.name, item.source.stat().st_size if isinstance(item.source, Path) else 0]
        for item in dataset.items
    ]
    return digest_json(sizes)
