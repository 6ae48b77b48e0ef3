"""Qt's binary resource files (.rcc): a folder tree in one file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from headstart.errors import DataError

_MAGIC = b"qres"
_ZLIB, _FOLDER, _ZSTD = 1, 2, 4
_LARGEST = 256 * 2**20  # bytes of one unpacked file; a few hundred can announce gigabytes


def read_rcc(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files in a Qt resource file.

    Args:
        content: The .rcc file, format version 1 to 3, bytes.

    Yields:
        (path with forward slashes, content) of each file. No part of a path is empty, "." or "..".

    Raises:
        DataError: It is no such file, it is damaged, or a file in it is compressed with zstd.

    References:
        Qt's rcc tool, https://doc.qt.io/qt-6/rcc.html; the layout is that of qtbase's qresource.cpp.
    """
    try:
        magic, version, tree, data, names = struct.unpack_from(">4sIIII", content)
        if magic != _MAGIC or not 1 <= version <= 3:
            raise _broken(f"the start {magic!r}, version {version}")
        yield from _Tree(content, tree, data, names, 14 if version < 2 else 22).files()
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise _broken(f"a damaged one ({error})") from error


class _Tree:
    def __init__(self, content: bytes, tree: int, data: int, names: int, node: int) -> None:
        self._content, self._tree, self._data, self._names, self._node = content, tree, data, names, node

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield (path, content), visiting each node once: a damaged tree may lead in circles."""
        seen = {0}
        waiting = [(0, "")]
        while waiting:
            number, path = waiting.pop()
            at = self._tree + number * self._node
            (flags,) = struct.unpack_from(">H", self._content, at + 4)
            if not flags & _FOLDER:
                (offset,) = struct.unpack_from(">I", self._content, at + 10)
                yield path, self._file(offset, flags, path)
                continue
            count, first = struct.unpack_from(">II", self._content, at + 6)
            if count * self._node > len(self._content):
                raise _broken(f"a folder of {count} entries")
            for child in reversed(range(first, first + count)):
                if child in seen:
                    raise _broken("folders that share entries")
                seen.add(child)
                name = self._name(child)
                waiting.append((child, f"{path}/{name}" if path else name))

    def _name(self, number: int) -> str:
        (offset,) = struct.unpack_from(">I", self._content, self._tree + number * self._node)
        at = self._names + offset
        (length,) = struct.unpack_from(">H", self._content, at)
        name = self._slice(at + 6, 2 * length).decode("utf-16-be")
        if name in ("", ".", "..") or any(bad in name for bad in "/\\\0"):
            raise _broken(f"the file name {name!r}")
        return name

    def _file(self, offset: int, flags: int, path: str) -> bytes:
        at = self._data + offset
        (length,) = struct.unpack_from(">I", self._content, at)
        body = self._slice(at + 4, length)
        if flags & _ZSTD:
            raise DataError(
                "files stored plain or with zlib",
                f"{path}, compressed with zstd",
                "unpack it with Qt's rcc tool",
            )
        return _inflate(body) if flags & _ZLIB else body

    def _slice(self, at: int, length: int) -> bytes:
        if at + length > len(self._content):
            raise _broken("an end before its content")
        return self._content[at : at + length]


def _inflate(body: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", body)
    if length > _LARGEST:
        raise _broken(f"a file of {length} bytes")
    packed = zlib.decompressobj()
    content = packed.decompress(body[4:], length + 1)
    if len(content) != length:
        raise _broken(f"a file that does not have the {length} bytes it announces")
    return content


def _broken(received: str) -> DataError:
    return DataError("a Qt resource file", received, "get the file again")
