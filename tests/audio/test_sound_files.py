"""Files of sound as they come: every format, rate and number of channels, and what is none."""

from __future__ import annotations

import io
import wave as wave_files
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.decode import Recording, decode, read_bytes, resample
from headstart.audio.modality import AudioModality
from headstart.backbones.card import Preprocess, Waves
from headstart.errors import DecodeError, OptionError

SECOND = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32) / 2


def encoded(samples: np.ndarray, rate: int = 44_100, kind: str = "WAV", subtype: str | None = None) -> bytes:
    soundfile.write(file := io.BytesIO(), samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"),
     ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")],
)  # fmt: skip
def test_every_format_holds_the_same_tone(kind: str, subtype: str) -> None:
    rate = 48_000 if subtype == "OPUS" else 44_100
    found = decode(encoded(resample(SECOND, 44_100, rate), rate, kind, subtype), 16_000)
    assert found.seconds == pytest.approx(1, abs=0.06)
    middle = found.wave[4_000:12_000] * np.hanning(8_000)
    assert np.abs(np.fft.rfft(middle)).argmax() * 2 == pytest.approx(440, abs=2)
    assert np.abs(found.wave).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_number_of_channels(rate: int, channels: int) -> None:
    samples = resample(SECOND, 44_100, rate)
    content = encoded(np.stack([samples] * channels, 1), rate)
    with Recording(content) as recording:
        assert (recording.rate, recording.channels) == (rate, channels)
    found = decode(content, 16_000).wave
    expected = resample(SECOND, 44_100, 16_000)
    assert abs(len(found) - 16_000) <= 1
    np.testing.assert_allclose(found[2_000:14_000], expected[2_000:14_000], atol=5e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(4_000, 96_000), st.integers(1, 30_000))
def test_resampling_keeps_the_duration(rate: int, samples: int) -> None:
    found = resample(np.zeros(samples, np.float32), rate, 16_000)
    assert abs(len(found) - samples * 16_000 / rate) <= 1.5


def test_an_eight_bit_file_that_another_program_wrote() -> None:
    file = io.BytesIO()
    with wave_files.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8_000)
        writer.writeframes(bytes(range(256)) * 32)
    found = decode(file.getvalue())
    assert found.rate == 8_000
    assert found.wave.min() == -1


BAD = {
    "empty": b"",
    "text": b"dear reader, this is no sound at all " * 20,
    "random": np.random.default_rng(0).bytes(4_000),
    "no samples": encoded(SECOND[:0]),
    "a header alone": encoded(SECOND)[:44],
    "not a number": encoded(np.where(np.arange(44_100) == 7, np.nan, SECOND), subtype="FLOAT"),
    "infinite": encoded(np.where(np.arange(44_100) == 7, np.inf, SECOND), subtype="FLOAT"),
    "broken off": encoded(np.random.default_rng(0).normal(0, 0.1, 90_000), kind="FLAC")[:60_000],
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_is_said_to_be_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(BAD[name])
    modality = AudioModality()
    with pytest.raises(DecodeError) as error:
        modality.inputs(path, Waves())
    assert error.value.received
    assert error.value.fix
    if BAD[name]:
        facts, rows = modality.examine(BAD[name], "digest", Waves(), "torch")
        assert facts.error
        assert rows is None


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for source in (tmp_path / "none.wav", tmp_path, "a\0b"):
        with pytest.raises(DecodeError):
            read_bytes(source)
    with pytest.raises(DecodeError, match="array"):
        read_bytes(np.zeros((3, 3), np.uint8))


def test_silence_is_a_sound() -> None:
    facts, rows = AudioModality().examine(encoded(np.zeros(16_000), 16_000), "digest", Waves(), "torch")
    assert facts.error is None
    assert facts.shape == (1000, 16_000)
    assert facts.kind == "WAV PCM_16"
    assert rows is not None
    assert np.isfinite(np.stack(rows)).all()


def test_a_network_for_pictures_is_refused() -> None:
    with pytest.raises(OptionError, match="hears"):
        AudioModality().inputs(encoded(SECOND), Preprocess(size=32))


def test_copies_are_found_whatever_they_were_coded_as() -> None:
    generator = np.random.default_rng(1)
    time = np.arange(3 * 44_100) / 44_100
    chirps = [np.sin(2 * np.pi * (200 + 900 * generator.random() * time) * time) for _ in range(4)]
    beats = sum(chirp * (np.sin(2 * np.pi * generator.random() * 3 * time) > 0) for chirp in chirps)
    sound = (0.1 * beats + generator.normal(0, 0.01, len(time))).astype(np.float32)
    other = generator.normal(0, 0.1, len(time)).astype(np.float32)
    modality = AudioModality()

    def printed(content: bytes) -> int:
        fingerprint = modality.examine(content, "", None, "torch")[0].fingerprint
        assert fingerprint is not None
        return fingerprint

    first = printed(encoded(sound))
    for copy in (encoded(sound, kind="OGG"), encoded(sound / 2, kind="FLAC"), encoded(sound, kind="MP3"),
                 encoded(resample(sound, 44_100, 22_050), 22_050)):  # fmt: skip
        assert (first ^ printed(copy)).bit_count() <= modality.near
    assert (first ^ printed(encoded(other))).bit_count() > modality.near


def test_a_small_picture_of_a_sound() -> None:
    glimpse = AudioModality().glimpse(encoded(SECOND))
    assert glimpse[:2] == b"\xff\xd8"


def test_a_clip_is_decoded_once_whatever_is_asked_of_it() -> None:
    with Recording(encoded(SECOND)) as recording:
        first = recording.wave(8_000)
        recording._file.close()
        np.testing.assert_array_equal(recording.wave(8_000), first)
        assert len(recording.wave(44_100, 0.5)) == 22_050
    long = np.tile(SECOND, 11)
    with Recording(encoded(long)) as recording:
        assert len(recording.wave(44_100)) == len(long)
        assert recording._only is None
