"""What a sentence brings: exact where a model is linear, complete where it is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from written_models import reviews, terms_member, transformer_member

from headstart.artefact.members import Member
from headstart.artefact.rebuilding import torch_network
from headstart.backbones.card import Tokens
from headstart.errors import ArtefactError
from headstart.studio.saliency import (
    _integrated,
    explainer,
    of_terms,
    of_tokens,
    pulls,
    sentence_of_character,
    through_head,
)
from headstart.text.sentences import sentences
from headstart.text.terms import TermsNetwork, TermsSettings
from headstart.text.tokens import rows, starts, tokenizer
from headstart.transfer.heads import Head
from toy_texts import ToyText


def test_of_two_classes_the_odds_follow_the_difference() -> None:
    (pull,) = pulls([np.array([0.3, 2.0])], "label", "mean")
    assert pull == pytest.approx([-1, 1], abs=1e-6)


def test_of_many_classes_the_likely_others_count() -> None:
    z = np.array([3.0, 2.0, -5.0])
    (pull,) = pulls([z], "label", "mean")
    others = np.exp(z[1:]) / np.exp(z[1:]).sum()
    assert pull == pytest.approx([1, *-others], abs=1e-5)


def test_summed_members_share_one_pull_and_averaged_ones_split_it() -> None:
    logits = [np.array([0.0, 1.0]), np.array([0.5, 2.0])]
    first, second = pulls(logits, "label", "sum")
    assert first == pytest.approx([-1, 1], abs=1e-6)
    assert second == pytest.approx(first)
    first, second = pulls(logits, "label", "mean")
    assert first[1] + second[1] < 1.001
    assert min(first[1], second[1]) > 0


def test_of_several_labels_the_most_probable_one_counts_and_a_number_is_itself() -> None:
    (pull,) = pulls([np.array([0.1, -2.0, 1.0])], "labels", "mean")
    assert pull == pytest.approx([0, 0, 1], abs=1e-6)
    first, second = pulls([np.array([7.0]), np.array([9.0])], "number", "mean")
    assert [*first, *second] == pytest.approx([0.5, 0.5], abs=1e-6)


@given(seed=st.integers(0, 1000), count=st.integers(1, 4), deep=st.booleans())
@settings(deadline=None, max_examples=20)
def test_through_a_head_as_torch_does(seed: int, count: int, deep: bool) -> None:
    chance = np.random.default_rng(seed)
    widths = [5, 7, 3] if deep else [5, 3]
    layers = [
        (chance.standard_normal((a, b), np.float32), chance.standard_normal(b, np.float32))
        for a, b in pairwise(widths)
    ]
    features, pull = chance.standard_normal((count, 5)), chance.standard_normal(3)
    x = torch.from_numpy(features).requires_grad_()
    z = x
    for number, (weight, bias) in enumerate(layers):
        z = (z.relu() if number else z) @ torch.from_numpy(weight).double() + torch.from_numpy(bias).double()
    (wanted,) = torch.autograd.grad((z.mean(0) * torch.from_numpy(pull)).sum(), x)
    found = through_head(Head("mlp", tuple(layers)), features, pull)
    assert found == pytest.approx(wanted.numpy(), abs=1e-5)


@given(st.text(st.sampled_from("ab .!?…。\n\t\u3000é\u0301中\ud83d"), max_size=200))
@settings(deadline=None, max_examples=100)
def test_every_character_has_its_sentence(text: str) -> None:
    found = sentences(text)
    if not found:
        return
    number = sentence_of_character(text, found)
    assert len(number) == len(text)
    for place, sentence in enumerate(found):
        own = "".join(c for c, n in zip(text, number, strict=True) if n == place and not c.isspace())
        assert own == "".join(sentence.split())


@pytest.mark.parametrize("characters", [None, (2, 4)])
def test_terms_are_exact(tmp_path: Path, characters: tuple[int, int] | None) -> None:
    member = terms_member(tmp_path, TermsSettings(words=(1, 1), characters=characters))
    network = TermsNetwork.load(member.network)
    slope = np.array([[-1.0, 1.0]])
    for text in reviews(1000, 10):
        brought = of_terms(network, text, sentences(text), slope)
        odds = (network.logits([text])[0] - network.bias) @ slope[0]
        assert brought.sum() == pytest.approx(odds, abs=1e-4)
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
