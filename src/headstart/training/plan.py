"""The plan: how much of a pretrained network is kept, what is trained when, and how. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from headstart.audio import augmentation as of_sounds
from headstart.audio.augmentation import AudioAugmentation
from headstart.errors import OptionError
from headstart.images import augmentation as of_pictures
from headstart.images.augmentation import Augmentation

Strategy = Literal["freeze-all", "fine-tune-late", "cut-early", "fine-tune-all", "scratch"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

HEAD = "new-head"
"""The name of the head among the blocks: it is trained in every phase. Networks have blocks called "head"."""

IN_WORDS: dict[Strategy, str] = {
    "freeze-all": "the network stays as it is, a head is fitted",
    "fine-tune-late": "early blocks stay frozen, late ones are trained",
    "cut-early": "late blocks are cut off, a head is fitted on the rest",
    "fine-tune-all": "every block is trained, starting from what it knows",
    "scratch": "every block is trained from random numbers: what a pretrained start has to beat",
}

Optimiser = Literal["adamw", "adam", "sgd", "nesterov", "adagrad", "rmsprop"]
Schedule = Literal["constant", "one-cycle", "cosine", "plateau"]
Loss = Literal["cross-entropy", "binary", "mse", "mae", "mape", "hinge", "kl", "distillation"]
Precision = Literal["bf16", "fp32"]
Statistics = Literal["batch", "stored"]
Initialisation = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"]


@dataclass(frozen=True)
class Settings:
    """How a network is trained, in every phase alike.

    Args:
        optimiser: "adamw", "adam" (0.001, 0.9, 0.999, 1e-7), "sgd" (with `momentum`), "nesterov", "adagrad"
            or "rmsprop". Defaults to "adamw".
        momentum: Of "sgd" and "nesterov", float. Defaults to 0.9.
        weight_decay: L2, float. Defaults to 0.01.
        l1: L1 penalty on the weights, float. Defaults to 0.
        schedule: "one-cycle", "cosine" (with warm-up), "plateau" or "constant". Defaults to "one-cycle".
        warmup: Share of a phase's steps in which the rate rises, float. Defaults to 0.1.
        batch: Items in a step, int. Defaults to 32.
        accumulate: Steps whose gradients are added up before the weights move, int. Defaults to 1.
        loss: "cross-entropy", "binary", "mse", "mae", "mape", "hinge", "kl" or "distillation". Defaults to
            "cross-entropy".
        temperature: Of "distillation": what both networks' logits are divided by, float. Defaults to 4.
        alpha: Of "distillation": share of the known labels in the loss, float from 0 to 1. Defaults to 0.1.
        label_smoothing: Share of the target given to the other classes, float. Defaults to 0.
        class_weight: "balanced" weighs rare classes up in the loss. Defaults to None.
        sampling: "balanced" draws every class equally often. Defaults to "shuffle".
        dropout: Before the head's layers, float. Defaults to 0.2.
        clip: Largest norm of the gradient, float; 0 leaves it alone. Defaults to 1.
        ema: Decay of the running average of the weights, float; 0 for none. Defaults to 0.
        mixup: Alpha of mixup, float; 0 for none. Defaults to 0.
        cutmix: Alpha of CutMix, float; 0 for none. Defaults to 0.
        patience: Epochs without a better validation loss after which a phase ends, int; 0 for never.
            Defaults to 0.
        precision: "bf16" (mixed) or "fp32". Defaults to "bf16".
        statistics: What the batch norms of trained blocks use: those of the "batch", which become the stored
            ones, or the "stored" ones, which stay. Defaults to "batch".
        initialisation: Of what starts from random numbers. Defaults to "glorot_uniform".
        lora: Rank of the adapters through which a transformer's blocks learn, int; 0 trains the blocks
            themselves. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    optimiser: Optimiser = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.01
    l1: float = 0.0
    schedule: Schedule = "one-cycle"
    warmup: float = 0.1
    batch: int = 32
    accumulate: int = 1
    loss: Loss = "cross-entropy"
    temperature: float = 4.0
    alpha: float = 0.1
    label_smoothing: float = 0.0
    class_weight: Literal["balanced"] | None = None
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    dropout: float = 0.2
    clip: float = 1.0
    ema: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    patience: int = 0
    precision: Precision = "bf16"
    statistics: Statistics = "batch"
    initialisation: Initialisation = "glorot_uniform"
    lora: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            _check(
                f"{name} to be one of {', '.join(choices)}",
                getattr(self, name) in choices,
                getattr(self, name),
            )
        if self.class_weight not in (None, "balanced"):
            raise OptionError(
                "class_weight None or 'balanced'", repr(self.class_weight), "use one of the two"
            )
        for name in ("batch", "accumulate"):
            _check(
                f"{name} of at least 1",
                _is_int(getattr(self, name)) and getattr(self, name) >= 1,
                getattr(self, name),
            )
        _check("patience of 0 or more epochs", _is_int(self.patience) and self.patience >= 0, self.patience)
        _check("a LoRA rank of 0 or more", _is_int(self.lora) and self.lora >= 0, self.lora)
        hot = _is_number(self.temperature) and self.temperature > 0
        _check("a temperature above 0", hot, self.temperature)
        _check("an alpha from 0 to 1", _is_number(self.alpha) and 0 <= self.alpha <= 1, self.alpha)
        mixes = self.loss == "distillation" and (self.mixup > 0 or self.cutmix > 0)
        _check("distillation without mixup and cutmix: a teacher saw whole items", not mixes, "both")
        for name in ("weight_decay", "l1", "clip", "mixup", "cutmix"):
            value = getattr(self, name)
            _check(f"{name} of 0 or more", _is_number(value) and value >= 0, value)
        for name in ("momentum", "warmup", "label_smoothing", "dropout", "ema"):
            value = getattr(self, name)
            _check(f"{name} from 0 to below 1", _is_number(value) and 0 <= value < 1, value)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build from what `dataclasses.asdict` returned.

        Raises:
            OptionError: An unknown name, or a value outside its range.
        """
        return cls(**_named(cls, value, "the plan's settings"))


_CHOICES: dict[str, tuple[str, ...]] = {
    "optimiser": get_args(Optimiser),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "sampling": ("shuffle", "balanced"),
    "precision": get_args(Precision),
    "statistics": get_args(Statistics),
    "initialisation": get_args(Initialisation),
}


@dataclass(frozen=True)
class Phase:
    """A stretch of training during which the same blocks are trained.

    Args:
        name: What people call it, str.
        epochs: How often every training item is seen, int.
        rates: Peak learning rate of each trained block and of "new-head", {name: float}. The blocks are whole
            and the last ones of the network, without gaps.
        augment: How pictures (an Augmentation) or sounds (an AudioAugmentation) are distorted. Defaults to
            None (not at all).
        views: How many distorted views of a picture (passages of a text, patches of a sound) the frozen
            blocks see, once; the epochs use them in turn, int. 0 runs the frozen blocks in every epoch, on
            items that are distorted anew, on another passage or patch. Defaults to 0.

    Raises:
        OptionError: A value outside its range.

    Example:
        >>> Phase("late", 4, {"stage7": 1e-4, "head": 1e-4, "new-head": 1e-3}).trainable
        ('stage7', 'head')
    """

    name: str
    epochs: int
    rates: Mapping[str, float]
    augment: Augmentation | AudioAugmentation | None = None
    views: int = 0

    def __post_init__(self) -> None:
        _check("at least one epoch in a phase", _is_int(self.epochs) and self.epochs >= 1, self.epochs)
        _check(f"a learning rate for {HEAD!r}, the head that is fitted", HEAD in self.rates, dict(self.rates))
        rates = self.rates.values()
        _check("positive learning rates", all(_is_number(r) and r > 0 for r in rates), dict(self.rates))
        _check("0 or more views", _is_int(self.views) and self.views >= 0, self.views)

    @property
    def trainable(self) -> tuple[str, ...]:
        """Names of the blocks that are trained, without the head."""
        return tuple(name for name in self.rates if name != HEAD)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        augment = None if self.augment is None else self.augment.to_json()
        return {**_shallow(self), "rates": dict(self.rates), "augment": augment}

    @classmethod
    def from_json(cls, value: Any, modality: str = "image") -> Self:
        """Build from what `to_json` returned.

        Args:
            value: The JSON object.
            modality: What the network sees: pictures and sounds are distorted otherwise. Defaults to "image".

        Raises:
            OptionError: A field is missing, unknown or outside its range.
        """
        known = _named(cls, value, "a phase of the plan")
        if not isinstance(known.get("rates"), dict):
            raise OptionError("a learning rate for each block, an object", repr(known.get("rates")), _FIX)
        augment = known.get("augment")
        if augment is not None:
            known["augment"] = _augmentation(augment, modality)
        return cls(**known)


@dataclass(frozen=True)
class Plan:
    """What is done with a pretrained network: chosen from evidence, said in plain words, kept in the model.

    Args:
        strategy: One of `STRATEGIES`.
        backbone: Name of the pretrained network, str.
        cut: Name of the block that the features leave from, str.
        size: Side of the pictures that the network sees, int, in pixels; most tokens in a passage of a text;
            frames in a patch of a sound.
        phases: What is trained, in order; none where a head on cached features is all. Defaults to ().
        head: "linear", "mlp" or "centroid". Defaults to "linear".
        settings: How it is trained, Settings.
        seed: Of everything random, int. Defaults to 0.
        evidence: Why: what was measured on the data, JSON-able. Defaults to none.
        minutes: What it is expected to take on this machine, float. Defaults to None (not estimated).
        modality: What the network sees, "image", "text" or "audio". Defaults to "image".

    Raises:
        OptionError: A value outside its range.

    Example:
        >>> plan = Plan("freeze-all", "efficientnet_lite0", "head", 224)
        >>> Plan.from_json(plan.to_json()) == plan
        True
    """

    strategy: Strategy
    backbone: str
    cut: str
    size: int
    phases: tuple[Phase, ...] = ()
    head: Literal["linear", "mlp", "centroid"] = "linear"
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    modality: str = "image"

    def __post_init__(self) -> None:
        _check(f"a strategy: {', '.join(STRATEGIES)}", self.strategy in STRATEGIES, self.strategy)
        _check("a head: linear, mlp or centroid", self.head in ("linear", "mlp", "centroid"), self.head)
        _check("an input size of at least 8", _is_int(self.size) and self.size >= 8, self.size)
        _check("a seed, a whole number", _is_int(self.seed), self.seed)
        names = [phase.name for phase in self.phases]
        _check("phases with names of their own", len(set(names)) == len(names), names)
        _check("evidence, an object", isinstance(self.evidence, Mapping), self.evidence)
        reasons = self.evidence.get("reasons", [])
        _check("reasons, a list of sentences", isinstance(reasons, list | tuple), reasons)
        timed = self.minutes is None or (_is_number(self.minutes) and self.minutes >= 0)
        _check("minutes, a number", timed, self.minutes)

    @property
    def changes_backbone(self) -> bool:
        """Whether the backbone itself is trained, not only a head behind it."""
        return any(phase.trainable for phase in self.phases)

    @property
    def epochs(self) -> int:
        """All phases' epochs together."""
        return sum(phase.epochs for phase in self.phases)

    def check(self, backbone: str, blocks: Sequence[str]) -> None:
        """Make sure that the plan is for this backbone.

        Args:
            backbone: Its name, str.
            blocks: Its blocks, in order.

        Raises:
            OptionError: Another backbone, an unknown block, or blocks with a gap between them.
        """
        if self.backbone != backbone:
            fix = f"fit with --backbone {self.backbone}, or make a new plan"
            raise OptionError(f"a plan for {backbone!r}", f"one for {self.backbone!r}", fix)
        if not self.phases and self.strategy not in ("freeze-all", "cut-early"):
            raise OptionError(f"phases of training for {self.strategy}", "none", _FIX)
        _check(f"a cut at one of {', '.join(blocks)}", self.cut in blocks, self.cut)
        kept = tuple(blocks)[: list(blocks).index(self.cut) + 1]
        for phase in self.phases:
            named = tuple(name for name in kept if name in phase.trainable)
            whole = named == kept[len(kept) - len(named) :] and len(named) == len(phase.trainable)
            _check(f"whole blocks from the end of {', '.join(kept)}", whole, ", ".join(phase.trainable))

    def words(self) -> str:
        """Return the plan as a person would say it, a few sentences."""
        said = [f"{self.strategy}: {IN_WORDS[self.strategy]}."]
        text, sound = self.modality == "text", self.modality == "audio"
        seen_at = f"on passages of {self.size} tokens" if text else f"at {self.size} pixels"
        seen_at = f"on patches of {self.size} frames" if sound else seen_at
        said.append(f"Backbone {self.backbone} {seen_at}, features from block {self.cut}.")
        for number, phase in enumerate(self.phases, 1):
            what = "the head alone" if not phase.trainable else f"{', '.join(phase.trainable)} and the head"
            rates = f"{min(phase.rates.values()):.1e} to {max(phase.rates.values()):.1e}"
            seen = "plain pictures" if phase.augment is None else "distorted pictures"
            if phase.views:
                views = "1 view" if phase.views == 1 else f"{phase.views} views"
                seen = f"{views} of each picture, computed once"
            if text:
                once = f", {phase.views} of each computed once" if phase.views else ""
                seen = f"a passage of each text in turn{once}"
            if sound:
                once = f", {phase.views} of each computed once" if phase.views else ""
                distorted = "" if phase.augment is None else "distorted "
                seen = f"a {distorted}patch of each sound in turn{once}"
            epochs = "1 epoch" if phase.epochs == 1 else f"{phase.epochs} epochs"
            said.append(f"Phase {number} ({phase.name}): {epochs} of {what}, learning rates {rates}, {seen}.")
        if self.settings.loss == "distillation":
            hard = f", and the labels where there are any (alpha {self.settings.alpha:g})"
            said.append(
                f"It learns what a teacher answers, at temperature {self.settings.temperature:g}"
                f"{hard if self.settings.alpha else ''}."
            )
        if self.settings.lora and self.changes_backbone:
            said.append(f"The blocks learn through LoRA adapters of rank {self.settings.lora} alone.")
        if self.minutes is not None:
            said.append(f"It is expected to take {minutes_in_words(self.minutes)}.")
        return " ".join(said)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        phases = [phase.to_json() for phase in self.phases]
        settings = asdict(self.settings)
        return {**_shallow(self), "phases": phases, "settings": settings, "evidence": dict(self.evidence)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build from what `to_json` returned; settings and evidence may be left out.

        Raises:
            OptionError: A field is missing, unknown or outside its range.
        """
        known = _named(cls, value, "a plan")
        phases = known.get("phases", [])
        if not isinstance(phases, list):
            raise OptionError("a list of phases", repr(phases)[:60], _FIX)
        modality = known.get("modality", "image")
        known["phases"] = tuple(Phase.from_json(phase, modality) for phase in phases)
        known["settings"] = Settings.from_json(known.get("settings", {}))
        return cls(**known)

    def replace(self, **changes: Any) -> Self:
        """Return the plan with some fields changed."""
        return replace(self, **changes)


_FIX = "correct it, or make a new one: headstart plan DATA --json"


def minutes_in_words(minutes: float) -> str:
    """Return a time as a person would say it.

    Example:
        >>> minutes_in_words(0.4), minutes_in_words(12.3), minutes_in_words(90)
        ('24 seconds', '12 minutes', '1.5 hours')
    """
    if minutes < 1.5:
        return f"{max(1, round(60 * minutes))} seconds"
    return f"{round(minutes)} minutes" if minutes < 75 else f"{minutes / 60:.1f} hours"


def _augmentation(value: Any, modality: str) -> Augmentation | AudioAugmentation:
    """Return the distortions of a phase, from a preset's name or a JSON object."""
    if modality == "audio":
        return of_sounds.preset(value) if isinstance(value, str) else AudioAugmentation.from_json(value)
    return of_pictures.preset(value) if isinstance(value, str) else Augmentation.from_json(value)


def _named(kind: Any, value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object as keyword arguments, refusing unknown and missing names."""
    if not isinstance(value, dict):
        raise OptionError(f"{what}, a JSON object", repr(value)[:60], _FIX)
    names = {each.name for each in fields(kind)}
    if unknown := sorted(value.keys() - names):
        raise OptionError(f"{what} with the names {', '.join(sorted(names))}", f"also {unknown[0]!r}", _FIX)
    needed = [each.name for each in fields(kind) if each.default is each.default_factory]  # both MISSING
    if missing := [name for name in needed if name not in value]:
        raise OptionError(f"{what} that says {missing[0]!r}", f"only {', '.join(sorted(value))}", _FIX)
    return dict(value)


def _shallow(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(expected: str, holds: bool, received: object) -> None:
    if not holds:
        raise OptionError(expected, repr(received), _FIX)
