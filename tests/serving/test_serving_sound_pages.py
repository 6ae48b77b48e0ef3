"""Sounds on the pages: heard, drawn, reviewed, monitored; in a browser also played and recorded."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient
from PIL import Image
from real_server import Server, run_server
from signed_in import NAME, PASSWORD, sign_in

from headstart.artefact import load
from headstart.errors import DecodeError
from headstart.serving.app import create_app
from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.monitoring import drift_of
from headstart.serving.pages.sounds import heard, playable, spectrogram_png
from headstart.serving.people import People
from headstart.serving.settings import Settings
from headstart.studio.commands import command
from toy_sounds import LABELS, RATE, encoded, toy_sound

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
LOOKS = {"light": ("light", 1100), "dark": ("dark", 1100), "phone": ("light", 320)}


def send(client: FlaskClient, content: bytes, name: str = "scene.flac", **fields: str) -> Any:
    return client.post("/", data={"files": (io.BytesIO(content), name), **fields})


def test_the_page_draws_what_is_heard_and_when(sound_client: FlaskClient, scene: bytes) -> None:
    form = sound_client.get("/").text
    assert 'accept="audio/*"' in form
    assert "at most 30 seconds" in form
    assert 'id="microphone-start" hidden' in form
    page = send(sound_client, scene, why="1").text
    assert re.findall(r'<li dir="auto">(\w+)</li>', page) == ["hiss", "tone"]
    rows = re.findall(r'<span class="when">(.+?) to (.+?)</span><b dir="auto">(\w+)</b>', page)
    assert [row[2] for row in rows] == ["hiss", "tone"]
    assert (rows[0][0], rows[1][1]) == ("0:00.0", "0:11.0")
    widths = [float(width) for width in re.findall(r'<rect x="[\d.]+" width="([\d.]+)" height="1"/>', page)]
    assert sum(widths) == pytest.approx(8, abs=1.5)
    assert "This is exact" in page


def test_without_why_there_is_only_the_spectrogram(sound_client: FlaskClient, scene: bytes) -> None:
    page = send(sound_client, scene).text
    assert 'data-seconds="11.0"' in page
    assert "data:image/png" in page
    assert "What is heard when" not in page


def test_silence_names_nothing_and_a_text_is_told(sound_client: FlaskClient) -> None:
    for samples in (np.zeros(2 * RATE), np.ones(1)):
        assert send(sound_client, encoded(samples), why="1").status_code == 200
    text = send(sound_client, b"a text", "<b>.wav", why="1").text
    assert "&lt;b&gt;.wav cannot be read" in text
    assert "data-sound" not in text


def test_a_name_or_label_cannot_break_out_of_the_page(sound_client: FlaskClient, scene: bytes) -> None:
    page = send(sound_client, scene, '"><script>x</script>.wav', why="1").text
    assert "<script>x" not in page


def test_the_spectrogram_shows_where_the_sound_is() -> None:
    content = encoded(np.concatenate([np.zeros(RATE), toy_sound("hiss", 1, 1)]))
    image = Image.open(io.BytesIO(spectrogram_png(content))).convert("RGBA")
    ink = np.asarray(image)[..., 3].astype(float)
    half = ink.shape[1] // 2
    assert image.height == 64
    assert ink[:, half + 4 :].mean() > 5 * ink[:, : half - 4].mean() + 50
    high, low = (
        np.asarray(
            Image.open(
                io.BytesIO(spectrogram_png(encoded(np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE))))
            ).convert("RGBA")
        )[..., 3]
        for hertz in (5000, 300)
    )
    assert high.mean(1).argmax() < low.mean(1).argmax()  # high tones above


def test_a_long_sound_has_a_small_picture() -> None:
    content = encoded(np.tile(toy_sound("hiss", 1, 10), 12), "FLAC")
    assert Image.open(io.BytesIO(spectrogram_png(content))).size == (720, 64)
    assert heard(content, {}).seconds == pytest.approx(120)


def test_what_is_played_is_written_anew() -> None:
    stereo = np.stack([toy_sound("tone", 1), 3 * toy_sound("tone", 1)], 1)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 2, format="WAV", subtype="FLOAT") as file:
        file.title = "a secret place"
        file.write(stereo)
    assert b"a secret place" in buffer.getvalue()
    made = playable(buffer.getvalue())
    assert b"a secret place" not in made
    wave, rate = soundfile.read(io.BytesIO(made))
    assert (wave.ndim, rate) == (1, 32_000)
    assert len(wave) == pytest.approx(2 * rate, abs=2)
    assert np.abs(wave).max() <= 1
    with pytest.raises(DecodeError):
        playable(b"no sound")


@pytest.fixture
def reviewing(noises: Path, patterns: Path, tmp_path: Path) -> FlaskClient:
    """Somebody who has logged in where a model for sounds and one for pictures are served."""
    People(tmp_path).add(NAME, PASSWORD)
    client = create_app(Settings((noises, patterns), tmp_path, keep_share=1)).test_client()
    sign_in(client)
    return client


def test_review_plays_what_was_sent(reviewing: FlaskClient, scene: bytes, tmp_path: Path) -> None:
    assert reviewing.post("/v1/models/noises:predict", data=scene).status_code == 200
    FeedbackStore.flush(reviewing.application.extensions["headstart"].feedback)
    page = reviewing.get("/review?model=noises").text
    (address,) = re.findall(r'<audio[^>]* src="([^"]+)"', page)
    answer = reviewing.get(address)
    assert (answer.status_code, answer.mimetype) == (200, "audio/flac")
    wave, rate = soundfile.read(io.BytesIO(answer.data))
    assert len(wave) / rate == pytest.approx(11, abs=0.01)
    part = reviewing.get(address, headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.data)) == (206, 100)
    (drawn,) = re.findall(r'<img src="(/review[^"]+)"', page)
    assert Image.open(io.BytesIO(reviewing.get(drawn).data)).format == "PNG"
    assert reviewing.get(address.replace("flac", "jpg")).status_code == 404
    assert reviewing.get("/review/patterns/1.flac").status_code == 404
    assert reviewing.get("/review/noises/999.flac").status_code == 404
    reviewing.get("/login")
    assert reviewing.application.test_client().get(address).status_code == 302


def test_other_sounds_than_it_knows_are_drift(noises: Path, tmp_path: Path) -> None:
    model = load(noises)
    assert model.reference is not None
    app = create_app(Settings((noises,), tmp_path))
    client = app.test_client()
    feedback = app.extensions["headstart"].feedback

    def ask(sounds: list[bytes]) -> bool:
        for start in range(0, len(sounds), 6):
            items = {"file": [(io.BytesIO(content), "a.wav") for content in sounds[start : start + 6]]}
            assert client.post("/v1/models/noises:predict", data=items).status_code == 200
            feedback.flush()
        return drift_of(model, feedback.traffic("noises"), window=len(sounds), rounds=199).alarm

    known = [encoded(toy_sound(label, number)) for number in range(200, 216) for label in LABELS]
    assert not ask(known)
    generator = np.random.default_rng(4)
    strange = [encoded(np.cumsum(generator.normal(0, 0.01, 2 * RATE)).clip(-1, 1)) for _ in range(48)]
    assert ask(strange)
    page = client.get("/monitor")
    assert page.status_code == 302  # a login, first


def test_the_studio_explains_sounds(noises: Path, scene: bytes, tmp_path: Path) -> None:
    explain = command("explain")
    assert all("audio" in each.accepts for each in explain.inputs)
    files = {"scene.flac": scene, "text.wav": b"a text"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    inputs = {"model": [noises], "items": [tmp_path / name for name in files]}
    explain.run(inputs, {"method": "auto"}, out, lambda _share, _step: None)
    told = json.loads((out / "explain.json").read_text())
    assert [each["label"] for each in told[0]["segments"]] == ["hiss", "tone"]
    assert "error" in told[1]
    page = (out / "explain.html").read_text()
    assert "11.0 s" in page
    assert "text.wav" in page
    for name in ("01.png", "01-heard.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert told[0]["band"][0] < told[0]["band"][1]


# What follows needs a browser.


@pytest.fixture(scope="module")
def server(noises: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model behind Gunicorn, keeping all traffic for review."""
    state = tmp_path_factory.mktemp("sound_pages") / "state"
    People(state).add(NAME, PASSWORD)
    with run_server(state, noises, options=("--workers", "1", "--keep-traffic", "1")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window, with a microphone that beeps."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Any]:
    """A function that opens a page; whatever the console complains about fails the test."""
    contexts, complaints = [], []

    def opened(path: str, **options: Any) -> Any:
        contexts.append(browser.new_context(base_url=server.url, permissions=["microphone"], **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def log_in(page: Any) -> None:
    page.goto("/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Log out").wait_for()


@pytest.fixture(scope="module")
def scene_file(scene: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scene") / "scene.flac"
    path.write_bytes(scene)
    return str(path)


def heard_of(page: Any, path: str) -> None:
    page.set_input_files("#files", path)
    page.locator("#answers[aria-busy=false] audio").first.wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_sounds_are_accessible_and_fit(look: str, open_page: Any, scene_file: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    scheme, width = LOOKS[look]
    page = open_page("/", color_scheme=scheme, viewport={"width": width, "height": 700})
    heard_of(page, scene_file)
    log_in_later = ["/review", "/monitor", "/studio/make/explain"]

    def fine() -> None:
        found = axe.Axe().run(page).response["violations"]
        assert [f"{each['id']}: {each['nodes'][0]['html'][:150]}" for each in found] == [], page.url
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{page.url} is {wide} pixels wide"

    fine()
    page.get_by_role("button", name="Use the microphone").click()
    page.locator("#microphone").wait_for()
    fine()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("#microphone").is_hidden()
    log_in(page)
    for path in log_in_later:
        page.goto(path)
        fine()


def test_a_moment_is_played_with_keys_alone(open_page: Any, scene_file: str) -> None:
    page = open_page("/")
    heard_of(page, scene_file)
    button = page.get_by_role("button", name="Play tone, from")
    button.focus()
    page.keyboard.press("Enter")
    audio = page.locator("#answers audio")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 6")
    assert audio.evaluate("audio => audio.duration") == pytest.approx(11, abs=0.1)
    page.wait_for_function("() => Number(document.querySelector('.head line').getAttribute('x1')) > 6")
    audio.evaluate("audio => audio.pause()")
    page.locator(".plots").click(position={"x": 2, "y": 20})
    page.wait_for_function("() => document.querySelector('audio').currentTime < 2")


def test_the_microphone_is_asked_about(open_page: Any, server: Server) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_function("() => document.getElementById('microphone-time').value > '0:01.5'")
    assert page.evaluate("document.activeElement.id") == "microphone-done"
    page.keyboard.press("Enter")
    page.locator("#answers[aria-busy=false] audio").wait_for()
    assert page.locator(".said").inner_text() in LABELS
    assert float(page.locator("[data-sound]").get_attribute("data-seconds")) >= 1.5
    assert page.locator("#answers h3").first.inner_text() == "recording.wav"
    store = FeedbackStore(server.state / FILE)

    def recorded() -> list[bytes]:
        contents = [store.content("noises", each.id) for each in store.queue("noises")]
        return [content for content in contents if content.startswith(b"RIFF")]

    server.wait(lambda: bool(recorded()))
    with soundfile.SoundFile(io.BytesIO(recorded()[0])) as sent:
        assert (sent.format, sent.subtype, sent.channels) == ("WAV", "PCM_16", 1)
        assert np.abs(sent.read()).max() > 0.01  # Chromium's microphone beeps


RECORDED = """async (seconds) => {
    const context = new AudioContext();
    const tone = new OscillatorNode(context, {frequency: 600});
    const end = context.createMediaStreamDestination();
    tone.connect(end);
    tone.start();
    const recorder = new MediaRecorder(end.stream, {mimeType: "audio/webm;codecs=opus"});
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.start();
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
    const transfer = new DataTransfer();
    transfer.items.add(new File(parts, "memo.webm", {type: "audio/webm"}));
    return transfer;
}"""


def test_what_only_the_browser_reads_is_sent_as_wav(open_page: Any) -> None:
    page = open_page("/")
    transfer = page.evaluate_handle(RECORDED, 1.5)
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    page.locator("#answers[aria-busy=false] audio").wait_for()
    assert page.locator(".said").inner_text() == "tone"
    assert page.locator("#answers h3").first.inner_text() == "memo.webm"


def test_a_sound_is_reviewed_with_keys(open_page: Any, server: Server, scene: bytes) -> None:
    server.predict("noises", scene, "audio/flac")
    store = FeedbackStore(server.state / FILE)
    server.wait(lambda: store.counts("noises")["waiting"] >= 1)
    page = open_page("/login")
    log_in(page)
    page.goto("/review")
    page.keyboard.press("p")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0")
    page.keyboard.press("2")
    page.get_by_text("Noted: hiss.").wait_for()


def test_the_studio_does_a_job_about_sounds(open_page: Any, server: Server, scene_file: str) -> None:
    page = open_page("/login")
    log_in(page)
    page.goto("/studio/make/explain")
    page.set_input_files("#in-items", scene_file)
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("It waits for its turn.").wait_for()
    code = "from headstart.cli import main; main()"
    line = [sys.executable, "-c", code, "worker", "--once", "--state", str(server.state)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    page.get_by_text("It is done.").wait_for()
    assert "hiss" in page.frame_locator("iframe.result").locator("table").first.inner_text()


def test_without_scripts_a_sound_is_answered_all_the_same(open_page: Any, scene_file: str) -> None:
    page = open_page("/", java_script_enabled=False)
    assert page.get_by_role("button", name="Use the microphone").count() == 0
    page.set_input_files("#files", scene_file)
    page.get_by_role("button", name="Ask").click()
    assert page.locator(".moments li").count() == 2
    assert page.locator(".moments button:visible").count() == 0
