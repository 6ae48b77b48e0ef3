"""What a sentence brings: exact where a model is linear, complete where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.artefact.members import Member
from headstart.artefact.rebuilding import torch_network
from headstart.backbones.card import Tokens
from headstart.errors import ArtefactError
from headstart.explain.saliency import (
    _integrated,
    explainer,
    of_terms,
    of_tokens,
    part_of_character,
)
from headstart.text.places import character_places, word_places
from headstart.text.scripts import pieces
from headstart.text.sentences import sentences
from headstart.text.terms import TermsNetwork, TermsSettings
from headstart.text.tokens import by_sentence, line_starts, rows, starts, tokenizer
from headstart.text.words import tokenizer_of
from toy_texts import ToyText
from written_models import reviews, terms_member, transformer_member

pytestmark = pytest.mark.usefixtures("one_thread")


@given(st.text(st.sampled_from("ab .!?…。\n\t\u3000é\u0301中\ud83d"), max_size=200))
@settings(deadline=None, max_examples=100)
def test_every_character_has_its_sentence(text: str) -> None:
    found = sentences(text)
    if not found:
        return
    number = part_of_character(text, found)
    assert len(number) == len(text)
    for place, sentence in enumerate(found):
        own = "".join(c for c, n in zip(text, number, strict=True) if n == place and not c.isspace())
        assert own == "".join(sentence.split())


@pytest.mark.parametrize(
    "counted", [TermsSettings((1, 2), None), TermsSettings((1, 3), (2, 4)), TermsSettings(None, (3, 3))]
)
def test_terms_are_exact(tmp_path: Path, counted: TermsSettings) -> None:
    member = terms_member(tmp_path, counted)
    network = TermsNetwork.load(member.network)
    slope = np.array([[-1.0, 1.0]])
    for text in reviews(1000, 10):
        brought = of_terms(network, text, sentences(text), slope)
        words = of_terms(network, text, pieces(text), slope)
        odds = (network.logits([text])[0] - network.bias) @ slope[0]
        assert [brought.sum(), words.sum()] == pytest.approx([odds, odds], abs=1e-4)
        assert np.ptp(brought) > 0


def test_a_term_of_two_sentences_counts_for_both() -> None:
    one = np.ones(1, np.float32)
    network = TermsNetwork(TermsSettings(words=(1, 1)), ("good",), (), one, one[:, None], 0 * one)
    text = "Good, good film. Good end. Nothing."
    brought = of_terms(network, text, sentences(text), np.ones((1, 1)))
    assert brought == pytest.approx([2 / 3, 1 / 3, 0])


def test_gradients_are_integrated_from_the_mean() -> None:
    embedded = torch.tensor([[[1.0, 2.0], [9.0, 9.0], [3.0, -4.0]]])
    there = torch.tensor([True, False, True])
    found = _integrated(lambda x: (x[:, there] ** 2).sum((1, 2))[:, None], embedded, there, np.ones(1))
    # Of a sum of squares it is known: each square less that of the mean.
    assert found == pytest.approx([1 - 4 + 4 - 1, 9 - 4 + 16 - 1])
    assert len(_integrated(lambda x: x.sum(2), embedded, there & False, np.ones(3))) == 0


def test_the_sentence_that_tells_the_class_brings_most_to_a_cnn(cnn: Member) -> None:
    explain = explainer(cnn)
    dull = "The man went home with a scene."
    found = [dull, dull, "It was superb and lovely and fine.", dull]
    for_good = explain(" ".join(found), found, np.array([[-1.0, 1.0]]))
    assert for_good.argmax() == 2
    assert explain(" ".join(found), found, np.array([[1.0, -1.0]])) == pytest.approx(-for_good)


def test_sentences_that_are_not_read_bring_nothing(cnn: Member) -> None:
    explain = explainer(cnn)
    found = [f"Line {n} superb." for n in range(14)]
    brought = explain(" ".join(found), found, np.array([[-1.0, 1.0]]))
    assert len(brought) == 14
    assert (brought[10:] == 0).all()


def test_a_cnn_without_its_weights_is_refused(cnn: Member) -> None:
    bare = replace(cnn, weights=None)
    with pytest.raises(ArtefactError, match="fit the model again"):
        explainer(bare)


def test_tokens_of_a_transformer_bring_what_the_answer_is_above_the_usual(toy_text: ToyText) -> None:
    member = transformer_member()
    backbone, spec = torch_network(member), member.front_end.preprocess
    assert isinstance(spec, Tokens)
    text = "Superb. " + " ".join(reviews(1000, 3))
    ids, begins = rows(text, spec), starts(text, spec)
    assert len(ids) > 1
    assert [len(each) for each in ids] == [len(each) for each in begins]
    slope = np.random.default_rng(0).standard_normal((len(ids), 16))
    brought = of_tokens(backbone, spec, text, sentences(text), slope)
    wanted = 0.0
    for each, there, its in zip(ids, (b >= 0 for b in begins), slope, strict=True):
        with torch.no_grad():
            embedded = backbone.run_blocks(torch.from_numpy(each)[None].long(), stop="embeddings")
            usual = embedded.clone()
            usual[:, there] = embedded[:, there].mean(1, keepdim=True)
            features = [
                backbone.pool(backbone.run_blocks(e, start="layer1"))[1][0].numpy() for e in (embedded, usual)
            ]
        wanted += float((features[0] - features[1]) @ its)
    assert brought.sum() == pytest.approx(wanted, abs=0.05 * (1 + abs(wanted)))


@given(st.text(max_size=300))
@settings(deadline=None, max_examples=50)
def test_tokens_know_where_they_begin(toy_text: ToyText, text: str) -> None:
    spec = toy_text.card.preprocess
    assert isinstance(spec, Tokens)
    encoder = tokenizer(spec.tokenizer)
    for ids, begins in zip(rows(text, spec), starts(text, spec), strict=True):
        assert ids.shape == begins.shape
        inside = begins[begins >= 0]
        assert (np.diff(inside) >= 0).all()
        assert (inside < max(len(text), 1)).all()
        special = [token for token, place in zip(ids.tolist(), begins.tolist(), strict=True) if place < 0]
        assert {encoder.id_to_token(token) for token in special} <= {"[CLS]", "[SEP]", "[PAD]"}


def test_words_of_both_classes_bring_a_cnn_apart(cnn: Member) -> None:
    explain, slope = explainer(cnn, words=True), np.array([[-1.0, 1.0]])
    dull = "The man went home with a scene."

    def third(telling: str) -> float:
        text = f"{dull}  {dull}\n\nIt was {telling}. {dull}"
        brought = explain(text, pieces(text), slope)
        assert explain(text, pieces(text), -slope) == pytest.approx(-brought, abs=1e-5)
        return float(np.add.reduceat(brought, [0, 7, 14, 21])[2])

    assert third("superb and lovely and fine") > 0.2 + third("awful and poor and sad")


@given(st.text(st.sampled_from("aB .!?\n中\u3000İß'"), max_size=60), st.sampled_from([(1, 1), (1, 2), None]))
@settings(deadline=None, max_examples=80)
def test_terms_know_their_places(text: str, runs: tuple[int, int] | None) -> None:
    counted = TermsSettings(words=runs, characters=(2, 4))
    for found, wanted in (
        (list(word_places(text, counted)), counted.word_terms(text)),
        (
            list(character_places(text, counted)),
            [term for word in counted.character_words(text) for term in counted.character_terms(word)],
        ),
    ):
        assert sorted(term for term, _ in found) == sorted(wanted)
        assert all(0 <= place < len(text) and not text[place].isspace() for _, its in found for place in its)


@given(st.text(st.sampled_from("ab .!?…。\n\t\u3000é\u0301中\ud83d"), max_size=200))
@settings(deadline=None, max_examples=100)
def test_pieces_are_the_text(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == (text if text.strip() else "")
    assert all(piece.strip() for piece in found)


@given(st.text(st.sampled_from("ab. 中é\n"), max_size=200))
@settings(deadline=None, max_examples=50)
def test_words_of_sentences_know_where_they_begin(text: str) -> None:
    spec, encoder = Tokens(5, "", sentences=4), tokenizer_of(["a", "b", "ab"])
    ids, begins = by_sentence(text, spec, encoder), line_starts(text, spec, encoder)
    assert ((ids != 0) == (begins >= 0)).all()
    for token, place in zip(ids[ids != 0].tolist(), begins[begins >= 0].tolist(), strict=True):
        word = encoder.id_to_token(token)
        assert word == "[UNK]" or text[place:].startswith(word)
