"""The pages, asked without a browser: what they answer, whom they let in, what they refuse."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from signed_in import NAME, PASSWORD, sign_in, token

from headstart.artefact.prediction import Prediction
from headstart.errors import DecodeError
from headstart.files import write_text
from headstart.pages import ROLES
from headstart.serving.app import create_app
from headstart.serving.batching import Busy
from headstart.serving.models import Registry
from headstart.serving.pages.charts import columns, line
from headstart.serving.pages.monitor import _FOUND
from headstart.serving.people import People
from headstart.serving.security import Keys
from headstart.serving.settings import Settings
from headstart.serving.shared import Serving
from headstart.studio.jobs import JobStore
from headstart.studio.making import EXPLAIN

PAGES = ("/", "/?model=mood", "/models/mood/card", "/login")
CLOSED = ("/studio", "/studio/make/summarize", "/review", "/monitor", "/monitor/report")
TEXT = "What a good day. The rain was bad."


@pytest.fixture(scope="module")
def app(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application with a state folder of its own, and one person."""
    state = tmp_path_factory.mktemp("pages") / "state"
    People(state).add(NAME, PASSWORD)
    return create_app(replace(settings, state=state))


@pytest.fixture
def anybody(app: Any) -> FlaskClient:
    """Somebody who has not logged in."""
    client: FlaskClient = app.test_client()
    return client


@pytest.fixture
def ada(app: Any) -> tuple[FlaskClient, str]:
    """Somebody who has logged in, and what her forms carry."""
    client = app.test_client()
    return client, sign_in(client)


@pytest.fixture
def shared(app: Any) -> Serving:
    """What the application's requests share."""
    found: Serving = app.extensions["headstart"]
    return found


def ask(client: FlaskClient, picture: bytes, **more: Any) -> Any:
    """Send a picture to the first page."""
    data = {"files": (io.BytesIO(picture), "striped.jpg"), **more}
    return client.post("/?model=patterns", data=data)


@pytest.mark.parametrize("path", PAGES)
def test_open_pages_open_and_carry_no_inline_code(path: str, anybody: FlaskClient) -> None:
    answer = anybody.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|<style", answer.text)
    assert '<html lang="en">' in answer.text


@pytest.mark.parametrize("path", CLOSED)
def test_closed_pages_lead_to_the_login_and_back(path: str, anybody: FlaskClient) -> None:
    answer = anybody.get(path)
    assert answer.status_code == 302
    assert answer.location == f"/login?next={path}"


def test_first_page_says_what_the_model_does(anybody: FlaskClient) -> None:
    text = anybody.get("/").text
    assert "Tells across, along and checks apart." in text
    assert anybody.get("/?model=nothing").status_code == 404
    card = anybody.get("/models/patterns/card").text
    assert "<h2>Intended use</h2>" in card
    assert "<table>" in card


def test_a_picture_gets_an_answer_with_its_reason(anybody: FlaskClient, picture: bytes) -> None:
    text = ask(anybody, picture, why="1").text
    assert re.search(r'class="said"[^>]*>along<', text)
    assert text.count("data:image/") >= 2
    assert "exact" in text
    (jpeg,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert Image.open(io.BytesIO(base64.b64decode(jpeg))).size == (64, 64)
    assert "data:image/png" not in ask(anybody, picture).text


def test_what_was_in_a_picture_beside_its_pixels_is_not_shown(anybody: FlaskClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "JPEG", exif=exif)
    (jpeg,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', ask(anybody, buffer.getvalue()).text)
    assert b"taken at home" in buffer.getvalue()
    assert b"taken at home" not in base64.b64decode(jpeg)


def test_a_text_gets_an_answer_with_its_sentences_marked(anybody: FlaskClient) -> None:
    text = anybody.post("/?model=mood", data={"text": TEXT, "why": "1"}).text
    assert re.search(r'<mark class="s\d( against)?">What a good day\.</mark>', text)
    assert "Word by word" in text
    assert re.search(r'<mark class="s\d( against)?">good</mark>', text)
    assert "the model adds up its words" in text


def test_the_script_gets_the_answers_alone(anybody: FlaskClient, picture: bytes) -> None:
    data = {"files": (io.BytesIO(picture), "<b>.jpg")}
    answer = anybody.post("/?model=patterns", data=data, headers={"X-Part": "answers"})
    assert "<html" not in answer.text
    assert "&lt;b&gt;.jpg" in answer.text
    assert "<b>.jpg" not in answer.text


def test_what_cannot_be_read_is_said_beside_what_can(anybody: FlaskClient, picture: bytes) -> None:
    data = {"files": [(io.BytesIO(b"no picture"), "a.jpg"), (io.BytesIO(picture), "b.jpg")]}
    text = anybody.post("/?model=patterns", data=data).text
    assert "a.jpg cannot be read" in text
    assert ">along<" in text


def test_nothing_and_too_much_are_refused_in_words(anybody: FlaskClient) -> None:
    nothing = anybody.post("/?model=patterns", data={})
    assert nothing.status_code == 400
    assert "Nothing was sent" in nothing.text
    many = {"files": [(io.BytesIO(b"x"), "a.jpg") for _ in range(9)]}
    refused = anybody.post("/?model=patterns", data=many)
    assert refused.status_code == 400
    assert "at most 8 items" in refused.text


def test_forms_of_other_sites_are_refused(
    anybody: FlaskClient, picture: bytes, ada: tuple[FlaskClient, str]
) -> None:
    client, csrf = ada
    data = {"files": (io.BytesIO(picture), "a.jpg")}
    assert anybody.post("/", data=data, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert anybody.post("/login", data={}, headers={"Origin": "https://evil.example"}).status_code == 403
    bad = client.post("/logout", data={"csrf": csrf}, headers={"Sec-Fetch-Site": "same-site"})
    assert bad.status_code == 403
    for wrong in ({}, {"csrf": ""}, {"csrf": csrf + "x"}, {"csrf": "é"}):
        assert client.post("/review", data={"item": "1", "skip": "1", **wrong}).status_code == 403


def test_the_cookie_is_closed_and_the_page_for_all_is_cacheable(
    ada: tuple[FlaskClient, str], anybody: FlaskClient, app: Any
) -> None:
    form = {"csrf": token(anybody), "name": NAME, "password": PASSWORD}
    cookie = anybody.post("/login", data=form, base_url="https://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    fresh = app.test_client()
    first = fresh.get("/")
    assert "Set-Cookie" not in first.headers
    assert first.headers["Cache-Control"] == "public, max-age=60"
    assert "Cookie" in first.headers["Vary"]
    assert "no-store" in ada[0].get("/").headers["Cache-Control"]
    fresh.get("/login", base_url="https://localhost")
    secure = fresh.get("/login", base_url="https://localhost").headers.get("Set-Cookie", "; Secure")
    assert "Secure" in secure


def test_a_wrong_password_and_then_a_wait(settings: Settings, tmp_path: Path) -> None:
    People(tmp_path).add(NAME, PASSWORD)
    client = create_app(replace(settings, state=tmp_path)).test_client()
    csrf = token(client)
    wrong = {"csrf": csrf, "name": NAME, "password": "not this one"}
    for _ in range(5):
        answer = client.post("/login", data=wrong)
        assert answer.status_code == 403
        assert "do not go together" in answer.text
    late = client.post("/login", data={**wrong, "password": PASSWORD})
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 800
    elsewhere = client.post(
        "/login", data={**wrong, "password": PASSWORD}, headers={"X-Forwarded-For": "192.0.2.1"}
    )
    assert elsewhere.status_code == 303


@pytest.mark.parametrize(
    "goal", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_a_login_never_leads_away(goal: str, anybody: FlaskClient) -> None:
    form = {"csrf": token(anybody), "name": NAME, "password": PASSWORD, "next": goal}
    assert anybody.post("/login", data=form).location == "/"


def test_sessions_end_with_logout_password_and_time(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(tmp_path)
    people.add(NAME, PASSWORD)
    client = create_app(replace(settings, state=tmp_path)).test_client()
    client.post("/logout", data={"csrf": sign_in(client)})
    assert client.get("/studio").status_code == 302
    sign_in(client)
    people.add(NAME, PASSWORD)  # the same one anew
    assert client.get("/studio").status_code == 302
    sign_in(client)
    now = time.time()
    monkeypatch.setattr("headstart.serving.pages.base.time.time", lambda: now + 13 * 3600)
    assert client.get("/studio").status_code == 302


def test_with_keys_the_first_page_is_for_people_and_people_need_no_key(
    settings: Settings, tmp_path: Path, picture: bytes
) -> None:
    People(tmp_path).add(NAME, PASSWORD)
    Keys(tmp_path).add("camera")
    client = create_app(replace(settings, state=tmp_path)).test_client()
    assert client.get("/").status_code == 302
    assert ask(client, picture).status_code == 302
    assert client.get("/v1/models").status_code == 401
    sign_in(client)
    assert client.get("/").status_code == 200
    assert client.get("/v1/models").status_code == 200
    assert client.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 401


def test_a_job_from_the_form_to_the_gallery(ada: tuple[FlaskClient, str], shared: Serving) -> None:
    client, csrf = ada
    form = client.get("/studio/make/summarize").text
    assert "<option>mood</option>" in form
    assert "<option>patterns</option>" not in form
    data = {"csrf": csrf, "model": "mood", "text-texts": TEXT, "sentences": "1"}
    bad = client.post("/studio/make/summarize", data={**data, "sentences": "99"})
    assert bad.status_code == 400
    assert "from 1 to 20" in bad.text
    assert client.post("/studio/make/summarize", data={**data, "model": "../etc"}).status_code == 400
    made = client.post("/studio/make/summarize", data=data)
    assert made.status_code == 303
    store = JobStore(shared.settings.state)
    job = store.claim()
    assert job is not None
    assert made.location == f"/studio/jobs/{job.id}"
    assert (job.person, job.options) == (NAME, {"sentences": 1})
    store.progress(job.id, 0.25, "reading")
    part = client.get(made.location, headers={"X-Part": "jobs"}).text
    assert 'value="25"' in part
    assert "<html" not in part
    write_text(job.out / "summary.html", "<p style='color:red'>done")
    write_text(job.out / "summary.json", "{}")
    store.finish(job.id)
    assert "summary.html" in client.get(made.location).text
    page = client.get(f"{made.location}/files/summary.html")
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    kept = client.get(f"{made.location}/files/summary.json")
    assert kept.headers["Content-Disposition"].startswith("attachment")
    kept.close()
    for name in ("../in/texts/0/text.txt", "..%2fin", "none.html", "log.txt"):
        assert client.get(f"{made.location}/files/{name}").status_code == 404
    assert client.post(f"{made.location}/remove", data={"csrf": csrf}).status_code == 303
    assert client.get(made.location).status_code == 404
    assert not job.folder.exists()


def test_a_job_is_cancelled(ada: tuple[FlaskClient, str], shared: Serving) -> None:
    client, csrf = ada
    data = {"csrf": csrf, "model": "mood", "text-items": TEXT}
    made = client.post("/studio/make/explain", data=data)
    assert client.post(f"{made.location}/cancel", data={"csrf": csrf}).status_code == 303
    assert "It was cancelled." in client.get(made.location).text
    assert JobStore(shared.settings.state).claim() is None
    assert client.get("/studio/make/dance").status_code == 404


def test_a_review_corrects_with_the_reviewers_name(
    ada: tuple[FlaskClient, str], shared: Serving, picture: bytes
) -> None:
    client, csrf = ada
    said = Prediction("a.jpg", "checks", 0.5, {"across": 0.4, "along": 0.1, "checks": 0.5}, ("checks",))
    shared.feedback.record("patterns", "1", picture, said)
    page = client.get("/review?model=patterns").text
    assert "The model says <b>checks</b>" in page
    assert page.count("data-key=") == 4
    (number,) = re.findall(r'name="item" value="(\d+)"', page)
    shown = client.get(f"/review/patterns/{number}.jpg")
    assert Image.open(io.BytesIO(shown.data)).format == "JPEG"
    form = {"csrf": csrf, "model": "patterns", "order": "uncertain", "item": number}
    for wrong in ({"answer": "horse"}, {"answer": ""}, {}, {"answer": ["along", "checks"]}):
        assert client.post("/review", data={**form, **wrong}).status_code == 400
    after = client.post("/review", data={**form, "answer": "along"})
    assert after.status_code == 303
    assert f"last={number}" in after.location
    (correction,) = shared.feedback.corrections("patterns")
    assert (correction.answer, correction.reviewer, correction.label) == ("along", NAME, "checks")
    assert "Nothing waits" in client.get("/review?model=patterns").text
    assert "on second thoughts" in client.get(f"/review?model=patterns&item={number}").text
    assert client.get("/review?model=mood&item=987654").status_code == 404
    assert client.get("/review/mood/1.jpg").status_code == 404


def test_a_skipped_item_does_not_come_back(ada: tuple[FlaskClient, str], shared: Serving) -> None:
    client, csrf = ada
    said = Prediction("a", "good", 0.6, {"bad": 0.4, "good": 0.6}, ("good",))
    shared.feedback.record("mood", "1", "Nobody knows <script>.", said)
    page = client.get("/review?model=mood&order=disputed").text
    assert "Nobody knows &lt;script&gt;." in page
    (number, *_) = re.findall(r'name="item" value="(\d+)"', page)
    form = {"csrf": csrf, "model": "mood", "item": number, "skip": "1"}
    assert client.post("/review", data=form).status_code == 303
    assert "Nothing waits" in client.get("/review?model=mood").text


@pytest.mark.parametrize(
    ("target", "form", "answer"),
    [
        ("labels", {"answer": ["red", "blue"]}, ("red", "blue")),
        ("labels", {}, ()),
        ("number", {"answer": "3.5"}, 3.5),
    ],
)
def test_several_labels_and_numbers_are_reviewed_too(
    target: str,
    form: dict[str, Any],
    answer: Any,
    ada: tuple[FlaskClient, str],
    shared: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, csrf = ada
    model = SimpleNamespace(target=target, labels=("red", "blue"), modality="text")
    monkeypatch.setattr(shared.registry["mood"], "model", model)
    text = f"A text about {target} and {len(form)}."
    said = Prediction("a", probabilities={"red": 0.9, "blue": 0.2}, labels=("red",))
    shared.feedback.record("mood", "1", text, said if target == "labels" else Prediction("a", value=3.0))
    page = client.get("/review?model=mood&order=uncertain").text
    assert text in page
    assert page.count(' value="red" checked') == (target == "labels")
    (number, *_) = re.findall(r'name="item" value="(\d+)"', page)
    sent = {"csrf": csrf, "model": "mood", "item": number, **form}
    if target == "number":
        assert client.post("/review", data={**sent, "answer": "nan"}).status_code == 400
    assert client.post("/review", data=sent).status_code == 303
    assert shared.feedback.corrections("mood")[-1].answer == answer


def test_more_labels_than_keys_leave_the_likely_ones_keys(
    ada: tuple[FlaskClient, str], shared: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tuple(f"label {number}" for number in range(60))
    model = SimpleNamespace(target="label", labels=labels, modality="text")
    monkeypatch.setattr(shared.registry["mood"], "model", model)
    shares = dict.fromkeys(labels, 0.01) | {"label 41": 0.41}
    said = Prediction("a", "label 41", 0.41, shares, ("label 41",))
    shared.feedback.record("mood", "1", "One of very many.", said)
    page = ada[0].get("/review?model=mood").text
    assert re.search(r'value="label 41" data-key="1" class="said-so"', page)
    assert page.count("data-key=") == 10
    assert page.count("<option>label ") == 60


def test_explanations_as_a_page_and_as_json(
    patterns: Path, mood: Path, picture: bytes, tmp_path: Path
) -> None:
    steps: list[tuple[float, str]] = []
    for model, name, content in ((patterns, "a.jpg", picture), (mood, "a.txt", TEXT.encode())):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "broken.jpg").write_bytes(b"")
        out = tmp_path / f"out-{model.stem}"
        out.mkdir()
        inputs = {"model": [model], "items": [tmp_path / name, tmp_path / "broken.jpg"]}
        EXPLAIN.run(inputs, {"method": "auto"}, out, lambda share, step: steps.append((share, step)))
        told, unread = json.loads((out / "explain.json").read_text())
        assert told["input"] == name
        assert unread["input"] == "broken.jpg"
        page = (out / "explain.html").read_text()
        assert "Cannot be read" in page
        assert ("<mark" in page) == (model == mood)
        assert (out / "01.png").exists() == (model == patterns)
    assert steps[1] == (0.0, "asking about a.jpg")
    with pytest.raises(DecodeError):
        EXPLAIN.run({"model": [patterns], "items": [tmp_path / "broken.jpg"]}, {}, tmp_path, lambda *_: None)


def test_a_busy_server_still_answers_without_the_reason(
    anybody: FlaskClient, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise Busy(1)

    monkeypatch.setattr("headstart.serving.pages.try_it.explain", busy)
    answer = ask(anybody, picture, why="1")
    assert answer.status_code == 200
    assert "data:image/png" not in answer.text


def test_the_monitor_shows_traffic_and_drift(
    ada: tuple[FlaskClient, str], shared: Serving, pattern_pictures: Path
) -> None:
    client, _ = ada
    assert "cannot be told yet." in client.get("/monitor?model=patterns").text
    served = Registry(shared.settings)["patterns"]
    files = [file.read_bytes() for file in sorted(pattern_pictures.glob("*/*.jpg"))[:30]]
    predictions, features = served.predict(files, time.monotonic() + 60)
    for file, prediction, row in zip(files, predictions, features, strict=True):
        shared.feedback.record("patterns", "1", file, prediction, row)
    _FOUND.clear()
    text = client.get("/monitor?model=patterns&span=day").text
    assert text.count("<svg viewBox") >= 2
    assert "across" in text
    report = client.get("/monitor/report?model=patterns")
    if served.model.reference is None or len(served.model.reference) < 20:
        assert "reference" in text
        assert report.status_code == 404
    else:
        assert re.search("No drift|Drift:", text)
        assert "sandbox" in report.headers["Content-Security-Policy"]


def test_the_report_beside_a_model_is_linked_and_closed_off(anybody: FlaskClient, shared: Serving) -> None:
    path = shared.registry["mood"].path
    assert anybody.get("/models/mood/report").status_code == 404
    report = path.with_name("mood.html")
    report.write_text("<h1>Report</h1>")
    try:
        assert "Evaluation report" in anybody.get("/?model=mood").text
        answer = anybody.get("/models/mood/report")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.text == "<h1>Report</h1>"
    finally:
        report.unlink()


def test_files_of_the_look_stay_in_caches_and_have_its_colours(anybody: FlaskClient) -> None:
    page = anybody.get("/").text
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = anybody.get(address.replace("&amp;", "&"))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        answer.close()
    sheet = anybody.get("/static/look.css")
    assert "immutable" not in sheet.headers["Cache-Control"]
    assert all(light in sheet.text and dark in sheet.text for light, dark in ROLES.values())


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG has it."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_what_can_be_operated_stands_out(anybody: FlaskClient) -> None:
    sheet = anybody.get("/static/look.css").text
    edges = re.findall(r"--edge:(#\w{6})", sheet)
    assert len(edges) == 2
    for theme, edge in enumerate(edges):
        for ground in ("paper", "surface"):
            pair = sorted((luminance(edge), luminance(ROLES[ground][theme])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3


def test_charts_say_their_numbers(anybody: FlaskClient) -> None:
    drawn = columns("Items", ("hour", "items"), [("9 h", 0), ("<10 h>", 3)])
    assert "&lt;10 h&gt;" in drawn
    assert "style=" not in drawn
    empty = line("Sure", ("day", "mean"), [("Monday", None)])
    assert 'd=""' in empty
    assert json.dumps(str(empty))
