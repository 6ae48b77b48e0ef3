"""From files to a painting: pictures are read, painted, and kept with how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import OptionError
from headstart.files import write_json
from headstart.images.decode import decode
from headstart.images.saving import check_picture_name, save_picture
from headstart.progress import Say, quiet
from headstart.studio.layers import Layers
from headstart.studio.style import Pixels, Seen, StyleOptions, stylize


def paint_file(
    content: Path,
    styles: Sequence[Path],
    output: Path,
    *,
    weights: Sequence[float] = (),
    layers: Mapping[str, float] | None = None,
    mask: Path | None = None,
    every: int = 0,
    offline: bool = False,
    say: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Paint one file in the style of others; see `stylize`.

    Args:
        content: What is painted, Path of a picture.
        styles: As what, Paths of pictures.
        output: Where the painting goes, a .png, .jpg or .webp.
        weights: How much each style counts. Defaults to none: the same.
        layers: Style layer → its weight. Defaults to None: five of VGG16's.
        mask: A picture that is white where to paint. Defaults to None: everywhere.
        every: Also keep the picture after every so many steps, int. Defaults to 0: never.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        **options: The fields of `StyleOptions`.

    Returns:
        What was done, for a JSON file: the options and the loss after every few steps.

    Raises:
        DecodeError: A picture cannot be read.
        OptionError: Weights that do not fit the styles, or a mask of another shape.
        StorageError: The painting cannot be written.
    """
    from headstart import backbones

    _check(output, styles, weights)
    if layers:
        options["style_layers"] = dict(layers)
    wanted = StyleOptions(**options)
    scene = decode(content)
    pictures = [decode(path) for path in styles]
    where = None if mask is None else _mask(mask, scene)
    network = backbones.load("vgg16", offline=offline)
    losses: list[tuple[int, float]] = []

    def see(seen: Seen) -> None:
        losses.append((seen.step, seen.loss))
        say(f"step {seen.step} of about {wanted.steps}: loss {seen.loss:.4g}")
        if every and seen.step // every > (losses[-2][0] if len(losses) > 1 else 0) // every:
            save_picture(output.with_stem(f"{output.stem}-{seen.step:04d}"), seen.picture)

    painted = stylize(
        scene,
        list(zip(pictures, weights or [1.0] * len(pictures), strict=True)),
        lambda names: Layers(network, names),
        wanted,
        mask=where,
        see=see,
    )
    save_picture(output, painted)
    made = {"content": str(content), "styles": [str(path) for path in styles], "losses": losses}
    write_json(output.with_suffix(".json"), made)
    return made


def _check(output: Path, styles: Sequence[Path], weights: Sequence[float]) -> None:
    check_picture_name(output)
    if weights and (len(weights) != len(styles) or min(weights) < 0 or not sum(weights)):
        received = f"{len(weights)} for {len(styles)}"
        raise OptionError("a weight for each style, none below 0", received, "leave them out, or name each")


def _mask(path: Path, scene: Pixels) -> NDArray[np.float32]:
    grey = np.asarray(Image.fromarray(decode(path)).convert("L"), np.float32) / np.float32(255)
    if grey.shape != scene.shape[:2]:
        found = f"{grey.shape[1]} × {grey.shape[0]}"
        size = f"{scene.shape[1]} × {scene.shape[0]} pixels"
        raise OptionError(f"a mask as large as the content, {size}", found, "scale the mask")
    return grey
