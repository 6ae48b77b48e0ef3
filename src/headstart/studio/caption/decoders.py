"""Networks that write a caption word by word, looking at a photograph's features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from headstart.studio.caption.vocabulary import PAD

State = tuple[Tensor, ...]
_TOGETHER = 16


class Decoder(nn.Module):
    """What writes captions: it begins with what is seen, and then says word after word."""

    words: nn.Embedding
    """Vectors of the words: they are read by them, and written by them."""
    settings: dict[str, Any]
    """What it was built with, beside the sizes of vocabulary and grid."""

    def begin(self, grid: Tensor) -> State:
        """Return what it knows before the first word.

        Args:
            grid: Features of places of each photograph, float [n, cells, channels].

        Returns:
            Tensors [n, …], one row a photograph.
        """
        raise NotImplementedError

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """Say how probable each next word is.

        Args:
            state: From `begin` or the step before.
            words: The word before, int64 [n].

        Returns:
            Log-probabilities [n, vocabulary]; where it looked, shares [n, cells], or None where it does not
            attend; and the new state.
        """
        raise NotImplementedError

    def forward(
        self, grid: Tensor, owner: Tensor, words: Tensor, told: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Return what it says after each word of given captions, for training.

        Args:
            grid: float [photographs, cells, channels].
            owner: To which photograph each caption belongs, int64 [n].
            words: int64 [n, length], from <start> on, filled up with <pad>; long captions first.
            told: Share of the words that it is told, float; for the others it hears what itself thought most
                probable (scheduled teacher forcing). Defaults to 1.

        Returns:
            Log-probabilities [words in all, vocabulary], of all first words, then of all second ones and so
            on, and how much it looked at each place in the course of each caption, [n, cells], or None.
        """
        raise NotImplementedError


class AttentionDecoder(Decoder):
    """An LSTM that looks at a part of the photograph for each word.

    Soft attention with a gate, a deep output layer, and one matrix that both reads and writes words.

    Args:
        vocabulary: Words, int.
        channels: Of the grid, int.
        width: Of the LSTM, int. Defaults to 512.
        embedding: Numbers in a word's vector, int. Defaults to 300.
        seen: Numbers in what is kept of a place, int. Defaults to 512.
        keys: Numbers that places and questions are compared in, int. Defaults to 256.
        drop: Share of numbers that are left out in training, float. Defaults to 0.5.

    References:
        Xu et al., "Show, attend and tell: Neural image caption generation with visual attention", ICML 2015.
        Press and Wolf, "Using the output embedding to improve language models", EACL 2017.
    """

    def __init__(
        self,
        vocabulary: int,
        channels: int,
        *,
        width: int = 512,
        embedding: int = 300,
        seen: int = 512,
        keys: int = 256,
        drop: float = 0.5,
    ) -> None:
        super().__init__()
        self.settings = {"width": width, "embedding": embedding, "seen": seen, "keys": keys, "drop": drop}
        self.drop = drop
        self.place = nn.Sequential(nn.Linear(channels, seen), nn.LayerNorm(seen), nn.ReLU())
        self.words = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.hidden, self.cell = nn.Linear(seen, width), nn.Linear(seen, width)
        self.key, self.query = nn.Linear(seen, keys, bias=False), nn.Linear(width, keys)
        self.score = nn.Linear(keys, 1, bias=False)
        self.gate = nn.Linear(width, seen)
        self.lstm = nn.LSTMCell(embedding + seen, width)
        self.spoken = nn.Linear(width + seen, embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def begin(self, grid: Tensor) -> State:
        """Return (hidden, cell, places, their keys)."""
        places = dropout(self.place(grid), self.drop / 2, self.training)
        mean = places.mean(1)
        return torch.tanh(self.hidden(mean)), torch.tanh(self.cell(mean)), places, self.key(places)

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """Look, remember and say the next word."""
        spoken, attention, state = self._look(state, self._heard(words))
        return self._said(spoken), attention, state

    def forward(
        self, grid: Tensor, owner: Tensor, words: Tensor, told: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Return log-probabilities and attention for each word of given captions."""
        state = tuple(tensor[owner] for tensor in self.begin(grid))  # what is seen is shared by its captions
        heard = self._heard(words.T).unbind()
        said, spoken = state[0], list[Tensor]()
        looked = state[2].new_zeros(state[2].shape[:2])
        for place, count in enumerate((words != PAD).sum(0).tolist()):
            rows = -(-count // _TOGETHER) * _TOGETHER  # captions that have ended drop out, some at a time
            if rows < len(state[0]):
                state = tuple(tensor[:rows] for tensor in state)
            word = heard[place][:rows]
            if told < 1 and spoken:
                with torch.no_grad():
                    guess = self._said(said[:rows]).argmax(1)
                word = torch.where(torch.rand(len(word), 1) < told, word, self._heard(guess))
            said, look, state = self._look(state, word)
            spoken.append(said[:count])
            there = (torch.arange(len(look)) < count)[:, None]
            looked = looked + nn.functional.pad(look * there, (0, 0, 0, len(words) - len(look)))
        return self._said(torch.cat(spoken)), looked

    def _heard(self, words: Tensor) -> Tensor:
        return dropout(self.words(words), self.drop, self.training)

    def _look(self, state: State, heard: Tensor) -> tuple[Tensor, Tensor, State]:
        hidden, cell, places, keys = state
        scores = self.score(torch.tanh(keys + self.query(hidden)[:, None]))[..., 0]
        attention = torch.softmax(scores, 1)
        context = torch.bmm(attention[:, None], places)[:, 0] * torch.sigmoid(self.gate(hidden))
        hidden, cell = self.lstm(torch.cat([heard, context], 1), (hidden, cell))
        return torch.cat([hidden, context], 1), attention, (hidden, cell, places, keys)

    def _said(self, both: Tensor) -> Tensor:
        spoken = torch.tanh(self.spoken(dropout(both, self.drop, self.training)))
        spoken = dropout(spoken, self.drop / 2, self.training)
        return torch.log_softmax(spoken @ self.words.weight.T + self.bias, -1)


class MergeDecoder(Decoder):
    """The classic: an LSTM reads the words, a dense layer the photograph, and a softmax both together.

    Args:
        vocabulary: Words, int.
        channels: Of the grid, int; its mean is what is seen.
        width: Of both, int. Defaults to 384.
        embedding: Numbers in a word's vector, int. Defaults to 256.
        drop: Share of numbers that are left out in training, float. Defaults to 0.3.

    References:
        Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator", 2018.
    """

    def __init__(
        self, vocabulary: int, channels: int, *, width: int = 384, embedding: int = 256, drop: float = 0.3
    ) -> None:
        super().__init__()
        self.settings = {"width": width, "embedding": embedding, "drop": drop}
        self.drop = drop
        self.photograph = nn.Linear(channels, width)
        self.words = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.lstm = nn.LSTM(embedding, width, batch_first=True)
        self.both = nn.Linear(width, embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def begin(self, grid: Tensor) -> State:
        """Return (hidden, cell, what is seen)."""
        pooled = dropout(grid.mean(1), self.drop, self.training)
        seen = torch.relu(self.photograph(pooled))
        empty = seen.new_zeros(len(grid), self.lstm.hidden_size)
        return empty, empty, seen

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """Read one word more and say the next."""
        hidden, cell, seen = state
        read, (hidden, cell) = self.lstm(self._heard(words)[:, None], (hidden[None], cell[None]))
        return self._said(read[:, 0], seen), None, (hidden[0], cell[0], seen)

    def forward(
        self, grid: Tensor, owner: Tensor, words: Tensor, told: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Return log-probabilities for each word of given captions; it is always told all of them."""
        del told
        *_, seen = self.begin(grid)
        read, _ = self.lstm(self._heard(words))
        both = seen[owner][:, None].expand(-1, words.shape[1], -1)
        there = (words != PAD).T
        return self._said(read.transpose(0, 1)[there], both.transpose(0, 1)[there]), None

    def _heard(self, words: Tensor) -> Tensor:
        return dropout(self.words(words), self.drop, self.training)

    def _said(self, read: Tensor, seen: Tensor) -> Tensor:
        both = dropout(read, self.drop, self.training) + dropout(seen, self.drop, self.training)
        spoken = dropout(torch.relu(self.both(both)), self.drop / 2, self.training)
        return torch.log_softmax(spoken @ self.words.weight.T + self.bias, -1)


class Ensemble(Decoder):
    """Several decoders that agree on each word: the mean of their probabilities.

    Args:
        members: Decoders of one vocabulary.
    """

    def __init__(self, members: Sequence[Decoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._sizes: list[int] = []

    def begin(self, grid: Tensor) -> State:
        """Return the states of all members, one behind the other."""
        states = [member.begin(grid) for member in self._each()]
        self._sizes = [len(state) for state in states]
        return tuple(tensor for state in states for tensor in state)

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """Ask every member; where they look is the mean of those that look."""
        said, looks, states, first = [], list[Tensor](), list[Tensor](), 0
        for member, size in zip(self._each(), self._sizes, strict=True):
            log_probabilities, attention, after = member.step(state[first : first + size], words)
            said.append(log_probabilities)
            looks += [] if attention is None else [attention]
            states += after
            first += size
        mean = torch.logsumexp(torch.stack(said), 0) - math.log(len(said))
        return mean, torch.stack(looks).mean(0) if looks else None, tuple(states)

    def _each(self) -> list[Decoder]:
        return list(self.members)  # type: ignore[arg-type]


class Guided(Decoder):
    """A decoder that prefers what this photograph makes probable to what is probable anyway.

    Beside each photograph it is shown an average one, and what it says of that is taken back in part: "a man
    in a shirt" is always probable, and therefore says little. Captions become more varied, and better.

    Args:
        decoder: What speaks.
        average: What is seen of an average photograph, float [cells, channels].
        strength: Share of the average photograph's log-probabilities that is taken back, float, 0 or more.

    References:
        Li et al., "A diversity-promoting objective function for neural conversation models", NAACL 2016.
    """

    def __init__(self, decoder: Decoder, average: Tensor, strength: float) -> None:
        super().__init__()
        self.decoder, self.average, self.strength = decoder, average, strength

    def begin(self, grid: Tensor) -> State:
        """Return the state of the photograph, and behind it that of the average one."""
        blank = self.decoder.begin(self.average[None])
        return (*self.decoder.begin(grid), *(part.expand(len(grid), *part.shape[1:]) for part in blank))

    def step(self, state: State, words: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """Say how probable each next word is, given the photograph rather than anyhow."""
        half = len(state) // 2
        said, looked, after = self.decoder.step(state[:half], words)
        anyhow, _, without = self.decoder.step(state[half:], words)
        return torch.log_softmax(said - self.strength * anyhow, 1), looked, (*after, *without)


def together(members: Sequence[Decoder]) -> Decoder:
    """Return several decoders as one."""
    return members[0] if len(members) == 1 else Ensemble(members)


KINDS: dict[str, type[Decoder]] = {"attention": AttentionDecoder, "merge": MergeDecoder}


def build(kind: str, vocabulary: int, channels: int, settings: dict[str, Any]) -> Decoder:
    """Return an untrained decoder of a kind, "attention" or "merge"."""
    return KINDS[kind](vocabulary, channels, **settings)
