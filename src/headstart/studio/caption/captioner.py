"""A trained captioner: a folder that says what photographs show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones import tensors as tensor_files
from headstart.backbones.card import Preprocess
from headstart.data.items import Problem, Source
from headstart.data.pipeline import Pipeline
from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.images.decode import Pixels
from headstart.images.preprocess import prepare
from headstart.studio.caption.decoders import Decoder, Guided, build, together
from headstart.studio.caption.decoding import Decoded, beam, greedy, sample
from headstart.studio.caption.nouns import is_function_word
from headstart.studio.caption.seen import Eyes, as_grid, open_eyes
from headstart.studio.caption.vocabulary import Vocabulary
from headstart.studio.cards import read_trained_card

SCHEMA = 1
CARD, VOCABULARY, AVERAGE = "captioner.json", "vocabulary.json", "average.safetensors"
HOW = ("beam", "greedy", "sample")
_AT_ONCE = 64
_AGAIN = "copy or train the captioner again"


@dataclass(frozen=True, eq=False)
class Caption:
    """What is said of a photograph.

    Args:
        name: The photograph, str.
        text: The sentence, str.
        words: Its words, tuple of str.
        log_probability: Of the sentence with its end, float, natural logarithm.
        log_probabilities: Of each word, tuple of float.
        attention: Where the captioner looked for each word, float32 [words, rows, columns] of the whole
            photograph, each summing to 1; None where it does not attend.
    """

    name: str
    text: str
    words: tuple[str, ...]
    log_probability: float
    log_probabilities: tuple[float, ...]
    attention: NDArray[np.float32] | None

    def to_json(self) -> dict[str, Any]:
        """Return photograph, sentence and log-probability."""
        return {
            "input": self.name,
            "caption": self.text,
            "log_probability": round(self.log_probability, 4),
        }


class Captioner:
    """What says what photographs show: a frozen network that looks, and a decoder that speaks.

    Args:
        decoder: In evaluation mode.
        vocabulary: The words that it can say.
        eyes: What looks.
        card: What is known about it; of this "length_power" and "guidance" are used here.
        average: What is seen of an average photograph, float32 [cells, channels]: see `Guided`.
    """

    def __init__(
        self, decoder: Decoder, vocabulary: Vocabulary, eyes: Eyes, card: dict[str, Any], average: Tensor
    ) -> None:
        self.decoder, self.vocabulary, self.eyes, self.card = decoder, vocabulary, eyes, card
        self.average = average

    @classmethod
    def open(cls, folder: Path, *, offline: bool = False) -> Self:
        """Open what `headstart caption-train` left.

        Args:
            folder: Where it is.
            offline: Whether to stay off the network. Defaults to False.

        Raises:
            ArtefactError: The folder holds no captioner, or it is damaged, of a later version, or its parts
                belong to different ones.
            BackboneError: The weights of the network that looks cannot be had.
        """
        card = read_card(folder)
        vocabulary = Vocabulary.from_json(json.loads((folder / VOCABULARY).read_text(encoding="utf-8")))
        saw = card["backbone"]
        eyes = open_eyes(saw["name"], saw["size"], offline=offline)
        if eyes.card.digest != saw["digest"]:
            received = eyes.card.digest[:12]
            raise ArtefactError(
                f"weights of {saw['name']} with the digest {saw['digest'][:12]}…", received, _AGAIN
            )
        members = [_member(folder / name, card, vocabulary, eyes) for name in card["members"]]
        average = tensor_files.read(folder / AVERAGE)["average"]
        return cls(together(members).eval(), vocabulary, eyes, card, average)

    def caption(
        self,
        sources: Iterable[Source],
        *,
        how: str = "beam",
        width: int = 5,
        top_p: float = 0.9,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Iterator[Caption | Problem]:
        """Say what photographs show.

        Args:
            sources: Files, encoded bytes or arrays.
            how: "beam", "greedy" or "sample". Defaults to "beam".
            width: Of the beam, int. Defaults to 5.
            top_p, temperature, seed: Of the sampling, see `decoding.sample`.

        Yields:
            A Caption for each photograph, in order; for one that cannot be read, a Problem.

        Raises:
            OptionError: Another way of saying it.
        """
        if how not in HOW:
            raise OptionError(f"one of {', '.join(HOW)}", repr(how), "choose one of them")

        def say(grid: Tensor, group: int) -> list[Decoded]:
            if how == "beam":
                return self.decode(grid, width=width)
            if how == "greedy":
                return greedy(self.guided(), grid, once=self.once)
            drawn = seed + 1000003 * group  # other words for each group
            return sample(
                self.guided(), grid, top_p=top_p, temperature=temperature, seed=drawn, once=self.once
            )

        for number, group in enumerate(Pipeline(lambda: self._seen(sources)).batch(_AT_ONCE)):
            grids = [grid for _, grid in group if isinstance(grid, torch.Tensor)]
            said = iter(say(torch.stack(grids), number) if grids else [])
            for name, seen in group:
                yield seen if isinstance(seen, Problem) else self._sentence(name, next(said))

    def decode(
        self,
        grid: Tensor,
        *,
        width: int = 5,
        length_power: float | None = None,
        guidance: float | None = None,
    ) -> list[Decoded]:
        """Search captions for what is seen.

        Args:
            grid: float [n, cells, channels].
            width: Of the beam, int. Defaults to 5.
            length_power: See `decoding.beam`. Defaults to None, what was chosen in the training.
            guidance: Strength, see `Guided`. Defaults to None, what was chosen in the training.
        """
        power = self.card["length_power"] if length_power is None else length_power
        return beam(self.guided(guidance), grid, width=width, length_power=power, once=self.once)

    def guided(self, strength: float | None = None) -> Decoder:
        """Return the decoder as it is asked, see `Guided`; by default as strictly as training chose."""
        strength = self.card["guidance"] if strength is None else strength
        return Guided(self.decoder, self.average, strength) if strength else self.decoder

    @cached_property
    def once(self) -> frozenset[int]:
        """Words that come only once in a caption, those that tell something: no "red and red ball"."""
        words = self.vocabulary.words
        return frozenset(number for number, word in enumerate(words) if not is_function_word(word))

    def _sentence(self, name: str, said: Decoded) -> Caption:
        _, rows, columns = self.eyes.shape
        looked = None if said.attention is None else said.attention.reshape(-1, rows, columns)
        return Caption(
            name,
            self.vocabulary.decode(said.words),
            tuple(self.vocabulary.words[number] for number in said.words),
            said.log_probability,
            said.log_probabilities[: len(said.words)],
            looked,
        )

    def _seen(self, sources: Iterable[Source]) -> Iterator[tuple[str, Tensor | Problem]]:
        """Yield each photograph's name with its grid, or with the reason why there is none."""
        spec = self.eyes.card.preprocess
        if not isinstance(spec, Preprocess):
            raise ArtefactError("a network that looks at pictures", self.eyes.card.name, _AGAIN)

        def read(entry: tuple[int, Source]) -> tuple[str, Pixels | Problem]:
            number, source = entry
            name = str(source) if isinstance(source, Path) else f"photograph {number + 1}"
            try:
                return name, prepare(source, spec, "torch")
            except DecodeError as error:
                return name, Problem(name, str(error))

        # A stream with what cannot be read left out for the network, and put back in its place behind it.
        waiting: list[tuple[str, Problem | None]] = []

        def readable(reads: Iterable[tuple[str, Pixels | Problem]]) -> Iterator[tuple[str, Pixels]]:
            for name, found in reads:
                waiting.append((name, found if isinstance(found, Problem) else None))
                if not isinstance(found, Problem):
                    yield name, found

        with closing(iter(Pipeline(lambda: iter(enumerate(sources))).map(read))) as reads:
            for name, found in self._engine.run(readable(reads), ("grid",)):
                while waiting[0][1] is not None:
                    yield waiting.pop(0)  # type: ignore[misc]
                waiting.pop(0)
                yield name, as_grid(found["grid"].reshape(1, -1), self.eyes.shape)[0]
        yield from ((name, problem) for name, problem in waiting if problem is not None)

    @cached_property
    def _engine(self) -> Any:
        return self.eyes.choice.start()


def is_captioner(folder: Path) -> bool:
    """Return whether a folder looks like a trained captioner."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """Return what is known about a captioner, after checking that its files are whole and its own.

    Raises:
        ArtefactError: The folder holds no captioner, or it is damaged or of a later version.
    """
    return read_trained_card(folder / CARD, "captioner", SCHEMA, (VOCABULARY, AVERAGE), "caption-train")


def _member(path: Path, card: dict[str, Any], vocabulary: Vocabulary, eyes: Eyes) -> Decoder:
    decoder = build(card["kind"], len(vocabulary), eyes.shape[0], card["settings"])
    try:
        decoder.load_state_dict(tensor_files.read(path))
    except RuntimeError as error:
        received = str(error).splitlines()[-1].strip()
        raise ArtefactError(f"weights of {len(vocabulary)} words in {path.name}", received, _AGAIN) from error
    return decoder
