"""The learning-rate finder: a short run whose rate grows until the loss blows up."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from headstart import figures, pages
from headstart.errors import OptionError
from headstart.training import losses, optimisers
from headstart.training.monitor import Trainable
from headstart.training.plan import Settings

_SMOOTHING = 0.9
_BLOWN_UP = 4.0  # times the lowest loss so far, as in fastai


@dataclass(frozen=True)
class RateCurve:
    """How the loss went while the learning rate grew.

    Args:
        rates: The rate of each step, rising.
        losses: The loss at each, smoothed.
        suggestion: A peak rate for training: a tenth of the rate at which the loss was lowest.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def picture(self) -> pages.Markup:
        """Return the curve as a chart with its table, for a page."""
        figure, axes = figures.plot(height=3.4)
        axes.plot(self.rates, self.losses, color=pages.ACCENT)
        axes.axvline(self.suggestion, color=pages.SECOND, linewidth=1, linestyle="--")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}")  # the default needs mathtext
        axes.minorticks_off()
        axes.set(xlabel="learning rate", ylabel="loss")
        alt = (
            f"Loss while the learning rate grew from {self.rates[0]:.1e} to {self.rates[-1]:.1e}; "
            f"suggested is {self.suggestion:.1e}."
        )
        rows: list[list[pages.Cell]] = [
            [f"{rate:.2e}", loss] for rate, loss in zip(self.rates, self.losses, strict=True)
        ]
        return figures.chart(figure, alt, pages.table(["learning rate", "loss"], rows))


def find(
    network: Trainable,
    settings: Settings,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    groups: Sequence[dict[str, Any]] | None = None,
    start: str | None = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
) -> RateCurve:
    """Look for a good learning rate, and leave the network and all chance as they were.

    Paper: Smith, "Cyclical Learning Rates for Training Neural Networks", https://arxiv.org/abs/1506.01186.

    Args:
        network: What is to be trained, in training mode; what is frozen stays frozen.
        settings: Of these the optimiser, the loss, weight decay and clipping are used.
        batches: (inputs, targets), used over and over.
        groups: As for `optimisers.build`; their rates grow in proportion, and the largest is what the curve
            shows. Defaults to None: everything that is trained, at one rate.
        start: The first block that runs on the inputs. Defaults to None, from pixels.
        lowest: The first rate, float. Defaults to 1e-6.
        highest: The last, float. Defaults to 1.
        steps: How many steps there are at most, int. Defaults to 100.

    Returns:
        The RateCurve; it ends where the loss had risen to four times its lowest value.

    Raises:
        OptionError: There are no batches, rates or steps outside their range, or the loss is not a finite
            number from the first step on.

    Example:
        >>> class Line(nn.Linear):
        ...     def forward(self, x, start=None):
        ...         return super().forward(x)
        >>> x = torch.linspace(-1, 1, 16)[:, None]
        >>> curve = find(Line(1, 1), Settings(loss="mse"), [(x, 3 * x)])
        >>> 1e-4 < curve.suggestion < 1
        True
    """
    if not 0 < lowest < highest or steps < 2:
        fix = "such as from 1e-6 to 1 in 100 steps"
        raise OptionError("two rates, rising, and 2 steps at least", f"{lowest} to {highest}, {steps}", fix)
    module = cast(nn.Module, network)
    if groups is None:
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        groups = [{"params": trained, "lr": 1.0, "name": "all"}]
    top = max(group["lr"] for group in groups)
    criterion = losses.loss(settings)
    rates: list[float] = []
    smoothed: list[float] = []
    running = 0.0
    with _put_back(module):
        optimiser = optimisers.build(settings, groups)
        parts = [group["lr"] / top for group in optimiser.param_groups]
        for step, (x, targets) in enumerate(itertools.islice(itertools.cycle(batches), steps)):
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            for group, part in zip(optimiser.param_groups, parts, strict=True):
                group["lr"] = rate * part
            optimiser.zero_grad()
            loss = criterion(network(x, start), targets)
            # The mean of what was seen so far, recent values counting more (Adam's correction at the start).
            running = _SMOOTHING * running + (1 - _SMOOTHING) * loss.item()
            value = running / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(value) or (smoothed and value > _BLOWN_UP * min(smoothed)):
                break
            rates.append(rate)
            smoothed.append(value)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip:
                torch.nn.utils.clip_grad_norm_(
                    [p for group in groups for p in group["params"]], settings.clip
                )
            optimiser.step()
    if not rates:
        fix = "give batches, and look whether inputs and targets are finite numbers"
        raise OptionError("batches with a finite loss", "none", fix)
    best = rates[smoothed.index(min(smoothed))]
    return RateCurve(tuple(rates), tuple(smoothed), max(lowest, best / 10))


@contextlib.contextmanager
def _put_back(module: nn.Module) -> Iterator[None]:
    """Give a module its weights, statistics and gradients back, and torch its random numbers."""
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        module.load_state_dict(kept)
        for parameter, gradient in gradients:
            parameter.grad = gradient
