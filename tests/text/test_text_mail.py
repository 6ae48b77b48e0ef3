from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.text.mail import strip_email

MESSAGE = """From: bob@here.org (Bob Smith)
Subject: Re: engines
 continued
Newsgroups: rec.autos

In article <1993Apr5@there.edu>, ann@there.edu
(Ann Jones) writes:
> What about diesel?
JB> Or none?

He said: nothing beats it in the long run, and I agree.

   | quoted by a bar

The mileage is better as well.

--
Bob Smith   bob@here.org
phone 555-123-4567
"""


def lines(text: str) -> Counter[str]:
    return Counter(line for line in text.split("\n") if line.strip())


def test_what_the_writer_says_is_left() -> None:
    assert lines(strip_email(MESSAGE)) == lines(
        "He said: nothing beats it in the long run, and I agree.\nThe mileage is better as well."
    )


@pytest.mark.parametrize(
    "text",
    [
        "Just two paragraphs.\n\nThe second one is long enough to be no signature at all.",
        "Note: this begins with a colon.\nAnd goes on.",
        "One line",
        "> everything is quoted\n> here",
        "From: a@b.org\nSubject: nothing but headers\n\n",
        "",
    ],
)
def test_what_is_no_message_or_all_quotes_stays(text: str) -> None:
    assert lines(strip_email(text)) == lines(text)


@pytest.mark.parametrize(
    "end",
    [
        "Cheers,\nBob",
        "Bob",
        "Bob Smith\nbob@here.org",
        "-----\nACME Inc.\nLondon",
        "Tel: 555 1234",
        "--\nx\n\ny",
    ],
)
def test_signatures_go(end: str) -> None:
    assert strip_email(f"I sold the car.\n\n{end}\n") == "I sold the car."


def test_what_outlook_repeats_goes() -> None:
    text = "Yes, let us do that.\n\n-----Original Message-----\nFrom: x\nShall we?"
    assert strip_email(text) == "Yes, let us do that."


LINE = st.one_of(
    st.sampled_from(
        ["", "--", "> q", "Bob wrote:", "From: a", "Subject: b", "-----", "Thanks", "In article <x>", "a@b.c"]
    ),
    st.text("ab c.:>|@-", max_size=12),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINE, max_size=25))
def test_lines_only_go_and_stay_in_order(found: list[str]) -> None:
    text = "\n".join(found)
    left = iter(found)
    kept = strip_email(text)
    assert all(
        any(line == each.rstrip() or line == each for each in left)
        for line in kept.split("\n")
        if line.strip()
    )
    assert bool(kept.strip()) == bool(text.strip())


def test_agrees_with_scikit_learn_on_newsgroups(data_folder: Path) -> None:
    from sklearn.datasets import _twenty_newsgroups as peer

    both = mine = theirs = 0
    with gzip.open(data_folder / "text" / "news20" / "test.jsonl.gz", "rt") as file:
        for line in list(file)[:600]:
            text = json.loads(line)["text"]
            other = peer.strip_newsgroup_quoting(peer.strip_newsgroup_header(text))
            ours, others = lines(strip_email(text)), lines(peer.strip_newsgroup_footer(other))
            both += (ours & others).total()
            mine += ours.total()
            theirs += others.total()
    assert both >= 0.93 * theirs
    assert both >= 0.93 * mine
