"""The planner: from what was measured on the data to a plan, with a reason for every choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from headstart.errors import OptionError
from headstart.images.augmentation import LIGHT, STANDARD, Augmentation
from headstart.training.plan import HEAD, STRATEGIES, Phase, Plan, Settings, Strategy, minutes_in_words
from headstart.transfer.depths import Depth

if TYPE_CHECKING:
    from headstart.transfer.cost import Cost

# The thresholds: first values, from single runs on the calibrating regimes of benchmarks/planner.py and from
# judgement. The whole benchmark has not confirmed them yet.
SIMILAR = 0.04
"""Nats of `source_distances` in the first half of the blocks: photographs like ImageNet's are at 0.01 to
0.02, enlarged thumbnails and spectrograms at 0.09 and more."""
MISSING = 0.04
"""With fewer of the answers wrong than this, the frozen network's probe leaves nothing worth training for."""
ENOUGH_ITEMS = 300
"""Fewer training items teach the blocks of a network less than they make them forget."""
ENOUGH_EACH = 12
"""The same for the items of a class."""

# How networks are trained, AdamW with batches of 32.
RATE_LAST = 5e-4
"""Of the head and the last block. The head starts from the fitted probe, whose weights are small: Adam's
steps at 1e-3 and batch statistics drown them (measured on spectrograms: 0.52 right after 8 epochs, 0.80 for
the probe alone, 0.88 with this rate and stored statistics)."""
DECAY_SIMILAR, DECAY_DIFFERENT = 0.6, 0.9
RATE_SCRATCH = 2e-3
SEEN = 24_000
"""Item presentations that fine-tuning is worth, epochs × items, within `EPOCHS`."""
MOST_SEEN = 80_000
"""The same where the user has given the time for it."""
EPOCHS = (4, 20)
FEWEST_EPOCHS = 3
"""Where the time is short, fine-tuning with fewer is not begun."""
MIRRORED = 0.03
"""Where mirror images cost no more of a probe's answers than this, they mean the same."""
ENLARGED = 4
"""Pictures are not worth enlarging by more than this before a network is trained on them."""
SMALLEST_SIDE = 96
SPARE = 0.9
"""Share of the minutes that may be planned for: predictions err."""


@dataclass(frozen=True)
class Evidence:
    """What was measured on the data with a backbone.

    Args:
        backbone: Its name, str.
        blocks: All its blocks, in order.
        size: Side of the pictures that it was measured at, int, in pixels.
        items: Training items, int.
        classes: Number of classes, int.
        each: Training items of a class, the median over the classes, float.
        imbalance: Items of the largest class by those of the smallest, float.
        depths: Probes, in order; the last is the whole network.
        measured_on: Items that the depths were measured on, int.
        distances: Of each block, {name: nats}; empty where the network keeps no statistics.
        leep: Of the source classifier's answers, float. Defaults to None: it has no classifier.
        side: Short side of the pictures, the median, int, in pixels. Defaults to None (unknown).
        row_bytes: What a stored output of each block takes, {name: int}. Defaults to none known.
        val: Items that are set aside for validation, int. Defaults to 0.
        mirrored: How many more answers of a probe are wrong about mirror images, a share, float. Defaults to
            None (not measured).
    """

    backbone: str
    blocks: tuple[str, ...]
    size: int
    items: int
    classes: int
    each: float
    imbalance: float
    depths: Sequence[Depth]
    measured_on: int
    distances: dict[str, float]
    leep: float | None = None
    side: int | None = None
    row_bytes: dict[str, int] | None = None
    val: int = 0
    mirrored: float | None = None

    @property
    def best(self) -> Depth:
        """The depth at which the probe does best; of equals (within a standard error) the last."""
        top = max(self.depths, key=lambda depth: depth.accuracy)
        return [depth for depth in self.depths if depth.accuracy >= top.accuracy - top.error][-1]

    @property
    def distance(self) -> float | None:
        """How unlike the source the data look to the first half of the blocks, nats; None: not measurable."""
        early = self.blocks[: max(1, len(self.blocks) // 2)]
        known = [self.distances[name] for name in early if name in self.distances]
        return sum(known) / len(known) if known else None

    @property
    def similar(self) -> bool:
        """Whether the data are like what the network knows."""
        if self.distance is not None:
            return self.distance < SIMILAR
        return self.best is self.depths[-1]

    @property
    def large(self) -> bool:
        """Whether there are enough items to train blocks with."""
        return self.items >= ENOUGH_ITEMS and self.each >= ENOUGH_EACH

    @property
    def missing(self) -> float:
        """Share of wrong answers of the best probe."""
        return 1 - max(depth.accuracy for depth in self.depths)

    def to_json(self) -> dict[str, Any]:
        """Return what was measured as a JSON object."""
        return {
            "items": self.items,
            "classes": self.classes,
            "items_per_class": self.each,
            "measured_on": self.measured_on,
            "measured_at": self.size,
            "depths": [depth.to_json() for depth in self.depths],
            "distance": None if self.distance is None else round(self.distance, 4),
            "similar": self.similar,
            "large": self.large,
            "leep": None if self.leep is None else round(self.leep, 4),
            "picture_side": self.side,
            "lost_when_mirrored": None if self.mirrored is None else round(self.mirrored, 4),
        }


def plan(
    evidence: Evidence,
    cost: Cost,
    *,
    minutes: float | None = None,
    strategy: Strategy | None = None,
    seed: int = 0,
    disk: int = 4 * 2**30,
) -> Plan:
    """Choose how much of a network to keep, and how the rest is trained.

    Args:
        evidence: What was measured.
        cost: What things take on this machine.
        minutes: All the time there is, float. Defaults to None: as much as it takes.
        strategy: Take this one. Defaults to None: the rule's.
        seed: Of everything random, int. Defaults to 0.
        disk: Bytes that stored outputs of frozen blocks may take, int. Defaults to 4 GiB.

    Returns:
        The plan; `evidence["reasons"]` says why, in sentences.

    Raises:
        OptionError: An unknown strategy, or no time at all.

    References:
        Yosinski et al., "How transferable are features in deep neural networks?", NIPS 2014; Howard and
        Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018 (discriminative
        learning rates, the head first).
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise OptionError(f"a strategy: {', '.join(STRATEGIES)}", repr(strategy), "name one of them")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise OptionError("more than 0 minutes", repr(minutes), "give some time, or leave it out")
    wanted, reasons = _wanted(evidence)
    if strategy is not None:
        reasons.append(f"The strategy {strategy} was asked for; the evidence says {wanted[0]}.")
        wanted = [strategy]
    room = None if minutes is None else SPARE * minutes
    refused = []
    for candidate in wanted:
        found = _within(candidate, evidence, cost, room, seed, disk)
        if found is not None:
            break
        refused.append(candidate)
    else:  # nothing else was wanted, or even that does not fit: the frozen network is all there is time for
        fallback = wanted[-1] if strategy is not None else "freeze-all"
        found = _made(fallback, evidence, _sizes(fallback, evidence)[-1], FEWEST_EPOCHS, seed, disk)
        refused = [name for name in refused if name != fallback]
        found[1].append("Even this is expected to take longer than there is time; nothing takes less.")
    reasons += [f"There is no time for {name} in {minutes_in_words(minutes or 0)}." for name in refused]
    made, more = found
    said = {**evidence.to_json(), "reasons": reasons + more, "cost_ms": cost.to_json()}
    return made.replace(evidence=said, minutes=round(cost.minutes(made, evidence.items, evidence.val), 2))


def _wanted(evidence: Evidence) -> tuple[list[Strategy], list[str]]:
    """Return the strategies in the order in which they are wanted, and why."""
    last = evidence.depths[-1]
    reasons = [_about_size(evidence), _about_likeness(evidence)]
    frozen: Strategy = "freeze-all"
    if evidence.best is not last:
        frozen = "cut-early"
        reasons.append(
            f"A linear probe does better on the features of block {evidence.best.block} than on those of the "
            f"last block, {last.block}: {evidence.best.accuracy:.1%} against {last.accuracy:.1%} right."
        )
    if evidence.missing < MISSING:
        reasons.append(
            f"A linear probe on the frozen network already answers {1 - evidence.missing:.1%} right: "
            "there is hardly anything left to gain by training."
        )
        return [frozen], reasons
    if not evidence.large:
        reasons.append("With so few items training would rather make the network forget: it stays as it is.")
        return [frozen], reasons
    reasons.append(
        f"A linear probe on the frozen network gets {evidence.missing:.1%} wrong, and there are enough "
        "items to do better by training."
    )
    if evidence.similar:
        return ["fine-tune-late", frozen], reasons
    return ["fine-tune-all", "fine-tune-late", frozen], reasons


def _about_size(evidence: Evidence) -> str:
    size = "enough" if evidence.large else "few"
    return (
        f"{evidence.items:,} items to learn from, {evidence.each:g} of a class: {size} "
        f"(enough is {ENOUGH_ITEMS} and {ENOUGH_EACH})."
    )


def _about_likeness(evidence: Evidence) -> str:
    if evidence.distance is None:
        where = "last" if evidence.similar else "middle"
        return (
            "The network keeps no statistics of its training data; its features are worth most in the "
            f"{where} blocks, so the data are taken to be {'like' if evidence.similar else 'unlike'} them."
        )
    return (
        f"To its early blocks the data look {'like' if evidence.similar else 'unlike'} what the network was "
        f"trained on: {evidence.distance:.3f} nats (alike is below {SIMILAR})."
    )


_Made = tuple[Plan, list[str]]


def _within(
    strategy: Strategy, evidence: Evidence, cost: Cost, minutes: float | None, seed: int, disk: int
) -> _Made | None:
    """Return the strategy's largest plan that is expected to end in time: first fewer epochs, then pixels."""
    most = _epochs(evidence.items, hurry=minutes is None)
    for size in _sizes(strategy, evidence):
        for epochs in range(most, min(FEWEST_EPOCHS, most) - 1, -1):
            made = _made(strategy, evidence, size, epochs, seed, disk)
            if minutes is None or cost.minutes(made[0], evidence.items, evidence.val) <= minutes:
                if epochs < most or size < _sizes(strategy, evidence)[0]:
                    made[1].append(
                        f"To end in time it is {epochs} epochs at {size} pixels; "
                        f"{most} at {_sizes(strategy, evidence)[0]} were better."
                    )
                return made
            if not made[0].phases:
                return None
    return None


def _epochs(items: int, hurry: bool = True) -> int:
    """Return how many epochs are worth while; time that somebody gives is used, without any fewer do."""
    low, high = EPOCHS
    seen = SEEN if hurry else MOST_SEEN
    return max(low, min(high, round(seen / max(1, items))))


def _sizes(strategy: Strategy, evidence: Evidence) -> list[int]:
    """Return the sizes to consider, the best first. Cached features are cheap at the network's own size."""
    if strategy in ("freeze-all", "cut-early"):
        return [evidence.size]
    largest = evidence.size
    if evidence.side is not None:
        largest = min(largest, max(SMALLEST_SIDE, _whole(ENLARGED * evidence.side)))
    smaller = [_whole(largest * share) for share in (0.8, 0.6, 0.5)]
    return [largest, *dict.fromkeys(side for side in smaller if SMALLEST_SIDE <= side < largest)]


def _whole(side: float) -> int:
    """Return a side that a network of stride 32 divides without a rest."""
    return max(32, int(side / 32) * 32)


def _made(strategy: Strategy, evidence: Evidence, size: int, epochs: int, seed: int, disk: int) -> _Made:
    """Return a strategy's plan and why it is what it is."""
    cut = evidence.blocks[-1]
    # So few batches teach batch norms no better statistics than those that they have.
    weight: Literal["balanced"] | None = "balanced" if evidence.imbalance > 3 else None
    settings = Settings(statistics="stored", class_weight=weight)
    if strategy == "cut-early":
        early = [depth for depth in evidence.depths if depth.block != cut] or list(evidence.depths)
        top = max(early, key=lambda depth: depth.accuracy)
        cut = top.block
        made = Plan(strategy, evidence.backbone, cut, size, seed=seed)
        return made, [f"The features leave from block {cut}, where the probe does best: {top.accuracy:.1%}."]
    if strategy == "freeze-all":
        return Plan(strategy, evidence.backbone, cut, size, seed=seed), []
    augment, why_so = _augmentation(evidence)
    if strategy == "scratch":
        rates = dict.fromkeys((*evidence.blocks, HEAD), RATE_SCRATCH)
        phases = (Phase("all", 2 * epochs, rates, augment),)
        reasons = ["Every weight starts from random numbers: twice the epochs, one learning rate for all."]
        settings = replace(settings, statistics="batch", initialisation="he_normal")
        return Plan(strategy, evidence.backbone, cut, size, phases, settings=settings, seed=seed), reasons
    trained, why = thawed(strategy, evidence)
    decay = DECAY_SIMILAR if evidence.similar else DECAY_DIFFERENT
    rates = {name: RATE_LAST * decay**n for n, name in enumerate(reversed(trained))}
    rates = {**{name: float(f"{rates[name]:.2g}") for name in trained}, HEAD: RATE_LAST}
    views = _views(trained, evidence, size, epochs, disk)
    reasons = [
        why,
        *filter(None, [why_so]),
        "The head starts from the probe's, which was fitted on the frozen network; then the blocks join in, "
        f"each {decay} times as fast as the one behind it. Batch norms keep the statistics that they have.",
        f"{epochs} epochs: {epochs * evidence.items:,} pictures are seen; every picture is distorted anew.",
    ]
    if views:
        reasons[-1] = (
            f"{epochs} epochs on {views} distorted views of each picture, which pass the frozen blocks once."
        )
    if size < evidence.size:
        reasons.append(f"{size} pixels: the pictures have {evidence.side}, and enlarging adds nothing.")
    phases = (Phase("fine-tune", epochs, rates, augment, views),)
    return Plan(strategy, evidence.backbone, cut, size, phases, settings=settings, seed=seed), reasons


def thawed(strategy: Strategy, evidence: Evidence) -> tuple[tuple[str, ...], str]:
    """Return the blocks that fine-tuning trains, in order, and why.

    Args:
        strategy: "fine-tune-all" or "fine-tune-late".
        evidence: What was measured.
    """
    blocks = evidence.blocks
    if strategy == "fine-tune-all" or len(blocks) < 3:
        return blocks, "All blocks are trained: even the early ones see other things than they know."
    first = next(
        (place for place, name in enumerate(blocks) if evidence.distances.get(name, 0.0) > SIMILAR),
        2 * len(blocks) // 3,
    )
    # At least the early half stays frozen, or little would be saved; at least the last two blocks learn.
    first = max((len(blocks) + 1) // 2, min(first, len(blocks) - 2))
    return blocks[first:], f"Blocks up to {blocks[first - 1]} stay frozen: they see what they know."


def _views(trained: tuple[str, ...], evidence: Evidence, size: int, epochs: int, disk: int) -> int:
    frozen = evidence.blocks[: len(evidence.blocks) - len(trained)]
    if not frozen or not evidence.row_bytes:
        return 0
    from headstart.transfer.boundary import choose_views  # loads torch, which whoever prints a plan may lack

    row = round(evidence.row_bytes[frozen[-1]] * (size / evidence.size) ** 2)
    return choose_views(evidence.items, row, epochs, disk)


def _augmentation(evidence: Evidence) -> tuple[Augmentation, str]:
    """Return the distortions that leave the meaning as it is, and why; of strange pictures few are known."""
    if evidence.mirrored is None:
        flips, why = evidence.similar, "Photographs bear being mirrored." if evidence.similar else ""
    else:
        flips = evidence.mirrored <= MIRRORED
        found = f"{evidence.mirrored:+.1%} of a probe's answers go wrong on mirror images"
        why = f"{found}: pictures are {'' if flips else 'not '}mirrored for training."
    made = STANDARD if evidence.similar and evidence.each < 100 else LIGHT
    if not evidence.similar:
        made = replace(made, rotation=0.0)
    return made if flips else replace(made, flip=0.0), why
