from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import MissingExtraError, OptionError
from headstart.text.steps import Steps, stop_words


@pytest.mark.parametrize(
    ("steps", "text", "expected"),
    [
        (Steps(), "The Café!  Closed.", "the café!  closed."),
        (Steps(lower=False), "The Café!", "The Café!"),
        (Steps(accents=True), "Café Ångström", "cafe angstrom"),
        (Steps(special=True), "It's <b> 5 €, no?", "it's b 5 no"),
        (Steps(special=True, stop_words=("the", "it's")), "It's THE end.", "end"),
        (Steps(special=True, stem=True), "Running runners ran easily", "run runner ran easili"),
        (Steps(special=True, lemmatise=True), "The mice went running", "the mouse go run"),
        (Steps(special=True, stem=True, language="de"), "Die Häuser der Bürger", "die haus der burg"),
        (Steps(special=True, lemmatise=True, language="fr"), "les chevaux", "le cheval"),
        (Steps(special=True, stem=True), "电影 很好", "电 影 很 好"),
    ],
)
def test_steps_do_what_they_say(steps: Steps, text: str, expected: str) -> None:
    assert steps.apply(text) == expected


def test_words_go_the_same_way_as_texts() -> None:
    steps = Steps(special=True, stop_words=stop_words(), stem=True)
    assert steps.apply(["The", "cats", "!", "ran"]) == ["cat", "ran"]
    assert steps.apply("The cats! ran") == "cat ran"
    assert steps.apply("the of and") == ""
    assert steps.apply([]) == []


def test_stop_words_of_several_languages_are_lower_case_and_travel_along() -> None:
    for language, word in (("en", "the"), ("de", "und"), ("fr", "les"), ("zh", "的")):
        assert word in stop_words(language)
        assert all(each == each.lower() for each in stop_words(language))
    steps = Steps(stop_words=stop_words("de"), stem=True, language="de")
    assert Steps.from_json(json.loads(json.dumps(steps.to_json()))) == steps


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps(stem=True, language="zh"), "stems for a language among"),
        (lambda: Steps(lemmatise=True, language="zh"), "lemmas for a language among"),
        (lambda: stop_words("xx"), "stop words for a language among"),
        (lambda: Steps(stop_words="the"), "stop words as a tuple"),  # type: ignore[arg-type]
        (lambda: Steps.from_json({"lower": True, "rot13": True}), "rot13"),
    ],
)
def test_what_cannot_be_done_is_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("snowballstemmer", lambda: Steps(stem=True).apply("unheard of stemmings")),
        ("simplemma", lambda: Steps(lemmatise=True)),
        ("bm25s", stop_words),
    ],
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, package: str, call: Any) -> None:
    from headstart.text import steps

    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(steps._own, "stemmers", {}, raising=False)
    with pytest.raises(MissingExtraError, match=package):
        call()


def test_stems_do_not_mix_between_threads() -> None:
    words = [f"{stem}{end}" for stem in ("walk", "play", "jump", "look") for end in ("ing", "ed", "s")] * 200
    steps = Steps(stem=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(
                lambda n: steps.apply([f"{word}{n % 7}x" if n % 2 else word for word in words]), range(8)
            )
        )
    assert all(
        each == [word.removesuffix("ing").removesuffix("ed").removesuffix("s") for word in words]
        for each in found[::2]
    )


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80), st.booleans(), st.booleans(), st.booleans())
def test_any_text_passes_and_steps_are_recorded(text: str, accents: bool, special: bool, stem: bool) -> None:
    steps = Steps(accents=accents, special=special, stem=stem)
    found = steps.apply(text)
    assert isinstance(found, str)
    assert Steps.from_json(steps.to_json()).apply(text) == found


def test_importing_loads_none_of_the_libraries() -> None:
    code = (
        "import sys, headstart.text.steps, headstart.text.decode, headstart.text.sentences\n"
        "import headstart.text.fingerprint\n"
        "print({'simplemma', 'snowballstemmer', 'bm25s', 'charset_normalizer', 'torch'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "set()\n"
    )
