"""Sounds over HTTP: as files, as base64, as the body, by tritonclient; and what is none, or too long."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from real_server import Server, run_server

import headstart as hs
from headstart.artefact.versions import find
from headstart.serving.app import create_app
from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.models import Served
from headstart.serving.security import Keys
from headstart.serving.settings import Settings
from headstart.serving.updating import update
from toy_sounds import LABELS, RATE, encoded, toy_sound, write_sounds

PREDICT = "/v1/models/noises:predict"


def form(*files: tuple[bytes, str]) -> dict[str, Any]:
    return {"file": [(io.BytesIO(content), name) for content, name in files]}


def claiming(frames: int, channels: int = 1, rate: int = RATE) -> bytes:
    """A WAV file of a hundred samples that claims to have more."""
    size = 2 * frames * channels
    layout = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels & 0xFFFFFFFF, 2 * channels, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + layout
    return head + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + b"\1\0" * 100 * channels


def broken_sounds() -> dict[str, bytes]:
    good = encoded(toy_sound("hiss", 1))
    tone = toy_sound("tone", 1)
    floats = io.BytesIO()
    import soundfile

    soundfile.write(floats, np.where(np.arange(len(tone)) == 99, np.nan, tone), RATE, "FLOAT", format="WAV")
    return {
        "text": b"This is a text that is called a sound.wav, and nothing else. " * 20,
        "nan": floats.getvalue(),
        "header": good[:30],
        "no samples": encoded(np.zeros(0)),
        "cut flac": encoded(toy_sound("hiss", 1, 20), "FLAC")[:9000],
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "too long": encoded(np.zeros(31 * RATE), "FLAC"),
        "years": encoded(np.zeros(100_000), rate=1),
    }


def test_a_sound_is_sent_as_a_file_as_base64_or_as_the_body(
    sound_client: FlaskClient, sound: bytes, noises: Path
) -> None:
    wanted = hs.load(noises).predict([sound])[0].to_json()
    assert wanted["label"] == "tone"
    text = base64.b64encode(sound).decode()
    for answer in (
        sound_client.post(PREDICT, data=form((sound, "a.mp3"))),  # the content says what it is
        sound_client.post(PREDICT, json={"items": [text]}),
        sound_client.post(PREDICT, data=sound, content_type="audio/wav"),
        sound_client.post(PREDICT, data=sound, content_type="text/plain"),
    ):
        assert answer.status_code == 200, answer.json
        (found,) = answer.json["predictions"]  # type: ignore[index]
        assert {**found, "input": "input 1"} == {**wanted, "input": "input 1"}


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_format_is_heard(kind: str, sound_client: FlaskClient) -> None:
    items = [(encoded(toy_sound(label, 77), kind), f"{label}.x") for label in LABELS]
    answer = sound_client.post(PREDICT, data=form(*items))
    assert [each["label"] for each in answer.json["predictions"]] == list(LABELS)  # type: ignore[index]


def test_its_features_are_the_mean_over_its_windows(
    sound_client: FlaskClient, sound: bytes, noises: Path
) -> None:
    answer = sound_client.post("/v1/models/noises:embed", data=sound)
    assert answer.json is not None
    np.testing.assert_allclose(
        answer.json["embeddings"], hs.load(noises).embed([sound]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", broken_sounds())
def test_what_is_no_sound_or_too_long_is_told_and_stops_no_other(
    name: str, sound_client: FlaskClient, sound: bytes
) -> None:
    answer = sound_client.post(PREDICT, data=form((broken_sounds()[name], "sound.wav"), (sound, "b.wav")))
    assert answer.status_code == 200, answer.json
    first, second = answer.json["predictions"]  # type: ignore[index]
    assert first.keys() == {"input", "error"}
    assert "to fix" in first["error"]
    assert second["label"] == "tone"
    for what in ("predict", "explain", "embed"):
        alone = sound_client.post(f"/v1/models/noises:{what}", data=broken_sounds()[name])
        assert alone.status_code == 422, (what, alone.json)


def test_a_long_sound_is_asked_about_in_parts(noises: Path, tmp_path: Path) -> None:
    model = hs.load(noises)
    sizes: list[int] = []
    served = Served("noises", "1", model, noises, Settings((noises,), tmp_path), sizes.append)
    content = encoded(np.concatenate([toy_sound("hiss", 5, 20), toy_sound("clicks", 5, 21)]), "FLAC")
    (rows,) = served.prepare(content).inputs.values()
    assert len(rows) == 85
    assert served.answer([content])[0].to_json() == model.predict([content])[0].to_json()
    assert sum(sizes) == 3
    served.batcher.close()


def test_silence_and_a_single_sample_are_answered(sound_client: FlaskClient) -> None:
    for content in (encoded(np.zeros(RATE)), encoded(np.ones(1)), encoded(np.zeros((RATE, 6)), rate=96_000)):
        answer = sound_client.post(PREDICT, data=content)
        assert answer.status_code == 200, answer.json


def test_what_files_claim_costs_no_memory(sound_client: FlaskClient) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in (claiming(1 << 30), claiming(1 << 20, 1000), claiming(1 << 30, 1, (1 << 31) - 1)):
        assert sound_client.post(PREDICT, data=content).status_code in {200, 422}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@tried(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_sounds_are_answered_or_refused(data: st.DataObject, sound_client: FlaskClient) -> None:
    kind = data.draw(st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]))
    content = bytearray(encoded(toy_sound("clicks", 3, 0.4), kind))
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    for what in ("predict", "explain"):
        answer = sound_client.post(f"/v1/models/noises:{what}", data=bytes(content[: end or None]))
        assert answer.status_code in {200, 422}, (answer.status_code, answer.text[:300])


@pytest.fixture(scope="module")
def server(noises: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model behind Gunicorn."""
    state = tmp_path_factory.mktemp("sounds") / "state"
    options = ("--workers", "1", "--max-seconds", "30", "--keep-traffic", "1")
    with run_server(state, noises, options=options) as running:
        yield running


def test_tritonclient_sends_sounds(server: Server) -> None:
    import tritonclient.http as triton

    contents = [encoded(toy_sound(label, 5), "FLAC") for label in LABELS]
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    try:
        assert client.is_model_ready("noises")
        tensor = triton.InferInput("input", [3], "BYTES")
        tensor.set_data_from_numpy(np.array(contents, dtype=np.object_))
        found = client.infer("noises", [tensor])
        assert found.as_numpy("label").tolist() == [label.encode() for label in LABELS]
        assert found.as_numpy("probabilities").shape == (3, 3)
        tensor.set_data_from_numpy(np.array([contents[0], b"a text", contents[1]], dtype=np.object_))
        with pytest.raises(triton.InferenceServerException, match="item 1 of the tensor"):
            client.infer("noises", [tensor])
    finally:
        client.close()


ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "librosa", "scipy", "sklearn", "transformers", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from pathlib import Path
from headstart.serving.app import create_app
from headstart.serving.settings import Settings

model, state, sound = map(Path, sys.argv[1:])
client = create_app(Settings((model,), state)).test_client()
assert client.get("/readyz").status_code == 200
sent = sound.read_bytes()
assert "label" in client.post("/v1/models/noises:predict", data=sent).json["predictions"][0]
assert client.post("/v1/models/noises:embed", data=sent).status_code == 200
segments = client.post("/v1/models/noises:explain", data=sent).json["segments"]
assert [each["label"] for each in segments] == ["hiss", "tone"]
with sound.open("rb") as file:
    page = client.post("/", data={"files": (file, "a.wav"), "why": "1"})
assert page.status_code == 200 and "tone" in page.text
"""


def test_it_hears_without_torch_librosa_or_scipy(noises: Path, scene: bytes, tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(scene)
    arguments = [str(noises), str(tmp_path / "state"), str(tmp_path / "sound.wav")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def strange(label: str, number: int) -> bytes:
    """A sound of a new appearance: a shrill chirp, a rumble, or beeps."""
    generator = np.random.default_rng([number, *label.encode()])
    time = np.arange(2 * RATE) / RATE
    if label == "tone":
        wave = 0.3 * np.sign(np.sin(2 * np.pi * generator.uniform(2000, 3000) * time * (1 + 0.2 * time)))
    elif label == "hiss":
        wave = np.cumsum(generator.normal(0, 0.01, len(time))).clip(-1, 1)
    else:
        on = time * generator.uniform(3, 6) % 1 < 0.3
        wave = 0.4 * on * np.sin(2 * np.pi * generator.uniform(900, 1500) * time)
    return encoded(wave + generator.normal(0, 0.003, len(time)), "FLAC")


def test_what_people_say_about_sounds_is_learned(tmp_path: Path) -> None:
    for part, start in (("train", 0), ("test", 100)):
        write_sounds(tmp_path / "sounds" / part, 8, start)
    saved = hs.fit(tmp_path / "sounds").save(tmp_path / "noises.headstart")
    key = Keys(tmp_path / "state").add("lab")
    client = create_app(Settings((saved,), tmp_path / "state", items=30)).test_client()
    for label in LABELS:
        items = [base64.b64encode(strange(label, number)).decode() for number in range(16)]
        told = {"items": items, "label": label}
        answer = client.post("/v1/models/noises:correct", json=told, headers={"X-API-Key": key})
        assert answer.status_code == 200, answer.json
    new = [(label, strange(label, number)) for number in range(100, 108) for label in LABELS]

    def share(model: Path) -> float:
        said = hs.load(model).predict([content for _, content in new])
        return float(np.mean([each.label == label for each, (label, _) in zip(said, new, strict=True)]))

    before = share(saved)
    found = update(saved, FeedbackStore(tmp_path / "state" / FILE), tmp_path / "sounds")
    assert found.promoted == "2"
    assert share(find(saved).folders["2"]) >= before + 0.1
