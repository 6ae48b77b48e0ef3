"""Scores of captions: sacrebleu against nltk, CIDEr-D against published numbers, what BLEU does not see."""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.studio.caption.cider import cider_d
from headstart.studio.caption.nouns import is_noun, repeats_noun
from headstart.studio.caption.scoring import bleu, score, shuffled_bleu4
from headstart.studio.caption.vocabulary import tokenize

caption = st.lists(
    st.sampled_from(["a", "the", "dog", "cat", "man", "runs", "sits", "on", "mat"]), min_size=1, max_size=9
)
corpus = st.lists(st.tuples(caption, st.lists(caption, min_size=1, max_size=4)), min_size=1, max_size=6)

PUBLISHED = (
    ["a man is speaking", "rain falls"],
    [
        ["a man speaks.", "someone speaks.", "a man is speaking while a bird is chirping in the background"],
        ["rain is falling hard on a surface"],
    ],
)
"""The example of aac-metrics, whose scores agree with the captioning challenges' own scorer."""


def words(sentences):
    return [tokenize(sentence) for sentence in sentences]


def published():
    return words(PUBLISHED[0]), [words(captions) for captions in PUBLISHED[1]]


@settings(deadline=None, max_examples=40)
@given(corpus)
def test_sacrebleu_and_nltk_agree(pairs):
    nltk = pytest.importorskip("nltk.translate.bleu_score")
    # A caption too short to have n-grams counts as one wrong n-gram for nltk, and as none for sacrebleu.
    found, references = [[*pair[0], "and", "that", "is"] for pair in pairs], [pair[1] for pair in pairs]
    for order, ours in enumerate(bleu(found, references), 1):
        with warnings.catch_warnings(action="ignore"):  # that nothing agrees is told by the score
            theirs = nltk.corpus_bleu(references, found, weights=[1 / order] * order)
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_published_scores():
    found, references = published()
    assert bleu(found, references)[0] == pytest.approx(0.4278, abs=1e-4)
    assert cider_d(found, references) == pytest.approx(0.9614, abs=1e-4)


def test_cider_by_hand():
    # Two photographs; "dog" and "cat" are said of one each (weight log 2), "a" of both (weight 0).
    found, references = [["a", "dog"], ["a", "dog"]], [[["a", "dog"]], [["a", "cat"]]]
    # Photograph 1: words and pairs agree wholly, longer n-grams do not exist: (1 + 1) / 4 * 10. The other: 0.
    assert cider_d(found, references) == pytest.approx((10 / 2 + 0) / 2)
    longer = [["a", "dog", "dog", "dog"], ["a", "cat"]]
    # Words: min(3, 1) · 1 / (3 · 1) = 1/3; pairs: "a dog" of weights (1, 2): 1 / sqrt 5; two words longer.
    expected = 10 * math.exp(-4 / 72) * (1 / 3 + 1 / math.sqrt(5)) / 4
    assert cider_d(longer, references) == pytest.approx((expected + 5) / 2)


def slow_cider(found, references):
    """The same from its formulas, vectors over all n-grams, with NumPy."""
    ngrams = [
        {
            tuple(c[i : i + n])
            for c in [*found, *(r for rs in references for r in rs)]
            for i in range(len(c) - n + 1)
        }
        for n in (1, 2, 3, 4)
    ]

    def count(sentence, gram):
        return sum(tuple(sentence[i : i + len(gram)]) == gram for i in range(len(sentence)))

    scores = []
    for said, captions in zip(found, references, strict=True):
        for reference in captions:
            for order in ngrams:
                grams = sorted(order)
                seen = [sum(any(count(r, g) for r in rs) for rs in references) for g in grams]
                rarity = np.log(len(references)) - np.log(np.maximum(1, seen))
                left = rarity * [count(said, gram) for gram in grams]
                right = rarity * [count(reference, gram) for gram in grams]
                norm = np.linalg.norm(left) * np.linalg.norm(right)
                cosine = np.minimum(left, right) @ right / norm if norm else 0.0
                penalty = np.exp(-((len(said) - len(reference)) ** 2) / 72)
                scores.append(10 * cosine * penalty / 4 / len(captions) / len(found))
    return sum(scores)


@settings(deadline=None, max_examples=30)
@given(corpus)
def test_cider_is_what_its_formulas_say(pairs):
    found, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert cider_d(found, references) == pytest.approx(slow_cider(found, references), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(corpus, st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_order_and_stay_in_their_range(pairs, random):
    assume(len(pairs) > 1)
    mixed = random.sample(pairs, len(pairs))
    before, after = (score([p[0] for p in some], [p[1] for p in some], known=[]) for some in (pairs, mixed))
    assert before.bleu == pytest.approx(after.bleu)
    assert before.cider_d == pytest.approx(after.cider_d)
    assert (before.distinct, before.words, before.repeated) == (after.distinct, after.words, after.repeated)
    assert all(0 <= share <= 1 for share in (*before.bleu, before.novel, before.repeated))
    assert 0 <= before.cider_d <= 10 + 1e-9
    assert 1 <= before.distinct <= before.captions == len(pairs)


def test_what_was_said_scores_best():
    references = [words(["a black dog runs on the grass"]), words(["two boys play football in a park"])]
    perfect = score([captions[0] for captions in references], references)
    assert perfect.bleu == (1.0, 1.0, 1.0, 1.0)
    assert perfect.cider_d == pytest.approx(10)
    assert perfect.length_ratio == 1


def test_captions_of_other_photographs_fall():
    animals = ["dog", "cat", "horse", "bird", "fish", "cow"]
    references = [words([f"a black {each} runs over the green grass"] * 2) for each in animals]
    found = [captions[0] for captions in references]
    assert bleu(found, references)[3] == 1
    fallen = shuffled_bleu4(found, references, seed=1)
    assert fallen == shuffled_bleu4(found, references, seed=1)
    # No photograph has its own: one of 8 words is always wrong.
    assert bleu([f[:2] + f[3:] for f in found], references)[0] == pytest.approx(math.exp(1 - 8 / 7))
    assert 0 < fallen < 0.6


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 40), st.integers(0, 100))
def test_no_photograph_keeps_its_own_caption(count, seed):
    own = [[f"word{number}"] * 4 for number in range(count)]
    assert shuffled_bleu4(own, [[each] for each in own], seed) == 0


def test_what_bleu_does_not_see():
    found = words(["a man in a man", "a man in a man", "a dog runs"])
    references = [words(["a man in a hat"]), words(["a man in a coat", "a man"]), words(["a dog runs"])]
    made = score(found, references, known=words(["a dog runs", "a cat"]))
    assert (made.distinct, made.words) == (2, 5)
    assert made.repeated == pytest.approx(2 / 3)
    assert made.novel == pytest.approx(2 / 3)
    assert made.length_ratio == 1
    assert score(found, references).novel is None


def test_scores_for_people_and_machines():
    found, references = published()
    made = score(found, references, known=[["rain", "falls"]])
    line = str(made)
    assert "BLEU 0.428 / 0.406 / 0.439 / 0.456, CIDEr-D 0.961" in line
    assert "50% new" in line
    again = json.loads(json.dumps(made.to_json()))
    assert again["bleu"][0] == pytest.approx(0.4278, abs=1e-4)
    assert again["scorer"].startswith("sacrebleu")


def test_a_caption_of_no_words_is_wrong_not_an_error():
    made = score([[], ["a", "dog"]], [[["a", "cat"]], [["a", "dog"]]])
    assert made.bleu[0] < 1
    assert made.captions == 2


@pytest.mark.parametrize(
    ("found", "references"),
    [([], []), ([["a"]], []), ([["a"]], [[["a"]], [["b"]]]), ([["a"]], [[]])],
)
def test_captions_without_references(found, references):
    for scorer in (bleu, cider_d, score):
        with pytest.raises(DataError, match="to fix"):
            scorer(found, references)


def test_nouns():
    sentence = "two young men in striped red shirts are playing near the large building with their dogs"
    assert [word for word in sentence.split() if is_noun(word)] == ["men", "shirts", "building", "dogs"]
    assert repeats_noun(["dog", "and", "dog"])
    assert not repeats_noun(tokenize("a black and white dog and a black cat are running and running"))


def test_real_captions_name_the_same_thing_twice_now_and_then():
    home = os.environ.get("HEADSTART_DATA")
    file = Path(home or "") / "captions" / "flickr8k" / "captions.txt"
    if not home or not file.exists():
        pytest.skip("flickr8k's captions: set HEADSTART_DATA")
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    captions = [tokenize(line.partition("\t" if "\t" in line else ",")[2]) for line in lines]
    share = np.mean([repeats_noun(each) for each in captions])
    assert 0.03 < share < 0.07  # what machines are measured by: people do it, too
