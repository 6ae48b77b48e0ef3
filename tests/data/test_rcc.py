"""Qt resource files: what is written comes back, and damage is said, never followed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.rcc import read_rcc
from headstart.errors import DataError

Tree = Mapping[str, "bytes | Tree"]


def make_rcc(root: Tree, *, version: int = 3, flags: int = 0) -> bytes:
    """Write a resource file as Qt's rcc does: nodes level by level, then names and data."""
    nodes: list[tuple[str, bytes | Tree]] = [("", root)]
    rows, names, data = [], b"", b""
    for name, value in nodes:  # grows while it is read
        at = len(names)
        encoded = name.encode("utf-16-be")
        names += struct.pack(">HI", len(encoded) // 2, 0) + encoded
        if isinstance(value, bytes):
            rows.append(struct.pack(">IHHHI", at, flags, 0, 0, len(data)))
            body = struct.pack(">I", len(value)) + zlib.compress(value) if flags & 1 else value
            data += struct.pack(">I", len(body)) + body
        else:
            rows.append(struct.pack(">IHII", at, 2, len(value), len(nodes)))
            nodes.extend(value.items())
    modified = b"" if version < 2 else bytes(8)
    tree = b"".join(row + modified for row in rows)
    start = 20 if version < 3 else 24
    places = struct.pack(">III", start, start + len(tree), start + len(tree) + len(data))
    return struct.pack(">4sI", b"qres", version) + places + bytes(start - 20) + tree + data + names


def flat(root: Tree, path: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, value in root.items():
        found |= {path + name: value} if isinstance(value, bytes) else flat(value, f"{path}{name}/")
    return found


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
_TREES = st.recursive(
    st.dictionaries(_NAMES, st.binary(max_size=40), max_size=4),
    lambda inner: st.dictionaries(_NAMES, st.binary(max_size=40) | inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=80)
@given(root=_TREES, version=st.sampled_from([1, 2, 3]), flags=st.sampled_from([0, 1]))
def test_what_is_written_comes_back(root: Tree, version: int, flags: int) -> None:
    assert dict(read_rcc(make_rcc(root, version=version, flags=flags))) == flat(root)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject) -> None:
    content = bytearray(make_rcc({"a": {"b.txt": b"text", "c": {"d": b"more"}}, "e": b""}, flags=1))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = list(read_rcc(kept))
    except DataError:
        return
    assert all(part not in ("", ".", "..") for path, _ in found for part in path.split("/") if path)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(DataError, match="a Qt resource file"):
        list(read_rcc(noise))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="the file name"):
        list(read_rcc(make_rcc({"a": {name: b"x"}})))


def test_a_folder_that_contains_itself_is_refused() -> None:
    content = bytearray(make_rcc({"a": {"b": b""}}))
    second = 24 + 22  # the node of folder a: name, flags, then count and first child
    struct.pack_into(">II", content, second + 6, 1, 0)
    with pytest.raises(DataError, match="share entries"):
        list(read_rcc(bytes(content)))


def test_shared_folders_do_not_multiply() -> None:
    """Folder n holds folders n + 1 and n + 1: without a memory that would be 2^60 visits."""
    nodes = b"".join(struct.pack(">IHIIQ", 0, 2, 2, n + 1, 0) for n in range(60))
    content = struct.pack(">4sIIII", b"qres", 3, 20, 20 + len(nodes), 20 + len(nodes)) + nodes
    name = struct.pack(">HI", 1, 0) + "a".encode("utf-16-be")
    with pytest.raises(DataError, match="share entries"):
        list(read_rcc(content + name))


def test_zstd_is_named() -> None:
    with pytest.raises(DataError, match=r"zstd.*Qt's rcc tool"):
        list(read_rcc(make_rcc({"a.webp": b"x"}, flags=4)))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    honest = make_rcc({"zeros": bytes(3_000_000)}, flags=1)
    assert len(honest) < 10_000
    assert len(dict(read_rcc(honest))["zeros"]) == 3_000_000
    at = honest.index(struct.pack(">I", 3_000_000))
    for announced in (10, 2**31):
        lie = bytearray(honest)
        struct.pack_into(">I", lie, at, announced)
        with pytest.raises(DataError, match="a file "):
            list(read_rcc(bytes(lie)))
