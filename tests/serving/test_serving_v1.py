"""The plain protocol: items in the ways they can be sent, and what is said of those that cannot be read."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import headstart as hs
from headstart.serving.app import create_app
from headstart.serving.settings import Settings

PREDICT = "/v1/models/patterns:predict"


def form(*files: tuple[bytes, str], **fields: str) -> dict[str, Any]:
    return {"file": [(io.BytesIO(content), name) for content, name in files], **fields}


def test_pictures_are_sent_as_files_as_base64_or_as_the_body(
    shared_client: FlaskClient, picture: bytes, patterns: Path
) -> None:
    wanted = hs.load(patterns).predict([picture])[0].to_json()
    encoded = base64.b64encode(picture).decode()
    answers = [
        shared_client.post(PREDICT, data=form((picture, "a.jpg"))),
        shared_client.post(PREDICT, json={"items": [encoded]}),
        shared_client.post(PREDICT, json={"items": [{"base64": encoded}]}),
        shared_client.post(PREDICT, data=picture, content_type="image/jpeg"),
        shared_client.post(PREDICT, data=picture, content_type="text/html"),  # the content says what it is
        shared_client.post("/v1/models/patterns/versions/1:predict", data=picture),
    ]
    for number, answer in enumerate(answers):
        assert answer.status_code == 200, answer.json
        assert answer.json is not None
        assert (answer.json["model"], answer.json["version"]) == ("patterns", "1")
        name = "a.jpg" if number == 0 else "input 1"
        assert answer.json["predictions"] == [{**wanted, "input": name}]


def test_texts_are_sent_as_fields_files_or_strings(shared_client: FlaskClient, mood: Path) -> None:
    text = "What a dreadful day, häßlich 🌧"
    wanted = hs.load(mood).predict([text])[0].label
    path = "/v1/models/mood:predict"
    for answer in (
        shared_client.post(path, json={"items": [text, {"text": text}]}),
        shared_client.post(path, data={"text": [text, text]}, content_type="multipart/form-data"),
        shared_client.post(path, data=form((text.encode(), "a.txt"), (text.encode(), "b.txt"))),
    ):
        assert answer.status_code == 200, answer.json
        assert answer.json is not None
        assert [each["label"] for each in answer.json["predictions"]] == [wanted, wanted]


def test_one_bad_item_does_not_stop_the_others(shared_client: FlaskClient, picture: bytes) -> None:
    answer = shared_client.post(PREDICT, data=form((b"%PDF-1.4", "a.pdf"), (picture, "b.jpg")))
    assert answer.status_code == 200
    assert answer.json is not None
    first, second = answer.json["predictions"]
    assert first.keys() == {"input", "error"}
    assert "PDF" in first["error"]
    assert second["label"] == "along"


def test_when_none_can_be_read_the_request_fails(shared_client: FlaskClient) -> None:
    answer = shared_client.post(PREDICT, data=b"not a picture")
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["error"]["code"] == "unreadable"
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert len(answer.json["predictions"]) == 1


def test_uncertain_answers_are_withheld_on_request(shared_client: FlaskClient, picture: bytes) -> None:
    for answer in (
        shared_client.post(f"{PREDICT}?abstain=true", data=picture),
        shared_client.post(PREDICT, data=form((picture, "a.jpg"), abstain="true")),
        shared_client.post(PREDICT, json={"items": [base64.b64encode(picture).decode()], "abstain": True}),
    ):
        assert answer.status_code == 200, answer.json
    bad = shared_client.post(f"{PREDICT}?abstain=maybe", data=picture)
    assert (bad.status_code, bad.json["error"]["code"]) == (400, "bad_request")  # type: ignore[index]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {}}, 400),
        ({"json": {"items": "abc"}}, 400),
        ({"json": {"items": []}}, 400),
        ({"json": {"items": [1]}}, 400),
        ({"json": {"items": ["*no base64*"]}}, 400),
        ({"json": {"items": [{"text": "a text for pictures"}]}}, 400),
        ({"json": {"items": [{"url": "http://127.0.0.1/secret"}]}}, 400),
        ({"json": {"items": [{"base64": "", "text": ""}]}}, 400),
        ({"json": [1, 2]}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"[" * 100_000, "content_type": "application/json"}, 400),
        ({"data": b"\xff\xfe", "content_type": "application/json"}, 400),
        ({"json": {"items": ["AAAA"] * 9}}, 400),
        ({"data": b""}, 400),
        ({"data": {"a": "b"}}, 415),
        ({"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 415),
        ({"data": b"x", "headers": {"X-Request-Timeout": "soon"}}, 400),
        ({"data": b"x", "headers": {"X-Request-Timeout": "-1"}}, 400),
        ({"data": b"x", "headers": {"X-Request-Timeout": "nan"}}, 400),
        ({"data": b"--x", "content_type": "multipart/form-data; boundary=x"}, 400),
        ({"data": b"--x", "content_type": "multipart/form-data"}, 400),
    ],
)
def test_what_cannot_be_understood_is_said_so(
    sent: dict[str, Any], status: int, shared_client: FlaskClient
) -> None:
    answer = shared_client.post(PREDICT, **sent)
    assert answer.status_code == status, answer.json
    assert answer.json is not None
    assert answer.json["error"]["message"]
    assert answer.mimetype == "application/json"


def test_a_body_too_large_is_not_read(settings: Settings) -> None:
    small = create_app(Settings(settings.models, settings.state, body=1000)).test_client()
    for kind in ("image/jpeg", "application/json", "multipart/form-data; boundary=x"):
        answer = small.post(PREDICT, data=b"x" * 1001, content_type=kind)
        assert (answer.status_code, answer.json["error"]["code"]) == (  # type: ignore[index]
            413,
            "request_entity_too_large",
        )


def test_models_are_listed_and_described(shared_client: FlaskClient) -> None:
    listed = shared_client.get("/v1/models").json
    assert listed is not None
    assert [each["name"] for each in listed["models"]] == ["patterns", "mood"]
    about = shared_client.get("/v1/models/patterns").json
    assert about is not None
    assert about["labels"] == ["across", "along", "checks"]
    assert about["card"].startswith("#") or "patterns" in about["card"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/v1/models/none", 404),
        ("post", "/v1/models/none:predict", 404),
        ("post", "/v1/models/patterns/versions/2:predict", 404),
        ("get", "/v1/models/..%2f..%2fetc%2fpasswd", 404),
        ("post", "/v1/models/../../etc/passwd:predict", 404),
        ("get", PREDICT, 405),
        ("get", "/nowhere", 404),
    ],
)
def test_what_is_not_there_is_said_so_as_json(
    method: str, path: str, status: int, shared_client: FlaskClient
) -> None:
    answer = getattr(shared_client, method)(path)
    assert answer.status_code == status
    assert answer.json["error"]["code"] in {"not_found", "method_not_allowed"}
    assert status != 405 or "POST" in answer.headers["Allow"]


def test_features_are_those_of_the_model(shared_client: FlaskClient, picture: bytes, patterns: Path) -> None:
    answer = shared_client.post("/v1/models/patterns:embed", data=picture)
    assert answer.json is not None
    assert answer.json["embeddings"] == hs.load(patterns).embed([picture]).tolist()
    assert shared_client.post("/v1/models/patterns:embed", data=b"x").status_code == 422


def test_too_much_to_do_is_429_and_too_late_is_504(settings: Settings, picture: bytes) -> None:
    app = create_app(settings)
    client = app.test_client()
    served = app.extensions["headstart"].registry["patterns"]
    with served.batcher.places(settings.queue):
        busy = client.post(PREDICT, data=picture)
    assert (busy.status_code, busy.json["error"]["code"]) == (429, "too_many_requests")  # type: ignore[index]
    assert int(busy.headers["Retry-After"]) >= 1
    late = client.post(PREDICT, data=picture, headers={"X-Request-Timeout": "1e-9"})
    assert (late.status_code, late.json["error"]["code"]) == (504, "gateway_timeout")  # type: ignore[index]
    assert client.post(PREDICT, data=picture).status_code == 200


def test_what_nobody_foresaw_is_a_500_without_a_traceback(
    settings: Settings, picture: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("headstart.serving.models.Served.predict", fail)
    answer = app.test_client().post(PREDICT, data=picture)
    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["error"]["code"] == "internal_server_error"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_requests_are_logged_without_what_is_in_them(
    shared_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("headstart.serving")
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = True
    try:
        with caplog.at_level(logging.INFO, "headstart.serving"):
            shared_client.post(
                "/v1/models/mood:predict?token=hidden",
                json={"items": ["private words"]},
                headers={"X-Request-ID": "abc-1", "Authorization": "Bearer hidden"},
            )
    finally:
        logger.level, logger.propagate = before
    (record,) = [each for each in caplog.records if each.getMessage() == "request"]
    fields = record.fields  # type: ignore[attr-defined]
    assert (fields["request_id"], fields["status"], fields["items"]) == ("abc-1", 200, 1)
    assert (fields["model"], fields["version"]) == ("mood", "1")
    assert "private" not in json.dumps(fields)
    assert "hidden" not in json.dumps(fields)
