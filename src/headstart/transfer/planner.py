"""The planner: from what was measured on the data to a plan, with a reason for every choice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from headstart.audio import augmentation as of_sounds
from headstart.audio.augmentation import AudioAugmentation
from headstart.errors import OptionError
from headstart.images.augmentation import LIGHT, STANDARD, Augmentation
from headstart.training.plan import HEAD, STRATEGIES, Phase, Plan, Settings, Strategy, minutes_in_words
from headstart.transfer.evidence import ENOUGH_EACH, ENOUGH_ITEMS, SIMILAR, Evidence

if TYPE_CHECKING:
    from headstart.transfer.cost import Cost

MISSING = 0.04
"""With fewer of the answers wrong than this, the frozen network's probe leaves nothing worth training for."""

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
RATE_TEXT, RATE_TEXT_SCRATCH = 1e-4, 5e-4
"""Of a text encoder's last block: transformers forget at the rates of convolutions."""
DECAY_TEXT = 0.9
EPOCHS_TEXT = (3, 8)
IN_THE_WAY = 0.05
"""Where a probe in the middle of a network for sounds beats that at its end by more, the blocks behind are
left out before training: of spoken digits YAMNet's layer7 knows .956, layer14 .616. Not tried on pictures."""
EPOCHS_SOUND = (4, 40)
"""A patch of a sound is soon computed, and spoken digits were still learned better after 40 epochs."""
FEWEST_EPOCHS = 3
"""Where the time is short, fine-tuning with fewer is not begun."""
MIRRORED = 0.03
"""Where mirror images cost no more of a probe's answers than this, they mean the same."""
ENLARGED = 4
"""Pictures are not worth enlarging by more than this before a network is trained on them."""
SMALLEST_SIDE = 96
LENGTHS = (64, 128, 256)
"""Of passages that are worth training on, in tokens."""
SPARE = 0.9
"""Share of the minutes that may be planned for: predictions err."""


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
    check(minutes, strategy)
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
    made = made.replace(modality=evidence.modality)
    return made.replace(evidence=said, minutes=round(cost.minutes(made, evidence.items, evidence.val), 2))


def check(minutes: float | None, strategy: str | None) -> None:
    """Raise `OptionError` for what `plan` would refuse, before anything is computed."""
    if strategy is not None and strategy not in STRATEGIES:
        raise OptionError(f"a strategy: {', '.join(STRATEGIES)}", repr(strategy), "name one of them")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise OptionError("more than 0 minutes", repr(minutes), "give some time, or leave it out")


def _wanted(evidence: Evidence) -> tuple[list[Strategy], list[str]]:
    """Return the strategies in the order in which they are wanted, and why."""
    last, best = evidence.depths[-1], evidence.scored(1 - evidence.missing)
    reasons = [_about_size(evidence), _about_likeness(evidence)]
    frozen: Strategy = "freeze-all"
    if evidence.best is not last and evidence.tokens is None:  # of texts a head always takes the best depth
        frozen = "cut-early"
        reasons.append(
            f"A linear probe does better on the features of block {evidence.best.block} than on those of the "
            f"last block, {last.block}: {evidence.scored(evidence.best.accuracy)} against "
            f"{evidence.scored(last.accuracy)}."
        )
    if evidence.missing < MISSING:
        reasons.append(
            f"A linear probe on the frozen network already comes to {best}: "
            "there is hardly anything left to gain by training."
        )
        return [frozen], reasons
    if not evidence.large:
        reasons.append("With so few items training would rather make the network forget: it stays as it is.")
        return [frozen], reasons
    reasons.append(
        f"A linear probe on the frozen network comes to {best}, and there are enough items to do better by "
        "training."
    )
    if evidence.similar:
        return ["fine-tune-late", frozen], reasons
    return ["fine-tune-all", "fine-tune-late", frozen], reasons


def _about_size(evidence: Evidence) -> str:
    size = "enough" if evidence.large else "few"
    if evidence.target == "number":
        return f"{evidence.items:,} items to learn from: {size} (enough is {ENOUGH_ITEMS})."
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
    most = _epochs(evidence, SEEN if minutes is None else MOST_SEEN)
    unit = {"text": "tokens", "audio": "frames"}.get(evidence.modality, "pixels")
    for size in _sizes(strategy, evidence):
        for epochs in range(most, min(FEWEST_EPOCHS, most) - 1, -1):
            made = _made(strategy, evidence, size, epochs, seed, disk)
            if minutes is None or cost.minutes(made[0], evidence.items, evidence.val) <= minutes:
                if epochs < most or size < _sizes(strategy, evidence)[0]:
                    made[1].append(
                        f"To end in time it is {epochs} epochs at {size} {unit}; "
                        f"{most} at {_sizes(strategy, evidence)[0]} were better."
                    )
                return made
            if not made[0].phases:
                return None
    return None


def _epochs(evidence: Evidence, seen: int) -> int:
    """Return in how many epochs that many items are seen, within what is worth while."""
    low, high = {"text": EPOCHS_TEXT, "audio": EPOCHS_SOUND}.get(evidence.modality, EPOCHS)
    return max(low, min(high, round(seen / max(1, evidence.items))))


def _sizes(strategy: Strategy, evidence: Evidence) -> list[int]:
    """Return the sizes to consider, the best first. Cached features are cheap at the network's own size."""
    if strategy in ("freeze-all", "cut-early"):
        return [evidence.size]
    if evidence.modality == "audio":
        return [evidence.size]
    if evidence.tokens is not None:
        return _lengths(evidence.size, evidence.tokens, evidence.longest)
    largest = evidence.size
    if evidence.side is not None:
        largest = min(largest, max(SMALLEST_SIDE, _whole(ENLARGED * evidence.side)))
    smaller = [_whole(largest * share) for share in (0.8, 0.6, 0.5)]
    return [largest, *dict.fromkeys(side for side in smaller if SMALLEST_SIDE <= side < largest)]


def _lengths(own: int, tokens: int, most: int | None) -> list[int]:
    """Return the lengths of passages to consider, the best first: what most texts fit into."""
    readable = [length for length in LENGTHS if length <= (most or own)]
    longest = max(own, next((length for length in readable if length >= tokens), max(readable, default=own)))
    # A text that is shorter than a passage takes no longer in a longer one.
    return [longest, *(length for length in reversed(readable) if length < min(longest, tokens))]


def _whole(side: float) -> int:
    """Return a side that a network of stride 32 divides without a rest."""
    return max(32, int(side / 32) * 32)


def _made(strategy: Strategy, evidence: Evidence, size: int, epochs: int, seed: int, disk: int) -> _Made:
    """Return a strategy's plan and why it is what it is."""
    evidence, why_cut = _without_late_blocks(strategy, evidence)
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
    text = evidence.tokens is not None
    augment, why_so = (None, "") if text else _augmentation(evidence)
    if strategy == "scratch":
        rates = dict.fromkeys((*evidence.blocks, HEAD), RATE_TEXT_SCRATCH if text else RATE_SCRATCH)
        phases = (Phase("all", 2 * epochs, rates, augment),)
        reasons = ["Every weight starts from random numbers: twice the epochs, one learning rate for all."]
        settings = replace(settings, statistics="batch", initialisation="he_normal")
        return Plan(strategy, evidence.backbone, cut, size, phases, settings=settings, seed=seed), reasons
    trained, why = thawed(strategy, evidence)
    decay = DECAY_SIMILAR if evidence.similar else DECAY_DIFFERENT
    decay, last = (DECAY_TEXT, RATE_TEXT) if text else (decay, RATE_LAST)
    rates = {name: last * decay**n for n, name in enumerate(reversed(trained))}
    rates = {**{name: float(f"{rates[name]:.2g}") for name in trained}, HEAD: RATE_LAST}
    views = _views(trained, evidence, size, epochs, disk)
    norms = "" if text else " Batch norms keep the statistics that they have."
    reasons = [
        *filter(None, [why_cut, why, why_so]),
        "The head starts from the probe's, which was fitted on the frozen network; then the blocks join in, "
        f"each {decay} times as fast as the one behind it.{norms}",
        _about_epochs(evidence, epochs, views),
    ]
    if size < evidence.size and evidence.modality == "image":
        reasons.append(f"{size} pixels: the pictures have {evidence.side}, and enlarging adds nothing.")
    if text:
        fit = f"three quarters of the texts have {evidence.tokens} or less"
        reasons.append(f"Passages of {size} tokens: {fit}.")
    phases = (Phase("fine-tune", epochs, rates, augment, views),)
    return Plan(strategy, evidence.backbone, cut, size, phases, settings=settings, seed=seed), reasons


def _without_late_blocks(strategy: Strategy, evidence: Evidence) -> tuple[Evidence, str]:
    """Return the evidence about the blocks that are worth training, and why the others are not."""
    best, last = evidence.best, evidence.depths[-1]
    better = best.accuracy - last.accuracy > IN_THE_WAY
    if evidence.modality != "audio" or not strategy.startswith("fine-tune") or not better:
        return evidence, ""
    kept = evidence.blocks[: evidence.blocks.index(best.block) + 1]
    why = f"The blocks behind {best.block} are left out: they know less about these sounds than it does."
    return replace(evidence, blocks=kept), why


def _about_epochs(evidence: Evidence, epochs: int, views: int) -> str:
    if evidence.tokens is not None:
        once = f", of {views} of each, which pass the frozen blocks once" if views else ""
        return f"{epochs} epochs: each sees another passage of every text{once}."
    noun, seen = ("sound", "heard") if evidence.modality == "audio" else ("picture", "seen")
    if views:
        said = f"{views} distorted views of each {noun}, which pass the frozen blocks once"
        return f"{epochs} epochs on {said}."
    total = f"{epochs * evidence.items:,} {noun}s are {seen}"
    return f"{epochs} epochs: {total}; every {noun} is distorted anew."


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

    ratio = size / evidence.size
    if evidence.tokens is None:
        return choose_views(evidence.items, round(evidence.row_bytes[frozen[-1]] * ratio**2), epochs, disk)
    # Every passage of most texts, if that many fit.
    row, passages = round(evidence.row_bytes[frozen[-1]] * ratio), -(-evidence.tokens // size)
    return min(passages, choose_views(evidence.items, row, epochs, disk))


def _augmentation(evidence: Evidence) -> tuple[Augmentation | AudioAugmentation, str]:
    """Return the distortions that leave the meaning as it is, and why; of strange pictures few are known."""
    if evidence.modality == "audio":
        return of_sounds.STANDARD, ""
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
