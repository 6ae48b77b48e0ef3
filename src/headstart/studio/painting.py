"""From files to a painting: pictures are read, painted, and kept with how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.engines.torch_engine import best_device
from headstart.errors import OptionError
from headstart.files import digest_file, digest_json, write_json, write_text
from headstart.images.decode import Pixels, decode_file
from headstart.images.saving import check_picture_name, save_picture
from headstart.process import available_memory
from headstart.progress import Say, quiet
from headstart.studio.kept import Kept
from headstart.studio.layers import Layers
from headstart.studio.painting_page import painting_page
from headstart.studio.style import Seen, StyleOptions, stylize
from headstart.studio.tiles import is_out_of_memory

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

_BYTES = 4_300
"""Memory that a pixel takes while VGG16's layers are computed (benchmarks/style.py)."""
_TILE = 512


def paint_file(
    content: Path,
    styles: Sequence[Path],
    output: Path,
    *,
    weights: Sequence[float] = (),
    layers: Mapping[str, float] | None = None,
    mask: Path | None = None,
    every: int = 0,
    backbone: str = "vgg16",
    resume: bool = False,
    offline: bool = False,
    say: Say = quiet,
    see: Callable[[Seen], None] = lambda _seen: None,
    **options: Any,
) -> dict[str, Any]:
    """Paint one file in the style of others; see `stylize`.

    Beside the painting come a page (.html) with all pictures and the curve of the loss, and its numbers
    (.json). While it is painted, its state is kept beside it, too.

    Args:
        content: What is painted, Path of a picture.
        styles: As what, Paths of pictures.
        output: Where the painting goes, a .png, .jpg or .webp.
        weights: How much each style counts. Defaults to none: the same.
        layers: Style layer → its weight. Defaults to None: five of VGG's.
        mask: A picture that is white where to paint. Defaults to None: everywhere.
        every: Also keep the picture after every so many steps, int. Defaults to 0: never.
        backbone: Whose layers judge, str. Defaults to "vgg16".
        resume: Whether to go on where this painting was interrupted. Defaults to False.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        see: Shown the picture on the way. Defaults to nobody.
        **options: The fields of `StyleOptions`.

    Returns:
        What was done: {"content", "styles", "options", "losses"}.

    Raises:
        DecodeError: A picture cannot be read.
        OptionError: Weights that do not fit the styles, a mask of another shape, nothing to resume.
        StorageError: The painting cannot be written.
    """
    from headstart import backbones

    _check(output, styles, weights)
    if layers:
        options["style_layers"] = dict(layers)
    wanted = StyleOptions(**options)
    scene, pictures = decode_file(content), [decode_file(path) for path in styles]
    where = None if mask is None else _mask(mask, scene)
    shares = list(weights) or [1.0] * len(pictures)
    network = backbones.load(backbone, offline=offline).to(best_device())
    files = [content, *styles, *([mask] if mask else [])]
    digest = digest_json([asdict(wanted), shares, network.card.digest, *map(digest_file, files)])
    kept = Kept(output, digest, resume=resume)

    def look(seen: Seen) -> None:
        before = kept.losses[-1][0] if kept.losses else 0
        kept.losses.append((seen.step, seen.loss))
        say(f"step {seen.step} of about {wanted.steps}: loss {seen.loss:.4g}")
        if every and seen.step // every > before // every:
            save_picture(output.with_stem(f"{output.stem}-{seen.step:04d}"), seen.picture)
        see(seen)

    painted = _paint(
        network,
        lambda how: stylize(
            scene,
            list(zip(pictures, shares, strict=True)),
            lambda names: Layers(network, names),
            how,
            mask=where,
            see=look,
            kept=kept,
        ),
        wanted,
        scene.shape,
        say,
    )
    save_picture(output, painted)
    made = {
        "content": str(content),
        "styles": [str(path) for path in styles],
        "options": asdict(wanted),
        "losses": kept.losses,
    }
    write_json(output.with_suffix(".json"), made)
    write_text(output.with_suffix(".html"), painting_page(painted, scene, pictures, kept.losses).html())
    kept.remove()
    return made


def _paint(
    network: Backbone,
    paint: Callable[[StyleOptions], Pixels],
    options: StyleOptions,
    shape: Sequence[int],
    say: Say,
) -> Pixels:
    """Paint at once where there is memory for it, else in tiles."""
    tiles = replace(options, tile=_TILE)
    said = f"there is no memory for the whole picture at once: it is painted in tiles of {_TILE} pixels"
    pixels = options.size**2 * min(shape[:2]) // max(shape[:2])
    left = available_memory() if network.mean.device.type == "cpu" else None
    if left is not None and pixels * _BYTES > left:
        say(said)
        return paint(tiles)
    try:
        return paint(options)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    say(said)
    return paint(tiles)


def _check(output: Path, styles: Sequence[Path], weights: Sequence[float]) -> None:
    check_picture_name(output)
    if weights and (len(weights) != len(styles) or min(weights) < 0 or not sum(weights)):
        received = f"{len(weights)} for {len(styles)}"
        raise OptionError("a weight for each style, none below 0", received, "leave them out, or name each")


def _mask(path: Path, scene: Pixels) -> NDArray[np.float32]:
    grey = np.asarray(Image.fromarray(decode_file(path)).convert("L"), np.float32) / np.float32(255)
    if grey.shape != scene.shape[:2]:
        found = f"{grey.shape[1]} × {grey.shape[0]}"
        size = f"{scene.shape[1]} × {scene.shape[0]} pixels"
        raise OptionError(f"a mask as large as the content, {size}", found, "scale the mask")
    return grey
