"""The studio's page says what photographs show: a form that finds what was trained, a job that is done."""

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

from headstart.serving.app import create_app
from headstart.serving.people import People
from headstart.serving.settings import Settings
from headstart.studio.jobs import Job, JobStore
from headstart.studio.worker import perform
from toy_captioner import toy_captioner


@pytest.fixture
def ada(settings: Settings, tmp_path: Path) -> tuple[FlaskClient, str]:
    """Somebody who has logged in."""
    People(tmp_path).add(NAME, PASSWORD)
    client = create_app(replace(settings, state=tmp_path)).test_client()
    return client, sign_in(client)


def photo(seed: int) -> io.BytesIO:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return io.BytesIO(buffer.getvalue())


def performed(tmp_path: Path) -> Job:
    store = JobStore(tmp_path)
    job = store.claim()
    assert job is not None
    perform(store, job)
    return store.get(job.id)


def test_without_a_captioner_it_says_how_to_get_one(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    page = ada[0].get("/studio/make/caption").text
    assert "headstart caption-train" in page
    assert str(tmp_path / "studio") in page


def test_photographs_are_captioned(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    client, csrf = ada
    toy_captioner(tmp_path / "studio" / "holidays.captioner")
    assert "<option>holidays.captioner</option>" in client.get("/studio/make/caption").text
    files = [(photo(0), "a.png"), (io.BytesIO(b"no picture"), "bad.png"), (photo(1), "<b>.png")]
    sent = {"csrf": csrf, "captioner": "holidays.captioner", "photos": files}
    made = client.post("/studio/make/caption", data=sent)
    assert made.status_code == 303
    job = performed(tmp_path)
    assert job.status == "done", job.error
    assert {file.name for file in job.results()} == {"captions.html", "captions.json", "01.jpg", "03.jpg"}
    first, second, bad = json.loads((job.out / "captions.json").read_text())
    assert first["input"] == "a.png"
    assert bad["input"] == "bad.png"
    assert "error" in bad
    page = (job.out / "captions.html").read_text()
    assert first["caption"] in page
    assert second["caption"] in page
    assert "bad.png" in page
    assert "<b>" not in page
    assert "captions.html" in client.get(made.location).text


def test_ways_of_saying_it_and_nothing_to_read(ada: tuple[FlaskClient, str], tmp_path: Path) -> None:
    client, csrf = ada
    toy_captioner(tmp_path / "studio" / "toy")

    def ask(how: str, file: io.BytesIO) -> int:
        sent = {"csrf": csrf, "captioner": "toy", "how": how, "photos": [(file, "a.png")]}
        return client.post("/studio/make/caption", data=sent).status_code

    for how in ("the first that comes", "at random"):
        assert ask(how, photo(0)) == 303
        assert performed(tmp_path).status == "done"
    assert ask("backwards", photo(0)) == 400
    assert ask("at random", io.BytesIO(b"no picture")) == 303
    assert "can be read" in performed(tmp_path).error
