"""A running average of the weights, which often does better than the last of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from headstart.errors import OptionError

_COUNT = "updates"


class Average:
    """Exponential moving average of what is trained.

    The decay starts low, (1 + n) / (10 + n) after n updates, so that the average is not stuck at the first
    weights. Paper: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.

    Args:
        tensors: The live tensors by name; they are read at every update.
        decay: What the average keeps of itself in an update, float in [0, 1).

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> average = Average.of(layer, decay=0.9)
        >>> _ = layer.weight.data.fill_(3.0)
        >>> average.update()
        >>> with average.applied():
        ...     during = layer.weight.item()
        >>> layer.weight.item(), average.updates
        (3.0, 1)
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        self._live = {name: tensor.detach() for name, tensor in tensors.items()}
        self._kept = {name: tensor.clone() for name, tensor in self._live.items()}
        self.decay = decay
        self.updates = 0

    @classmethod
    def of(cls, network: nn.Module, decay: float) -> Self:
        """Average the parameters that are trained, and the statistics of norms in training mode."""
        tensors: dict[str, Tensor] = {n: p for n, p in network.named_parameters() if p.requires_grad}
        for prefix, part in network.named_modules():
            if part.training:
                buffers = part.named_buffers(prefix, recurse=False)
                tensors |= {name: buffer for name, buffer in buffers if buffer.is_floating_point()}
        return cls(tensors, decay)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the live values, after a step of the optimiser."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self._kept.values()), list(self._live.values()), 1 - decay)
        self.updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the place of the live values while the block runs."""
        with torch.no_grad():
            mine = {name: tensor.clone() for name, tensor in self._live.items()}
            self._write(self._kept)
        try:
            yield
        finally:
            with torch.no_grad():
                self._write(mine)

    def state(self) -> dict[str, Tensor]:
        """Return the average and the number of updates, tensors by name, to be stored."""
        return {**{f"average.{n}": t for n, t in self._kept.items()}, _COUNT: torch.tensor(self.updates)}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned.

        Raises:
            OptionError: It is the average of other tensors.
        """
        wanted = {f"average.{name}": name for name in self._kept} | {_COUNT: _COUNT}
        if state.keys() != wanted.keys():
            other = sorted(state.keys() ^ wanted.keys())[0]
            raise OptionError("the average of the same weights", f"a difference in {other!r}", "start anew")
        for key, name in wanted.items():
            if name != _COUNT:
                self._kept[name].copy_(state[key])
        self.updates = int(state[_COUNT])

    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(values[name])
