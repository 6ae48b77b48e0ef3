"""The view that trains a document CNN: what it learns, what stays as it was, what it is kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.backbones.card import Tokens
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import ArtefactError, DataError, OptionError
from headstart.text.tokens import know, rows
from headstart.text.vectors import WordVectors
from headstart.training.plan import Settings
from headstart.transfer.cnn_training import CnnSettings
from headstart.transfer.document_cnn import DocumentCnn
from headstart.transfer.features import Features
from headstart.transfer.fitted_cnn import WEIGHTS, FittedCnn
from headstart.transfer.selection import select

pytestmark = pytest.mark.usefixtures("one_thread")

FILLING = ("the", "a", "of", "it", "with", "scene", "man", "then", "went", "home")
GOOD, BAD = ("superb", "lovely", "fine", "great"), ("awful", "dull", "poor", "sad")
QUICK = CnnSettings(
    epochs=6,
    rate=1e-2,
    size=8,
    spec=Tokens(12, "", sentences=5),
    training=Settings(batch=16, dropout=0.1, patience=3),
)


def texts(
    count: int, good: tuple[str, ...] = GOOD, bad: tuple[str, ...] = BAD, seed: int = 0
) -> tuple[str, ...]:
    """Three sentences each, with words that tell the class: even places are bad."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(count):
        sentences = [list(chance.choice(FILLING, 4)) for _ in range(3)]
        for words in sentences:
            words[int(chance.integers(4))] = str(chance.choice((bad, good)[number % 2]))
        found.append(" ".join(" ".join(words).capitalize() + "." for words in sentences))
    return tuple(found)


def view(count: int = 160, settings: CnnSettings = QUICK, **changed: object) -> DocumentCnn:
    n = np.arange(count)
    features = Features(np.zeros((count, 0), np.float32), n, n)
    made = DocumentCnn(features, n % 2, 2, texts(count), settings=settings)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted() -> FittedCnn:
    return view().fit("linear", 0.01, None, 0)


def accuracy(head: FittedCnn, asked: tuple[str, ...]) -> float:
    return float((head.logits(asked).argmax(1) == np.arange(len(asked)) % 2).mean())


def test_it_learns_and_says_how(fitted: FittedCnn) -> None:
    assert accuracy(fitted, texts(100, seed=1)) > 0.9
    assert fitted.logits(()).shape == (0, 2)
    assert fitted.embed(texts(3)).shape == (3, fitted.network.document_size)
    losses = [line["held_loss"] for line in fitted.history]
    assert min(losses) < losses[0]
    assert not fitted.network.training


def test_the_same_every_time_whatever_the_caller_draws(fitted: FittedCnn) -> None:
    torch.manual_seed(77)
    state = torch.get_rng_state()
    again = view().fit("linear", 0.01, None, 0)
    assert torch.equal(torch.get_rng_state(), state)
    mine = fitted.network.state_dict()
    assert all(torch.equal(tensor, mine[name]) for name, tensor in again.network.state_dict().items())
    other = view().fit("linear", 0.01, None, 1)
    assert not np.array_equal(other.logits(texts(4)), fitted.logits(texts(4)))


def test_answers_do_not_depend_on_company(fitted: FittedCnn) -> None:
    asked = texts(70, seed=2)
    together = fitted.logits(asked)
    alone = np.concatenate([fitted.logits((text,)) for text in asked[::10]])
    np.testing.assert_allclose(alone, together[::10], atol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "   ", "真的好看", "xyzzy", "word " * 3000, "!!! ... ???", "[PAD] [PAD]"]
)
def test_odd_texts_have_answers(fitted: FittedCnn, text: str) -> None:
    assert np.isfinite(fitted.logits((text,))).all()


def test_cross_validation_fits_one_in_each_fold() -> None:
    data = view(90, replace(QUICK, epochs=4))
    found = select(data, "linear", folds=3)
    assert found.logits.shape == (90, 2)
    assert (found.logits.argmax(1) == data.y).mean() > 0.75
    again = select(data, "linear", folds=3)  # in threads, and yet the same
    np.testing.assert_array_equal(found.logits, again.logits)


def test_held_out_items_keep_to_groups() -> None:
    data = view(60)
    grouped = replace(data, features=Features(data.features.X, data.features.item, np.arange(60) // 4))
    train, held = grouped._held_out(0)
    assert len(held) > 0
    assert not set(grouped.features.group[train]) & set(grouped.features.group[held])
    assert sorted([*train, *held]) == list(range(60))
    single = replace(data, features=Features(data.features.X, data.features.item, np.zeros(60, np.int64)))
    head = single.fit("linear", 0.01, None, 0)
    assert "held_loss" not in head.history[0]


def named_vectors() -> WordVectors:
    """Vectors in which good words, bad words and the others are in places of their own."""
    chance = np.random.default_rng(0)
    words = (*FILLING, *GOOD, *BAD, "brilliant", "terrible")
    sides = [0] * len(FILLING) + [1] * 4 + [-1] * 4 + [1, -1]
    rows = 0.1 * chance.standard_normal((len(words), 8)) + np.array(sides)[:, None] * np.ones(8)
    return WordVectors(words, rows.astype(np.float32))


def test_pretrained_vectors_reach_words_that_training_never_had() -> None:
    head = view(vectors=named_vectors()).fit("linear", 0.01, None, 0)
    asked = texts(60, good=("brilliant",), bad=("terrible",), seed=3)
    assert accuracy(head, asked) > 0.9
    assert {"brilliant", "terrible"} <= set(head.words)


def test_frozen_vectors_stay_and_others_move() -> None:
    start = named_vectors()
    frozen = view(settings=replace(QUICK, epochs=2, freeze_after=0), vectors=start).fit(
        "linear", 0.01, None, 0
    )
    np.testing.assert_array_equal(frozen.vectors().lookup(start.words), start.matrix)
    moved = view(settings=replace(QUICK, epochs=2), vectors=start).fit("linear", 0.01, None, 0)
    assert np.abs(moved.vectors().lookup(GOOD) - start.lookup(GOOD)).max() > 1e-3
    # Frozen after the first epoch: moved once, and from then on as after one epoch of the same length.
    later = view(settings=replace(QUICK, epochs=2, freeze_after=1), vectors=start).fit(
        "linear", 0.01, None, 0
    )
    drift = [np.abs(head.vectors().lookup(GOOD) - start.lookup(GOOD)).sum() for head in (later, moved)]
    assert 0 < drift[0] < drift[1]


def test_weights_are_carried_to_another_domain(fitted: FittedCnn) -> None:
    few = view(24, replace(QUICK, epochs=1, rate=1e-5), start_from=fitted)
    assert accuracy(few.fit("linear", 0.01, None, 0), texts(80, seed=4)) > 0.9
    alone = view(24, replace(QUICK, epochs=1, rate=1e-5))
    assert accuracy(alone.fit("linear", 0.01, None, 0), texts(80, seed=4)) < 0.8
    three = replace(few, y=np.arange(24) % 3, classes=3).fit("linear", 0.01, None, 0)
    assert three.logits(texts(2)).shape == (2, 3)
    assert set(fitted.words) <= set(three.words)


def test_weights_of_items_count() -> None:
    y = np.arange(160) % 2
    wrong = np.arange(160) < 80  # half of the labels are the wrong way round, and hardly count
    data = view(y=np.where(wrong, 1 - y, y), weight=np.where(wrong, 1e-3, 1.0))
    assert accuracy(data.fit("linear", 0.01, None, 0), texts(80, seed=5)) > 0.85
    taken = data.take(np.array([3, 90]))
    assert taken.texts == (data.texts[3], data.texts[90])
    assert taken.weight is not None
    assert taken.weight.tolist() == [1e-3, 1.0]


def test_class_weights_make_classes_count_alike() -> None:
    data = view(40, y=np.array([0] * 30 + [1] * 10))
    weights = data._weights("balanced").numpy()
    assert weights.mean() == pytest.approx(1)
    assert weights[:30].sum() == pytest.approx(weights[30:].sum(), rel=1e-5)
    assert data._weights(None).tolist() == [1.0] * 40


def test_what_is_saved_answers_without_torch(fitted: FittedCnn, tmp_path: Path) -> None:
    main = fitted.save(tmp_path / "cnn")
    asked = (*texts(12, seed=6), "", "one word", "An unseen thing. " * 30)
    spec = replace(fitted.spec, tokenizer=know(tmp_path / "cnn" / "tokenizer.json"))
    engine = OpenVinoEngine(main, "fp32")
    assert set(engine.outputs) == {"embedding", "features"}
    given = [(number, rows(text, spec)[0]) for number, text in enumerate(asked)]
    found = np.stack([out["features"] for _, out in engine.run(given, ("features",))])  # type: ignore[arg-type]
    np.testing.assert_allclose(found, fitted.logits(asked), atol=1e-4)


def test_what_is_saved_can_be_trained_on(fitted: FittedCnn, tmp_path: Path) -> None:
    fitted.save(tmp_path / "cnn")
    weights, tokenizer = tmp_path / "cnn" / WEIGHTS, tmp_path / "cnn" / "tokenizer.json"
    again = FittedCnn.load(weights, tokenizer)
    assert (again.words, again.spec, again.history) == (fitted.words, fitted.spec, fitted.history)
    np.testing.assert_array_equal(again.logits(texts(5)), fitted.logits(texts(5)))
    with pytest.raises(ArtefactError, match="to fix"):
        FittedCnn.load(weights, tmp_path / "nowhere")
    weights.write_bytes(b"nothing")
    with pytest.raises(ArtefactError, match="to fix"):
        FittedCnn.load(weights, tokenizer)


def test_a_class_without_texts_is_never_answered() -> None:
    head = replace(view(40), classes=3).fit("linear", 0.01, None, 0)
    assert (head.logits(texts(40, seed=7)).argmax(1) < 2).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="a text, a class"):
        replace(view(10), texts=texts(9))
    with pytest.raises(DataError, match="a text, a class"):
        replace(view(10), weight=np.ones(3))
    for wrong in ({"epochs": 0}, {"rate": 0.0}, {"freeze_after": -1}, {"spec": Tokens(8, "")}):
        with pytest.raises(OptionError, match="to fix"):
            CnnSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="finite loss"):
        view(40, replace(QUICK, rate=1e20, training=Settings(clip=0.0, batch=4))).fit("linear", 0.01, None, 0)
