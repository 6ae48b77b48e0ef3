"""Small things of texts for tests of several rooms: a tiny encoder, word vectors, written texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.backbones import builtin, tensors
from headstart.backbones.card import Card, Tokens, Wheel
from headstart.backbones.catalogue import CARDS, cached, cached_tokenizer
from headstart.networks.bert import BertEncoder
from headstart.text.modality import TextModality
from headstart.text.vectors import WordVectors
from headstart.training.plan import Settings
from headstart.transfer.cnn_training import CnnSettings
from headstart.transfer.document_cnn import DocumentCnn
from toy_wheels import make_wheel

NAME = "toy_text"
COMMON = (
    *("the", "a", "of", "it", "with", "scene", "man", "then", "went", "home"),
    *("and", "film", "was", "rather", "in", "plot", "music", "again"),
)
OWN = {
    "good": ("superb", "lovely", "fine", "great"),
    "bad": ("awful", "dull", "poor", "sad"),
    "odd": ("weird", "strange", "uncanny", "queer"),
}
_LETTERS = np.random.default_rng(1).choice(list("abcdefghijklmnopqrstuvwxyz"), (3, 40, 6))
RARE = {label: tuple("".join(word) for word in words) for label, words in zip(OWN, _LETTERS, strict=True)}
"""Words that the encoder and the word vectors know the meaning of: too many for texts to teach it."""
WORDS = [*COMMON, *(word for words in (*OWN.values(), *RARE.values()) for word in words), ".", ","]


@dataclass(frozen=True)
class ToyText:
    """A card for texts, with its weights under our names, a wheel of both and the tokenizer.

    Args:
        card: Its door is the wheel.
        weights: Random, the same every time.
        tokenizer: A tokenizer.json.
        wheel: On no index.
    """

    card: Card
    weights: dict[str, torch.Tensor]
    tokenizer: Path
    wheel: Path


def tiny_encoder() -> BertEncoder:
    """Three layers of 16 numbers, passages of at most 64 tokens."""
    return BertEncoder(16, 3, 2, 32, len(WORDS) + 4, 64)


def write_tokenizer(path: Path) -> Path:
    """Words in lower case, between [CLS] and [SEP]; its file asks for padding and truncation, as many do."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    places = {word: place for place, word in enumerate([*special, *WORDS])}
    made = Tokenizer(models.WordLevel(places, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(8)
    made.enable_padding(length=8)
    made.save(str(path))
    return path


def make_toy_text(folder: Path) -> ToyText:
    """Make a card with random weights in a folder."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = tiny_encoder()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.02)
        for name, parameter in network.named_parameters():
            if name.endswith("norm.weight"):
                torch.nn.init.ones_(parameter)
        known_words = network.get_parameter("blocks.embeddings.word.weight")
        with torch.no_grad():
            known_words[:, 10] += 1  # other words are alike
            for place, words in enumerate(RARE.values()):
                known_words[[WORDS.index(word) + 4 for word in words], place] += 2
    weights = dict(network.state_dict())
    path = write_tokenizer(folder / "tokenizer.json")
    file = folder / "model.safetensors"
    tensors.write(file, weights, {})
    wheel = folder / "links" / "headstart_toy_text-1.0-py3-none-any.whl"
    inside = {
        "headstart_toy_text/model.safetensors": file.read_bytes(),
        "headstart_toy_text/tokenizer.json": path.read_bytes(),
    }
    make_wheel(wheel, "headstart_toy_text", inside)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    member, its_tokenizer = inside
    door = Wheel("headstart_toy_text", "1.0", digest, member, 1, its_tokenizer)
    card = replace(
        CARDS["minilm-l6"],
        name=NAME,
        preprocess=Tokens(32, hashlib.sha256(path.read_bytes()).hexdigest()),
        features=16,
        blocks=("embeddings", "layer1", "layer2", "layer3"),
        parameters=sum(tensor.numel() for tensor in weights.values()),
        digest=tensors.digest(weights),
        doors=(door,),
    )
    return ToyText(card, weights, path, wheel)


_QUICK = CnnSettings(
    epochs=5,
    rate=1e-2,
    size=8,
    spec=Tokens(12, "", sentences=5),
    training=Settings(batch=16, dropout=0.1, patience=3),
)


@dataclass(frozen=True)
class QuickCnn(DocumentCnn):
    """A document CNN for texts of a few short sentences."""

    settings: CnnSettings = field(default_factory=lambda: _QUICK)


@contextmanager
def known(toy: ToyText, cache: Path, *, default: bool = True, weights: bool = True) -> Iterator[Path]:
    """Put the toy into the catalogue, as the default for texts, with a cache of its own."""
    plain = builtin._network
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(cache))
        patch.setitem(CARDS, NAME, toy.card)
        patch.setattr(builtin, "_network", lambda card: tiny_encoder() if card.name == NAME else plain(card))
        patch.setattr("headstart.text.pretrained.glove_6b_50d", lambda **_: word_vectors())
        patch.setattr("headstart.transfer.document_cnn.DocumentCnn", QuickCnn)
        if default:
            patch.setattr(TextModality, "default_backbone", NAME)
        if weights:
            cached(toy.card).parent.mkdir(parents=True, exist_ok=True)
            tensors.write(cached(toy.card), toy.weights, {"digest": toy.card.digest})
            cached_tokenizer(toy.card).write_bytes(toy.tokenizer.read_bytes())
        yield cache


def word_vectors() -> WordVectors:
    """Vectors that bring the rare words of a class together."""
    chance = np.random.default_rng(0)
    matrix = chance.normal(0, 0.3, (len(WORDS), 8)).astype(np.float32)
    for place, words in enumerate(RARE.values()):
        matrix[[WORDS.index(word) for word in words], place] += 2
    return WordVectors(tuple(WORDS), matrix)


def written(label: str, number: int, sentences: int = 3) -> str:
    """A text of common words with one that tells the class, or two: of its own, and one that is rare.

    One text in four has only the first, and one only the second: counting words and meaning know either.
    """
    chance = np.random.default_rng([number, *label.encode()])
    lines = [[str(word) for word in chance.choice(COMMON, 6)] for _ in range(sentences)]
    both: list[Mapping[str, Sequence[str]]] = [OWN, RARE]
    kinds = {0: both[:1], 1: both[1:]}.get(number % 4, both)
    for kind in kinds:
        lines[int(chance.integers(sentences))].append(str(chance.choice(kind[label])))
    return " ".join(" ".join(line).capitalize() + "." for line in lines)


def write_texts(root: Path, start: int = 0, **counts: int) -> Path:
    """A folder for each label with so many different texts."""
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + count):
            (root / label / f"{number:03d}.txt").write_text(written(label, number), encoding="utf-8")
    return root
