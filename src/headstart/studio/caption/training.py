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
from torch import Tensor, nn

from headstart.engines.openvino_engine import has_bf16
from headstart.errors import OptionError
from headstart.studio.caption.decoders import KINDS, Decoder, build
from headstart.studio.caption.seen import Seen
from headstart.studio.caption.vocabulary import PAD, Vocabulary
from headstart.training.averaging import Average
from headstart.training.checkpoints import Checkpoints
from headstart.training.learner import check_options, learner_state, load_learner
from headstart.training.reproducible import reproducible, seed_torch

_CPU = torch.device("cpu")
_SMALL = 0.1
"""Spread of words' vectors at the start: they are also what words are written by."""


@dataclass(frozen=True)
class CaptionOptions:
    """How a decoder is trained.

    Args:
        kind: "attention" or "merge". Defaults to "attention".
        epochs: Times that each caption is read, int. Defaults to 12.
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
    epochs: int = 12
    batch: int = 16
    rate: float = 1e-3
    decay: float = 0.01
    smoothing: float = 0.1
    average: float = 0.998
    cover: float = 1.0
    told: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"a kind of decoder: {', '.join(KINDS)}", repr(self.kind), "choose one of them")
        if min(self.epochs, self.batch) < 1 or not 0 < self.rate < math.inf:
            received = f"{self.epochs}, {self.batch}, {self.rate:g}"
            raise OptionError(
                "epochs and photographs in a step from 1 on, a rate above 0", received, "raise it"
            )
        shares = {"smoothing": self.smoothing, "average": self.average, "told": self.told}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise OptionError(f"a share from 0 to 1 for {name}", f"{share:g}", "such as 0.5")


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


@dataclass(frozen=True, eq=False)
class Epoch:
    """How an epoch went.

    Args:
        number: Which one, int from 1.
        loss: Mean of what a word of the captions costs, float, in nats.
        score: Of the averaged decoder on photographs that are held out, float; the higher, the better.
        best: Whether it is the best so far.
    """

    number: int
    loss: float
    score: float
    best: bool


class CaptionTraining:
    """A decoder on its way to write captions.

    Args:
        vocabulary: What it can say.
        seen: What is seen of the photographs; each epoch looks at another view.
        batches: What was said of them.
        options: How it is trained.
        checkpoints: Where its states go, one an epoch.
        vectors: What is known of the words before, float [words, d], NaN for unknown ones. Defaults to None.

    References:
        Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, for label smoothing.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        seen: Seen,
        batches: Batches,
        options: CaptionOptions,
        checkpoints: Checkpoints,
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        self.options, self._seen, self._batches = options, seen, batches
        self._checkpoints = checkpoints
        channels = seen.batch(np.zeros(1, np.int64)).shape[2]
        with torch.random.fork_rng():
            seed_torch((options.seed,))
            self.decoder = build(options.kind, len(vocabulary), channels, options.settings)
            _begin(self.decoder.words, vectors)
        self._optimiser = torch.optim.AdamW(
            self.decoder.parameters(),
            lr=options.rate,
            weight_decay=options.decay,
            betas=(0.9, 0.98),
            fused=True,
        )
        self._average = Average.of(self.decoder, options.average)
        self.epoch, self.best = 0, 0
        self.history: list[tuple[float, float]] = []
        self._best: dict[str, Tensor] = {}

    def go(
        self, judge: Callable[[Decoder], float], see: Callable[[Epoch], None] = lambda _epoch: None
    ) -> None:
        """Train all epochs that are left; a state is kept after each.

        Args:
            judge: Scores the averaged decoder on photographs that are held out; the best one is kept.
            see: Told how each epoch went. Defaults to nobody.

        Raises:
            OptionError: The loss is no number any more.
            StorageError: The disk is full.
        """
        while self.epoch < self.options.epochs:
            loss = self._read()
            self.epoch += 1
            with self._average.applied():
                score = judge(self.decoder.eval())
                if best := score >= max((score for _, score in self.history), default=-math.inf):
                    self.best = self.epoch
                    self._best = {name: each.clone() for name, each in self.decoder.state_dict().items()}
            self.history.append((loss, score))
            self._save()
            see(Epoch(self.epoch, loss, score, best))

    def finished(self) -> Decoder:
        """Return the decoder as it was, averaged, in its best epoch."""
        decoder = copy.deepcopy(self.decoder)
        decoder.load_state_dict(self._best)
        return decoder.eval()

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            OptionError: There is none, or it is of other captions, photographs or options.
        """
        tensors, notes, best = self._checkpoints.load()
        check_options(notes["options"], asdict(self.options))
        load_learner(tensors, self.decoder, self._optimiser, self._average)
        self._best = best
        self.epoch, self.best = notes["epoch"], notes["best"]
        self.history = [(loss, score) for loss, score in notes["history"]]

    def _save(self) -> None:
        tensors = learner_state(self.decoder, self._optimiser, self._average)
        notes = {"options": asdict(self.options), "epoch": self.epoch, "best": self.best}
        notes["history"] = [list(each) for each in self.history]
        notes["stopped"] = "epochs" if self.epoch >= self.options.epochs else None
        self._checkpoints.save(tensors, notes, f"epoch-{self.best}", lambda: self._best)

    def _read(self) -> float:
        """Read all captions once; return the mean loss."""
        steps, step = len(self._batches) * self.options.epochs, self.epoch * len(self._batches)
        losses = []
        self.decoder.train()
        with reproducible(_CPU):
            for photographs, owner, words in self._batches.epoch(self.epoch):
                seed_torch((self.options.seed, self.epoch, step))
                self._optimiser.param_groups[0]["lr"] = self.options.rate * self._factor(step, steps)
                losses.append(self._descend(photographs, owner, words))
                step += 1
        return sum(losses) / len(losses)

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
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 5.0)
        self._optimiser.step()
        self._average.update()
        return -float(right.detach())


def _begin(words: nn.Embedding, vectors: NDArray[np.float32] | None) -> None:
    """Start the words small, and from what is known of them, spread over all numbers of their vectors."""
    with torch.no_grad():
        words.weight.mul_(_SMALL)
        if vectors is not None:
            known = ~np.isnan(vectors[:, 0])
            mean, std = vectors[known].mean(0), vectors[known].std()
            spread = torch.randn(vectors.shape[1], words.embedding_dim) / math.sqrt(vectors.shape[1])
            like = torch.from_numpy((vectors[known] - mean) / std) @ spread
            words.weight[torch.from_numpy(known)] += _SMALL * like
