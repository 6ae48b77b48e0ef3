"""Texts for the training loop: tokenised once, another passage of each in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.card import Tokens
from headstart.data.items import Item
from headstart.errors import DecodeError, OptionError
from headstart.modalities import modality
from headstart.text.passages import drawn, together
from headstart.text.tokens import Ids

PLAIN = 4
"""So many passages of a text are looked at when training is checked, their logits averaged. The model that is
kept answers from all of them."""


class Passages:
    """The texts of a data set as passages of token numbers, each read when it is first wanted and then kept.

    Args:
        items: The texts.
        spec: What the network wants.

    Example:
        >>> passages = Passages([Item("short", "A good film.")], spec)  # doctest: +SKIP
        >>> passages.most(np.array([0]))  # doctest: +SKIP
        1
    """

    def __init__(self, items: Sequence[Item], spec: Tokens) -> None:
        self.spec = spec
        self._items = items
        self._rows: dict[int, Sequence[Ids]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: int) -> Sequence[Ids]:
        """Return the passages of a text, int32 [tokens] each, filled up to a multiple of 16.

        Raises:
            DecodeError: It cannot be read; the message names the item.
        """
        if position not in self._rows:
            item = self._items[position]
            try:
                self._rows[position] = modality("text").inputs(item.source, self.spec)
            except DecodeError as error:
                expected = f"{error.expected} in the item '{item.name}'"
                raise DecodeError(expected, error.received, error.fix) from error
        return self._rows[position]

    def most(self, positions: NDArray[np.int64]) -> int:
        """Return how many passages the longest of some texts has, int."""
        return max((len(self[position]) for position in positions.tolist()), default=1)


class TokenInputs:
    """Texts as the network sees them (`training.inputs.Inputs`): in each epoch another passage of each.

    Which passage depends on the seed, the epoch and the text alone, not on the batch.

    Args:
        passages: The texts.
        seed: Of everything random, int, 0 or more. Defaults to 0.
        plain: Passages of each text in the plain view, int. Defaults to `PLAIN`.

    Raises:
        OptionError: The seed is negative.
    """

    start: str | None = None

    def __init__(self, passages: Passages, seed: int = 0, plain: int = PLAIN) -> None:
        if seed < 0:
            raise OptionError("a seed of 0 or more", str(seed), "use another seed")
        self._passages, self._seed, self._plain = passages, seed, plain

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        """Return one batch.

        Args:
            items: Positions in the data set, int64 [n].
            epoch: Which passage of each is wanted, int. None asks for the plain view: `plain` passages of
                each, one after the other.

        Returns:
            Token numbers, int32 [n, tokens] or [n · plain, tokens], filled up to the longest passage.

        Raises:
            DecodeError: A text cannot be read; the message names the item.
        """
        numbers = range(self._plain) if epoch is None else (epoch,)
        rows = [drawn(self._passages[n], self._seed, number) for n in items.tolist() for number in numbers]
        return torch.from_numpy(together(rows, self._passages.spec.pad))
