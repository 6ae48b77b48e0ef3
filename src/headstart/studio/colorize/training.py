"""Training a network to colour photographs: resumable to the last bit, stopped by photographs held out."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.engines.openvino_engine import has_bf16
from headstart.errors import OptionError
from headstart.studio.colorize.networks import Classic, UNet
from headstart.studio.colorize.photographs import Floats, Views
from headstart.studio.colorize.quantising import bins, encode
from headstart.studio.colorize.seen import Batch, See, Stream
from headstart.training.averaging import Average
from headstart.training.checkpoints import Checkpoints
from headstart.training.learner import check_options, learner_state, load_learner
from headstart.training.reproducible import reproducible, seed_torch

_CPU = torch.device("cpu")
_SAVE_EVERY = 60.0
"""Seconds between two checkpoints."""
_DECAY = 0.998
"""What the average of the weights keeps of itself in a step."""
KINDS = ("unet", "classic")


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained to colour.

    Args:
        kind: "unet" (how likely each colour is, from all scales of the backbone) or "classic" (encoder,
            fusion and decoder, least squares). Defaults to "unet".
        size: Side of what the network sees, int, in pixels, a multiple of 32. Defaults to 224.
        batch: Photographs in a step, int. Defaults to 16.
        epochs: The most epochs, int; the time may end first. Defaults to 60.
        patience: Epochs without a better result on what is held out, int, after which it ends. Defaults
            to 8.
        rate: Learning rate of AdamW, float. Defaults to 0.001.
        weight_decay: float. Defaults to 0.05.
        squares: How much the squared error of the expected colour counts beside the cross entropy, float; for
            "unet". Defaults to 1.
        seed: int. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    kind: str = "unet"
    size: int = 224
    batch: int = 16
    epochs: int = 60
    patience: int = 8
    rate: float = 1e-3
    weight_decay: float = 0.05
    squares: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"a kind, {' or '.join(KINDS)}", repr(self.kind), "use --kind unet")
        if self.size < 32 or self.size % 32:
            raise OptionError("a size that is a multiple of 32", f"{self.size}", "use --size 224")
        if min(self.batch, self.epochs, self.patience) < 1 or not 0 < self.rate <= 1:
            received = f"{self.batch}, {self.epochs}, {self.patience}, {self.rate:g}"
            wanted = "batch, epochs and patience from 1 on, a rate above 0 and up to 1"
            raise OptionError(wanted, received, "use --rate 0.001")
        if not (0 <= self.weight_decay < math.inf and 0 <= self.squares < math.inf):
            received = f"{self.weight_decay:g}, {self.squares:g}"
            raise OptionError("a weight decay and squares of 0 or more", received, "use 0.05 and 1")


@dataclass(frozen=True, eq=False)
class Look:
    """How far a training is.

    Args:
        epoch: Epochs so far, int.
        seconds: Time so far, float.
        loss: Mean of the epoch, float.
        error: Mean squared error of the colours of photographs held out, as a share of that of the best
            constant colour, float.
        best: Whether no epoch before had a lower one.
        told: What the network tells of the first batch held out: logits or ab, float [n, …].
    """

    epoch: int
    seconds: float
    loss: float
    error: float
    best: bool
    told: Tensor


@dataclass
class _Progress:
    """Where a training is: what is not a tensor, JSON-able."""

    step: int = 0
    seconds: float = 0.0
    total: float = 0.0
    steps: int = 0
    best: int = 0
    errors: list[float] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        return len(self.errors)


class ColorTraining:
    """A network on its way to colour photographs.

    Args:
        network: What learns.
        see: The frozen encoder.
        held_out: Views of photographs that decide when to stop.
        options: How it is trained.
        checkpoints: Where its states go.
    """

    def __init__(
        self,
        network: UNet | Classic,
        see: See,
        held_out: Sequence[Views],
        options: TrainOptions,
        checkpoints: Checkpoints,
    ) -> None:
        self.options, self._checkpoints = options, checkpoints
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._centres = torch.from_numpy(bins())
        self._held_out = held_out
        # The encoder is frozen: what it sees of them is computed once.
        self._seen = [tuple(part.astype(np.float16) for part in see(views.lightness)) for views in held_out]
        colours = np.concatenate([views.ab for views in held_out])
        self._constant = float(colours.var((0, 1, 2)).mean())
        """Error of the best constant colour."""
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=options.rate, weight_decay=options.weight_decay
        )
        self._average = Average.of(self.network, _DECAY)
        self._progress = _Progress()
        self._best: dict[str, Tensor] = {}

    @property
    def errors(self) -> list[float]:
        """The error after each epoch, see `Look`."""
        return list(self._progress.errors)

    @property
    def best(self) -> int:
        """The epoch with the lowest error, from 1 on; 0 before the first has ended."""
        return self._progress.best

    @property
    def step(self) -> int:
        """Steps so far."""
        return self._progress.step

    @property
    def seconds(self) -> float:
        """Time so far."""
        return self._progress.seconds

    def go(self, stream: Stream, minutes: float, *, see: Callable[[Look], None] = lambda _look: None) -> None:
        """Train until nothing gets better, or the epochs or the time are used up.

        Args:
            stream: What it learns from.
            minutes: Time for all of it, what went before a resume included, float.
            see: Told after each epoch how far it is. Defaults to nobody.

        Raises:
            DataError: No photograph can be read.
            OptionError: The loss is no number any more.
        """
        now = self._progress
        begun, saved = time.monotonic() - now.seconds, -math.inf
        last = self.options.epochs * stream.epoch
        with reproducible(_CPU):
            for batch in stream.batches(now.step, last) if not self._exhausted() else ():
                now.total += self._descend(batch)
                now.step, now.steps = now.step + 1, now.steps + 1
                now.seconds = time.monotonic() - begun
                up = now.seconds >= minutes * 60
                if now.step % stream.epoch == 0 or up:
                    see(self._measured())
                if up or self._exhausted():
                    break
                if time.monotonic() - saved > _SAVE_EVERY:
                    self._save(None)
                    saved = time.monotonic()
        self._save("time" if now.seconds >= minutes * 60 else "epochs")

    def finished(self) -> UNet | Classic:
        """Return the network as it was when its error on what is held out was lowest."""
        network: UNet | Classic = copy.deepcopy(self.network).eval()
        if self._best:
            network.load_state_dict(self._best)
        return network

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            OptionError: There is none, or it is of other photographs or options.
        """
        tensors, notes, best = self._checkpoints.load()
        check_options(notes["options"], self.does())
        load_learner(tensors, self.network, self._optimiser, self._average)
        self._progress, self._best = _Progress(**notes["progress"]), best

    def does(self) -> dict[str, Any]:
        """Return the options that the result depends on, JSON-able."""
        return {
            name: each for name, each in asdict(self.options).items() if name not in ("epochs", "patience")
        }

    @torch.inference_mode()
    def told(self, network: UNet | Classic) -> Iterator[tuple[Tensor, Views]]:
        """Yield what a network tells of the photographs held out, and what it saw, by batches.

        Args:
            network: In evaluation mode.

        Yields:
            Logits [n, bins, side, side] or ab [n, 2, side, side], float; and the views.
        """
        for views, seen in zip(self._held_out, self._seen, strict=True):
            yield network(_floats(seen)), views

    def _descend(self, batch: Batch) -> float:
        now = self._progress
        seed_torch((self.options.seed, now.step))
        self._optimiser.zero_grad()
        loss = self._loss(_floats(batch.seen), batch.ab, now.step)
        if not math.isfinite(float(loss.detach())):
            raise OptionError("a loss that is a number", f"{float(loss.detach())}", "use a lower rate")
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._average.update()
        return float(loss.detach())

    def _loss(self, seen: tuple[Tensor, ...], ab: Floats, step: int) -> Tensor:
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            if isinstance(self.network, Classic):
                found = self.network(seen).permute(0, 2, 3, 1).float()
                return nn.functional.mse_loss(found, torch.from_numpy(ab)) / self._constant
            # One place in four, another one in each step: neighbours say much the same.
            top, left = divmod(step % 4, 2)
            understood = self.network.understood(seen)[:, :, top::2, left::2]
            logits = self.network.colours(understood)
        ab = np.ascontiguousarray(ab[:, top::2, left::2])
        scores = logits.permute(0, 2, 3, 1).reshape(-1, len(self._centres)).float().log_softmax(1)
        places, shares = (torch.from_numpy(part).reshape(len(scores), -1) for part in encode(ab))
        loss: Tensor = -(scores.gather(1, places) * shares).sum(1).mean()
        if self.options.squares:
            expected = scores.exp() @ self._centres
            squared = nn.functional.mse_loss(expected, torch.from_numpy(ab).reshape(-1, 2))
            loss = loss + self.options.squares * squared / self._constant
        return loss

    def _error(self, told: Iterable[tuple[Tensor, Views]]) -> float:
        total, count = 0.0, 0
        for found, views in told:
            if isinstance(self.network, UNet):
                found = torch.einsum("nkhw,kc->nchw", found.softmax(1), self._centres)
            squared = (found.permute(0, 2, 3, 1) - torch.from_numpy(views.ab)) ** 2
            total, count = total + float(squared.sum()), count + squared.numel()
        return total / count / self._constant

    def _measured(self) -> Look:
        now = self._progress
        with self._average.applied():
            told = self.told(self.network.eval())
            first = next(told)
            error = self._error([first, *told])
            better = not now.errors or error < min(now.errors)
            if better:
                now.best = now.epoch + 1
                self._best = {name: each.clone() for name, each in self.network.state_dict().items()}
        now.errors.append(error)
        loss = now.total / now.steps
        now.total, now.steps = 0.0, 0
        return Look(now.epoch, now.seconds, loss, error, better, first[0])

    def _exhausted(self) -> bool:
        now = self._progress
        return now.epoch >= self.options.epochs or now.epoch - now.best >= self.options.patience

    def _save(self, stopped: str | None) -> None:
        tensors = learner_state(self.network, self._optimiser, self._average)
        notes = {"options": self.does(), "progress": asdict(self._progress), "stopped": stopped}
        best = f"best-{self._progress.best}" if self._best else None
        self._checkpoints.save(tensors, notes, best, lambda: self._best)


def _floats(seen: tuple[NDArray[np.floating], ...]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(part).float() for part in seen)
