"""Explanations: what is exact adds up, and what matters is found."""

from __future__ import annotations

import base64
import io
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from headstart.audio.hearing import sounding
from headstart.backbones.card import Waves
from headstart.errors import DecodeError
from headstart.explain.overlay import AGAINST, FOR
from headstart.pages import FOR_AND_AGAINST, ROLES, style
from headstart.serving import explaining
from headstart.serving.batching import Late
from headstart.serving.explaining import MOST_PASSES, explain
from headstart.serving.models import Registry, Served
from headstart.serving.settings import Settings
from headstart.transfer.heads import Head
from toy_sounds import encoded, toy_sound
from toy_texts import RARE, ToyText
from written_models import model_of, transformer_member


def soon() -> float:
    return time.monotonic() + 60


@pytest.fixture(scope="module")
def served(settings: Settings) -> Registry:
    return Registry(settings)


def log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def test_the_map_adds_up_to_the_answer(served: Registry, picture: bytes) -> None:
    its = served["patterns"]
    found = explain(its, picture, soon())
    assert (found["exact"], found["passes"]) == (True, 1)
    assert found["prediction"]["label"] == "along"
    # What the places bring, and the bias, is the log-odds against the others as probable as they are.
    model = its.model
    shares = np.array([found["prediction"]["probabilities"][label] for label in model.labels])
    best = int(shares.argmax())
    others = np.delete(shares, best) / np.delete(shares, best).sum()
    bias = model.head.layers[0][1] / model.calibration.temperature  # type: ignore[union-attr]
    logits = np.log(shares)
    margin = logits[best] - np.delete(logits, best) @ others
    brought = np.sum(found["map"]) + bias[best] - np.delete(bias, best) @ others
    assert brought == pytest.approx(margin, abs=0.05 * abs(margin) + 0.1)


def test_the_overlay_is_the_picture_with_what_counts(served: Registry, picture: bytes) -> None:
    found = explain(served["patterns"], picture, soon())
    overlay = Image.open(io.BytesIO(base64.b64decode(found["overlay"])))
    sent = Image.open(io.BytesIO(picture))
    assert overlay.format == "PNG"
    assert overlay.width / overlay.height == pytest.approx(sent.width / sent.height, rel=0.02)
    red, _, blue = np.asarray(overlay.convert("RGB"), float).transpose(2, 0, 1)
    warm = Image.fromarray(np.array(found["map"], np.float32)).resize(overlay.size, Image.Resampling.BICUBIC)
    assert np.corrcoef(np.asarray(warm).ravel(), (red - blue).ravel())[0, 1] > 0.3
    left, top, right, bottom = found["region"]
    assert 0 <= left < right <= overlay.width
    assert 0 <= top < bottom <= overlay.height
    assert 0 < found["share"] <= 1
    assert found["seen"][0] <= left < right <= found["seen"][2] + 1
    assert np.asarray(warm)[top:bottom, left:right].max() > 0.8 * np.asarray(warm).max()


def occluding(its: Served) -> Served:
    """The same model with a head of two layers, of which no map is exact."""
    (weight, bias), *_ = its.model.head.layers
    size = weight.shape[1]
    twice = np.hstack([weight, -weight]), np.hstack([bias, -bias])
    back = np.vstack([np.eye(size), -np.eye(size)]).astype(np.float32), np.zeros(size, np.float32)
    first = its.model.members[0]
    model = its.model
    model.members = (replace(first, head=Head("mlp", (twice, back))),)
    return replace(its, model=model)


def test_without_a_linear_head_parts_are_covered(settings: Settings, pattern_pictures: Path) -> None:
    its = occluding(Registry(settings)["patterns"])
    stripes = Image.open(pattern_pictures / "along" / "01.jpg").resize((112, 112))
    scene = Image.new("RGB", (224, 224), (128, 128, 128))
    scene.paste(stripes, (112, 0))
    buffer = io.BytesIO()
    scene.save(buffer, "PNG")
    found = explain(its, buffer.getvalue(), soon())
    assert found["exact"] is False
    assert "occlusion" in found["method"]
    assert found["passes"] <= MOST_PASSES
    brought = np.abs(np.array(found["map"]))
    assert brought.shape == (8, 8)
    assert brought[:4, 4:].mean() > 1.2 * brought[4:, :4].mean()  # where something is, not on the grey


LONG = "Nothing much here. This was wonderful, great, excellent. The table is made of wood."


def test_of_a_model_that_counts_words_all_words_are_weighed(served: Registry) -> None:
    found = explain(served["mood"], LONG, soon())
    assert [each["text"] for each in found["parts"]] == LONG.replace(". ", ".|").split("|")
    assert [each["text"] for each in found["words"]] == LONG.split()
    assert (found["exact"], found["passes"]) == (True, 1)
    total = sum(each["weight"] for each in found["words"])
    assert sum(each["weight"] for each in found["parts"]) == pytest.approx(total, abs=1e-3)


@pytest.fixture(scope="module")
def reading(toy_text: ToyText, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A tiny transformer, whose parts have to be left out."""
    folder = tmp_path_factory.mktemp("reading")
    model = model_of([transformer_member()])
    model.record_golden(["The man went home."])
    path = model.save(folder / "toy.headstart")
    return Registry(Settings((path,), folder / "state"))["toy"]


def test_elsewhere_sentences_are_left_out_then_words_of_the_one_that_decides(reading: Served) -> None:
    known = " ".join(RARE["good"][:3])
    text = f"The man went home. It was {known}. The scene was rather in the plot."
    found = explain(reading, text, soon())
    best = max(found["parts"], key=lambda part: part["weight"])["text"]
    assert found["prediction"]["label"] == "good"
    assert best.startswith("It was")
    assert [each["text"] for each in found["words"]] == best.split()
    assert not found["exact"]
    assert "sentence" in found["method"]
    assert found["passes"] == 1 + 4 + 6
    words = sorted(found["words"], key=lambda part: -part["weight"])
    assert words[0]["text"].strip(".") in known


def test_a_single_sentence_is_taken_apart_into_words(served: Registry, reading: Served) -> None:
    for its in (served["mood"], reading):
        found = explain(its, b"a wonderful day", soon())
        assert [each["text"] for each in found["parts"]] == ["a", "wonderful", "day"]
        assert found["words"] == []
        assert len(explain(its, "word", soon())["parts"]) == 1


def test_a_long_text_takes_no_more_passes(reading: Served) -> None:
    text = " ".join(f"This is sentence number {n}." for n in range(500))
    found = explain(reading, text, soon())
    assert found["passes"] <= MOST_PASSES
    assert len(found["parts"]) <= MOST_PASSES - 1
    assert " ".join(each["text"] for each in found["parts"]) == text


def test_what_cannot_be_read_is_not_explained(served: Registry) -> None:
    with pytest.raises(DecodeError):
        explain(served["patterns"], b"no picture", soon())


def test_explanations_have_a_deadline(served: Registry, picture: bytes) -> None:
    with pytest.raises(Late):
        explain(served["patterns"], picture, time.monotonic() - 1)


def test_over_http_one_item_is_explained(shared_client: FlaskClient, picture: bytes) -> None:
    answer = shared_client.post("/v1/models/patterns:explain", data=picture)
    assert answer.status_code == 200
    assert answer.json is not None
    assert {
        "model",
        "version",
        "prediction",
        "method",
        "exact",
        "passes",
        "map",
        "overlay",
        "seen",
        "region",
        "share",
    } == set(answer.json)
    named = shared_client.post("/v1/models/patterns:explain", data={"file": (io.BytesIO(picture), "a.jpg")})
    assert named.json is not None
    assert named.json["prediction"]["input"] == "a.jpg"
    two = shared_client.post("/v1/models/mood:explain", json={"items": ["a", "b"]})
    assert two.status_code == 400
    assert shared_client.post("/v1/models/patterns:explain", data=b"x").status_code == 422


@pytest.fixture(scope="module")
def listening(noises: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Registry(Settings((noises,), tmp_path_factory.mktemp("listening"), seconds=60))["noises"]


def test_a_sound_is_explained_by_its_timeline(listening: Served, scene: bytes) -> None:
    found = explain(listening, scene, soon())
    assert found["seconds"] == pytest.approx(11)
    assert [each["label"] for each in found["segments"]] == ["hiss", "tone"]
    assert found["segments"][0]["start"] == 0
    assert found["segments"][0]["end"] == pytest.approx(4, abs=0.8)
    assert found["segments"][1]["start"] == pytest.approx(7, abs=0.8)
    assert found["segments"][1]["end"] == pytest.approx(11)
    assert found["exact"] is True
    (wanted,) = listening.answer([scene])
    assert found["prediction"]["label"] == wanted.label
    assert found["prediction"]["confidence"] == pytest.approx(wanted.confidence, abs=1e-3)


def test_a_windows_weight_is_what_the_answer_loses_without_it(listening: Served, scene: bytes) -> None:
    found = explain(listening, scene, soon())
    answer = found["prediction"]
    (asked,) = listening.ask([listening.prepare(scene)], soon())
    ((network, rows),) = asked.features.items()
    column = listening.model.labels.index(answer["label"])
    whole = log_odds(answer["confidence"])
    weights = np.array(found["windows"]["weights"])
    counted = np.flatnonzero(sounding(scene, Waves()))  # silence brings nothing
    assert len(counted) == len(rows) < len(weights)
    assert set(weights[np.delete(np.arange(len(weights)), counted)]) == {0.0}
    for place in range(0, len(rows), 3):
        rest = listening.model.answer_features({network: np.delete(rows, place, 0)})
        assert weights[counted[place]] == pytest.approx(whole - log_odds(rest[column]), abs=1e-3)
    starts = np.array(found["windows"]["starts"])
    assert len(starts) == len(weights)
    ours = (starts < 3) == (answer["label"] == "hiss")
    assert np.mean(weights[ours]) > 0


def test_of_a_single_window_nothing_can_be_left_out(listening: Served) -> None:
    found = explain(listening, encoded(toy_sound("tone", 5, 0.3)), soon())
    assert found["windows"]["weights"] == [0.0]
    assert found["seconds"] == pytest.approx(0.3)


def test_a_sound_that_is_too_long_or_late_is_not_explained(listening: Served, scene: bytes) -> None:
    with pytest.raises(DecodeError, match="at most 60 seconds"):
        explain(listening, encoded(np.zeros(61 * 16_000), "FLAC"), soon())
    with pytest.raises(Late):
        explain(listening, scene, time.monotonic() - 1)


def test_the_colours_mean_the_same_in_pictures_and_in_texts() -> None:
    def of_marks(selector: str) -> tuple[int, ...]:
        found = re.search(rf"^{selector} {{[^}}]*var\(--(\w+)\) var\(--part\)", style(), re.MULTILINE)
        assert found is not None
        light = ROLES[found[1]][0]
        return tuple(int(light[place : place + 2], 16) for place in (1, 3, 5))

    assert FOR_AND_AGAINST == "Orange speaks for the answer, blue against it."
    for red, green, blue in (of_marks("mark"), FOR):
        assert red > green > blue
    for red, green, blue in (of_marks(r"mark\.against"), AGAINST):
        assert red < green < blue
    # The server's own sheet comes after it, and leaves the colours as they are.
    own = Path(explaining.__file__).parent / "pages" / "static" / "serve.css"
    backgrounds = re.findall(r"mark[^{}]*{[^}]*background: ([^;}]+)", own.read_text())
    assert set(backgrounds) == {"none"}
