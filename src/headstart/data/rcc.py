"""Qt's binary resource files (.rcc): a folder tree in one file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from headstart.errors import DataError

_MAGIC = b"qres"
_ZLIB, _FOLDER, _ZSTD = 1, 2, 4
_DEEPEST = 64


def read_rcc(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files in a Qt resource file.

    Args:
        content: The .rcc file, format version 1 to 3.

    Yields:
        (path with forward slashes, content) of each file.

    Raises:
        DataError: It is no such file, it is damaged, or a file in it is compressed with zstd.

    References:
        Qt's rcc tool, https://doc.qt.io/qt-6/rcc.html; the layout is that of qtbase's qresource.cpp.
    """
    try:
        magic, version, tree, data, names = struct.unpack_from(">4sIIII", content)
        if magic != _MAGIC or not 1 <= version <= 3:
            raise _broken(f"the start {magic!r}, version {version}")
        yield from _Tree(content, tree, data, names, 14 if version < 2 else 22).walk(0, "", 0)
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise _broken(f"a damaged one ({error})") from error


class _Tree:
    def __init__(self, content: bytes, tree: int, data: int, names: int, node: int) -> None:
        self._content, self._tree, self._data, self._names, self._node = content, tree, data, names, node

    def walk(self, number: int, folder: str, depth: int) -> Iterator[tuple[str, bytes]]:
        """Yield the files below node `number`."""
        if depth > _DEEPEST:
            raise _broken("folders that contain themselves")
        at = self._tree + number * self._node
        name_at, flags = struct.unpack_from(">IH", self._content, at)
        path = f"{folder}/{self._name(name_at)}".lstrip("/") if number else ""
        if flags & _FOLDER:
            count, first = struct.unpack_from(">II", self._content, at + 6)
            if count * self._node > len(self._content):
                raise _broken(f"a folder of {count} entries")
            for child in range(first, first + count):
                if child <= number:
                    raise _broken("folders that contain themselves")
                yield from self.walk(child, path, depth + 1)
        else:
            (offset,) = struct.unpack_from(">I", self._content, at + 10)
            yield path, self._file(offset, flags, path)

    def _name(self, offset: int) -> str:
        at = self._names + offset
        (length,) = struct.unpack_from(">H", self._content, at)
        return self._slice(at + 6, 2 * length).decode("utf-16-be")

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
        return zlib.decompress(body[4:]) if flags & _ZLIB else body

    def _slice(self, at: int, length: int) -> bytes:
        if at + length > len(self._content):
            raise _broken("an end before its content")
        return self._content[at : at + length]


def _broken(received: str) -> DataError:
    return DataError("a Qt resource file", received, "get the file again")
