"""From files to a painting, with a small network in VGG16's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from vgg_like import vgg_like

from headstart import backbones
from headstart.errors import BackboneError, DecodeError, OptionError
from headstart.images.decode import decode
from headstart.studio import any_style, kept, making, painting
from headstart.studio.jobs import Job, JobStore
from headstart.studio.making import STYLIZE
from headstart.studio.painting import paint_file
from headstart.studio.style import Seen, StyleOptions
from headstart.studio.worker import perform

OPTIONS: dict[str, Any] = {
    "size": 48, "steps": 60, "style_weight": 1e4, "content_weight": 1.0,
    "content_layer": "block1_conv1", "layers": {"block1_conv1": 1.0},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = vgg_like(8)
    monkeypatch.setattr(backbones, "load", lambda _name, offline=False: network)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    generator = np.random.default_rng(0)
    content, style = tmp_path / "content.png", tmp_path / "style.jpg"
    Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(content)
    Image.new("CMYK", (50, 50), (0, 200, 200, 0)).save(style)
    return content, style


def test_a_painting_is_written_with_how_it_went(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    content, style = pictures
    said: list[str] = []
    made = paint_file(content, [style], tmp_path / "out.png", every=20, say=said.append, **OPTIONS)
    with Image.open(tmp_path / "out.png") as painted:
        assert painted.size == (48, 32)
    kept = sorted(path.name for path in tmp_path.glob("out-*.png"))
    assert len(kept) >= 2
    assert json.loads((tmp_path / "out.json").read_text())["losses"] == [
        list(each) for each in made["losses"]
    ]
    assert made["losses"][-1][1] < made["losses"][0][1] or len(made["losses"]) == 2
    assert said
    page = (tmp_path / "out.html").read_text()
    assert page.count("<img") == 3  # the painting, the content, the style
    assert "The loss falls from" in page
    assert not list(tmp_path.glob(".*")), "what was kept for going on is gone"


def test_an_interrupted_painting_goes_on_where_it_was(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, style = pictures
    monkeypatch.setattr(kept, "_EVERY", 0.0)
    whole = paint_file(content, [style], tmp_path / "whole.png", **OPTIONS)

    def interrupt(seen: Seen) -> None:
        if seen.step >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint_file(content, [style], tmp_path / "out.png", see=interrupt, **OPTIONS)
    assert not (tmp_path / "out.png").exists()
    with pytest.raises(OptionError, match="other pictures or options"):
        paint_file(style, [content], tmp_path / "out.png", resume=True, **OPTIONS)
    made = paint_file(content, [style], tmp_path / "out.png", resume=True, **OPTIONS)
    assert made["losses"] == whole["losses"]
    assert (decode(tmp_path / "out.png") == decode(tmp_path / "whole.png")).all()
    with pytest.raises(OptionError, match="without --resume"):
        paint_file(content, [style], tmp_path / "out.png", resume=True, **OPTIONS)


def test_without_memory_it_is_painted_in_tiles(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, style = pictures
    adam = {**OPTIONS, "optimiser": "adam"}  # the line search of L-BFGS makes much of the last bits
    whole = paint_file(content, [style], tmp_path / "whole.png", **adam)
    monkeypatch.setattr(painting, "available_memory", lambda: 1000)
    monkeypatch.setattr(painting, "_TILE", 16)
    said: list[str] = []
    tiled = paint_file(content, [style], tmp_path / "tiled.png", say=said.append, **adam)
    assert "in tiles of 16 pixels" in said[0]
    assert tiled["losses"][-1][1] == pytest.approx(whole["losses"][-1][1], rel=0.05)


def test_where_memory_ends_on_the_way_tiles_take_over(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, style = pictures
    whole = painting.stylize
    tried: list[int | None] = []

    def stylize(*given: Any, **more: Any) -> Any:
        tried.append(given[3].tile)
        if given[3].tile is None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return whole(*given, **more)

    monkeypatch.setattr(painting, "stylize", stylize)
    paint_file(content, [style], tmp_path / "out.png", **OPTIONS)
    assert tried == [None, 512]
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "L", "I;16"])
def test_any_kind_of_picture_is_painted(mode: str, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    _, style = pictures
    strange = tmp_path / ("strange.jpg" if mode == "CMYK" else "strange.png")
    Image.new(mode, (40, 30), 1 if mode in ("P", "L", "I;16") else None).save(strange)
    paint_file(strange, [style], tmp_path / "out.png", **{**OPTIONS, "steps": 20})
    assert decode(tmp_path / "out.png").shape == (36, 48, 3)


@pytest.mark.parametrize("shape", [(1, 1), (400, 20), (4, 4)])
def test_tiny_and_narrow_styles(shape: tuple[int, int], pictures: tuple[Path, Path], tmp_path: Path) -> None:
    content, _ = pictures
    style = tmp_path / "style.png"
    Image.new("RGB", shape, (200, 30, 30)).save(style)
    if shape == (400, 20):
        with pytest.raises(OptionError, match="pixels narrow"):
            paint_file(content, [style], tmp_path / "out.png", **{**OPTIONS, "steps": 20})
    else:
        paint_file(content, [style], tmp_path / "out.png", **{**OPTIONS, "steps": 20})
        assert (tmp_path / "out.png").exists()


def test_what_cannot_be_painted(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    content, style = pictures
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    mask = tmp_path / "mask.png"
    Image.new("L", (10, 10)).save(mask)
    with pytest.raises(DecodeError):
        paint_file(broken, [style], tmp_path / "out.png", **OPTIONS)
    with pytest.raises(OptionError, match="ending"):
        paint_file(content, [style], tmp_path / "out.txt", **OPTIONS)
    with pytest.raises(OptionError, match="weight for each"):
        paint_file(content, [style], tmp_path / "out.png", weights=[1, 2], **OPTIONS)
    with pytest.raises(OptionError, match="mask as large"):
        paint_file(content, [style], tmp_path / "out.png", mask=mask, **OPTIONS)
    with pytest.raises(OptionError, match="block1_conv1"):
        paint_file(content, [style], tmp_path / "out.png", **{**OPTIONS, "content_layer": "block9"})
    assert not (tmp_path / "out.png").exists()


def test_the_studio_paints_with_previews(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_PREVIEW", 0.0)
    monkeypatch.setattr(StyleOptions, "__init__", _toy_options(StyleOptions.__init__))
    store, job = _submitted(pictures, tmp_path, steps="40", size="64")
    told: list[tuple[float, str]] = []
    STYLIZE.run(
        {name: [Path(path) for path in paths] for name, paths in job.inputs.items()},
        job.options,
        job.out,
        lambda share, step: told.append((share, step)),
    )
    store.finish(job.id)
    assert [path.name for path in store.get(job.id).results()] == [
        "painted.html",
        "painted.jpg",
        "painted.json",
    ]
    assert "step 20 of 40" in told[1][1]
    assert told[-1][0] <= 1


def test_the_studio_paints_at_once(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    try:
        any_style.fetch()
    except BackboneError as error:
        pytest.skip(str(error))
    store, job = _submitted(pictures, tmp_path, fast="on", size="64")
    perform(store, job)
    done = store.get(job.id)
    assert (done.status, done.error) == ("done", "")
    assert [path.name for path in done.results()] == ["painted.jpg"]
    assert decode(done.out / "painted.jpg").shape == (40, 60, 3)  # it is not enlarged


def _submitted(pictures: tuple[Path, Path], tmp_path: Path, **form: str) -> tuple[JobStore, Job]:
    content, style = pictures
    store = JobStore(tmp_path / "state")
    files = {
        "picture": [("photo.png", content.read_bytes())],
        "styles": [("a.jpg", style.read_bytes()), ("b.jpg", style.read_bytes())],
    }
    store.submit(STYLIZE, {}, files, STYLIZE.read(form), "ada")
    job = store.claim()
    assert job is not None
    return store, job


def _toy_options(init: Any) -> Any:
    """Let the options name the layers that the small network has."""

    def made(self: StyleOptions, **options: Any) -> None:
        layers = {"content_layer": "block1_conv1", "style_layers": {"block1_conv1": 1.0}}
        init(self, **{**layers, **options})

    return made
