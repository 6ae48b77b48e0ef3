"""Keys, headers, request ids."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from headstart.errors import OptionError, StorageError
from headstart.serving.app import create_app
from headstart.serving.people import People
from headstart.serving.security import Keys, secret
from headstart.serving.settings import Settings


@pytest.fixture
def closed(settings: Settings, tmp_path: Path) -> tuple[FlaskClient, Keys]:
    """A client of an installation with one key, and its keys."""
    own = Settings(settings.models, tmp_path / "state")
    keys = Keys(own.state)
    keys.add("first")
    return create_app(own).test_client(), keys


def test_without_keys_everybody_may_ask(client: FlaskClient) -> None:
    assert client.get("/v1/models").status_code == 200


def test_with_keys_only_who_has_one_may(closed: tuple[FlaskClient, Keys]) -> None:
    client, keys = closed
    key = keys.add("camera")
    for path in ("/v1/models", "/v2/models/mood", "/metrics"):
        refused = client.get(path)
        assert refused.status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {key}x"}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Basic {key}"}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert client.get(path, headers={"X-API-Key": key}).status_code == 200
    for path in ("/healthz", "/readyz", "/openapi.json", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    keys.remove("camera")  # at once, without a restart
    assert client.get("/v1/models", headers={"X-API-Key": key}).status_code == 401


def test_no_way_of_writing_the_path_gets_around_the_key(
    closed: tuple[FlaskClient, Keys], picture: bytes
) -> None:
    client, _ = closed
    for path in (
        "/v1/models/patterns:predict",
        "//v1/models/patterns:predict",
        "/./v1/models/patterns:predict",
        "/v1//models/patterns:predict",
        "/V1/models/patterns:predict",
        "/%76%31/models/patterns:predict",
        "/x/../v1/models/patterns:predict",
        "/v2/models/patterns/infer",
        "/v2//models/patterns/infer",
    ):
        answer = client.post(path, data=picture, follow_redirects=True)
        assert answer.status_code in {401, 404}, (path, answer.status_code)


def test_the_file_holds_no_key_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "state")
    key = keys.add("camera")
    file = tmp_path / "state" / "keys.json"
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    with pytest.raises(OptionError, match="which exists"):
        keys.add("camera")
    with pytest.raises(OptionError, match="one of the keys camera"):
        keys.remove("door")
    file.write_text("{")
    with pytest.raises(StorageError, match="a damaged file"):
        keys.check(key)


@tried(deadline=None, max_examples=50)
@given(st.text())
def test_what_is_no_key_is_none(guess: str) -> None:
    keys = Keys(Path("nowhere"))
    keys._known = {"a": {"sha256": "0" * 64}}
    assert keys.check(guess) is None


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root writes for others")
def test_what_root_writes_the_server_can_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    Keys(state).add("camera")
    People(state).add("ada", "difference engine")
    for name in ("keys.json", "people.json"):
        found = (state / name).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (65534, 0o600)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "k" * 61, "<b>"])
def test_a_key_has_a_name_that_can_be_shown(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a name of letters"):
        Keys(tmp_path).add(name)
    assert Keys(tmp_path).add("front camera").startswith("hs_")


def test_all_processes_read_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(secret, [tmp_path] * 64))
    assert len(found) == 1
    assert len(found.pop()) == 32
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_damaged_file_of_keys_lets_nobody_in(closed: tuple[FlaskClient, Keys]) -> None:
    client, keys = closed
    key = keys.add("second")
    keys._path.write_text('{"second": ')
    answer = client.get("/v1/models", headers={"X-API-Key": key})
    assert answer.status_code == 500
    assert json.loads(answer.text)["error"]["code"] == "internal_server_error"


def test_every_answer_has_the_headers(client: FlaskClient) -> None:
    for path in ("/healthz", "/nowhere", "/v1/models/none"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers  # CORS is off


@pytest.mark.parametrize(
    ("given_id", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("é", False), ("", False)]
)
def test_a_request_keeps_its_id_if_it_is_one(given_id: str, kept: bool, client: FlaskClient) -> None:
    found = client.get("/healthz", headers={"X-Request-ID": given_id}).headers["X-Request-ID"]
    assert (found == given_id) is kept
    assert found


def test_sessions_are_signed_with_what_is_made_once(tmp_path: Path) -> None:
    first = secret(tmp_path / "state")
    assert len(first) == 32
    assert secret(tmp_path / "state") == first
    assert stat.S_IMODE((tmp_path / "state" / "secret").stat().st_mode) == 0o600
