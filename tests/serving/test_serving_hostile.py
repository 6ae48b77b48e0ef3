"""Requests that mean no good: no 5xx, no crash, no growth."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from PIL import Image
from werkzeug.test import EnvironBuilder

PATHS = [
    f"/v1/models/{name}:{what}" for name in ("patterns", "mood") for what in ("predict", "explain", "embed")
]
V2 = ["/v2/models/patterns/infer", "/v2/models/mood/infer"]
EXAMPLES = int(os.environ.get("HEADSTART_HOSTILE_EXAMPLES", "40"))
"""Of each property; with 1,500 these are more than 10,000 requests."""
quick = tried(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def png_bomb(side: int) -> bytes:
    """A PNG of a few hundred kilobytes that would decode to side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    lines = zlib.compress(b"\0" * min(side * (3 * side + 1), 40_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def gif_bomb() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0" * 6 + b";"


def zip_bomb() -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"\0" * 10_000_000)
    return buffer.getvalue()


def check(answer: Any) -> None:
    assert answer.status_code < 500, (answer.status_code, answer.text[:300])
    if answer.status_code >= 400:
        assert json.loads(answer.text)["error"]
    assert "Traceback" not in answer.text


@quick
@given(
    path=st.sampled_from(PATHS + V2),
    body=st.binary(max_size=400),
    kind=st.sampled_from(["image/jpeg", "text/plain", "", "x"]),
)
def test_any_bytes(path: str, body: bytes, kind: str, shared_client: FlaskClient) -> None:
    check(shared_client.post(path, data=body, content_type=kind))


@quick
@given(path=st.sampled_from(PATHS + V2), value=json_values)
def test_any_json(path: str, value: Any, shared_client: FlaskClient) -> None:
    check(shared_client.post(path, data=json.dumps(value), content_type="application/json"))


@quick
@given(path=st.sampled_from(PATHS), items=st.lists(json_values, max_size=4), abstain=json_values)
def test_any_items(path: str, items: list[Any], abstain: Any, shared_client: FlaskClient) -> None:
    check(shared_client.post(path, data=json.dumps({"items": items, "abstain": abstain})))
    body = json.dumps({"items": items, "abstain": abstain})
    check(shared_client.post(path, data=body, content_type="application/json"))


@quick
@given(
    path=st.sampled_from(V2),
    value=st.fixed_dictionaries(
        {},
        optional={
            "id": json_values,
            "parameters": json_values,
            "outputs": json_values,
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {"name": st.sampled_from(["input", "x"]), "datatype": st.sampled_from(["BYTES", "FP32"])},
                    optional={
                        "shape": st.lists(st.integers(-2, 3), max_size=3) | json_values,
                        "data": json_values | st.lists(st.text(), max_size=3),
                        "parameters": st.fixed_dictionaries({"binary_data_size": json_values}) | json_values,
                    },
                ),
                max_size=2,
            ),
        },
    ),
    behind=st.binary(max_size=40),
    length=st.sampled_from(["exact", "0", "-1", "9" * 40, "0" * 12 + "9" * 5000, "x", "1e3", "²", None]),
)
def test_any_tensor(
    path: str, value: dict[str, Any], behind: bytes, length: str | None, shared_client: FlaskClient
) -> None:
    body = json.dumps(value).encode()
    headers = {}
    if length is not None:
        headers["Inference-Header-Content-Length"] = str(len(body)) if length == "exact" else length
    check(shared_client.post(path, data=body + behind, headers=headers))


@quick
@given(
    path=st.sampled_from(PATHS),
    cut=st.floats(0, 1),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_forms_that_are_cut_off_or_changed(
    path: str, cut: float, place: float, value: int, shared_client: FlaskClient, picture: bytes
) -> None:
    builder = EnvironBuilder(
        method="POST",
        data={"file": [(io.BytesIO(picture[:600]), "a.jpg")], "text": "a text", "abstain": "true"},
    )
    environment = builder.get_environ()
    whole = environment["wsgi.input"].read()
    body = bytearray(whole)
    body[int(place * len(whole))] = value
    for sent in (whole[: int(cut * len(whole))], bytes(body)):
        check(shared_client.post(path, data=sent, content_type=environment["CONTENT_TYPE"]))


@quick
@given(seed=st.integers(0, 10**9))
def test_pictures_that_are_damaged(seed: int, shared_client: FlaskClient, picture: bytes) -> None:
    generator = random.Random(seed)
    body = bytearray(picture)
    for _ in range(generator.randrange(1, 20)):
        body[generator.randrange(len(body))] = generator.randrange(256)
    check(shared_client.post(PATHS[0], data=bytes(body[: generator.randrange(len(body))])))
    check(shared_client.post(PATHS[0], data=bytes(body)))


@pytest.mark.parametrize(
    "path", [*PATHS, "/v2/models/%ff", "/v1/models/%00", "/%2e%2e/%2e%2e/etc/passwd", "/%ed%b3%bf"]
)
@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options", "head", "trace"])
def test_other_methods_and_paths(path: str, method: str, shared_client: FlaskClient) -> None:
    answer = shared_client.open(path, method=method.upper())
    assert answer.status_code in {200, 400, 401, 404, 405}


@pytest.mark.parametrize("make", [lambda: png_bomb(30_000), lambda: png_bomb(6_000), gif_bomb, zip_bomb])
def test_bombs_are_refused_before_they_go_off(make: Any, shared_client: FlaskClient) -> None:
    before = resident()
    for path in PATHS[:3]:
        answer = shared_client.post(path, data=make())
        assert answer.status_code == 422, answer.text[:300]
    assert resident() - before < 200 << 20


def test_texts_that_are_long_or_no_text(shared_client: FlaskClient) -> None:
    for body in (b"a" * 200_000, b"\xff\xfe" * 1000, b"\0" * 5000, "。".encode() * 5_000, b"a. " * 2_000):
        for what in ("predict", "explain", "embed"):
            answer = shared_client.post(f"/v1/models/mood:{what}", data=body)
            assert answer.status_code in {200, 400, 422, 504}, answer.text[:300]


def test_nothing_grows(shared_client: FlaskClient, picture: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1200, 1200), "red").save(buffer, "PNG")
    bodies = [picture, picture[:300], b"x" * 100_000, b"", buffer.getvalue()]

    def ask(times: int) -> None:
        for number in range(times):
            check(shared_client.post(PATHS[number % 3], data=bodies[number % len(bodies)]))

    ask(30)
    grown = []
    for _ in range(3):
        gc.collect()
        before = resident()
        ask(60)
        gc.collect()
        grown.append(resident() - before)
    assert min(grown) < 8 << 20  # what leaks does so every time; what an allocator keeps, once


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("shape", [[10**4000] * 3, [2**31], [1] * 9, [999_999_999] * 500_000])
def test_a_shape_that_is_none_is_refused_at_once(shape: list[int], shared_client: FlaskClient) -> None:
    tensor = {"name": "input", "datatype": "BYTES", "shape": shape, "data": ["A good day."]}
    begun = time.monotonic()
    answer = shared_client.post("/v2/models/mood/infer", json={"inputs": [tensor]})
    check(answer)
    assert answer.status_code == 400
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("depth", [*range(800, 1000, 7)])
def test_what_is_nested_deeply_is_refused(depth: int, shared_client: FlaskClient) -> None:
    for path in (*PATHS, *V2):
        body = b'{"items": [' + b"[" * depth + b"]" * depth + b"]}"
        check(shared_client.post(path, data=body, content_type="application/json"))
