"""Corrections by machines: only with a key, only what the model can learn."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import BadRequest

from headstart.serving.app import create_app
from headstart.serving.feedback import FeedbackStore
from headstart.serving.feedback_api import answer_of
from headstart.serving.security import Keys
from headstart.serving.settings import Settings

CORRECT = "/v1/models/patterns:correct"


Installation = tuple[FlaskClient, dict[str, str], FeedbackStore]


@pytest.fixture
def installation(patterns: Path, mood: Path, tmp_path: Path) -> Installation:
    app = create_app(Settings((patterns, mood), tmp_path, items=4, keep_share=1.0))
    key = Keys(tmp_path).add("camera")
    return app.test_client(), {"Authorization": f"Bearer {key}"}, app.extensions["headstart"].feedback


def test_a_machine_corrects_and_its_keys_name_is_kept(installation: Installation, picture: bytes) -> None:
    client, headers, store = installation
    asked = client.post("/v1/models/patterns:predict", data=picture, headers=headers)
    sent = {"file": (io.BytesIO(picture), "a.jpg"), "label": "checks"}
    answer = client.post(CORRECT, data=sent, headers=headers)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    (found,) = store.corrections("patterns")
    assert answer.json["corrected"] == [found.digest]
    assert (found.answer, found.reviewer, found.content) == ("checks", "camera", picture)
    assert asked.json is not None
    assert found.label == asked.json["predictions"][0]["label"]


def test_many_items_have_a_label_each(installation: Installation) -> None:
    client, headers, store = installation
    sent = {"items": ["What a day!", {"text": "Oh no."}], "labels": ["good", "bad"]}
    answer = client.post("/v1/models/mood:correct", json=sent, headers=headers)
    assert answer.status_code == 200, answer.json
    assert [each.answer for each in store.corrections("mood")] == ["good", "bad"]


def test_without_a_key_nobody_teaches(
    installation: Installation, patterns: Path, picture: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client, _, store = installation
    sent: dict[str, Any] = {"items": [base64.b64encode(picture).decode()], "label": "checks"}
    assert client.post(CORRECT, json=sent).status_code == 401
    # Also where there is no key, and everybody may ask.
    open_to_all = create_app(Settings((patterns,), tmp_path_factory.mktemp("open"))).test_client()
    assert open_to_all.post(CORRECT, json=sent).status_code == 403
    assert store.corrections("patterns") == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"label": "zebra"}, 400),
        ({"label": None}, 400),
        ({"label": ["checks"]}, 400),
        ({"label": {"a": 1}}, 400),
        ({"labels": ["checks", "along"]}, 400),
        ({"labels": "checks"}, 400),
        ({"items": []}, 400),
        ({"items": [base64.b64encode(b"no picture").decode()], "label": "checks"}, 422),
    ],
)
def test_what_cannot_be_learned_is_refused(
    installation: Installation, picture: bytes, change: dict[str, Any], status: int
) -> None:
    client, headers, store = installation
    sent = {"items": [base64.b64encode(picture).decode()], **change}
    answer = client.post(CORRECT, json=sent, headers=headers)
    assert answer.status_code == status, answer.json
    assert answer.json is not None
    assert answer.json["error"]["message"]
    assert store.corrections("patterns") == []


def test_an_unknown_model_is_not_found(installation: Installation) -> None:
    client, headers, _ = installation
    assert client.post("/v1/models/nobody:correct", json={"items": ["x"]}, headers=headers).status_code == 404


def test_a_number_to_learn_is_finite() -> None:
    served: Any = SimpleNamespace(model=SimpleNamespace(target="number", labels=()))
    assert answer_of(3, served) == 3.0
    for said in (float("nan"), float("inf"), 10**400, True, "3"):
        with pytest.raises(BadRequest, match="a number"):
            answer_of(said, served)
