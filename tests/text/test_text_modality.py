"""Texts as a modality: read from anywhere, described once, prepared as the front end asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.backbones.card import Preprocess, Spec, Tokens, Verbatim
from headstart.errors import DecodeError, OptionError
from headstart.modalities import modality
from headstart.text.modality import TextModality, prepare
from headstart.text.tokens import know
from toy_texts import ToyText

TEXT = TextModality()


@pytest.fixture(scope="module")
def spec(toy_text_made: ToyText) -> Tokens:
    return Tokens(16, know(toy_text_made.tokenizer))


def test_it_is_registered() -> None:
    found = modality("text")
    assert (found.name, found.noun, found.default_backbone) == ("text", "texts", "minilm-l6")


def test_the_same_text_from_everywhere(tmp_path: Path, spec: Tokens) -> None:
    text = "A lovely film. The man went home — naïve, again."
    file = tmp_path / "a.txt"
    file.write_text(text, encoding="utf-8")
    utf16 = tmp_path / "b.txt"
    utf16.write_bytes(text.encode("utf-16"))
    for chosen in (spec, Verbatim()):
        expected = TEXT.inputs(text, chosen)
        for source in (file, utf16, text.encode(), ("\ufeff" + text).encode()):
            for one, other in zip(TEXT.inputs(source, chosen), expected, strict=True):
                np.testing.assert_array_equal(one, other)
    assert TEXT.glimpse(file).startswith("A lovely film.")
    assert TEXT.digest(TEXT.read(file)) == TEXT.digest(TEXT.read(text))


@settings(deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=60))
def test_verbatim_is_utf8_and_nothing_raises_but_decode_errors(text: str) -> None:
    try:
        (row,) = TEXT.inputs(text, Verbatim())
    except DecodeError:
        return
    assert row.dtype == np.uint8
    assert row.tobytes().decode().strip()


def test_examined_once_for_both(spec: Tokens) -> None:
    content = TEXT.read("The man went home. " * 20)
    facts, rows = TEXT.examine(content, "ab" * 32, spec, "torch")
    assert facts.error is None
    assert facts.shape == (379, 80)
    assert facts.fingerprint is not None
    assert rows is not None
    for one, other in zip(rows, TEXT.inputs(content, spec), strict=True):
        np.testing.assert_array_equal(one, other)
    assert TEXT.examine(content, "ab" * 32, None, "torch")[1] is None


@pytest.mark.parametrize("content", [b"", b" \n", bytes(range(256)) * 40, b"%PDF-1.7 ..." + bytes(900)])
def test_what_is_no_text_is_said(content: bytes, spec: Tokens) -> None:
    facts, rows = TEXT.examine(content, "ab" * 32, spec, "torch")
    assert facts.error
    assert rows is None
    with pytest.raises(DecodeError):
        TEXT.inputs(content, spec)


def test_email_is_taken_off_where_the_spec_says_so(spec: Tokens) -> None:
    message = "From: a@example.org\nSubject: superb\n\nThe man went home.\n\n> awful\n"
    plain = prepare("The man went home.", Verbatim())[0]
    assert prepare(message, Verbatim(email=True))[0].tobytes().strip() == plain.tobytes()
    assert b"superb" in prepare(message, Verbatim())[0].tobytes()
    stripped = prepare(message, Tokens(spec.size, spec.tokenizer, email=True))
    np.testing.assert_array_equal(stripped, prepare("The man went home.", spec))


def test_only_so_much_is_read() -> None:
    assert prepare("äöü abc", Verbatim(size=2))[0].tobytes().decode() == "äö"


@pytest.mark.parametrize("wrong", [Preprocess(size=8)])
def test_a_front_end_for_pictures(wrong: Spec) -> None:
    with pytest.raises(OptionError, match="reads texts"):
        prepare("text", wrong)


def test_an_array_is_no_text() -> None:
    with pytest.raises(DecodeError, match="an array"):
        TEXT.read(np.zeros((2, 2, 3), np.uint8))
