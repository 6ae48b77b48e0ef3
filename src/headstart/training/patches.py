"""Sounds for the training loop: decoded once, another patch of each in every epoch, distorted anew."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.audio.augment import LONGEST, augment, count
from headstart.audio.augmentation import NONE, AudioAugmentation
from headstart.audio.decode import Wave, decode, read_bytes
from headstart.backbones.card import Waves
from headstart.data.items import Item
from headstart.errors import DecodeError, OptionError

PLAIN = 10
"""So many patches of a sound are heard at most when training is checked, their logits averaged. The model
that is kept answers from all of them."""
MEMORY = 1 << 30
"""Bytes of decoded sounds that are kept; what is more is decoded again whenever it is wanted."""


class Clips:
    """The sounds of a data set as waves, each decoded when it is first wanted and then kept.

    Args:
        items: The sounds.
        spec: What the network hears.
        memory: Most bytes to keep, int. Defaults to 1 GiB.

    Example:
        >>> import io, soundfile
        >>> soundfile.write(file := io.BytesIO(), np.zeros(8000), 8000, format="WAV")
        >>> clips = Clips([Item("silence", file.getvalue())], Waves())
        >>> len(clips[0]), clips.most(np.array([0]))
        (16000, 2)
    """

    def __init__(self, items: Sequence[Item], spec: Waves, *, memory: int = MEMORY) -> None:
        self.spec = spec
        self._items, self._left = items, memory
        self._waves: dict[int, Wave] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: int) -> Wave:
        """Return a sound, float32 [samples] at `spec.rate`.

        Raises:
            DecodeError: It cannot be read; the message names the item.
        """
        found = self._waves.get(position)
        return self._decoded(position) if found is None else found

    def most(self, positions: NDArray[np.int64]) -> int:
        """Return how many patches the longest of some sounds has, int."""
        return max((count(len(self[position]), self.spec) for position in positions.tolist()), default=1)

    def _decoded(self, position: int) -> Wave:
        item = self._items[position]
        try:
            wave = decode(read_bytes(item.source), self.spec.rate, LONGEST).wave
        except DecodeError as error:
            expected = f"{error.expected} in the item '{item.name}'"
            raise DecodeError(expected, error.received, error.fix) from error
        with self._lock:
            if position not in self._waves and wave.nbytes <= self._left:
                self._waves[position], self._left = wave, self._left - wave.nbytes
        return wave


class PatchInputs:
    """Sounds as the network hears them (`training.inputs.Inputs`): in each epoch another patch of each.

    A patch depends on the seed, the epoch and the sound alone, not on the batch.

    Args:
        clips: The sounds.
        augmentation: What may happen to them. Defaults to None: nothing, patches are as the model hears them.
        seed: Of everything random, int, 0 or more. Defaults to 0.
        plain: Patches of each sound in the plain view, int. Defaults to `PLAIN`.

    Raises:
        OptionError: The seed is negative.

    Example:
        >>> import io, soundfile
        >>> soundfile.write(file := io.BytesIO(), np.zeros(8000), 8000, format="WAV")
        >>> inputs = PatchInputs(Clips([Item("silence", file.getvalue())], Waves()), plain=2)
        >>> inputs.batch(np.array([0]), epoch=3).shape, inputs.batch(np.array([0]), None).shape
        (torch.Size([1, 96, 64]), torch.Size([2, 96, 64]))
    """

    start: str | None = None

    def __init__(
        self, clips: Clips, augmentation: AudioAugmentation | None = None, seed: int = 0, plain: int = PLAIN
    ) -> None:
        if seed < 0:
            raise OptionError("a seed of 0 or more", str(seed), "use another seed")
        self._clips, self._augmentation = clips, augmentation or NONE
        self._seed, self._plain = seed, plain

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        """Return one batch.

        Args:
            items: Positions in the data set, int64 [n].
            epoch: Which of the random views is wanted, int. None asks for the plain view: `plain` undistorted
                patches of each, one after the other.

        Returns:
            Log-mel patches, float32 [n, size, bands] or [n · plain, size, bands].

        Raises:
            DecodeError: A sound cannot be read; the message names the item.
        """
        augmentation = NONE if epoch is None else self._augmentation
        numbers = range(self._plain) if epoch is None else (epoch,)
        rows = [
            augment(self._clips[n], self._clips.spec, augmentation, (self._seed, number, n))
            for n in items.tolist()
            for number in numbers
        ]
        return torch.from_numpy(np.stack(rows))
