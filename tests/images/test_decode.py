"""Every kind of picture, every kind of damage."""

from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.errors import DecodeError
from headstart.images.decode import decode, decode_file, kind_of


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture whose four corners differ, so that turning it is visible."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / width, 255 * y / height, 128 + 60 * np.sin((x + y) / 9)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats_agree_with_the_scene(kind: str) -> None:
    pixels = decode(encoded(scene(), kind))
    assert pixels.shape == (64, 96, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() < (12 if kind == "GIF" else 6)
    assert kind_of(encoded(scene(), kind)) == (kind, 96, 64)


# `scene()` as HEIC, made once with libheif's encoder: the package decodes only.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAAKEAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xy"
    "bmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAKlt"
    "ZGF0AAAAnSgBr1j5GnQ6fq6Pc8079v7P98EQXOxcA7/PZtvsIUGi4+EoTP0TGv+GjG0v1MXgYdn5FuRbQBukYi6wdGMMuXGJnHF9"
    "ha5fvqQxwFa3C7zESSRzJ3le42IH9lMsqJGdnN1b8nrUh2vo7lLinzXL9tmOfTgr5ke+ZLij4KkN1/lAOSd81vwOMvqglrJzqOst"
    "rCJEuRCd8/an3UF+aKA="
)


def test_heic() -> None:
    pixels = decode(HEIC)
    assert pixels.shape == (64, 96, 3)
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() < 8
    assert kind_of(HEIC) == ("HEIF", 96, 64)
    with pytest.raises(DecodeError, match="expected"):
        decode(HEIC[: len(HEIC) // 2])


def test_jpeg_is_decoded_as_pillow_does() -> None:
    data = encoded(scene(333, 217), "JPEG", quality=85)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_undone(turn: int) -> None:
    upright = scene()
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(turn, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(stored, "JPEG", quality=95, exif=exif)
    pixels = decode(data)
    assert pixels.shape == (64, 96, 3)
    assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 3
    assert kind_of(data) == ("JPEG", 96, 64)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_orientation_of_other_formats(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(scene().transpose(Image.Transpose.ROTATE_90), kind, exif=exif)).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("P", "PNG"),
        ("L", "PNG"),
        ("1", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "WEBP"),
        ("CMYK", "TIFF"),
    ],
)
def test_colour_modes(mode: str, kind: str) -> None:
    pixels = decode(encoded(scene().convert(mode), kind))
    assert pixels.shape == (64, 96, 3)
    expected = np.asarray(scene().convert(mode).convert("RGB")).astype(int)
    assert np.abs(pixels - expected).mean() < 8


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (decode(encoded(image, "PNG")) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0] + [0, 255, 0] * 255)
    assert (decode(encoded(palette, "PNG", transparency=0)) == 255).all()


def test_sixteen_bits_and_floats() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    for image, kind in (
        (Image.fromarray(ramp.astype(np.uint16)), "PNG"),
        (Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF"),
    ):
        pixels = decode(encoded(image, kind))
        assert np.abs(pixels[..., 0] - ramp / 257).max() <= 1, kind
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_animated_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(decode(data)[0, 0]) == (255, 0, 0)


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size() -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    assert decode(data, at_least=256).shape[0] == 300
    assert decode(data, at_least=700).shape[0] == 1200
    small, whole = decode(data, at_least=256), decode(data)
    shrunk = np.asarray(Image.fromarray(whole).resize((400, 300), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - shrunk).mean() < 2


def test_arrays() -> None:
    pixels = np.asarray(scene())
    assert decode(pixels) is pixels
    assert decode(pixels[..., 0]).shape == (64, 96, 3)
    assert decode(pixels[..., :1]).shape == (64, 96, 3)
    for wrong in (
        pixels.astype(np.float32),
        pixels[..., :2],
        np.zeros(5, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(DecodeError, match="expected"):
            decode(wrong)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"hello, I am a text file called .jpg", "text"),
        (b"%PDF-1.7 and so on\xff\xff", "PDF"),
        (b"\0" * 500, "zero bytes"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 40, "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>\xff", "SVG"),
    ],
)
def test_what_is_not_a_picture_says_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "renamed.jpg"
    file.write_bytes(content)
    with pytest.raises(DecodeError, match=reason):
        decode(file)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.jpg", tmp_path, tmp_path / "a\0b.jpg"):
        with pytest.raises(DecodeError, match="readable"):
            decode(path)


def test_one_of_several_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "second.png").write_bytes(b"no picture")
    for name in ("first.png", "second.png"):
        with pytest.raises(DecodeError, match=f"{name}: "):
            decode_file(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_files_are_refused(kind: str) -> None:
    data = encoded(scene(), kind)
    with pytest.raises(DecodeError):
        decode(data[: len(data) // 2])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    row = zlib.compress(b"\0" * 12_000, 9)

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    head = (10_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")
    with pytest.raises(DecodeError, match="100 megapixels"):
        decode(bomb)
    monkeypatch.setenv("HEADSTART_MAX_PIXELS", "1000")
    for kind in ("JPEG", "PNG"):
        with pytest.raises(DecodeError, match="HEADSTART_MAX_PIXELS"):
            decode(encoded(scene(), kind))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]), data=st.data())
def test_damage_gives_a_picture_or_a_decode_error(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(scene(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    kind_of(damaged)
    try:
        pixels = decode(damaged)
    except DecodeError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
