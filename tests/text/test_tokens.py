"""From texts to rows of token numbers: nothing is lost, passages are alike, any text is answered."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.backbones.card import Tokens
from headstart.errors import ArtefactError, BackboneError
from headstart.files import digest_bytes
from headstart.text import tokens
from headstart.text.tokens import MULTIPLE, by_sentence, know, rows, starts, tokenizer
from headstart.text.words import tokenizer_of
from toy_texts import COMMON, ToyText

CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def spec(toy_text_made: ToyText) -> Tokens:
    return Tokens(20, know(toy_text_made.tokenizer), rows=5)


def content(row: np.ndarray) -> list[int]:
    """The tokens of a passage without [CLS], [SEP] and padding."""
    inside = [int(number) for number in row if number != 0]
    assert (inside[0], inside[-1]) == (CLS, SEP)
    return inside[1:-1]


WORD = st.sampled_from([*COMMON, "superb", "unknown", ".", "ÄÖ"])


@settings(deadline=None, max_examples=60)
@given(words=st.lists(WORD, max_size=150), size=st.integers(3, 40))
def test_passages_are_of_equal_length_and_lose_nothing(spec: Tokens, words: list[str], size: int) -> None:
    chosen = Tokens(size, spec.tokenizer, rows=1000)
    found = rows(" ".join(words), chosen)
    lengths = [len(content(row)) for row in found]
    assert sum(lengths) == len(words)
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= size - 2
    joined = [number for row in found for number in content(row)]
    assert joined == tokenizer(spec.tokenizer).encode(" ".join(words), add_special_tokens=False).ids
    for row in found:
        assert row.dtype == np.int32
        assert len(row) == size or (len(row) % MULTIPLE == 0 and len(row) < size) or size < MULTIPLE
        assert len(row) <= max(size, 3)


def test_of_a_long_text_evenly_spread_passages_are_read(spec: Tokens) -> None:
    words = [COMMON[n % len(COMMON)] for n in range(18 * 9)]
    whole = [content(row) for row in rows(" ".join(words), Tokens(20, spec.tokenizer, rows=99))]
    assert len(whole) == 9
    kept = [content(row) for row in rows(" ".join(words), spec)]
    assert kept == [whole[n] for n in (0, 2, 4, 6, 8)]  # first and last among them
    (only,) = rows(" ".join(words), Tokens(20, spec.tokenizer, rows=1))
    assert content(only) == whole[0]


def test_rows_are_filled_up_to_a_multiple(spec: Tokens) -> None:
    for count, expected in ((0, 16), (1, 16), (14, 16), (15, 20), (18, 20)):
        row, *more = rows(" ".join(["film"] * count), spec)
        assert (len(row), more) == (expected, [])
        assert (row[count + 2 :] == 0).all()
    long = Tokens(64, spec.tokenizer, pad=1)
    (row,) = rows(" ".join(["film"] * 20), long)
    assert len(row) == 32
    assert (row[22:] == 1).all()


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_an_empty_text_is_a_row(spec: Tokens, text: str) -> None:
    (row,) = rows(text, spec)
    assert row.tolist() == [CLS, SEP, *[0] * 14]


@pytest.mark.parametrize("text", ["x" * 1_000_000, "superb " * 150_000, "a" * 20_000 + " " + "b" * 20_000])
def test_megabytes(spec: Tokens, text: str) -> None:
    began = time.monotonic()
    found = rows(text, spec)
    assert 1 <= len(found) <= spec.rows
    assert all(len(row) <= 20 for row in found)
    lines = by_sentence(text, Tokens(8, spec.tokenizer, sentences=4), tokenizer(spec.tokenizer))
    assert lines.shape == (4, 8)
    assert time.monotonic() - began < 30


def test_sentences_are_lines(spec: Tokens) -> None:
    chosen = Tokens(4, spec.tokenizer, sentences=3, pad=0)
    (lines,) = rows("Superb film. The man went home again then. Dull. Sad.", chosen)
    assert lines.shape == (3, 4)
    assert lines.dtype == np.int32
    encode = tokenizer(spec.tokenizer).encode
    for line, text in zip(lines, ("Superb film.", "The man went home", "Dull."), strict=True):
        assert line[line != 0].tolist() == encode(text, add_special_tokens=False).ids
    assert not rows("", chosen)[0].any()


def test_starts_say_where_tokens_begin(spec: Tokens) -> None:
    text = " ".join(COMMON * 4)
    for row, places in zip(rows(text, spec), starts(text, spec), strict=True):
        assert row.shape == places.shape
        assert ((places == -1) == np.isin(row, (CLS, SEP, 0))).all()
        for number, place in zip(row, places, strict=True):
            if place >= 0:
                word = text[place:].split()[0]
                assert tokenizer(spec.tokenizer).token_to_id(word) == number


def test_what_a_tokenizers_file_asks_for_is_ignored(toy_text_made: ToyText, spec: Tokens) -> None:
    """It cuts at 8 tokens and fills up to 8: passages would be lost, and padding doubled."""
    assert '"max_length": 8' in toy_text_made.tokenizer.read_text()
    assert len(tokenizer(spec.tokenizer).encode("film " * 30).ids) == 32


def test_a_tokenizer_survives_its_file(tmp_path: Path) -> None:
    """A loaded model answers on when its folder has moved, or was a draft that got another name."""
    file = tmp_path / "tokenizer.json"
    tokenizer_of(["alone", "here"]).save(str(file))
    digest = know(file)
    file.unlink()
    assert rows("here alone", Tokens(4, digest))[0].tolist() == [3, 2, 0, 0]


def test_unknown_tokenizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(ArtefactError, match="tokenizer"):
        rows("text", Tokens(8, "ab" * 32))
    with pytest.raises(ArtefactError, match="tokenizer"):
        know(tmp_path / "none.json")
    # Cached with a backbone's weights it is found by its digest.
    tokenizer_of(["cached"]).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "weights").mkdir()
    shutil.copy(tmp_path / "tokenizer.json", tmp_path / "weights" / "some.tokenizer.json")
    digest = digest_bytes((tmp_path / "tokenizer.json").read_bytes())
    assert digest not in tokens._known
    assert rows("cached", Tokens(8, digest))[0].tolist()[0] == 2


@pytest.mark.parametrize("wrong", [{"size": 0}, {"rows": 0}, {"sentences": -1}, {"pad": -1}, {"version": 2}])
def test_specs_that_mean_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(BackboneError):
        Tokens(**{"size": 8, "tokenizer": "", **wrong})  # type: ignore[arg-type]
