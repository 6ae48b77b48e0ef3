"""Terms as a view: fitted inside each fold, the same from its counts as from texts, good on real texts."""

from __future__ import annotations

import json
from dataclasses import replace
from gzip import open as unzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from headstart.errors import DataError, OptionError
from headstart.text.scripts import tokens
from headstart.text.terms import TermsNetwork, TermsSettings
from headstart.transfer.features import Features
from headstart.transfer.selection import select
from headstart.transfer.terms import Terms

WORDS = {0: "dull boring awful slow", 1: "bright lively superb quick", 2: "green leafy tall quiet"}
COMMON = ["the", "film", "was", "a", "rather", "with", "in", "of", "and", "scene", "plot", "actor", "music"]


def written(number: int, classes: int = 2, seed: int = 0) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Texts of common words, a few of which tell the class."""
    generator = np.random.default_rng(seed)
    y = np.arange(number) % classes
    texts = []
    for label in y:
        own = generator.choice(WORDS[int(label)].split(), 2)
        texts.append(" ".join(generator.permutation([*generator.choice(COMMON, 12), *own])))
    return tuple(texts), y


def view(
    texts: tuple[str, ...],
    y: NDArray[np.int64],
    settings: TermsSettings | None = None,
    weight: Any = None,
    classes: int | None = None,
) -> Terms:
    every = np.arange(len(texts))
    features = Features(np.zeros((len(texts), 0), np.float32), every, every)
    return Terms(features, y, classes or int(y.max()) + 1, texts, settings or TermsSettings(), weight=weight)


SETTINGS = {
    "default": TermsSettings(),
    "words": TermsSettings(characters=None),
    "characters": TermsSettings(words=None),
    "no ratio": TermsSettings(ratio=False, sublinear=False),
    "latent": TermsSettings(dimensions=10),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_and_answers_the_same_from_counts_as_from_texts(name: str, classes: int) -> None:
    data = view(*written(90, classes), SETTINGS[name])
    learned, held = data.take(np.arange(60)), data.take(np.arange(60, 90))
    network = learned.fit("linear", 2.0, None, 0)
    from_counts = held.logits(network)
    assert from_counts.shape == (30, classes)
    assert from_counts.dtype == np.float32
    np.testing.assert_allclose(network.logits(held.texts), from_counts, atol=1e-4)
    assert (from_counts.argmax(1) == held.y).mean() > 0.9


def test_a_fold_knows_only_its_own_terms() -> None:
    texts, y = written(40)
    texts = (*texts, "strange secret words", "strange secret words")
    y = np.append(y, [0, 1])
    data = view(texts, y, TermsSettings(characters=None))
    part = data.take(np.arange(40))
    network = part.fit("linear", 1.0, None, 0)
    alone = view(texts[:40], y[:40], data.settings).fit("linear", 1.0, None, 0)
    assert "secret" not in network.words
    assert list(network.words) == list(alone.words)
    np.testing.assert_array_equal(network.idf, alone.idf)
    np.testing.assert_array_equal(network.weight, alone.weight)


@pytest.mark.parametrize("characters", [None, (2, 5)])
def test_vocabulary_and_idf_equal_scikit_learns(characters: tuple[int, int] | None) -> None:
    texts, y = written(30)
    words = None if characters else (1, 2)
    network = view(texts, y, TermsSettings(words, characters)).fit("linear", 1.0, None, 0)
    options = {"analyzer": "char_wb"} if characters else {"tokenizer": tokens, "token_pattern": None}
    peer = TfidfVectorizer(ngram_range=characters or words, min_df=2, **options).fit(texts)
    assert [*network.words, *network.characters] == peer.get_feature_names_out().tolist()
    np.testing.assert_allclose(network.idf, peer.idf_, rtol=1e-6)


def test_most_keeps_the_most_frequent_terms() -> None:
    network = view(*written(60), TermsSettings((1, 1), None, most=5)).fit("linear", 1.0, None, 0)
    assert len(network.words) == 5
    assert set(network.words) <= set(COMMON)


def test_select_runs_on_it() -> None:
    data = view(*written(80))
    found = select(data, "linear", folds=4)
    assert set(found.losses) == set(data.strengths("linear"))
    assert (found.logits.argmax(1) == data.y).mean() > 0.9
    again = select(data, "linear", folds=4)
    np.testing.assert_array_equal(found.logits, again.logits)


def test_noise_is_not_learned() -> None:
    texts, y = written(120)
    shuffled = np.random.default_rng(3).permutation(y)
    found = select(view(texts, shuffled), "linear", strengths=(1.0,))
    assert abs((found.logits.argmax(1) == shuffled).mean() - 0.5) < 0.2


def test_weights_say_whom_to_believe() -> None:
    texts = ("odd word", "odd word", "odd word", "plain text", "plain text", "plain text") * 4
    y = np.array([0, 0, 1, 1, 1, 0] * 4)
    heavy = np.where(np.arange(24) % 3 == 2, 10.0, 1.0)
    even = view(texts, y).fit("linear", 8.0, None, 0).logits(["odd word", "plain text"])
    weighed = view(texts, y, weight=heavy).fit("linear", 8.0, None, 0).logits(["odd word", "plain text"])
    assert even.argmax(1).tolist() == [0, 1]
    assert weighed.argmax(1).tolist() == [1, 0]
    part = view(texts, y, weight=heavy).take(np.array([2, 5, 6]))
    assert part.weight is not None
    assert part.weight.tolist() == [10, 10, 1]


def test_balance_helps_the_rare_class() -> None:
    texts, y = written(200)
    kept = np.flatnonzero((y == 0) | (np.arange(200) < 12))
    data = view(texts, y).take(kept)
    neutral = ["the film was of a scene"] * 2
    plain = data.fit("linear", 2.0, None, 0).logits(neutral)[0]
    balanced = data.fit("linear", 2.0, "balanced", 0).logits(neutral)[0]
    assert balanced[1] - balanced[0] > plain[1] - plain[0]


def test_absent_classes_never_win_and_one_class_always_does() -> None:
    texts, y = written(30)
    wide = view(texts, y * 2, classes=4).fit("linear", 1.0, None, 0)
    answers = wide.logits([*texts, "", "unknown"])
    assert answers.shape == (32, 4)
    assert set(answers.argmax(1).tolist()) <= {0, 2}
    single = view(texts, np.full(30, 1), classes=2).fit("linear", 1.0, None, 0)
    assert set(single.logits(texts).argmax(1).tolist()) == {1}


@pytest.mark.parametrize("texts", [("", " ", "", ""), ("a", "b", "c", "d"), ("same",) * 4, ("文字だけ",) * 4])
@pytest.mark.parametrize("name", ["default", "latent"])
def test_hardly_any_text_is_no_fault(texts: tuple[str, ...], name: str) -> None:
    data = view(texts, np.array([0, 1, 0, 1]), SETTINGS[name])
    network = data.fit("linear", 1.0, None, 0)
    assert np.isfinite(network.logits([*texts, "new"])).all()
    np.testing.assert_allclose(data.logits(network), network.logits(texts), atol=1e-4)


def test_replaced_settings_and_texts_are_counted_anew() -> None:
    data = view(*written(30))
    network = replace(data, settings=SETTINGS["words"]).fit("linear", 1.0, None, 0)
    assert len(network.words) > 0
    assert len(network.characters) == 0
    others = replace(data, texts=tuple(text.upper() + " extra" for text in data.texts))
    assert "extra" in others.fit("linear", 1.0, None, 0).words
    part = data.take(np.arange(10))
    assert part.counted is not None
    assert part.counted.are_of(part.texts, part.settings)


def test_wrong_arguments() -> None:
    texts, y = written(10)
    data = view(texts, y)
    with pytest.raises(OptionError, match="linear"):
        data.fit("mlp", 1.0, None, 0)
    with pytest.raises(DataError, match="9 texts"):
        replace(data, texts=texts[:9])
    with pytest.raises(DataError, match="weight"):
        view(texts, y, weight=np.ones(3))


def test_what_is_saved_answers_the_same(tmp_path: Path) -> None:
    data = view(*written(40, 3))
    network = data.fit("linear", 1.0, None, 0)
    again = TermsNetwork.load(network.save(tmp_path))
    np.testing.assert_array_equal(again.logits(data.texts), network.logits(data.texts))


def test_reviews_are_told_apart(data_folder: Path) -> None:
    with unzip(data_folder / "text" / "imdb" / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    chosen = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[:900]]
    data = view(tuple(row["text"] for row in chosen), np.array([row["label"] for row in chosen]))
    network = data.take(np.arange(600)).fit("linear", 2.0, None, 0)
    held = data.take(np.arange(600, 900))
    assert (held.logits(network).argmax(1) == held.y).mean() > 0.78
