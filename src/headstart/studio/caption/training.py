"""Training a decoder to say what people said of photographs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from headstart.engines.openvino_engine import has_bf16
from headstart.errors import OptionError
from headstart.studio.caption.decoders import Decoder, build
from headstart.studio.caption.seen import Seen
from headstart.studio.caption.vocabulary import PAD, Vocabulary
from headstart.training.averaging import Average
from headstart.training.checkpoints import Checkpoints, load_optimiser, optimiser_state
from headstart.training.reproducible import reproducible, seed_torch

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class CaptionOptions:
    """How a decoder is trained.

    Args:
        kind: "attention" or "merge". Defaults to "attention".
        epochs: Times that each caption is read, int. Defaults to 30.
        batch: Photographs in a step, int. Defaults to 16.
        rate: Highest learning rate of AdamW, float; it rises for an epoch and falls along half a cosine.
            Defaults to 0.001.
        decay: Weight decay, float. Defaults to 0.01.
        smoothing: Share of certainty that is spread over all words, float. Defaults to 0.1.
        average: What the average of the weights keeps of itself in a step, float. Defaults to 0.998.
        cover: Weight of the wish that all places are looked at alike in the course of a caption (doubly
            stochastic attention), float. Defaults to 1.
        told: Share of its words that a decoder is told in the last epoch, float; it falls from 1 along a line
            (scheduled teacher forcing). Defaults to 1.
        settings: Of the decoder, such as {"width": 512}. Defaults to none.
        seed: int. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    kind: str = "attention"
    epochs: int = 30
    batch: int = 16
    rate: float = 1e-3
    decay: float = 0.01
    smoothing: float = 0.1
    average: float = 0.998
    cover: float = 1.0
    told: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


class Batches:
    """Photographs with all their captions in batches, the same ones for the same seed and epoch.

    What is seen of a photograph is shared by its captions, and a caption that has ended drops out: as much
    work as batches of captions of one length would be, less the looking.

    Args:
        captions: Words of each caption of each photograph, from <start> to <end>.
        size: Photographs in a batch, int.
        seed: int.
    """

    def __init__(self, captions: Sequence[Sequence[Sequence[int]]], size: int, seed: int) -> None:
        self._captions, self._size, self._seed = captions, size, seed

    def __len__(self) -> int:
        return math.ceil(len(self._captions) / self._size)

    def epoch(self, epoch: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Yield the batches of an epoch: photographs [p], to which of them each caption belongs [n], and the
        captions' words [n, length], filled up with <pad>, the long ones first.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._captions))
        for first in range(0, len(order), self._size):
            photographs = order[first : first + self._size]
            rows = [(place, each) for place, p in enumerate(photographs) for each in self._captions[p]]
            rows.sort(key=lambda row: -len(row[1]))
            words = np.full((len(rows), len(rows[0][1])), PAD)
            for row, (_, each) in enumerate(rows):
                words[row, : len(each)] = each
            owner = torch.tensor([place for place, _ in rows])
            yield photographs, owner, torch.from_numpy(words)


class CaptionTraining:
    """A decoder on its way to write captions.

    Args:
        vocabulary: What it can say.
        seen: What is seen of the photographs; each epoch looks at another view.
        batches: What was said of them.
        options: How it is trained.
        vectors: What is known of the words before, float [words, d], NaN for unknown ones. Defaults to None.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        seen: Seen,
        batches: Batches,
        options: CaptionOptions,
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        self.options, self._seen, self._batches = options, seen, batches
        channels = seen.batch(np.zeros(1, np.int64)).shape[2]
        with torch.random.fork_rng():
            seed_torch((options.seed,))
            self.decoder = build(options.kind, len(vocabulary), channels, options.settings)
            _begin(self.decoder, vectors)
        parameters = self.decoder.parameters()
        self._optimiser = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=options.decay, betas=(0.9, 0.98), fused=True)
        self._average = Average.of(self.decoder, options.average)
        self.epoch = 0

    def go(self) -> Iterator[float]:
        """Train epoch by epoch; yield the mean loss of each."""
        steps = len(self._batches) * self.options.epochs
        while self.epoch < self.options.epochs:
            losses = []
            with reproducible(_CPU):
                step = self.epoch * len(self._batches)
                self.decoder.train()
                for photographs, owner, words in self._batches.epoch(self.epoch):
                    seed_torch((self.options.seed, self.epoch, step))
                    self._optimiser.param_groups[0]["lr"] = self.options.rate * self._factor(step, steps)
                    losses.append(self._descend(photographs, owner, words))
                    step += 1
            self.epoch += 1
            yield sum(losses) / len(losses)

    def _factor(self, step: int, steps: int) -> float:
        rise = min(len(self._batches), steps / 10)
        place = step + 0.5
        return min(1.0, place / rise) * (0.02 + 0.98 * (1 + math.cos(math.pi * place / steps)) / 2)

    def _descend(self, photographs: NDArray[np.int64], owner: Tensor, words: Tensor) -> float:
        options = self.options
        grid = self._seen.batch(photographs, self.epoch)
        told = 1 - (1 - options.told) * self.epoch / max(1, options.epochs - 1)
        heard = words[:, :-1].masked_fill(words[:, 1:] == PAD, PAD)  # nothing follows <end>
        self._optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            said, looked = self.decoder(grid, owner, heard, told)
        said = said.float()
        wanted = words[:, 1:].T
        right = said.gather(1, wanted[wanted != PAD][:, None])[:, 0].mean()
        loss = -(1 - options.smoothing) * right - options.smoothing * said.mean()
        if looked is not None and options.cover:
            even = (heard != PAD).sum(1, keepdim=True) / looked.shape[1]
            loss = loss + options.cover * ((even - looked.float()) ** 2).sum(1).mean()
        if not math.isfinite(float(loss.detach())):
            raise OptionError("a loss that is a number", f"{float(loss.detach())}", "use a lower rate")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 5.0)
        self._optimiser.step()
        self._average.update()
        return -float(right.detach())

    def finished(self) -> Decoder:
        """Return the decoder with its weights averaged over the last steps."""
        with self._average.applied():
            return copy.deepcopy(self.decoder).eval()


def _begin(decoder: Decoder, vectors: NDArray[np.float32] | None) -> None:
    """Start the words from what is known of them, spread over all numbers of their vectors."""
    if vectors is None:
        return
    weight = decoder.words.weight  # type: ignore[union-attr]
    known = ~np.isnan(vectors[:, 0])
    mean, std = vectors[known].mean(0), vectors[known].std()
    spread = torch.randn(vectors.shape[1], weight.shape[1]) / math.sqrt(vectors.shape[1])
    with torch.no_grad():
        weight.mul_(0.1)
        weight[torch.from_numpy(known)] += 0.1*torch.from_numpy((vectors[known] - mean) / std) @ spread
