"""Sound from a pipe and from a microphone: any portions, and what cannot be had."""

from __future__ import annotations

import io
import itertools
import os
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.capture import microphone, pcm
from headstart.errors import HeadstartError, MissingExtraError, OptionError
from toy_sounds import encoded, toy_sound

SAMPLES = np.random.default_rng(0).integers(-32_768, 32_767, 3_000).astype("<i2")


class Portions(io.RawIOBase):
    """A pipe that gives as many bytes at a time as it likes."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes = content, itertools.cycle(sizes)

    def read1(self, most: int) -> bytes:
        size = min(next(self._sizes), most)
        part, self._content = self._content[:size], self._content[size:]
        return part


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=8),
    channels=st.sampled_from([1, 2, 3]),
)
def test_any_portions_are_the_same_sound(sizes: list[int], channels: int) -> None:
    waves = list(pcm(Portions(SAMPLES.tobytes(), sizes), 16_000, channels))
    expected = SAMPLES.reshape(-1, channels).mean(1) / 32_768
    np.testing.assert_allclose(np.concatenate(waves), expected, atol=1e-6)


def test_half_a_sample_at_the_end_is_left() -> None:
    (wave,) = pcm(io.BytesIO(SAMPLES[:10].tobytes() + b"\1"), 16_000)
    assert len(wave) == 10
    assert list(pcm(io.BytesIO(b""), 16_000)) == []


def test_what_is_there_is_not_waited_with() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        waves = pcm(source, 16_000)
        sink.write(SAMPLES[:100].tobytes())
        arrived: list[int] = []
        thread = threading.Thread(target=lambda: arrived.append(len(next(waves))))
        thread.start()
        thread.join(5)
        assert arrived == [100]


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (-8000, 1), (16_000, 0), (16_000, 65)])
def test_impossible_sounds_are_refused(rate: int, channels: int) -> None:
    with pytest.raises(OptionError, match=r"1 to 64 channels"):
        next(pcm(io.BytesIO(SAMPLES.tobytes()), rate, channels))


def test_a_wav_file_is_no_pcm() -> None:
    with pytest.raises(OptionError, match="without a header"):
        next(pcm(io.BytesIO(encoded(toy_sound("hiss", 0))), 16_000))


class PortAudioError(Exception):
    """As sounddevice has it."""


def pretend(monkeypatch: pytest.MonkeyPatch, **parts: object) -> None:
    module = ModuleType("sounddevice")
    vars(module).update(PortAudioError=PortAudioError, **parts)
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_without_sounddevice_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"pip install sounddevice, or pipe"), microphone():
        pass


def test_a_machine_without_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(kind: str) -> None:
        raise PortAudioError("Error querying device -1")

    pretend(monkeypatch, query_devices=none)
    with pytest.raises(HeadstartError, match=r"a microphone.*device -1.*pipe sound in"), microphone():
        pass


def test_what_the_microphone_gives_arrives_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class InputStream:
        def __init__(self, rate: int, size: int, *, channels: int, dtype: str, callback: object) -> None:
            assert (rate, channels, dtype) == (44_100, 1, "float32")
            self.size, self.callback = size, callback

        def __enter__(self) -> None:
            block = np.zeros((self.size, 1), np.float32)
            for number in range(3):
                block[:] = number  # the same memory each time, as PortAudio does
                self.callback(block, self.size, SimpleNamespace(), None)  # type: ignore[operator]

        def __exit__(self, *_: object) -> None:
            closed.append(True)

    found = {"default_samplerate": 44_100.0}
    pretend(monkeypatch, query_devices=lambda kind: found, InputStream=InputStream)
    with microphone() as (rate, waves):
        assert rate == 44_100
        assert [wave[0] for wave in itertools.islice(waves, 3)] == [0, 1, 2]
    assert closed == [True]
