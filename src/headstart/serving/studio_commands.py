"""Studio commands that need what serving knows: explanations of many answers at once.

`python -m headstart.serving.studio_commands STATE ID` does one job of the studio, whatever its command.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import DecodeError
from headstart.files import write_json, write_text
from headstart.pages import FOR_AND_AGAINST, Markup, Page, fragment, glimpses, paragraph, sheet, table
from headstart.serving.explaining import explain
from headstart.serving.models import Served
from headstart.serving.settings import Settings
from headstart.studio.commands import Command, Input, Progress, register
from headstart.studio.worker import main

if TYPE_CHECKING:
    from PIL.Image import Image

_PATIENCE = 600.0
_MOMENTS = 5
_DARKEST = 48
"""Per cent of colour behind the part that brings most: what is written on it stays readable."""


def _explain(
    inputs: Mapping[str, Sequence[Path]], _options: Mapping[str, Any], out: Path, progress: Progress
) -> None:
    from headstart.artefact import load

    progress(0.0, "opening the model")
    (path,) = inputs["model"]
    settings = Settings((path,), out, seconds=math.inf)  # a job may take its time
    served = Served(path.stem, "1", load(path), path, settings)
    told: list[dict[str, Any]] = []
    for number, file in enumerate(inputs["items"]):
        progress(number / len(inputs["items"]), f"asking about {file.name}")
        try:
            found = explain(served, file.read_bytes(), time.monotonic() + _PATIENCE)
        except DecodeError as error:
            told.append({"input": file.name, "error": str(error)})
            continue
        if overlay := found.pop("overlay", None):
            found["picture"] = f"{number + 1:02d}.png"
            (out / found["picture"]).write_bytes(base64.b64decode(overlay))
        if served.model.modality == "audio":
            found["sound"] = f"{number + 1:02d}.png"
            _draw(file, found).save(out / found["sound"])
        told.append({**found, "prediction": {**found["prediction"], "input": file.name}})
    served.batcher.close()
    if all("error" in each for each in told):
        raise DecodeError("items that can be read", told[0]["error"], "send others")
    write_text(out / "explain.html", explanations_page(told, out))
    write_json(out / "explain.json", told)


def explanations_page(told: Sequence[Mapping[str, Any]], out: Path) -> str:
    """Return explanations as one self-contained page.

    Args:
        told: JSON objects as `explaining.explain` gives them, with "picture", a file's name, for "overlay",
            and with "sound", that of a spectrogram; or "input" and "error".
        out: The folder of the pictures.

    Returns:
        The HTML, str.
    """
    readable = [each for each in told if "error" not in each]
    page = Page("Explanations", lead="What the answers come from.")
    pictures = [each for each in readable if "picture" in each]
    if pictures:
        strip = (
            (
                (out / each["picture"]).read_bytes(),
                f"{each['prediction']['input']}, marked by what counts",
                _caption(each["prediction"]),
            )
            for each in pictures
        )
        note = f"{FOR_AND_AGAINST} {_how(pictures[0])}"
        page.section("Pictures", glimpses(strip), paragraph(note, quiet=True))
    for each in readable:
        if "parts" in each:
            page.section(
                str(each["prediction"]["input"]),
                paragraph(_caption(each["prediction"])),
                _marked(each["parts"]),
                paragraph(f"{FOR_AND_AGAINST} {_how(each)}", quiet=True),
            )
        if "sound" in each:
            page.section(
                str(each["prediction"]["input"]),
                paragraph(_caption(each["prediction"])),
                _timeline(each, (out / each["sound"]).read_bytes()),
                paragraph(_how(each), quiet=True),
            )
    unread = [fragment("<li>{}: {}</li>", each["input"], each["error"]) for each in told if "error" in each]
    if unread:
        page.section("Cannot be read", fragment("<ul>{}</ul>", Markup("").join(unread)))
    return page.html()


def _how(found: Mapping[str, Any]) -> str:
    method = str(found["method"])
    passes = "" if found["exact"] else f", in {found['passes']} passes"
    return f"{method[:1].upper()}{method[1:]}{passes}."


def _caption(prediction: Mapping[str, Any]) -> Markup:
    if "value" in prediction:
        said = f"{prediction['value']:.4g}"
    elif "labels" in prediction:
        said = ", ".join(prediction["labels"]) or "no label"
    else:
        said = f"{prediction['label']} ({prediction['confidence']:.1%})"
    return fragment('<b>{}</b> <span class="quiet">{}</span>', said, prediction["input"])


def _marked(parts: Sequence[Mapping[str, Any]]) -> Markup:
    most = max((abs(part["weight"]) for part in parts), default=0.0) or 1.0
    marks = (
        fragment(
            '<mark{} style="--part:{:.0f}%" title="{:+.2f}">{}</mark>',
            Markup(' class="against"' if part["weight"] < 0 else ""),
            _DARKEST * abs(part["weight"]) / most,
            part["weight"],
            part["text"],
        )
        for part in parts
    )
    return fragment('<p class="marked" dir="auto">{}</p>', Markup(" ").join(marks))


def _draw(file: Path, found: Mapping[str, Any]) -> Image:
    """Return a sound's spectrogram with its timeline."""
    import numpy as np

    from headstart.audio.decode import read_bytes
    from headstart.audio.timeline import Segment, Timeline
    from headstart.audio.timeline_picture import draw

    parts = tuple(Segment(**each) for each in found["segments"])
    nothing = np.empty(0)
    return draw(
        read_bytes(file), Timeline(file.name, found["seconds"], parts, (), nothing, 0.0, nothing[:, None])
    )


def _timeline(found: Mapping[str, Any], picture: bytes) -> Markup:
    """Return what is heard when, and the moments that the answer needs most."""
    windows = found["windows"]
    starts, weights = windows["starts"], windows["weights"]
    best = sorted(range(len(starts)), key=lambda place: -weights[place])[:_MOMENTS]
    heard = [
        (f"{each['start']:.1f} s", f"{each['end']:.1f} s", each["label"], f"{each['confidence']:.1%}")
        for each in found["segments"]
    ]
    counts = [
        (f"{starts[place]:.1f} s", f"{starts[place] + windows['length']:.1f} s", f"{weights[place]:+.2f}")
        for place in sorted(best)
        if weights[place] > 0
    ]
    parts = [sheet(picture, f"What is heard when in {found['prediction']['input']}")]
    if heard:
        parts.append(table(["From", "To", "What is heard", "Confidence"], heard))
    if counts:
        parts.append(table(["From", "To", "Log-odds"], counts, "The moments that speak most for the answer"))
    return Markup("").join(parts)


EXPLAIN = register(
    Command(
        "explain",
        "Explain",
        "Shows what a model's answers come from: places in pictures, sentences in texts, moments in sounds.",
        (
            Input("model", "Model", "model", ("image", "text", "audio")),
            Input("items", "Pictures, texts or sounds", "files", ("image", "text", "audio"), most=50),
        ),
        (),
        _explain,
    )
)

if __name__ == "__main__":
    main()
