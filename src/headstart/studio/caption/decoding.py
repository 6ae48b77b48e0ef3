"""From what a decoder says, word by word, to captions: greedy, by beam search, or drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.errors import OptionError
from headstart.studio.caption.vocabulary import END, PAD, START, UNKNOWN

if TYPE_CHECKING:
    from headstart.studio.caption.decoders import Decoder, State

_PIECE = 64
"""Photographs at a time: what a decoder keeps of each is large."""
_WIDEST = 100
"""Memory grows with the width, and captions get no better."""
_NEVER = (PAD, START, UNKNOWN)
_NOT = -math.inf


@dataclass(frozen=True, eq=False)
class Decoded:
    """One caption, as numbers.

    Args:
        words: Without <start> and <end>, tuple of int.
        log_probabilities: Natural logarithms, one for each word and one more for <end>, tuple of float.
        attention: Where the decoder looked for each word, float32 [words, cells], or None where it does not
            attend.
    """

    words: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    attention: NDArray[np.float32] | None

    @property
    def log_probability(self) -> float:
        """Of the whole caption with its end, float: the sum."""
        return math.fsum(self.log_probabilities)


@torch.inference_mode()
def greedy(
    decoder: Decoder, grid: Tensor, *, longest: int = 20, no_repeat: int = 2, once: Collection[int] = ()
) -> list[Decoded]:
    """Write captions, always with the most probable next word.

    Args:
        decoder: What says how probable each next word is, in evaluation mode.
        grid: Features of each photograph, float [n, cells, channels].
        longest: Most words of a caption, int. Defaults to 20.
        no_repeat: So many words in a row never come twice in a caption, int; 0 lets everything come again.
            Defaults to 2.
        once: Words that come at most once in a caption, as numbers. Defaults to none.

    Returns:
        A caption for each photograph; none is empty, and none holds <unk>.

    Raises:
        OptionError: A number outside its range.
    """
    rules = _Rules(longest, no_repeat, once)
    return [
        caption
        for piece in torch.split(grid, _PIECE)
        for caption in _walk(decoder, piece, rules, lambda allowed, _rows, _step: allowed.argmax(1))
    ]


@torch.inference_mode()
def sample(
    decoder: Decoder,
    grid: Tensor,
    *,
    top_p: float = 0.9,
    temperature: float = 1.0,
    seed: int = 0,
    longest: int = 20,
    no_repeat: int = 2,
    once: Collection[int] = (),
) -> list[Decoded]:
    """Write captions with words drawn at random from the most probable ones.

    Args:
        decoder: What says how probable each next word is, in evaluation mode.
        grid: Features of each photograph, float [n, cells, channels].
        top_p: Drawn from are the fewest words that have this share of the probability together, float in
            (0, 1]. Defaults to 0.9.
        temperature: What log-probabilities are divided by before, float; above 1 is more daring. Defaults
            to 1.
        seed: int; the same one gives the same captions. Defaults to 0.
        longest, no_repeat, once: As for `greedy`.

    Returns:
        A caption for each photograph, with the decoder's own log-probabilities.

    Raises:
        OptionError: A number outside its range.

    References:
        Holtzman et al., "The curious case of neural text degeneration", ICLR 2020.
    """
    rules = _Rules(longest, no_repeat, once)
    if not 0 < top_p <= 1:
        raise OptionError("a share of probability in (0, 1]", f"{top_p}", "such as --top-p 0.9")
    if not 0 < temperature < math.inf:
        raise OptionError("a temperature above 0", f"{temperature}", "such as --temperature 1")
    draw = torch.Generator().manual_seed(seed)
    chances = torch.rand(len(grid), longest + 1, generator=draw).to(grid.device)
    found = []
    for piece, chance in zip(torch.split(grid, _PIECE), torch.split(chances, _PIECE), strict=True):
        found += _walk(decoder, piece, rules, _Nucleus(chance, top_p, temperature))
    return found


@torch.inference_mode()
def beam(
    decoder: Decoder,
    grid: Tensor,
    *,
    width: int = 5,
    length_power: float = 0.7,
    longest: int = 20,
    no_repeat: int = 2,
    once: Collection[int] = (),
) -> list[Decoded]:
    """Write captions, always following the most probable beginnings.

    All photographs and all beginnings go through the decoder together, and a photograph leaves as soon as its
    caption is settled: as many captions have ended as there are beginnings; or half as many, and
    no beginning would win by ending with the next word; or none can win at all.

    Args:
        decoder: What says how probable each next word is, in evaluation mode.
        grid: Features of each photograph, float [n, cells, channels].
        width: Beginnings of each caption that are followed, int; 1 is greedy. Defaults to 5.
        length_power: Captions compete by log-probability / length ** length_power, where <end> counts for the
            length, float, at least 0; the higher, the longer they get. Defaults to 0.7.
        longest, no_repeat, once: As for `greedy`.

    Returns:
        The best caption found for each photograph.

    Raises:
        OptionError: A number outside its range.

    References:
        Wu et al., "Google's neural machine translation system", 2016, for the length normalisation.
    """
    rules = _Rules(longest, no_repeat, once)
    if not 1 <= width <= _WIDEST:
        raise OptionError(f"a beam from 1 to {_WIDEST} wide", f"{width}", "such as --beam 5")
    if not 0 <= length_power < math.inf:
        raise OptionError("a power of the length, 0 or more", f"{length_power}", "such as 0.7")
    found = []
    for piece in torch.split(grid, _PIECE):
        found += _search(decoder, piece, rules, width, length_power)
    return found


class _Rules:
    """What a caption must not say."""

    def __init__(self, longest: int, no_repeat: int, once: Collection[int]) -> None:
        if longest < 1:
            raise OptionError("captions of 1 word or more", f"{longest}", "such as longest=20")
        if no_repeat < 0:
            raise OptionError("0 or more words that must not come twice", f"{no_repeat}", "such as 2")
        self.longest, self._no_repeat = longest, no_repeat
        self._once = torch.tensor(sorted(once), dtype=torch.int64)

    def allowed(self, log_probabilities: Tensor, words: Tensor) -> Tensor:
        """Return log-probabilities [rows, vocabulary], with -inf for what must not follow words [rows, t]."""
        if words.shape[1] == self.longest:
            only = torch.full_like(log_probabilities, _NOT)
            only[:, END] = log_probabilities[:, END]
            return only
        never = (*_NEVER, END) if words.shape[1] == 0 else _NEVER
        allowed = log_probabilities.index_fill(1, torch.tensor(never, device=words.device), _NOT)
        for again in (self._ends_again(words), self._said_again(words, allowed.shape[1])):
            if again is not None:
                allowed.scatter_(1, again, _NOT)
        return allowed

    def _ends_again(self, words: Tensor) -> Tensor | None:
        """Return the words that would end so many words a second time, <pad> for none: int64 [rows, …]."""
        size = self._no_repeat
        if not 0 < size <= words.shape[1]:
            return None
        before = words.unfold(1, size, 1)
        again = (before[..., :-1] == words[:, None, words.shape[1] - size + 1 :]).all(2)
        return before[..., -1].where(again, PAD)

    def _said_again(self, words: Tensor, vocabulary: int) -> Tensor | None:
        """Return the words that were said and may be said once, <pad> for the others: int64 [rows, t]."""
        if not len(self._once):
            return None
        once = torch.zeros(vocabulary, dtype=torch.bool, device=words.device)
        once[self._once] = True
        return words.where(once[words], PAD)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Captions as far as they are written, a row each.

    Args:
        words: int64 [rows, t].
        logs: Log-probability of each word, float [rows, t].
        looks: In which row of the step's attention each word was written, int64 [rows, t].
    """

    words: Tensor
    logs: Tensor
    looks: Tensor

    @classmethod
    def blank(cls, rows: int, length: int, device: torch.device) -> _Lines:
        whole = torch.zeros(rows, length, dtype=torch.int64, device=device)
        return cls(whole, torch.zeros(rows, length, device=device), whole.clone())

    def then(self, rows: Tensor, words: Tensor, logs: Tensor) -> _Lines:
        """Go on from some rows, with a word [n] behind each."""
        columns = ((self.words, words), (self.logs, logs), (self.looks, rows))
        return _Lines(*(torch.cat([old[rows], new[:, None]], 1) for old, new in columns))

    def keep(self, rows: Tensor) -> _Lines:
        return _Lines(self.words[rows], self.logs[rows], self.looks[rows])


class _Kept:
    """The best caption of each photograph so far, and where the decoder looked."""

    def __init__(self, photographs: int, longest: int, device: torch.device) -> None:
        self.lines = _Lines.blank(photographs, longest + 1, device)
        self.looked: list[Tensor | None] = []

    def put(self, photographs: Tensor, lines: _Lines) -> None:
        """Keep whole captions, with <end> behind each, in place of what was kept."""
        length = lines.words.shape[1]
        self.lines.words[photographs, :length] = lines.words
        self.lines.logs[photographs, :length] = lines.logs
        self.lines.looks[photographs, :length] = lines.looks

    def decoded(self) -> list[Decoded]:
        """Return all of them."""
        lengths = (self.lines.words == END).int().argmax(1).tolist()
        words, logs = self.lines.words.tolist(), self.lines.logs.tolist()
        maps = self._maps()
        return [
            Decoded(
                tuple(words[row][:length]),
                tuple(logs[row][: length + 1]),
                None if maps is None else maps[row, :length],
            )
            for row, length in enumerate(lengths)
        ]

    def _maps(self) -> NDArray[np.float32] | None:
        looked = [look for look in self.looked if look is not None]
        if not looked:
            return None
        maps = [look[rows] for look, rows in zip(looked, self.lines.looks.T, strict=False)]
        return torch.stack(maps, 1).float().cpu().numpy()


class _Nucleus:
    """Draws from the fewest words that have a share of the probability together."""

    def __init__(self, chances: Tensor, top_p: float, temperature: float) -> None:
        self._chances, self._top_p, self._temperature = chances, top_p, temperature

    def __call__(self, allowed: Tensor, photographs: Tensor, step: int) -> Tensor:
        shares, words = torch.softmax(allowed / self._temperature, 1).sort(1, descending=True)
        sums = shares.cumsum(1)
        inside = ((sums - shares) < self._top_p).sum(1, keepdim=True)
        mass = sums.gather(1, inside - 1)
        place = (sums < self._chances[photographs, step, None] * mass).sum(1, keepdim=True)
        return words.gather(1, place.minimum(inside - 1))[:, 0]


_Choose = Callable[[Tensor, Tensor, int], Tensor]


def _walk(decoder: Decoder, grid: Tensor, rules: _Rules, choose: _Choose) -> list[Decoded]:
    """Write one caption a photograph: `choose` names its next word, from (allowed, photographs, step)."""
    device = grid.device
    photographs = torch.arange(len(grid), device=device)
    kept, lines = _Kept(len(grid), rules.longest, device), _Lines.blank(len(grid), 0, device)
    state, words = decoder.begin(grid), torch.full_like(photographs, START)
    for step in range(rules.longest + 1):
        said, looked, state = decoder.step(state, words)
        kept.looked.append(looked)
        words = choose(rules.allowed(said, lines.words), photographs, step)
        here = torch.arange(len(words), device=device)
        lines = lines.then(here, words, said[here, words])
        ended = words == END
        if not ended.any():
            continue
        kept.put(photographs[ended], lines.keep(ended))
        if ended.all():
            break
        open_ = here[~ended]
        photographs, words, lines = photographs[open_], words[open_], lines.keep(open_)
        state = tuple(tensor[open_] for tensor in state)
    return kept.decoded()


def _search(decoder: Decoder, grid: Tensor, rules: _Rules, width: int, power: float) -> list[Decoded]:
    """Follow the `width` most probable beginnings of each photograph's caption."""
    device = grid.device
    photographs = torch.arange(len(grid), device=device)
    kept, lines = _Kept(len(grid), rules.longest, device), _Lines.blank(len(grid), 0, device)
    best, ended = torch.full((len(grid),), _NOT, device=device), torch.zeros_like(photographs)
    state, words = decoder.begin(grid), torch.full_like(photographs, START)
    scores = torch.zeros(len(grid), 1, device=device)
    for step in range(rules.longest + 1):
        said, looked, after = decoder.step(state, words)
        kept.looked.append(looked)
        sums = scores.reshape(-1, 1) + rules.allowed(said, lines.words)
        found = _Candidates.of(sums, scores.shape[1], width)
        ends = found.ends(width)
        score, place = (found.scores.where(ends, _NOT) / (step + 1) ** power).max(1)
        better = score > best
        rows = found.rows.gather(1, place[:, None])[better, 0]
        finished = lines.then(rows, torch.full_like(rows, END), said[rows, END])
        kept.put(photographs[better], finished)
        best, ended = best.maximum(score), ended + ends.sum(1)
        found = found.going_on(width)
        # A log-probability only falls, and is at most divided by the greatest length: who cannot win then has
        # lost. Once some have ended, who could not win by ending next is not waited for: a tenth faster, and
        # as good on real captions.
        last = torch.where(2 * ended < width, rules.longest + 1, step + 2)
        open_ = (ended < width) & (found.scores[:, 0] / last**power > best)
        if not open_.any():
            break
        photographs, best, ended = photographs[open_], best[open_], ended[open_]
        same = bool(open_.all()) and found.scores.shape == scores.shape
        rows, words, scores = found.rows[open_].flatten(), found.words[open_].flatten(), found.scores[open_]
        lines = lines.then(rows, words, said[rows, words])
        state = _moved(state, after, rows, same)
    return kept.decoded()


@dataclass(frozen=True, eq=False)
class _Candidates:
    """The best ways to go on, for each photograph from the best down.

    Args:
        scores: Log-probability of all until then, float [photographs, n].
        rows: Which beginning it goes on from, int64 [photographs, n], among the rows of all photographs.
        words: With which word, int64 [photographs, n].
    """

    scores: Tensor
    rows: Tensor
    words: Tensor

    @classmethod
    def of(cls, sums: Tensor, beginnings: int, width: int) -> _Candidates:
        """Choose from sums [photographs · beginnings, vocabulary]: the best of each row, then of those."""
        size = min(width + 1, sums.shape[1])  # <end> and as many others as there may be beginnings
        each, words = (best.reshape(-1, beginnings * size) for best in sums.topk(size))
        scores, places = each.topk(min(2 * width, each.shape[1]))
        first = torch.arange(0, len(sums), beginnings, device=sums.device)
        return cls(scores, first[:, None] + places // size, words.gather(1, places))

    def ends(self, width: int) -> Tensor:
        """Tell which of the best ones are whole captions, bool [photographs, n]."""
        among = torch.arange(self.words.shape[1], device=self.words.device) < width
        return (self.words == END) & among & (self.scores > _NOT)

    def going_on(self, width: int) -> _Candidates:
        """Return the best that are not at their end, `width` of them."""
        open_ = self.scores.masked_fill(self.words == END, _NOT)
        scores, places = open_.topk(min(width, open_.shape[1]))
        return _Candidates(scores, self.rows.gather(1, places), self.words.gather(1, places))


def _moved(before: State, after: State, rows: Tensor, same: bool) -> State:
    """Return the state of the rows that are gone on from.

    What a step hands on as it came is the photograph's own and the same for all of its beginnings: while
    photographs and beginnings are the same ones, it need not be copied. It is the largest part.
    """
    return tuple(
        new if same and new is old else new.index_select(0, rows)
        for old, new in zip(before, after, strict=True)
    )
