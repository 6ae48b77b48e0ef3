"""Views of texts: which there are, what a plan says of them, and the members that they become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart as hs
from headstart.backbones.card import Card
from headstart.backbones.catalogue import CARDS
from headstart.errors import OptionError
from headstart.fitting.gathering import Gathered, gather, open_labelled
from headstart.fitting.targets import labelled
from headstart.fitting.views import (
    AtBlock,
    MeansAtBlock,
    OneScaleAtBlock,
    feature_member,
    members_of,
    texts_of,
    view_plan,
    views_of,
)
from headstart.progress import quiet
from headstart.text.terms import TermsNetwork
from headstart.transfer.heads import Head
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import Stacked, StackedHead
from headstart.transfer.store import FeatureStore
from headstart.transfer.terms import Terms
from toy_texts import NAME, ToyText, write_texts

EVERY = np.arange(48)


def gathered(folder: Path, **options: Any) -> Gathered:
    wanted = {"backbone": None, "engine": "auto", "precision": "fp32", "offline": True, **options}
    with FeatureStore() as store:
        return gather(open_labelled(folder), store, say=quiet, progress=False, **wanted)


@pytest.fixture(scope="module")
def found(toy_text: ToyText, folder_of_texts: Path) -> Gathered:
    return gathered(folder_of_texts)


def data_of(its: Gathered) -> Labelled:
    return labelled(its.dataset, its.features, ("bad", "good"))


def views(its: Gathered, *, default: bool = True) -> dict[str, list[Labelled]]:
    with FeatureStore() as store:
        return views_of(data_of(its), its, default=default, start=None, store=store, offline=True, say=quiet)


def test_every_upper_depth_is_gathered_in_one_pass(found: Gathered) -> None:
    assert tuple(found.depths) == CARDS[NAME].blocks
    assert all(its.X.shape == (48, 16) for its in found.depths.values())
    np.testing.assert_array_equal(found.features.X, found.depths["layer3"].X)
    assert not np.allclose(found.depths["layer1"].X, found.depths["layer3"].X)


def test_the_choice_is_open_where_no_backbone_is_named(found: Gathered) -> None:
    both = views(found)
    assert list(both) == [NAME, "terms"]
    assert [view.block for view in both[NAME] if isinstance(view, AtBlock)] == list(CARDS[NAME].blocks)
    assert isinstance(both["terms"][0], Terms)
    assert list(views(found, default=False)) == [NAME]


def test_of_few_texts_features_are_on_one_scale_and_of_one_each_class_means_are_all(found: Gathered) -> None:
    data = data_of(found)
    few = np.concatenate([np.flatnonzero(data.y == label)[:3] for label in (0, 1)])
    one = np.concatenate([np.flatnonzero(data.y == label)[:1] for label in (0, 1)])

    def of(items: np.ndarray) -> dict[str, list[Labelled]]:
        with FeatureStore() as store:
            return views_of(
                data, found, default=True, start=None, store=store, offline=True, say=quiet,
                known=data.take(items),
            )  # fmt: skip

    blocks = CARDS[NAME].blocks
    made = [(type(view), getattr(view, "block", "")) for view in of(few)[NAME]]
    assert made == [*((OneScaleAtBlock, block) for block in blocks), (MeansAtBlock, blocks[-1])]
    assert "terms" in of(few)
    assert [type(view) for views in of(one).values() for view in views] == [MeansAtBlock]
    # What stands at a depth still says at which, however its head is made.
    chosen = of(few)[NAME][0]
    assert view_plan(chosen) == {"cut": blocks[0]}
    head = chosen.take(few).fit("linear", 10.0, None, 0)
    assert (chosen.take(few).logits(head).argmax(1) == data.y[few]).all()


def test_of_very_much_text_only_words_are_counted(found: Gathered, monkeypatch: pytest.MonkeyPatch) -> None:
    (few,) = views(found)["terms"]
    monkeypatch.setattr("headstart.fitting.views._MOST_CHARACTERS", 100)
    (many,) = views(found)["terms"]
    assert isinstance(few, Terms)
    assert isinstance(many, Terms)
    assert few.settings.characters
    assert many.settings.characters is None
    assert len(many.fit("linear", 1.0, None, 0).characters) == 0 < len(few.fit("linear", 1.0, None, 0).words)


def test_what_is_fitted_from_the_start(toy_text: ToyText, folder_of_texts: Path) -> None:
    its = gathered(folder_of_texts, backbone="terms")
    assert its.features.X.shape == (48, 0)
    assert its.answering_precision(trained=False) == "fp32"
    assert list(views(its, default=False)) == ["terms"]


def test_an_early_cut_and_int8_have_one_depth(toy_text: ToyText, folder_of_texts: Path) -> None:
    cut = gathered(folder_of_texts, cut="layer1")
    assert (cut.cut, cut.depths, cut.card.blocks[-1]) == (True, {}, "layer1")
    assert views(cut) == {}


def test_texts_are_what_the_front_end_sees(toy_text: ToyText, tmp_path: Path) -> None:
    root = write_texts(tmp_path / "texts", good=4, bad=4)
    mail = "From: a@example.org\nSubject: x\n\nThe film was superb.\n"
    (root / "good" / "mail.txt").write_text(mail)
    its = gathered(root, email=True)
    assert "The film was superb." in texts_of(its.dataset, its.card)
    plain = replace(its.card, preprocess=CARDS["terms"].preprocess)
    assert any("Subject" in text for text in texts_of(its.dataset, plain))
    with pytest.raises(OptionError, match="texts"):
        gathered(root, backbone="vgg16")


def no_network(card: Card) -> Path:
    return Path(f"{card.blocks[-1]}.xml")


def test_members_of_each_view(found: Gathered) -> None:
    at, terms = views(found)[NAME][1], views(found)["terms"][0]
    head = at.fit("linear", 0.1, None, 0)
    (member,) = members_of(at, head, found.card, no_network)
    assert member.network == Path("layer1.xml")  # as much of the network as the depth needs
    assert member.backbone.blocks == ("embeddings", "layer1")
    assert member.tokenizer is not None
    fitted = terms.fit("linear", 2.0, None, 0)
    assert isinstance(fitted, TermsNetwork)
    (counted,) = members_of(terms, fitted, found.card, no_network)
    assert not counted.is_ir
    assert TermsNetwork.load(counted.network).words == list(fitted.words)
    np.testing.assert_array_equal(counted.head.layers[0][0], np.eye(2))
    assert len(counted.backbone.digest) == 64


def test_a_stacks_weights_are_folded_into_its_heads(found: Gathered) -> None:
    at, terms = views(found)[NAME][3], views(found)["terms"][0]
    stack = Stacked(at.features, at.y, 2, (at, terms), (0.1, 2.0), (2.0, 0.5))
    head = stack.fit("linear", 1.0, None, 0)
    members = members_of(stack, head, found.card, no_network)
    said = [members[0].head.logits(at.features.X), members[1].head.logits(terms.logits(head.heads[1]))]
    np.testing.assert_allclose(said[0] + said[1], stack.logits(head), rtol=1e-4, atol=1e-5)
    assert view_plan(stack) == {"cut": "layer3", "views": {"features of layer3": 2.0, "terms": 0.5}}
    assert view_plan(at) == {"cut": "layer3"}
    without = members_of(stack, StackedHead(head.heads, (2.0, 0.0)), found.card, no_network)
    assert [member.network for member in without] == [Path("layer3.xml")]


def test_a_feature_member_needs_a_head_on_features(found: Gathered) -> None:
    fitted = views(found)["terms"][0].fit("linear", 2.0, None, 0)
    assert isinstance(fitted, TermsNetwork)
    with pytest.raises(OptionError, match="reads features"):
        feature_member(found.card, Path("network.xml"), fitted)
    plain = Head("linear", ((np.eye(16, 2, dtype=np.float32), np.zeros(2, np.float32)),))
    picture = feature_member(hs.backbones.card("vgg16"), Path("network.xml"), plain)
    assert picture.tokenizer is None
