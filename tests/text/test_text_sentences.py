from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.text.sentences import MOST_WORDS, sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Mr. Smith met Dr. J. R. Jones at 3.30 p.m. in Washington.", "They left at 5 p.m.", "It rained."],
        ["I paid $3.50 for version 2.0.1 of it.", "Was it worth it?", "No!"],
        ['"Really?" he asked.', '"Yes."', "She left."],
        ["Well... maybe not.", "We'll see…", "Or not?!", "Hm."],
        ["The U.S. economy grew.", "He moved to the U.S.", "Then he stayed."],
        ["See e.g. Fig. 3 and No. 5, i.e. the last ones.", "Etc."],
        ["It was as old as I.", "Then it ended (see p. 3).", "[It did.]"],
        ["Visit www.example.com or mail me.", "Thanks."],
        ["1. First we go.", "2. Then we stay."],
        ["Das ist z.B. gut.", "Dr. Müller kam um 5 Uhr.", "Schön!"],
    ],
)
def test_where_sentences_end(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_other_scripts_and_texts_without_capitals() -> None:
    assert sentences("这部电影很好看。你看过吗？没有！") == ["这部电影很好看。", "你看过吗？", "没有！"]
    assert sentences("「本当ですか？」と彼は言った。はい。")[-1] == "はい。"
    assert sentences("it is good . i liked it . buy it !") == ["it is good .", "i liked it .", "buy it !"]
    assert sentences("बहुत अच्छी फ़िल्म। देखिए।") != []


def test_blank_lines_end_sentences_and_single_ones_do_not() -> None:
    assert sentences("A title\n\nIt goes\non here.\n \n* and there") == [
        "A title",
        "It goes on here.",
        "* and there",
    ]


def test_ends_without_a_blank_as_web_forms_glue_them() -> None:
    text = "It will surely satisfy fans.It contains much gore.Some scenes are bad. See Node.js."
    assert sentences(text) == [
        *("It will surely satisfy fans.", "It contains much gore.", "Some scenes are bad.", "See Node.js.")
    ]


@pytest.mark.parametrize(
    "text", ["word " * 20_000, "好" * 20_000, "a" * 50_000, ". " * 20_000, "x.y" * 20_000, "A.B. " * 9000]
)
def test_one_endless_sentence_comes_in_chunks_at_once(text: str) -> None:
    started = time.perf_counter()
    found = sentences(text)
    assert time.perf_counter() - started < 3
    assert len(found) > 50
    assert max(len(each.split()) for each in found) <= MOST_WORDS
    assert max(map(len, found)) <= 200 * MOST_WORDS
    assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["", " \n\n ", "\n"])
def test_of_nothing_there_are_none(text: str) -> None:
    assert sentences(text) == []


PIECE = st.one_of(
    st.sampled_from(
        [
            "Mr.",
            "e.g.",
            "J.",
            "3.5",
            "...",
            "!",
            '?"',
            "。",
            "\n\n",
            "\n",
            "Word",
            "word.",
            "U.S.",
            " ",
            "«",
            "…",
        ]
    ),
    st.text(max_size=8),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(PIECE, max_size=40).map(" ".join))
def test_together_they_have_the_words_of_the_text(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(each.strip() == each != "" for each in found)
    if not any(mark in text for mark in "。！？｡︒") and ".A" not in text:
        assert " ".join(found).split() == text.split() or any(len(each) > 200 for each in text.split())
