"""From a file to a dream: on the command line, and as a job of the studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from vgg_like import vgg_like

from headstart import backbones, cli
from headstart.errors import DecodeError, OptionError
from headstart.studio.commands import weighted
from headstart.studio.dreaming import dream_file
from headstart.studio.jobs import JobStore
from headstart.studio.making import DREAM
from headstart.studio.worker import perform

QUICK: dict[str, Any] = {"layers": {"block1_conv1": 1.0}, "steps": 2, "octaves": 2}


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = vgg_like(8)
    monkeypatch.setattr(backbones, "load", lambda _name, offline=False: network)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_dream_is_written_with_how_it_went(photo: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = dream_file(photo, tmp_path / "out.png", every=2, say=said.append, **QUICK)
    with Image.open(tmp_path / "out.png") as dreamt:
        assert dreamt.size == (60, 40)
    assert sorted(path.name for path in tmp_path.glob("out-*")) == ["out-0002.png", "out-0004.png"]
    told = json.loads((tmp_path / "out.json").read_text())
    assert told == made
    assert told["layers"] == {"block1_conv1": 1.0}
    assert len(told["excitement"]) == 4
    assert told["excitement"][-1] > told["excitement"][0]
    assert any(line.startswith("step 4 of 4, 100%") for line in said)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (50, 40), (200, 100, 0, 128)),
        Image.new("CMYK", (50, 40), (0, 200, 200, 0)),
        Image.new("L", (50, 40), 90),
        Image.new("RGB", (400, 20), (90, 120, 40)),
    ],
    ids=["alpha", "CMYK", "grey", "panorama"],
)
def test_pictures_of_all_kinds(image: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / ("in.jpg" if image.mode == "CMYK" else "in.png")
    image.save(path)
    dream_file(path, tmp_path / "out.jpg", **QUICK)
    with Image.open(tmp_path / "out.jpg") as dreamt:
        assert (dreamt.size, dreamt.mode) == (image.size, "RGB")


def test_a_zoom_is_written(photo: Path, tmp_path: Path) -> None:
    dream_file(photo, tmp_path / "out.png", flight=tmp_path / "flight.gif", frames=3, **QUICK)
    with Image.open(tmp_path / "flight.gif") as flight:
        assert flight.n_frames == 3  # type: ignore[attr-defined]


def test_what_cannot_be_dreamt_is_said_before_anything_is_done(photo: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    out = tmp_path / "out.png"
    with pytest.raises(DecodeError):
        dream_file(broken, out, **QUICK)
    with pytest.raises(DecodeError):
        dream_file(photo, out, guide=broken, **QUICK)
    with pytest.raises(OptionError, match="ending"):
        dream_file(photo, tmp_path / "out.txt", **QUICK)
    with pytest.raises(OptionError):
        dream_file(photo, out, flight=tmp_path / "flight.txt", **QUICK)
    with pytest.raises(OptionError, match="one frame or more"):
        dream_file(photo, out, flight=tmp_path / "flight.gif", frames=0, **QUICK)
    with pytest.raises(OptionError, match="choose one of block1_conv1"):
        dream_file(photo, out, **{**QUICK, "layers": {"block9_conv1": 1.0}})
    assert not out.exists()


def test_the_command_line(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jpg"
    line = ["dream", str(photo), "-o", str(out), "--layers", "block1_conv1=0.5", "--steps", "1", "--json"]
    assert cli.run([*line, "--octaves", "1", "--size", "48"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["layers"] == {"block1_conv1": 0.5}
    with Image.open(out) as dreamt:
        assert dreamt.size == (48, 32)
    assert cli.run([*line, "--octaves", "0"]) == 2
    assert "octaves" in capsys.readouterr().err


def test_layers_as_people_write_them() -> None:
    assert weighted("a, b=0.5") == {"a": 1.0, "b": 0.5}
    assert weighted("") is None
    for wrong in ("a=much", "=", "a=1=2", "a,,b"):
        with pytest.raises(OptionError, match="layers with their weights"):
            weighted(wrong)


# A job of the studio


def submitted(store: JobStore, content: bytes, **form: str) -> Any:
    options = DREAM.read({"layers": "block1_conv1", "steps": "2", "octaves": "2", **form})
    store.submit(DREAM, {}, {"picture": [("photo.png", content)]}, options, "ada")
    return store.claim()


def test_the_studio_dreams(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.images import saving
    from headstart.studio import making

    monkeypatch.setattr(making, "_PREVIEW", 0.0)
    kept: list[str] = []
    save = saving.save_picture

    def note(path: Path, picture: Any) -> None:
        kept.append(path.name)
        save(path, picture)

    monkeypatch.setattr(saving, "save_picture", note)
    store = JobStore(tmp_path / "state")
    job = submitted(store, photo.read_bytes())
    perform(store, job)
    done = store.get(job.id)
    assert (done.status, done.error) == ("done", "")
    assert [path.name for path in done.results()] == ["dream.jpg", "dream.json"]
    assert kept.count("preview.jpg") == 4


def test_the_studio_says_what_it_cannot_dream(photo: Path, tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state")
    for content, form, words in (
        (b"no picture", {}, "picture"),
        (photo.read_bytes(), {"layers": "mixed4"}, "choose one of block1_conv1"),
        (photo.read_bytes(), {"layers": "a=b"}, "layers with their weights"),
    ):
        job = submitted(store, content, **form)
        perform(store, job)
        failed = store.get(job.id)
        assert failed.status == "failed"
        assert words in failed.error
    with pytest.raises(OptionError, match="from 64 to 2000"):
        DREAM.read({"size": "9000"})
