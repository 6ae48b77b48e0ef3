"""Terms: a text as its weighted words and n-grams, and the linear model on them. Answers with NumPy alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.engines.precision import Outputs
from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.files import atomic_file, write_text
from headstart.text.ngrams import Range, character_terms, word_terms
from headstart.text.scripts import tokens
from headstart.text.steps import Steps

K = TypeVar("K")
Matrix = NDArray[np.float32]

MAIN_FILE, TENSORS_FILE = "terms.json", "terms.safetensors"
_SCHEMA = 1


@dataclass(frozen=True)
class TermsSettings:
    """What is counted in a text, and how the counts are weighed.

    Args:
        words: The shortest and the longest run of words, (int, int); None counts no words. Defaults to
            (1, 2).
        characters: The shortest and the longest run of characters within words, (int, int); None counts no
            characters. Defaults to (2, 5).
        least: In how many texts a term must occur, int. Defaults to 2.
        most: How many terms of each of the two sorts are kept, the most frequent ones, int. Defaults to
            100,000.
        sublinear: Whether a term that occurs n times counts 1 + ln n instead of n. Defaults to True.
        ratio: Whether terms are scaled by how differently often the classes use them (not in a
            latent space). Defaults to True.
        dimensions: Of a latent space that the linear model works in (LSI), int. Defaults to None: it works on
            the terms.
        steps: What is done with a text's words first. Defaults to None: lower case only.

    Raises:
        OptionError: Nothing is counted, or a number is out of its range.

    References:
        Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988, for TF-IDF. Wang
        and Manning, "Baselines and Bigrams", ACL 2012, for the ratio. Deerwester et al., "Indexing by latent
        semantic analysis", 1990, for LSI.

    Example:
        >>> TermsSettings(characters=(2, 4)).characters
        (2, 4)
    """

    words: Range | None = (1, 2)
    characters: Range | None = (2, 5)
    least: int = 2
    most: int = 100_000
    sublinear: bool = True
    ratio: bool = True
    dimensions: int | None = None
    steps: Steps | None = None

    def __post_init__(self) -> None:
        if self.words is None and self.characters is None:
            raise OptionError("words or characters to count", "neither", "name a range such as words=(1, 2)")
        for name in ("words", "characters"):
            runs = getattr(self, name)
            if runs is not None and not 1 <= runs[0] <= runs[1]:
                raise OptionError(
                    f"a range of {name} such as (1, 2)", repr(runs), "name the shorter run first"
                )
        for name in ("least", "most", "dimensions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} of at least 1", repr(value), "use a larger number")

    def word_terms(self, text: str) -> list[str]:
        """Return the runs of words in a text, as often as they occur."""
        if self.words is None:
            return []
        words = tokens(text.lower()) if self.steps is None else self.steps.apply(tokens(text))
        return word_terms(words, self.words)

    def character_words(self, text: str) -> list[str]:
        """Return what stands between the blanks of a text: what runs of characters are counted in."""
        return [] if self.characters is None else text.lower().split()

    def character_terms(self, word: str) -> list[str]:
        """Return the runs of characters in one of `character_words`."""
        return [] if self.characters is None else character_terms(word, self.characters)

    def frequency(self, counts: NDArray[Any]) -> Matrix:
        """Return what terms that occur so often count."""
        counts = counts.astype(np.float32)
        return 1 + np.log(counts) if self.sublinear else counts

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON value."""
        return {**asdict(self), "steps": None if self.steps is None else self.steps.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TermsSettings:
        """Build the settings from what `to_json` returned."""
        ranges = {name: value[name] and tuple(value[name]) for name in ("words", "characters")}
        steps = None if value["steps"] is None else Steps.from_json(value["steps"])
        return cls(**{**value, **ranges, "steps": steps})


@dataclass(frozen=True, eq=False)
class TermsNetwork:
    """A linear model on a text's weighted terms.

    Words and characters are weighed apart: each sort's TF-IDF weights have the length 1. Whatever scaling or
    projection was fitted is folded into the linear model.

    Args:
        settings: What is counted, TermsSettings.
        words: The runs of words that are known, str.
        characters: The runs of characters that are known, str.
        idf: What each term counts: words, then characters, float32 [terms].
        weight: float32 [terms, classes].
        bias: float32 [classes].

    Example:
        >>> one = np.ones(2, np.float32)
        >>> words_only = TermsSettings((1, 1), None)
        >>> network = TermsNetwork(words_only, ("bad", "good"), (), one, np.diag(one), 0 * one)
        >>> network.logits(["good, very good!"])
        array([[0., 1.]], dtype=float32)
    """

    settings: TermsSettings
    words: Sequence[str]
    characters: Sequence[str]
    idf: Matrix
    weight: Matrix
    bias: Matrix

    @cached_property
    def word_place(self) -> dict[str, int]:
        """The place of each run of words' weight."""
        return {term: place for place, term in enumerate(self.words)}

    @cached_property
    def character_place(self) -> dict[str, int]:
        """The place of each run of characters' weight."""
        return {term: place for place, term in enumerate(self.characters, len(self.words))}

    def logits(self, texts: Iterable[str]) -> Matrix:
        """Return the class scores of texts.

        Args:
            texts: The texts, str.

        Returns:
            float32 [texts, classes]. A text without a known term gets the bias.
        """
        rows = [self._logits(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, len(self.bias)), np.float32)

    def _logits(self, text: str) -> Matrix:
        score = self.bias.copy()
        for counted in (self.count_words(text), self.count_characters(text)):
            if counted:
                places = np.fromiter(counted.keys(), np.int64, len(counted))
                counts = np.fromiter(counted.values(), np.int64, len(counted))
                values = self.settings.frequency(counts) * self.idf[places]
                score += values @ self.weight[places] / np.linalg.norm(values)
        return score

    def count_words(self, text: str) -> Counter[int]:
        """Return how often a text has the known runs of words, by the place of their weight."""
        return _count(self.word_place, self.settings.word_terms(text))

    def count_characters(self, text: str) -> Counter[int]:
        """Return how often a text has the known runs of characters, by the place of their weight."""
        words = Counter(self.settings.character_words(text))  # each distinct word is taken apart once
        terms = (term for word, n in words.items() for term in self.settings.character_terms(word) * n)
        return _count(self.character_place, terms)

    def save(self, folder: Path) -> Path:
        """Write what answers later: terms.json and terms.safetensors.

        Args:
            folder: Where they are wanted, a Path; it is made.

        Returns:
            The path of terms.json.

        Raises:
            StorageError: The disk is full or the folder cannot be written.
        """
        from safetensors.numpy import save

        tensors = {"idf": self.idf, "weight": self.weight, "bias": self.bias}
        with atomic_file(folder / TENSORS_FILE) as temporary:
            temporary.write_bytes(save({name: np.ascontiguousarray(v) for name, v in tensors.items()}))
        terms = {"words": list(self.words), "characters": list(self.characters)}
        value = {"schema": _SCHEMA, "settings": self.settings.to_json(), **terms}
        write_text(folder / MAIN_FILE, json.dumps(value) + "\n")
        return folder / MAIN_FILE

    @classmethod
    def load(cls, path: Path) -> TermsNetwork:
        """Read what `save` wrote.

        Args:
            path: terms.json; terms.safetensors is beside it.

        Raises:
            ArtefactError: A file is missing, damaged or of another schema, or the two do not fit each other.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        fix = "get an undamaged copy, or save the model again"
        try:
            value = json.loads(path.read_bytes())
            tensors = load(path.with_suffix(".safetensors").read_bytes())
            if value["schema"] != _SCHEMA:
                raise ArtefactError(f"{path.name} of schema {_SCHEMA}", repr(value["schema"]), fix)
            network = cls(
                TermsSettings.from_json(value["settings"]),
                value["words"],
                value["characters"],
                *(tensors[name].astype(np.float32) for name in ("idf", "weight", "bias")),
            )
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            if isinstance(error, ArtefactError):
                raise
            raise ArtefactError(f"terms and their weights in {path.name}", str(error), fix) from error
        terms = len(network.words) + len(network.characters)
        shapes = [network.idf.shape, network.weight.shape, network.bias.shape]
        if shapes != [(terms,), (terms, *network.bias.shape), network.bias.shape] or network.bias.ndim != 1:
            raise ArtefactError(f"weights of {terms} terms", f"the shapes {shapes}", fix)
        return network


def _count(place: Mapping[str, int], terms: Iterable[str]) -> Counter[int]:
    """Count the terms that have a place."""
    counted: Counter[Any] = Counter(map(place.get, terms))
    del counted[None]
    return counted


class TermsEngine:
    """Runs a `TermsNetwork` as an engine runs a network; an input is a text.

    Args:
        path: The terms.json that `TermsNetwork.save` wrote, or the network itself.

    Raises:
        ArtefactError: It cannot be read.
    """

    name = "terms"
    outputs = ("features",)

    def __init__(self, path: Path | TermsNetwork) -> None:
        self.network = path if isinstance(path, TermsNetwork) else TermsNetwork.load(path)

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on: engine, version, precision."""
        return {"engine": self.name, "version": str(_SCHEMA), "precision": "fp32"}

    def run(
        self, inputs: Iterable[tuple[K, NDArray[np.uint8]]], wanted: tuple[str, ...]
    ) -> Iterator[tuple[K, Outputs]]:
        """Yield (key, {"features": class scores float32 [classes]}) for (key, text) pairs, in order.

        Args:
            inputs: Pairs of a key, which is handed through, and a text in UTF-8, uint8 [bytes]; zeros at its
                end are padding.
            wanted: Names of the outputs to return; there is only "features".
        """
        for key, value in inputs:
            yield key, self.one(value, wanted)

    def one(self, value: NDArray[np.uint8], wanted: tuple[str, ...]) -> Outputs:
        """Return the class scores of a single text, in UTF-8 as uint8 [bytes].

        Raises:
            DecodeError: It is not in UTF-8.
            OptionError: Another output is wanted.
        """
        if unknown := set(wanted) - set(self.outputs):
            raise OptionError("the output features", ", ".join(sorted(unknown)), "ask for features")
        try:
            text = value.tobytes().rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise DecodeError("a text in UTF-8", str(error), "decode it with text.decode first") from error
        row = self.network.logits([text])[0]
        return dict.fromkeys(wanted, row)
