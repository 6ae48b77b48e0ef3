"""From bytes to characters, whatever their encoding."""

from __future__ import annotations

import codecs
import re

_BOMS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 32_768
_ESCAPED = re.compile("[\udc80-\udcff]")
_FALLBACK = "cp1252"
# Of few such letters a detector makes anything; what these few languages use is no accident.
_WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüœßÀÁÂÃÄÅÆÇÈÉÊËÍÎÏÑÓÔÕÖØÚÛÜ¡¿«»‹›“”„‘’‚…–—•·°€£§©®™ªº½´\xa0")
# What texts come in; a detector that chooses among these errs less than one that knows ninety.
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("iso8859_2", "iso8859_5", "iso8859_6", "iso8859_7", "koi8_r", "cp866", "mac_roman"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]


def characters(data: bytes) -> tuple[str, str]:
    """Decode bytes: by their byte order mark, as UTF-8, or by what is most likely.

    Bytes that are UTF-8 but for a few (files glued together) are read as UTF-8, those few as Windows-1252.
    Otherwise, what makes only letters of Western Europe as Windows-1252 (which has those of Latin-1 where
    Latin-1 has them) is that, and charset-normalizer chooses among the encodings in use for the rest.

    Args:
        data: The bytes.

    Returns:
        text: The characters.
        encoding: What they were read as, such as "UTF-8".

    Example:
        >>> characters("naïve".encode("utf-16"))
        ('naïve', 'UTF-16')
        >>> characters(b"na\\xefve caf\\xe9")
        ('naïve café', 'Windows-1252')
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace").removeprefix("\ufeff"), encoding.upper()
    if silent := _without_mark(data):
        return data.decode(silent, "replace"), "UTF-16"
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError as error:
        mixed = data.decode("utf-8", "surrogateescape")
        strays = len(_ESCAPED.findall(mixed))
        foreign = len(mixed) - strays - sum(byte < 128 for byte in data)
        if foreign > strays:
            return _ESCAPED.sub(_stray, mixed), "UTF-8 and others"
        encoding = _detect(data[max(0, error.start - _SAMPLE // 4) :][:_SAMPLE])
    return data.decode(encoding, "replace"), _said(encoding)


def _without_mark(data: bytes) -> str | None:
    """Return which UTF-16 this is when every other byte of a sample is mostly zero."""
    sample = data[:_SAMPLE]
    half = len(sample) // 2
    if half and 4 * sample[1::2].count(0) > 3 * half and not sample[::2].count(0):
        return "utf-16-le"
    if half and 4 * sample[::2].count(0) > 3 * half and not sample[1::2].count(0):
        return "utf-16-be"
    return None


def _detect(sample: bytes) -> str:
    foreign = bytes(byte for byte in sample if byte >= 128)
    if 2 * len(foreign) < len(sample) and _WESTERN.issuperset(foreign.decode(_FALLBACK, "replace")):
        return _FALLBACK
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_CANDIDATES, enable_fallback=False).best()
    return best.encoding if best is not None else _FALLBACK


def _stray(match: re.Match[str]) -> str:
    return bytes([ord(match[0]) - 0xDC00]).decode(_FALLBACK, "replace")


def _said(encoding: str) -> str:
    name = encoding.replace("_", "-")
    number = name.removeprefix("cp")
    return f"Windows-{number}" if name.startswith("cp") and number.startswith("12") else name.upper()
