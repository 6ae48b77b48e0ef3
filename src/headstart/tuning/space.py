"""What tuning may change about a plan: the search space, derived from the plan itself."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from headstart.audio.augmentation import PRESETS as PRESETS_OF_SOUNDS
from headstart.data.items import Target
from headstart.images.augmentation import PRESETS
from headstart.training.plan import HEAD, Phase, Plan

Value = str | int | float | None
Values = dict[str, Value]
"""A point of the space: the value of each name."""
Space = dict[str, BaseDistribution]
Blocks = Mapping[str, tuple[str, ...]]
"""The blocks of each backbone that may be chosen, in order; the plan's own comes first."""

AS_PLANNED = "as planned"
# A strength is scikit-learn's C. Beyond these ends the answers no longer change with it.
_STRENGTHS = (1e-5, 1.0)
_STRENGTH = 0.01
# So many blocks can be cut off at most: what is left of a long network then knows little more than edges.
_CUT_OFF = 7
_RATES_AROUND = 10.0
_GRID_POINTS = 4


def search_space(plan: Plan, blocks: Blocks, *, target: Target = "label", sizes: Sequence[int] = ()) -> Space:
    """Return what may be changed about a plan, and between which ends.

    A plan that trains no blocks is varied in its head, its strength, its class weight and how many blocks
    are cut off; one that does in how many blocks are trained, at which rates, and how they are regularised.
    Backbone and input size are varied where several are named.

    Args:
        plan: Where the search starts.
        blocks: The backbones that may be chosen, the plan's own first, with their blocks.
        target: What the data teaches. Defaults to "label".
        sizes: Input sizes beside the plan's. Defaults to none.

    Returns:
        The range of each name, as Optuna's distributions.

    Example:
        >>> plan = Plan("freeze-all", "toy", "b", 32)
        >>> list(search_space(plan, {"toy": ("a", "b")}))
        ['left_out', 'head', 'strength', 'class_weight']
    """
    space: Space = {}
    if len(blocks) > 1:
        space["backbone"] = CategoricalDistribution(tuple(blocks))
    if len(both := sorted({plan.size, *sizes})) > 1:
        space["size"] = CategoricalDistribution(both)
    return space | (_training(plan, blocks) if plan.changes_backbone else _frozen(blocks, target))


def _frozen(blocks: Blocks, target: Target) -> Space:
    space: Space = {}
    if (most := min(min(map(len, blocks.values())) - 1, _CUT_OFF)) > 0:
        space["left_out"] = IntDistribution(0, most)
    heads = ("linear", "mlp", "centroid") if target == "label" else ("linear", "mlp")
    space["head"] = CategoricalDistribution(heads)
    space["strength"] = FloatDistribution(*_STRENGTHS, log=True)
    if target == "label":
        space["class_weight"] = CategoricalDistribution(("even", "balanced"))
    return space


def _training(plan: Plan, blocks: Blocks) -> Space:
    space: Space = {}
    if plan.strategy != "scratch" and (most := min(len(_kept(plan, names)) for names in blocks.values())) > 1:
        space["thawed"] = IntDistribution(1, most)
    rate, head_rate, _ = _rates(plan)
    space["rate"] = FloatDistribution(rate / _RATES_AROUND, min(1.0, rate * _RATES_AROUND), log=True)
    space["head_rate"] = FloatDistribution(
        head_rate / _RATES_AROUND, min(1.0, head_rate * _RATES_AROUND), log=True
    )
    space["decay"] = FloatDistribution(0.3, 1.0)
    space["weight_decay"] = FloatDistribution(1e-4, 0.3, log=True)
    space["dropout"] = FloatDistribution(0.0, 0.6)
    if plan.settings.loss == "cross-entropy":
        space["label_smoothing"] = FloatDistribution(0.0, 0.2, step=0.05)
    if plan.modality == "text":  # neither blended nor distorted
        return space
    if plan.settings.loss == "cross-entropy":
        space["mixup"] = FloatDistribution(0.0, 0.4, step=0.1)
    space["augment"] = CategoricalDistribution((AS_PLANNED, *PRESETS))
    return space


def starting_point(plan: Plan, space: Space, blocks: Blocks) -> Values:
    """Return the plan itself as a point of its space; what lies beyond an end is moved to that end.

    Example:
        >>> plan = Plan("freeze-all", "toy", "b", 32)
        >>> starting_point(plan, search_space(plan, {"toy": ("a", "b")}), {"toy": ("a", "b")})
        {'left_out': 0, 'head': 'linear', 'strength': 0.01, 'class_weight': 'even'}
    """
    names = blocks[plan.backbone]
    rate, head_rate, decay = _rates(plan) if plan.changes_backbone else (0.0, 0.0, 1.0)
    settings = plan.settings
    own: Values = {
        "backbone": plan.backbone,
        "size": plan.size,
        "left_out": len(names) - 1 - names.index(plan.cut),
        "head": plan.head,
        "strength": plan.evidence.get("strength", _STRENGTH),
        "class_weight": settings.class_weight or "even",
        "thawed": max((len(phase.trainable) for phase in plan.phases), default=0),
        "rate": rate,
        "head_rate": head_rate,
        "decay": decay,
        "weight_decay": settings.weight_decay,
        "dropout": settings.dropout,
        "label_smoothing": settings.label_smoothing,
        "mixup": settings.mixup,
        "augment": AS_PLANNED,
    }
    return {name: _inside(own[name], where) for name, where in space.items()}


def _inside(value: Value, where: BaseDistribution) -> Value:
    if isinstance(where, FloatDistribution | IntDistribution) and isinstance(value, int | float):
        value = min(max(value, where.low), where.high)
        return (
            value if where.step is None else where.low + round((value - where.low) / where.step) * where.step
        )
    return value


def grid(space: Space, most: int, seed: int = 0) -> list[Values]:
    """Return points of a grid over the space, in a random order so that a budget sees all of it.

    Args:
        space: The ranges; those of numbers are divided into four points at most.
        most: How many points are wanted, int.
        seed: For the order, int. Defaults to 0.

    Returns:
        As many points as wanted, or all there are.

    Example:
        >>> len(grid({"head": CategoricalDistribution(("linear", "mlp"))}, 10))
        2
    """
    axes = [_points(where) for where in space.values()]
    count = int(np.prod([len(axis) for axis in axes]))
    generator = random.Random(seed)
    if count <= 100_000:
        chosen = list(itertools.product(*axes))
        generator.shuffle(chosen)
    else:  # no budget reaches the end of such a grid
        drawn = (tuple(generator.choice(axis) for axis in axes) for _ in itertools.count())
        chosen = list(dict.fromkeys(itertools.islice(drawn, 2 * most)))
    return [dict(zip(space, point, strict=True)) for point in chosen[:most]]


def _points(where: BaseDistribution) -> list[Any]:
    if isinstance(where, CategoricalDistribution):
        return list(where.choices)
    if isinstance(where, IntDistribution):
        count = min(_GRID_POINTS, where.high - where.low + 1)
        return sorted({round(x) for x in np.linspace(where.low, where.high, count)})
    if isinstance(where, FloatDistribution) and where.step is not None:
        return np.arange(where.low, where.high + where.step / 2, where.step).round(6).tolist()
    if isinstance(where, FloatDistribution):
        spread = np.geomspace if where.log else np.linspace
        inner = spread(where.low, where.high, _GRID_POINTS)[1:-1].tolist()
        return [where.low, *inner, where.high]  # the ends exactly, without rounding beyond them
    return []


def planned(plan: Plan, values: Mapping[str, Value], blocks: Blocks) -> Plan:
    """Return the plan that a point of its space stands for.

    Args:
        plan: Where the search started.
        values: The point.
        blocks: As for `search_space`.

    Returns:
        The changed plan. The strength of a head on frozen features is in its evidence.
    """
    point = dict(values)
    backbone = str(point.get("backbone", plan.backbone))
    changed = plan.replace(backbone=backbone, size=_int(point.get("size", plan.size)), minutes=None)
    if plan.changes_backbone:
        return _trained(changed, point, _kept(plan, blocks[backbone]))
    names = blocks[backbone]
    left_out = _int(point.get("left_out", 0))
    head: Any = point["head"]
    weighed = point.get("class_weight") == "balanced" and head != "centroid"
    return changed.replace(
        strategy="cut-early" if left_out else "freeze-all",
        cut=names[len(names) - 1 - left_out],
        phases=(),
        head=head,
        settings=replace(plan.settings, class_weight="balanced" if weighed else None),
        evidence={**plan.evidence, "strength": point["strength"]},
    )


def _trained(plan: Plan, point: Values, kept: tuple[str, ...]) -> Plan:
    most = max((len(phase.trainable) for phase in plan.phases), default=0)
    thawed = _int(point.get("thawed", len(kept) if plan.strategy == "scratch" else most))
    rate, head_rate, _ = _rates(plan)
    to_rate, to_head = _float(point["rate"]) / rate, _float(point["head_rate"]) / head_rate
    phases = []
    for phase in plan.phases:
        # Phases that thaw fewer blocks than the plan's deepest one keep doing so.
        count = thawed if len(phase.trainable) == most else min(len(phase.trainable), thawed)
        names = kept[len(kept) - count :]
        top = max((phase.rates[name] for name in phase.trainable), default=0.0) * to_rate
        rates = {name: top * _float(point["decay"]) ** (count - 1 - n) for n, name in enumerate(names)}
        rates[HEAD] = phase.rates[HEAD] * to_head
        augment = str(point.get("augment", AS_PLANNED))
        phases.append(_distorted(replace(phase, rates=rates), augment, plan.modality))
    strategy = plan.strategy
    if strategy != "scratch":
        strategy = "fine-tune-all" if thawed == len(kept) else "fine-tune-late"
    own = plan.settings
    settings = replace(
        own,
        weight_decay=_float(point["weight_decay"]),
        dropout=_float(point["dropout"]),
        label_smoothing=_float(point.get("label_smoothing", own.label_smoothing)),
        mixup=_float(point.get("mixup", own.mixup)),
    )
    return plan.replace(strategy=strategy, cut=kept[-1], phases=tuple(phases), settings=settings)


def _distorted(phase: Phase, augment: str, modality: str) -> Phase:
    if augment == AS_PLANNED or not phase.trainable:
        return phase
    if augment == "none":
        # Of a sound each view is another patch, distorted or not.
        views = phase.views if modality == "audio" else min(phase.views, 1)
        return replace(phase, augment=None, views=views)
    presets = PRESETS_OF_SOUNDS if modality == "audio" else PRESETS
    return replace(phase, augment=presets[augment])


def _rates(plan: Plan) -> tuple[float, float, float]:
    """Return a plan's highest rate of a block, that of its head, and the factor from block to block."""
    deepest = max(plan.phases, key=lambda phase: len(phase.trainable))
    rates = [deepest.rates[name] for name in deepest.trainable]
    head = max(phase.rates[HEAD] for phase in plan.phases)
    if not rates:  # from scratch, with the head's rate for all
        return head, head, 1.0
    ends = min(rates[0] / rates[-1], 1.0)
    return max(rates), head, ends ** (1 / max(1, len(rates) - 1))


def _kept(plan: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the blocks up to the plan's cut; all of them for a network that has no such block."""
    return names[: names.index(plan.cut) + 1] if plan.cut in names else names


def _int(value: Value) -> int:
    return int(_float(value))


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float | str) else 0.0


def in_words(values: Mapping[str, Value]) -> str:
    """Return a point as people read it.

    Example:
        >>> in_words({"head": "linear", "strength": 0.0123456, "left_out": 0})
        'head linear, strength 0.0123, left out 0'
    """
    said = [
        f"{name.replace('_', ' ')} {value:.3g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in values.items()
    ]
    return ", ".join(said)
