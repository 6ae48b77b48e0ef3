"""Training a document CNN: a short loop of its own, for it has word vectors instead of blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.backbones.card import Tokens
from headstart.errors import OptionError
from headstart.networks.document_cnn import HierarchicalCNN
from headstart.progress import track
from headstart.training import optimisers, schedules
from headstart.training.plan import Settings
from headstart.training.precision import Autocast, mixed
from headstart.training.reproducible import seed_torch
from headstart.training.sampling import Items, batches, order
from headstart.transfer.fitted_cnn import stack

_STEPS, _FEWEST, _MOST = 600, 6, 30
"""The steps that 1,000 reviews need; in any case so many epochs at least, which 10,000 need, and at most."""
# Without patience: few texts may wait for five epochs before they begin to be understood.
_TRAINING = Settings(dropout=0.5, label_smoothing=0.1, clip=5.0)


@dataclass(frozen=True)
class CnnSettings:
    """How a document CNN is made and trained.

    Args:
        epochs: How often the texts are gone through at most, int. Defaults to None: 6 times, and up to
            30 times where that would be fewer than 600 steps.
        rate: Peak learning rate, float.
        freeze_after: Epochs after which the word vectors stay as they are, int; 0 never trains them. Defaults
            to None: they are trained to the end.
        most_words: Words of the texts that get numbers, int.
        more_words: Words that the texts do not have but whose vectors are known, the frequent first, int.
        size: Length of random word vectors, int.
        spec: Sentences of a text and words of a sentence that are read, Tokens.
        training: Optimiser, schedule, batch, dropout and so on, Settings.

    Raises:
        OptionError: A number outside its range.
    """

    epochs: int | None = None
    rate: float = 2e-3
    freeze_after: int | None = None
    most_words: int = 30_000
    more_words: int = 20_000
    size: int = 50
    spec: Tokens = field(default_factory=lambda: Tokens(48, "", sentences=40))
    training: Settings = _TRAINING

    def __post_init__(self) -> None:
        counts = {"most_words": (self.most_words, 1), "size": (self.size, 1)}
        counts |= {"more_words": (self.more_words, 0), "freeze_after": (self.freeze_after or 0, 0)}
        counts |= {"spec.sentences": (self.spec.sentences, 1)}
        if self.epochs is not None:
            counts["epochs"] = (self.epochs, 1)
        for name, (value, least) in counts.items():
            if value < least:
                raise OptionError(f"{name} of at least {least}", str(value), "leave it out for the default")
        if not self.rate > 0:
            raise OptionError("a positive learning rate", repr(self.rate), "use one such as 2e-3")


@dataclass(frozen=True)
class Lines:
    """What a document CNN is trained on.

    Args:
        lines: Numbers of each text's words, int32 [sentences, size].
        y: Class of each text, int64 [texts].
        weight: How much each text counts, float32 [texts].
        train: Positions of the texts that are trained on, int64.
        held: Positions of those that tell when to stop, int64; may be none.
    """

    lines: list[Tensor]
    y: Tensor
    weight: Tensor
    train: Items
    held: Items


def train_cnn(
    network: HierarchicalCNN, data: Lines, settings: CnnSettings, seed: int
) -> list[dict[str, float]]:
    """Train a network in place; it ends with the weights of the epoch with the least held-out loss.

    Args:
        network: With its first weights.
        data: The texts.
        settings: How.
        seed: Of order and dropout, int.

    Returns:
        A line for each epoch: "epoch", "loss" and, of held-out texts, "held_loss" and "held_accuracy".

    Raises:
        OptionError: The loss was not finite.
    """
    history: list[dict[str, float]] = []
    best, kept, waited = math.inf, network.state_dict(), 0
    steps = -(-len(data.train) // settings.training.batch)
    epochs = settings.epochs or min(_MOST, max(_FEWEST, -(-_STEPS // steps)))
    optimiser = optimisers.build(settings.training, _groups(network, settings))
    with mixed(network, settings.training.precision) as autocast:
        for epoch in range(epochs):
            trained = settings.freeze_after is None or epoch < settings.freeze_after
            network.embedding.weight.requires_grad_(trained)
            loss = _epoch(network, data, settings, (seed, epoch, epochs), optimiser, autocast)
            held = _held(network, data, settings.training.batch, autocast)
            line = {"epoch": epoch + 1.0, "loss": loss, **held}
            history.append(line)
            if not math.isfinite(line["loss"]):
                fix = "use a lower learning rate"
                raise OptionError("a finite loss", f"{line['loss']} in epoch {epoch + 1}", fix)
            waited += 1
            if not len(data.held) or line["held_loss"] < best:
                best, waited = line.get("held_loss", best), 0
                kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            if settings.training.patience and waited >= settings.training.patience:
                break
    network.load_state_dict(kept)
    network.requires_grad_(True).eval()
    return history


def _groups(network: HierarchicalCNN, settings: CnnSettings) -> list[dict[str, Any]]:
    """Return the optimiser's groups; words and biases do not decay: a rare word would only do that."""
    words = [network.embedding.weight]
    others = [
        parameter for name, parameter in network.named_parameters() if not name.startswith("embedding.")
    ]
    return [
        {"params": words, "lr": settings.rate, "name": "words", "weight_decay": 0.0},
        {"params": [p for p in others if p.ndim > 1], "lr": settings.rate, "name": "weights"},
        {
            "params": [p for p in others if p.ndim == 1],
            "lr": settings.rate,
            "name": "biases",
            "weight_decay": 0.0,
        },
    ]


def _epoch(
    network: HierarchicalCNN,
    data: Lines,
    settings: CnnSettings,
    place: tuple[int, int, int],
    optimiser: torch.optim.Optimizer,
    autocast: Autocast,
) -> float:
    """Go once through the texts, at (seed, epoch, epochs); return the mean loss."""
    seed, epoch, epochs = place
    key, total = (seed, 0, epoch), 0.0
    steps = batches(order(data.train, data.y.numpy(), key, "shuffle"), settings.training.batch)
    seed_torch(key)
    network.train()
    for step, (items,) in enumerate(track(steps, f"epoch {epoch + 1} of {epochs}")):
        factor = schedules.factor(settings.training, epoch * len(steps) + step, epochs * len(steps))
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * factor
        with autocast():
            _, logits = network(stack([data.lines[item] for item in items]))
        losses = F.cross_entropy(
            logits.float(), data.y[items], reduction="none", label_smoothing=settings.training.label_smoothing
        )
        loss = (losses * data.weight[items]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.training.clip:
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.training.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        total += loss.item() * len(items)
    return total / len(data.train)


@torch.no_grad()
def _held(network: HierarchicalCNN, data: Lines, batch: int, autocast: Autocast) -> dict[str, float]:
    """Return the loss and the accuracy of the held-out texts."""
    if not len(data.held):
        return {}
    network.eval()
    parts = np.array_split(data.held, -(-len(data.held) // batch))
    with autocast():
        found = [network(stack([data.lines[item] for item in part]))[1].float() for part in parts]
    logits, y, weight = torch.cat(found), data.y[data.held], data.weight[data.held]
    losses = F.cross_entropy(logits, y, reduction="none")
    right = (logits.argmax(1) == y).float()
    return {
        "held_loss": float((losses * weight).sum() / weight.sum().clamp(min=1e-12)),
        "held_accuracy": float(right.mean()),
    }
