"""The word that decides gets the weight, whatever kind of model; empty, short and wrong texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart as hs
from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.errors import DecodeError, MissingExtraError, OptionError
from headstart.explain import texts
from headstart.explain.explaining import explain
from headstart.explain.following import Followed
from headstart.explain.texts import MOST_PASSES, explain_text
from headstart.text.terms import TermsNetwork
from toy_texts import RARE, ToyText
from written_models import model_of, terms_member, transformer_member

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = (
    "The man went home with a scene. Then it was rather superb in the plot!\n\n  The music was again a film."
)


@pytest.fixture(scope="module")
def terms(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of([terms_member(tmp_path_factory.mktemp("terms"))])


@pytest.fixture(scope="module")
def several(toy_text: ToyText, tmp_path_factory: pytest.TempPathFactory) -> Model:
    member = terms_member(tmp_path_factory.mktemp("some_terms"))
    return model_of([member, transformer_member()])


@pytest.mark.parametrize("method", ["auto", "gradients", "occlusion"])
def test_the_word_that_decides_gets_the_weight(terms: Model, method: str) -> None:
    found = explain_text(terms, TEXT, method=method)
    assert (found.label, found.name) == ("good", "input 1")
    assert found.exact is (method != "occlusion")
    text, weight = max(found.parts, key=lambda part: part[1])
    assert text == " superb"
    assert weight > 0.6 * sum(max(w, 0) for _, w in found.parts)
    assert "".join(text for text, _ in found.parts).split() == TEXT.split()
    assert [text[:8] for text, _ in found.sentences] == ["The man ", "Then it ", "The musi"]
    assert max(found.sentences, key=lambda part: part[1])[0].startswith("Then it")
    # Without the sentence that tells, nothing speaks for it any more.
    assert found.check is not None
    assert found.check.what.startswith("Then it was")
    assert found.check.confidence < found.confidence - 0.1
    assert found.check.fall > 1


def test_words_and_sentences_add_up_to_the_answer(terms: Model) -> None:
    found = explain_text(terms, TEXT)
    network = TermsNetwork.load(terms.network)
    odds = (network.logits([TEXT])[0] - network.bias) @ [-1, 1]
    assert sum(weight for _, weight in found.parts) == pytest.approx(odds, abs=1e-4)
    assert sum(weight for _, weight in found.sentences) == pytest.approx(odds, abs=1e-4)


def test_what_speaks_for_one_label_speaks_against_the_other(terms: Model) -> None:
    good, bad = (explain_text(terms, TEXT, label=label) for label in ("good", "bad"))
    assert good.confidence + bad.confidence == pytest.approx(1)
    weights = np.array([[weight for _, weight in each.parts] for each in (good, bad)])
    assert weights[0] == pytest.approx(-weights[1], abs=1e-6)


@given(st.lists(st.sampled_from(["superb", "dull", "the", "man.", "\n\n", "一。"]), min_size=1, max_size=12))
@settings(deadline=None, max_examples=30)
def test_any_text_keeps_its_words_and_its_sum(terms: Model, words: list[str]) -> None:
    text = " ".join(words)
    if not text.strip():
        return
    found = explain_text(terms, text)
    assert "".join(part for part, _ in found.parts).split() == text.split()
    network = TermsNetwork.load(terms.network)
    odds = abs(float((network.logits([text])[0] - network.bias) @ [-1, 1]))
    assert abs(sum(weight for _, weight in found.parts)) == pytest.approx(odds, abs=1e-3)


def test_members_are_explained_together(several: Model) -> None:
    known = RARE["good"][3]  # of which the transformer knows the meaning, and the terms nothing
    found = explain_text(model_of(several.members[1:]), TEXT.replace("superb", known), label="good")
    assert "integrated gradients" in found.method
    assert not found.exact
    assert max(found.parts, key=lambda part: part[1])[0] == f" {known}"
    both = explain_text(several, TEXT.replace("superb", f"superb {known}"), label="good")
    ranked = sorted(both.parts, key=lambda part: -part[1])
    assert {text.strip() for text, _ in ranked[:2]} == {"superb", known}


def test_random_weights_destroy_the_map(toy_text: ToyText) -> None:
    member = transformer_member()
    found = explain_text(model_of([member]), TEXT, label="good")
    generator = np.random.default_rng(1)
    layers = tuple(
        (generator.standard_normal(weight.shape).astype(np.float32), bias)
        for weight, bias in member.head.layers
    )
    destroyed = model_of([replace(member, head=replace(member.head, layers=layers))])
    other = explain_text(destroyed, TEXT, label="good")
    before, after = (np.array([weight for _, weight in each.parts]) for each in (found, other))
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.7


def test_a_document_cnn_is_explained(cnn: Member) -> None:
    dull = "The man went home with a scene."
    text = f"{dull} {dull} It was superb and lovely and fine. {dull}"
    found = explain_text(model_of([cnn]), text, label="good")
    assert len(found.sentences) == 4
    assert any(weight != 0 for _, weight in found.parts)


def test_a_single_sentence_and_a_single_word(terms: Model) -> None:
    found = explain_text(terms, "A superb scene")
    assert found.check is not None
    assert found.check.what == "superb"
    one = explain_text(terms, "superb")
    assert one.check is None
    assert one.parts[0][1] > 0
    assert "Sentence by sentence" not in one.markup()
    unknown = explain_text(terms, "xyzzy" * 3, method="occlusion")
    assert unknown.to_json()["top"] is None


def test_a_long_text_takes_no_more_passes(terms: Model) -> None:
    found = explain_text(terms, "the man went home. " * 400 + "superb", method="occlusion")
    assert len(found.parts) <= MOST_PASSES
    assert "superb" in max(found.parts, key=lambda part: part[1])[0]


def test_what_cannot_be_read_is_told(terms: Model, tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    for source in (
        "",
        "  \n",
        tmp_path / "picture.txt",
        tmp_path / "absent.txt",
        np.zeros((4, 4, 3), np.uint8),
    ):
        with pytest.raises(DecodeError):
            explain(terms, source)
    with pytest.raises(OptionError, match="occlusion"):
        explain(terms, TEXT, method="gradcam")
    with pytest.raises(OptionError, match="'good'"):
        explain(terms, TEXT, label="odd")


def test_without_torch_parts_are_left_out(several: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "occlusion" in explain_text(several, TEXT).method
    monkeypatch.delitem(texts._KNOWN, several, raising=False)
    with pytest.raises(MissingExtraError, match="headstart\\[train\\]"):
        explain_text(several, TEXT, method="gradients")


def test_it_is_a_page_and_json(terms: Model, tmp_path: Path) -> None:
    found = explain_text(terms, "<b>superb</b> & dull. The scene.", name="a<b>.txt")
    found.save(tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text()
    assert "<b>superb" not in page
    assert 'class="against"' in page
    found.save(tmp_path / "why.json")
    told = json.loads((tmp_path / "why.json").read_text())
    assert told["top"]["share"] <= 1
    assert set(told["check"]) == {"left_out", "confidence", "fall"}


def test_followed_numbers_are_the_answers(terms: Model) -> None:
    found = explain_text(terms, TEXT)
    (wanted,) = terms.predict([TEXT])
    assert found.confidence == pytest.approx(wanted.confidence)
    assert isinstance(terms, hs.Model)
    assert Followed(terms, 1).label == "good"
