"""From a file to a dream: the picture, what was kept on the way, a zoom into it, and how it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.engines.torch_engine import best_device
from headstart.errors import OptionError
from headstart.files import write_json
from headstart.images.decode import Pixels, decode_file
from headstart.images.saving import check_picture_name, save_picture
from headstart.progress import Say, quiet
from headstart.studio.dream import DreamOptions, Dreamt, See, dream, zoom
from headstart.studio.layers import Layers
from headstart.studio.video import check_video_name, write_video


def dream_file(
    content: Path,
    output: Path,
    *,
    layers: Mapping[str, float] | None = None,
    guide: Path | None = None,
    backbone: str = "vgg16",
    every: int = 0,
    flight: Path | None = None,
    frames: int = 60,
    offline: bool = False,
    say: Say = quiet,
    see: See = lambda _dreamt: None,
    **options: Any,
) -> dict[str, Any]:
    """Dream one file; see `dream`.

    Args:
        content: What is dreamt on, Path of a picture.
        output: Where the dream goes, a .png, .jpg or .webp; a .json beside it says how it went.
        layers: Layer → its weight. Defaults to None: two of VGG16's.
        guide: A picture whose features are looked for. Defaults to None.
        backbone: The network, str. Defaults to "vgg16".
        every: Also keep the picture after every so many steps, int. Defaults to 0: never.
        flight: A zoom into the dream, a .mp4 or .gif. Defaults to None.
        frames: Of how many pictures it is made, int. Defaults to 60.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        see: Told after every step. Defaults to nobody.
        **options: The other fields of `DreamOptions`.

    Returns:
        What was done, for a JSON file: the options, and the excitement after every step.

    Raises:
        BackboneError: The network cannot be had.
        DecodeError: A picture cannot be read.
        MissingExtraError: A video is asked for without the package that writes it.
        OptionError: There is no such layer, or the picture is too small.
        StorageError: The dream cannot be written.
    """
    from headstart import backbones

    check_picture_name(output)
    if flight is not None:
        check_video_name(flight)
        if frames < 1:
            raise OptionError("one frame or more", str(frames), "use --frames 60")
    if layers:
        options["layers"] = dict(layers)
    wanted = DreamOptions(**options)
    scene = decode_file(content)
    guiding = None if guide is None else decode_file(guide)
    network = backbones.load(backbone, offline=offline).to(best_device())
    climbed: list[float] = []

    def watch(dreamt: Dreamt) -> None:
        climbed.append(round(dreamt.excitement, 4))
        far = f"step {dreamt.step} of {dreamt.steps}, {dreamt.share:.0%}"
        say(f"{far}: {dreamt.excitement:.2f} times the excitement")
        if every and dreamt.step % every == 0:
            save_picture(output.with_stem(f"{output.stem}-{dreamt.step:04d}"), dreamt.picture)
        see(dreamt)

    def of(names: Any) -> Layers:
        return Layers(network, names)

    dreamt = dream(scene, of, wanted, guide=guiding, see=watch, say=say)
    save_picture(output, dreamt)
    made = {
        "content": str(content),
        "guide": None if guide is None else str(guide),
        "backbone": backbone,
        **asdict(wanted),
        "excitement": climbed,
    }
    write_json(output.with_suffix(".json"), made)
    if flight is not None:
        flown = zoom(dreamt, of, wanted, frames=frames, guide=guiding, say=say)
        write_video(flight, _counted(flown, frames, say))
    return made


def _counted(flown: Iterable[Pixels], frames: int, say: Say) -> Iterator[Pixels]:
    for number, frame in enumerate(flown, 1):
        say(f"frame {number} of {frames}")
        yield frame
