"""What the studio's page offers to make: explanations, summaries, dreams, paintings, colours."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headstart.images.decode import Pixels
from headstart.studio.commands import Command, Input, Option, Progress, register, weighted

if TYPE_CHECKING:
    from headstart.studio.dream import Dreamt
    from headstart.studio.style import Seen

_PREVIEW = 2.0
"""Seconds between two previews."""


def _previews(out: Path) -> Callable[[Pixels], None]:
    """Return what keeps a picture as the preview, every few seconds."""
    from headstart.images.saving import save_picture

    shown = -math.inf

    def show(picture: Pixels) -> None:
        nonlocal shown
        if time.monotonic() - shown > _PREVIEW:
            save_picture(out / "preview.jpg", picture)
            shown = time.monotonic()

    return show


def _summarize(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.artefact.loading import load
    from headstart.errors import DecodeError
    from headstart.files import write_json, write_text
    from headstart.studio.summary import Summarizer, summaries_page

    progress(0.0, "opening the model")
    summarizer = Summarizer(load(inputs["model"][0]))
    found, unread = [], []
    for number, file in enumerate(inputs["texts"]):
        progress(number / len(inputs["texts"]), f"reading {file.name}")
        try:
            found.append(summarizer.summarize(file, options["sentences"], name=file.name))
        except DecodeError as error:
            unread.append({"input": file.name, "error": str(error)})
    if not found:
        raise DecodeError("texts that can be read", unread[0]["error"], "send others")
    write_text(out / "summary.html", summaries_page(found))
    write_json(out / "summary.json", [*(summary.to_json() for summary in found), *unread])


SUMMARIZE = register(
    Command(
        "summarize",
        "Summarise",
        "Picks the sentences that a model's answer comes from, and marks every other by what it brings.",
        (Input("model", "Model", "model", ("text",)), Input("texts", "Texts", "files", ("text",), most=50)),
        (Option("sentences", "Sentences to pick", 3, least=1, most=20),),
        _summarize,
    )
)


def _explain(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.studio.explanations import explain_files

    explain_files(inputs["model"][0], inputs["items"], out, progress, **options)


EXPLAIN = register(
    Command(
        "explain",
        "Explain",
        "Shows what a model's answers come from: places in pictures, words in texts, moments and pitches in "
        "sounds.",
        (
            Input("model", "Model", "model", ("image", "text", "audio")),
            Input("items", "Pictures, texts or sounds", "files", ("image", "text", "audio"), most=20),
        ),
        (Option("method", "How", "auto", ("auto", "occlusion", "gradients", "hirescam", "gradcam")),),
        _explain,
    )
)


def _dream(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.studio.dreaming import dream_file

    show = _previews(out)

    def see(dreamt: Dreamt) -> None:
        progress(dreamt.share, f"step {dreamt.step} of {dreamt.steps}")
        show(dreamt.picture)

    progress(0.0, "opening the network")
    settings = {**options, "layers": weighted(options["layers"])}
    dream_file(inputs["picture"][0], out / "dream.jpg", see=see, **settings)
    (out / "preview.jpg").unlink(missing_ok=True)


DREAM = register(
    Command(
        "dream",
        "Dream",
        "Changes a picture until a network sees more and more of what it began to see in it (DeepDream).",
        (Input("picture", "Picture", "files", ("image",)),),
        (
            Option("layers", "Layers of VGG16", "block4_conv3,block5_conv1", most=200),
            Option("octaves", "Sizes, from small to whole", 4, least=1, most=8),
            Option("steps", "Steps in each size", 20, least=1, most=100),
            Option("size", "Longest side, in pixels", 800, least=64, most=2000),
        ),
        _dream,
    )
)


def _stylize(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    if options["fast"]:
        _stylize_at_once(inputs, options, out, progress)
        return
    from headstart.studio.painting import paint_file

    show = _previews(out)

    def see(seen: Seen) -> None:
        share = min(1.0, seen.step / options["steps"])
        progress(share, f"step {seen.step} of {options['steps']}, loss {seen.loss:.3g}")
        show(seen.picture)

    progress(0.0, "opening the network")
    settings = {name: value for name, value in options.items() if name != "fast"}
    paint_file(inputs["picture"][0], inputs["styles"], out / "painted.jpg", see=see, **settings)
    (out / "preview.jpg").unlink(missing_ok=True)


def _stylize_at_once(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.images.decode import decode_file
    from headstart.studio.any_style import any_style
    from headstart.studio.fast_painting import paint_fast

    progress(0.0, "opening the networks")
    brush = any_style([decode_file(style) for style in inputs["styles"]])
    progress(0.5, "painting")
    paint_fast(inputs["picture"][0], brush, out / "painted.jpg", size=options["size"])


STYLIZE = register(
    Command(
        "stylize",
        "Paint",
        "Paints a picture as another one is painted, or as several are (style transfer).",
        (
            Input("picture", "Picture", "files", ("image",)),
            Input("styles", "Styles", "files", ("image",), most=4),
        ),
        (
            Option("size", "Longer side, in pixels", 384, least=64, most=1024),
            Option("steps", "Steps", 300, least=20, most=2000),
            Option("style_weight", "How much of the style (1 is usual)", 1.0, least=0.001, most=1000),
            Option("colours", "Keep the picture's own colours", False),
            Option("fast", "At once, in one pass (only the size counts then)", False),
        ),
        _stylize,
    )
)


def _colorize(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.studio.colorize.hints import read_hint
    from headstart.studio.colorize.telling import colour_photos

    hints = [read_hint(each) for each in options["hints"].split()]
    how: Literal["annealed", "expected"] = "annealed" if options["colours"] == "vivid" else "expected"
    colour_photos(inputs["colorizer"][0], inputs["photos"], out, progress, hints=hints, how=how)


COLORIZE = register(
    Command(
        "colorize",
        "Colour",
        "Gives grey photographs colours; how light they are does not change.",
        (
            Input("colorizer", "Colorizer", "trained", ("colorizer.json",)),
            Input("photos", "Photographs", "files", ("image",), most=20),
        ),
        (
            Option("colours", "Colours (cautious ones are greyer)", "vivid", ("vivid", "cautious")),
            Option("hints", "Colours that you know, such as 120,80,#b03a2e (x,y,#rrggbb)", "", most=1000),
        ),
        _colorize,
    )
)


def _caption(
    inputs: Mapping[str, Sequence[Path]], options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.studio.caption.telling import caption_files

    ways = {"the best of many": "beam", "the first that comes": "greedy", "at random": "sample"}
    caption_files(inputs["captioner"][0], inputs["photos"], out, progress, how=ways[options["how"]])


CAPTION = register(
    Command(
        "caption",
        "Caption",
        "Says in a sentence what a photograph shows, and where it looked for each word.",
        (
            Input("captioner", "Captioner", "trained", ("captioner.json",)),
            Input("photos", "Photographs", "files", ("image",), most=20),
        ),
        (
            Option(
                "how",
                "Sentence",
                "the best of many",
                ("the best of many", "the first that comes", "at random"),
            ),
        ),
        _caption,
    )
)
