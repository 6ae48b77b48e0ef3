"""The studio's page colours photographs: a form that finds what was trained, a job that is done."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from signed_in import NAME, PASSWORD, sign_in

from headstart.images.decode import decode
from headstart.serving.app import create_app
from headstart.serving.people import People
from headstart.serving.settings import Settings
from headstart.studio.colorize.lab import rgb_to_lab
from headstart.studio.jobs import JobStore
from headstart.studio.worker import perform
from toy_colorizer import toy_colorizer


@pytest.fixture
def ada(settings: Settings, tmp_path: Path) -> tuple[FlaskClient, str]:
    """Somebody who has logged in."""
    People(tmp_path).add(NAME, PASSWORD)
    client = create_app(replace(settings, state=tmp_path)).test_client()
    return client, sign_in(client)


def photo(side: int = 24) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), 180, np.uint8)).save(buffer, "PNG")
    return io.BytesIO(buffer.getvalue())


def test_without_a_colorizer_it_says_how_to_get_one(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    client, csrf = ada
    page = client.get("/studio/make/colorize").text
    assert "headstart colorize-train" in page
    assert str(tmp_path / "studio") in page
    assert "<form method" not in page.split('aria-label="Colour"')[1]
    sent = {"csrf": csrf, "colorizer": "toy", "photos": (photo(), "old.png")}
    assert client.post("/studio/make/colorize", data=sent).status_code == 400


def test_photographs_are_coloured(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    client, csrf = ada
    toy_colorizer(tmp_path / "studio" / "old.colorizer")
    page = client.get("/studio/make/colorize").text
    assert "<option>old.colorizer</option>" in page
    files = [(photo(), "old.png"), (photo(30), "old.png"), (io.BytesIO(b"no picture"), "bad.png")]
    sent = {"csrf": csrf, "colorizer": "old.colorizer", "photos": files}
    for name in ("../jobs", "none"):
        assert client.post("/studio/make/colorize", data={"csrf": csrf, "colorizer": name}).status_code == 400
    made = client.post("/studio/make/colorize", data=sent)
    assert made.status_code == 303
    assert "old.png and 2 more" in client.get("/studio").text
    store = JobStore(tmp_path)
    job = store.claim()
    assert job is not None
    perform(store, job)
    assert store.get(job.id).status == "done", store.get(job.id).error
    assert [file.name for file in job.results()] == [
        "colours.html", "coloured-01-old.jpg", "coloured-02-old.jpg", "sheet.jpg", "colorize.json",
    ]  # fmt: skip
    assert rgb_to_lab(decode(job.out / "coloured-02-old.jpg"))[15, 15, 2] < -15
    told = json.loads((job.out / "colorize.json").read_text())
    assert told["coloured"] == 2
    assert list(told["failed"]) == ["bad.png"]
    page = (job.out / "colours.html").read_text()
    assert "Cannot be read" in page
    assert "bad.png" in page
    assert str(tmp_path) not in page + (job.out / "colorize.json").read_text()
    shown = client.get(made.location).text
    assert "coloured-01-old.jpg" in shown


def test_hints_and_what_cannot_be_done(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    client, csrf = ada
    toy_colorizer(tmp_path / "studio" / "old.colorizer")
    store = JobStore(tmp_path)

    def ask(hints: str, *files: tuple[io.BytesIO, str]) -> tuple[str, Path]:
        sent = {"csrf": csrf, "colorizer": "old.colorizer", "hints": hints, "photos": list(files)}
        assert client.post("/studio/make/colorize", data=sent).status_code == 303
        job = store.claim()
        assert job is not None
        perform(store, job)
        return store.get(job.id).error, job.out

    error, out = ask("4,4,#c02020 20,20,#c02020", (photo(), "old.png"))
    assert not error
    assert rgb_to_lab(decode(out / "coloured.jpg"))[12, 12, 1] > 25
    assert "#rrggbb" in ask("4,4,red", (photo(), "old.png"))[0]
    assert "inside the picture" in ask("99,4,#c02020", (photo(), "old.png"))[0]
    assert "one photograph" in ask("4,4,#c02020", (photo(), "a.png"), (photo(), "b.png"))[0]
    assert "can be read" in ask("", (io.BytesIO(b"no picture"), "bad.png"))[0]
