"""From names to a model that is saved, loaded and improved; and whether two items show the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import headstart as hs
from headstart.artefact.model import Model
from headstart.errors import DataError, OptionError
from headstart.fitting import zero_shot as room
from headstart.fitting.matching import match
from headstart.text.vectors import WordVectors
from headstart.transfer.store import FeatureStore

Photos = dict[str, NDArray[np.uint8]]
LABELS = "Egyptian cat, espresso, palace"


def toy_vectors(**_: object) -> WordVectors:
    words = ("cat", "espresso", "palace", "egyptian", *(f"w{n}" for n in range(60)))
    return WordVectors(words, np.random.default_rng(0).normal(size=(len(words), 50)).astype(np.float32))


def toy_encode(texts: Sequence[str], *_: object, **__: object) -> NDArray[np.float32]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return np.array([[text.lower().count(letter) + 0.1 for letter in letters] for text in texts], np.float32)


@pytest.fixture
def small_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word vectors and a sentence encoder that take no time: the names used are ImageNet's own."""
    monkeypatch.setattr(room, "glove_6b_50d", toy_vectors)
    monkeypatch.setattr(room, "encode", toy_encode)


@pytest.fixture
def named(small_words: None) -> Model:
    return hs.zero_shot(LABELS)


def test_pictures_are_named_by_what_the_backbone_knows(named: Model, photos: Photos, tmp_path: Path) -> None:
    asked = [photos["chelsea"], photos["coffee"]]
    answers = named.predict(asked)
    assert [each.label for each in answers] == ["Egyptian cat", "espresso"]
    assert set(answers[0].labels_set) == {"Egyptian cat", "espresso", "palace"}  # nothing is promised
    again = hs.load(named.save(tmp_path / "m.headstart"))
    np.testing.assert_allclose(again.predict_proba(asked), named.predict_proba(asked), atol=1e-3)
    assert again.plan["strategy"] == "zero-shot"


def test_labelled_items_start_from_the_names(
    small_words: None, named: Model, photos: Photos, tmp_path: Path
) -> None:
    def crops(picture: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
        return [np.ascontiguousarray(picture[8 * n :, 8 * n :]) for n in range(count)]

    items = crops(photos["chelsea"], 2) + crops(photos["coffee"], 2)
    dataset = hs.data.open(items, labels=["egyptian_cats"] * 2 + ["espresso"] * 2)
    with FeatureStore(tmp_path / "store") as store:
        model = hs.zero_shot("Egyptian cat, espresso", dataset, store=store)
        assert model.labels == ("egyptian_cats", "espresso")
        assert model.predict([photos["coffee"]])[0].label == "espresso"
        with pytest.raises(OptionError, match="egyptian_cats"):
            hs.zero_shot("dog: w1, espresso", dataset, store=store)


def test_items_without_labels_show_what_is_usual(small_words: None, photos: Photos, tmp_path: Path) -> None:
    turned = [
        np.ascontiguousarray(np.rot90(photos[name], n)) for name in ("chelsea", "coffee") for n in range(4)
    ]
    more = [np.ascontiguousarray(each[10 * n :]) for n in range(1, 3) for each in turned]
    with FeatureStore(tmp_path / "store") as store:
        model = hs.zero_shot("Egyptian cat, espresso", [*turned, *more], store=store)
    assert len(model.members) == 2
    assert model.combine == "sum"
    assert [each.label for each in model.predict([turned[0], turned[4]])] == ["Egyptian cat", "espresso"]
    hs.load(model.save(tmp_path / "m.headstart"))


def test_texts_are_compared_with_descriptions(tmp_path: Path) -> None:
    model = hs.zero_shot(
        "sport: football, hockey and other games; space: rockets and planets", modality="text"
    )
    asked = ["The goalkeeper saved the match in the last minute", "The telescope saw a moon of Saturn"]
    assert [each.label for each in model.predict(asked)] == ["sport", "space"]
    again = hs.load(model.save(tmp_path / "m.headstart"))
    assert [each.label for each in again.predict(asked)] == ["sport", "space"]


def test_what_names_cannot_be_used_for_is_refused(small_words: None) -> None:
    with pytest.raises(OptionError, match="xyzzy"):
        hs.zero_shot("cat, xyzzy")
    with pytest.raises(OptionError, match="ImageNet"):
        hs.zero_shot("cat, dog: w1", backbone="vgg16")
    with pytest.raises(OptionError, match="audio"):
        hs.zero_shot("cat, dog: w1", modality="audio")


def test_two_views_of_one_thing_match_better_than_two_things(photos: Photos, tmp_path: Path) -> None:
    cat, mirrored = photos["chelsea"], np.ascontiguousarray(photos["chelsea"][:, ::-1])
    with FeatureStore(tmp_path / "store") as store:
        same, other = (match(cat, each, store=store) for each in (mirrored, photos["coffee"]))
    assert same.same
    assert same.probability > 0.9
    assert not other.same
    assert other.similarity < same.similarity


def test_a_model_says_whether_two_are_of_the_same_of_its_classes(named: Model, photos: Photos) -> None:
    cat, coffee = photos["chelsea"], photos["coffee"]
    assert match(cat, cat, model=named).probability > match(cat, coffee, model=named).probability
    with pytest.raises(OptionError, match="both"):
        match(cat, coffee, model=named, backbone="vgg16")


def test_a_backbone_whose_similarities_nobody_knows_asks_for_data(photos: Photos, tmp_path: Path) -> None:
    with FeatureStore(tmp_path / "store") as store, pytest.raises(OptionError, match="calibrate"):
        match(photos["chelsea"], photos["coffee"], backbone="basic_cnn", store=store)


def test_texts_are_not_calibrated_on_pictures(pattern_pictures: Path, tmp_path: Path) -> None:
    with (
        FeatureStore(tmp_path / "store") as store,
        pytest.raises(DataError, match="labelled texts to calibrate on, received pictures"),
    ):
        match("The cat sat", "A cat was sitting", source=pattern_pictures, store=store)


def test_texts_match_by_meaning(tmp_path: Path) -> None:
    with FeatureStore(tmp_path / "store") as store:
        near = match("The cat sat on the mat", "A cat was sitting on a rug", store=store)
        far = match("The cat sat on the mat", "Interest rates rose in March", store=store)
    assert near.same
    assert not far.same
