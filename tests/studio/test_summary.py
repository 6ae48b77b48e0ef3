"""Summaries: chosen sentences carry the answer, members add up, nothing strange in a text stops it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart as hs
from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.artefact.prediction import Prediction
from headstart.errors import DecodeError, OptionError
from headstart.studio.summary import Summarizer, Summary, summaries_page, summarize
from headstart.text.decode import decode
from headstart.text.sentences import sentences
from headstart.transfer.calibration import Interval, Thresholds
from headstart.transfer.heads import Head
from toy_texts import ToyText
from written_models import model_of, reviews, terms_member, transformer_member

Kinds = dict[str, Model]


@pytest.fixture(scope="module")
def kinds(toy_text: ToyText, cnn: Member, tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    """A model of each kind of member, and one of them all."""
    members: dict[str, Member] = {
        "terms": terms_member(tmp_path_factory.mktemp("terms")),
        "document CNN": cnn,
        "transformer": transformer_member(),
        "transformer under a deep head": transformer_member("mlp"),
    }
    all_of_them = model_of(list(members.values())[:3])
    return {**{name: model_of([member]) for name, member in members.items()}, "all": all_of_them}


NAMES = ("terms", "document CNN", "transformer", "transformer under a deep head", "all")


def moved(model: Model, texts: Sequence[str], n: int, choose: Callable[[Summary], Sequence[int]]) -> float:
    """Return how much less probable the answers get when the chosen sentences are deleted, in the mean."""
    summarizer, left, before = Summarizer(model), [], []
    for text in texts:
        summary = summarizer.summarize(text, n)
        gone = set(choose(summary))
        left.append(" ".join(s for number, s in enumerate(summary.sentences) if number not in gone))
        before.append(summary.answer)
    after = model.predict(left)
    drops = [a.confidence - b.probabilities[str(a.label)] for a, b in zip(before, after, strict=True)]
    return float(np.mean(drops))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_chosen_carries_the_answer(kinds: Kinds, name: str) -> None:
    chance, texts = np.random.default_rng(0), reviews(1000, 24)
    top = moved(kinds[name], texts, 2, lambda summary: summary.chosen)
    random = moved(
        kinds[name], texts, 2, lambda s: chance.choice(len(s.sentences), 2, replace=False).tolist()
    )
    assert top > random + 0.02
    assert top > 1.5 * random


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_the_model_s_own_and_always_the_same(kinds: Kinds, name: str) -> None:
    text = reviews(2000, 1)[0]
    first, second = (summarize(kinds[name], text) for _ in range(2))
    assert first == second
    (answer,) = kinds[name].predict([text])
    assert first.answer.probabilities == pytest.approx(answer.probabilities)
    assert list(first.sentences) == sentences(text)
    assert first.chosen == tuple(sorted(first.chosen))
    assert len(first.chosen) == 3
    least = min(first.scores[number] for number in first.chosen)
    assert all(score <= least for n, score in enumerate(first.scores) if n not in first.chosen)


def test_members_that_are_summed_add_up(kinds: Kinds) -> None:
    text = "The film was superb. It was lovely. The plot was dull."
    parts = [summarize(kinds[name], text) for name in ("terms", "document CNN", "transformer")]
    whole = summarize(kinds["all"], text)
    signs = [1 if part.answer.label == whole.answer.label else -1 for part in parts]
    added = sum(sign * np.array(part.scores) for sign, part in zip(signs, parts, strict=True))
    assert whole.scores == pytest.approx(added, abs=1e-4)


def test_what_speaks_against_the_answer_is_below_zero(kinds: Kinds) -> None:
    found = summarize(kinds["terms"], "A superb film. It was great, fine and lovely. The plot was awful.", 1)
    assert found.answer.label == "good"
    assert found.scores[2] < 0 < found.scores[1]


def test_all_sentences_where_there_are_no_more(kinds: Kinds) -> None:
    text = "Superb film. The plot was dull."
    found = summarize(kinds["all"], text, 99)
    assert found.chosen == (0, 1)
    assert found.text == text
    one = summarize(kinds["all"], "Superb")
    assert one.chosen == (0,)
    assert "one sentence" in one.headline
    with pytest.raises(OptionError, match="at least one sentence"):
        summarize(kinds["terms"], text, 0)


@pytest.mark.parametrize("name", NAMES)
def test_one_sentence_of_twenty_thousand_words(kinds: Kinds, name: str) -> None:
    text = " ".join(["music", "plot", "superb", "home"] * 5000)
    found = summarize(kinds[name], text, 2)
    assert len(found.sentences) == 334
    assert " ".join(found.sentences) == text
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("name", ["all"])
@given(text=st.text(max_size=120) | st.text(st.sampled_from("ab .!?…。\n\0<>&;\u202e中"), max_size=60))
@settings(deadline=None, max_examples=25)
def test_strange_texts_are_summarised_or_refused(kinds: Kinds, name: str, text: str) -> None:
    try:
        found = summarize(kinds[name], text)
    except DecodeError:
        return
    assert "".join(found.text.split()) in "".join(decode(text).split()) or len(found.chosen) > 1
    assert "".join("".join(found.sentences).split()) == "".join(decode(text).split())
    assert np.isfinite(found.scores).all()
    assert json.loads(json.dumps(found.to_json()))["summary"]
    assert found.html().startswith("<!doctype html>")


@pytest.mark.parametrize("text", ["", "   \n", b"", b"\x00\x01\x02\xff" * 99, Path("nowhere.txt")])
def test_what_is_no_text_is_refused(kinds: Kinds, text: str | bytes | Path) -> None:
    with pytest.raises(DecodeError, match="to fix"):
        summarize(kinds["terms"], text)


def test_mail_is_cleaned_first(tmp_path: Path) -> None:
    model = model_of([terms_member(tmp_path, email=True)])
    message = (
        "From: someone@example.org\nSubject: superb\n\nA dull film. The plot was awful.\n\n-- \nsuperb\n"
    )
    found = summarize(model, message)
    assert found.sentences == ("A dull film.", "The plot was awful.")


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    member = terms_member(tmp_path)
    text = "A superb film. The man went home. An awful plot, dull and sad and poor."
    labels = summarize(model_of([member], calibration=Thresholds(1.0, (0.5, 0.5))), text, 1)
    assert labels.answer.labels == ("bad",)
    assert labels.chosen == (2,)
    number = Head("linear", ((np.array([[-5.0], [5.0]], np.float32), np.array([20.0], np.float32)),))
    rated = model_of([replace(member, head=number)], calibration=Interval(0.9, 2.0), labels=("value",))
    found = summarize(rated, text, 2)
    assert found.answer.value is not None
    assert found.answer.value < 20
    assert found.chosen == (0, 2)  # what raises it says as much as what lowers it
    assert found.scores[2] < 0 < found.scores[0]
    assert "Raises" in found.html()
    assert found.headline.startswith(f"{found.answer.value:.4g}")


def test_a_model_for_pictures_is_refused(kinds: Kinds) -> None:
    model = model_of(kinds["terms"].members)
    model.modality = "image"
    with pytest.raises(OptionError, match="a model for texts"):
        summarize(model, "Superb.")


def test_the_page_shows_every_sentence_and_is_safe(kinds: Kinds, tmp_path: Path) -> None:
    nasty = "</title></script><script>alert(1)</script> is superb"
    answer = Prediction("a <b>.txt", "good", 0.9, {"good": 0.9, "bad": 0.1}, ("good",))
    found = Summary(answer, (nasty, "Dull & odd.", "Nothing."), (2.0, -1.0, 0.0), (0,))
    html = found.html()
    assert "<script>" not in html
    assert "Dull &amp; odd." in html
    assert 'class="chosen"' in html
    assert 'class="against"' in html
    assert html.count("<mark") == 2 + 2  # the legend has two
    assert found.save(tmp_path / "page.html").read_text(encoding="utf-8") == html
    assert "iframe" in found._repr_html_()
    both = summaries_page([found, replace(found, chosen=(0, 2))])
    assert both.count("Dull &amp; odd.") == 2


def test_a_saved_model_by_its_folder(kinds: Kinds, tmp_path: Path) -> None:
    for name in ("terms", "document CNN", "all"):
        model = kinds[name]
        text = reviews(3000, 1)[0]
        model.record_golden(reviews(0, 4))
        place = model.save(tmp_path / f"{name}.headstart")
        found, wanted = hs.summarize(place, text), hs.summarize(model, text)
        assert found.scores == pytest.approx(wanted.scores, abs=1e-4)
        assert found.chosen == wanted.chosen


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["terms", "minilm-l6"])
def test_of_real_reviews(data_folder: Path, tmp_path: Path, backbone: str) -> None:
    source = data_folder / "text" / "imdb" / "train.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    chosen = np.random.default_rng(0).permutation(len(lines))
    learned = tmp_path / "learned.jsonl"
    learned.write_text("".join(json.dumps(lines[n]) + "\n" for n in chosen[:240]), encoding="utf-8")
    model = hs.fit(learned, backbone=backbone)
    texts = [t for t in (decode(lines[n]["text"]) for n in chosen[240:]) if len(sentences(t)) >= 8][:30]
    chance = np.random.default_rng(0)
    top = moved(model, texts, 3, lambda summary: summary.chosen)
    random = moved(model, texts, 3, lambda s: chance.choice(len(s.sentences), 3, replace=False).tolist())
    assert top > random + 0.02
