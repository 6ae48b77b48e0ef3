"""Terms: answers equal scikit-learn's, without it; what is saved answers the same; damage is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.text.scripts import tokens
from headstart.text.steps import Steps
from headstart.text.terms import MAIN_FILE, TENSORS_FILE, TermsEngine, TermsNetwork, TermsSettings

REVIEWS = (
    "A good film: I'd watch it again, and again!",
    "Not good. Not good at all; I want my time back...",
    "The best film that I have ever seen!!!",
    "Worst film ever. Don't.",
    "Ein Café, Straße und ΟΔΥΣΣΕΥΣ — größer als İstanbul.",
    "四十二 is the answer\x1cand\u2003blanks of\tall\x0bsorts",
)
ANY_TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from(["a", "bb", "ccc", "İ", "Σας", "’", "!", "\x1c", "四"]), max_size=30
).map(" ".join)


def peers(chosen: TermsSettings) -> list[TfidfVectorizer]:
    """scikit-learn's vectorizers that count and weigh the same."""
    made = []
    if chosen.words:
        made.append(TfidfVectorizer(tokenizer=tokens, token_pattern=None, ngram_range=chosen.words))
    if chosen.characters:
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=chosen.characters))
    for peer in made:
        peer.set_params(min_df=chosen.least, sublinear_tf=chosen.sublinear, dtype=np.float64)
    return made


def network_like(fitted: list[TfidfVectorizer], chosen: TermsSettings, classes: int = 3) -> TermsNetwork:
    """A network with the vocabulary of scikit-learn's vectorizers and random weights."""
    names: dict[str, list[str]] = {"word": [], "char_wb": []}
    for peer in fitted:
        names[peer.analyzer] = peer.get_feature_names_out().tolist()
    idf = np.concatenate([peer.idf_ for peer in fitted]).astype(np.float32)
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((len(idf), classes)).astype(np.float32)
    bias = generator.standard_normal(classes).astype(np.float32)
    return TermsNetwork(chosen, names["word"], names["char_wb"], idf, weight, bias)


def peer_logits(
    fitted: list[TfidfVectorizer], network: TermsNetwork, texts: list[str]
) -> np.ndarray[Any, Any]:
    x = np.hstack([peer.transform(texts).toarray() for peer in fitted])
    return x @ network.weight + network.bias


SETTINGS = [
    TermsSettings(least=1),
    TermsSettings((1, 3), None, least=2, sublinear=False),
    TermsSettings((2, 2), (1, 3), least=1),
    TermsSettings(None, (3, 6), least=1),
]


@pytest.mark.parametrize("chosen", SETTINGS)
@settings(deadline=None, max_examples=40)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=5), extra=st.lists(ANY_TEXT, max_size=3))
def test_answers_equal_scikit_learns_on_any_unicode(
    chosen: TermsSettings, texts: list[str], extra: list[str]
) -> None:
    learned = [*REVIEWS, *texts]
    fitted = [peer.fit(learned) for peer in peers(chosen)]
    network = network_like(fitted, chosen)
    asked = [*learned, *extra]
    np.testing.assert_allclose(network.logits(asked), peer_logits(fitted, network, asked), atol=1e-4)


def test_answers_equal_scikit_learns_on_real_reviews(data_folder: Path) -> None:
    from gzip import open as unzip

    with unzip(data_folder / "text" / "imdb" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line, _ in zip(file, range(120), strict=False)]
    chosen = TermsSettings()
    fitted = [peer.fit(texts[:80]) for peer in peers(chosen)]
    network = network_like(fitted, chosen)
    np.testing.assert_allclose(network.logits(texts), peer_logits(fitted, network, texts), atol=1e-4)


def small_network(**options: Any) -> TermsNetwork:
    chosen = TermsSettings(**{"least": 1, **options})
    return network_like([peer.fit(REVIEWS) for peer in peers(chosen)], chosen)


@pytest.mark.parametrize("text", ["", "   ", "\x1c", "qqqqqq zzzzzz" * 0, "𝕏𝕐"])
def test_nothing_known_answers_with_the_bias(text: str) -> None:
    network = small_network(characters=None)
    np.testing.assert_array_equal(network.logits([text])[0], network.bias)


def test_no_texts_and_no_terms() -> None:
    network = small_network()
    assert network.logits([]).shape == (0, 3)
    nothing = TermsNetwork(TermsSettings(), (), (), np.zeros(0, np.float32), network.weight[:0], network.bias)
    np.testing.assert_array_equal(nothing.logits(["some text"])[0], network.bias)


def test_steps_come_before_counting() -> None:
    chosen = TermsSettings((1, 1), None, steps=Steps(special=True, stop_words=("the",), stem=True))
    assert chosen.word_terms("The cats' RUNNING, races!") == ["cat", "run", "race"]
    assert TermsSettings((1, 1), None).word_terms("The cats!") == ["the", "cats", "!"]


@pytest.mark.parametrize("steps", [None, Steps(stem=True, stop_words=("a", "the"))])
def test_saved_and_loaded_is_the_same(tmp_path: Path, steps: Steps | None) -> None:
    chosen = TermsSettings((1, 2), (2, 4), least=1, dimensions=7, steps=steps)
    network = small_network(characters=(2, 4))
    network = TermsNetwork(
        chosen, network.words, network.characters, network.idf, network.weight, network.bias
    )
    path = network.save(tmp_path / "deep")
    assert path == tmp_path / "deep" / MAIN_FILE
    assert sorted(file.name for file in path.parent.iterdir()) == [MAIN_FILE, TENSORS_FILE]
    again = TermsNetwork.load(path)
    assert again.settings == chosen
    np.testing.assert_array_equal(again.logits(REVIEWS), network.logits(REVIEWS))


def damage(path: Path, kind: str) -> None:
    tensors = path.with_suffix(".safetensors")
    value = json.loads(path.read_text())
    if kind == "absent":
        path.unlink()
    elif kind == "no tensors":
        tensors.unlink()
    elif kind == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-9])
    elif kind == "no JSON":
        path.write_text("{")
    elif kind == "no object":
        path.write_text("[1]")
    elif kind == "newer":
        path.write_text(json.dumps({**value, "schema": 99}))
    elif kind == "unknown setting":
        path.write_text(json.dumps({**value, "settings": {**value["settings"], "magic": 1}}))
    elif kind == "fewer terms":
        path.write_text(json.dumps({**value, "words": value["words"][1:]}))


KINDS = ["absent", "no tensors", "cut", "no JSON", "no object", "newer", "unknown setting", "fewer terms"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_refused(tmp_path: Path, kind: str) -> None:
    path = small_network().save(tmp_path)
    damage(path, kind)
    with pytest.raises(ArtefactError, match="to fix"):
        TermsNetwork.load(path)


def encoded(text: str, padding: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(text.encode() + bytes(padding), np.uint8)


def test_the_engine_answers_as_the_network(tmp_path: Path) -> None:
    network = small_network()
    engine = TermsEngine(network.save(tmp_path))
    assert engine.outputs == ("features",)
    assert engine.key["engine"] == "terms"
    found = list(engine.run(((n, encoded(text, n)) for n, text in enumerate(REVIEWS)), ("features",)))
    assert [key for key, _ in found] == list(range(len(REVIEWS)))
    rows = np.stack([outputs["features"] for _, outputs in found])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, network.logits(REVIEWS))
    np.testing.assert_array_equal(engine.one(encoded(REVIEWS[1], 50), ("features",))["features"], rows[1])
    np.testing.assert_array_equal(engine.one(encoded(""), ("features",))["features"], network.bias)


def test_the_engine_refuses_what_it_cannot_do() -> None:
    engine = TermsEngine(small_network())
    with pytest.raises(DecodeError, match="UTF-8"):
        engine.one(np.array([255, 254, 1], np.uint8), ("features",))
    with pytest.raises(OptionError, match="grid"):
        engine.one(encoded("a"), ("grid", "features"))


@pytest.mark.parametrize(
    "bad",
    [
        {"words": None, "characters": None},
        {"words": (2, 1)},
        {"characters": (0, 3)},
        {"least": 0},
        {"most": 0},
        {"dimensions": 0},
    ],
)
def test_impossible_settings(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="to fix"):
        TermsSettings(**bad)


def test_answering_loads_nothing_heavy(tmp_path: Path) -> None:
    path = small_network().save(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nimport headstart.text.vectorizer\n"
        "from headstart.text.terms import TermsEngine\n"
        f"TermsEngine(Path({str(path)!r})).network.logits(['a good film'])\n"
        "heavy = ('sklearn', 'scipy', 'torch', 'openvino', 'pandas', 'gensim')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_long_word_and_a_long_text() -> None:
    network = small_network()
    assert np.isfinite(network.logits(["ab" * 50_000, "film good " * 20_000])).all()
