"""What a plan takes on this machine, predicted from a few timed batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.audio.augment import LONGEST
from headstart.audio.augment import augment as augment_sound
from headstart.audio.augmentation import STANDARD as STANDARD_SOUND
from headstart.audio.decode import decode, read_bytes
from headstart.backbones.card import Preprocess, Tokens, Waves
from headstart.data.items import Dataset
from headstart.engines.choosing import Engine
from headstart.engines.openvino_engine import available_cores
from headstart.errors import DataError, DecodeError
from headstart.images.augment import augment
from headstart.images.augmentation import STANDARD
from headstart.images.preprocess import prepare_canvas
from headstart.modalities import modality
from headstart.text.passages import together
from headstart.training import patches, tokens
from headstart.training.plan import Phase, Plan, Precision
from headstart.training.precision import mixed

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

SAMPLE = 16
"""So many items are timed: one batch."""
_ROWS = 8
"""Rows of an item that the engine is timed on, on average: a long sound has a thousand."""
_REPEATS = 4
FIXED_SECONDS = 15.0
"""Whatever is trained: loading, converting the result, calibration, the report."""
LOOP_OVERHEAD = 1.1
"""The optimiser's steps, the loss and the checkpoints, beside forward and backward."""


@dataclass(frozen=True)
class Cost:
    """Seconds an item, measured on this machine.

    Args:
        size: Side of the pictures that were timed, int, in pixels; length of the passages, in tokens, or of
            the patches, in frames.
        decode: Reading, decoding and resizing (or tokenising), on all cores, float.
        augment: One distorted view, float.
        infer: All blocks by the engine that computes features, float.
        forward: Each block in the training loop while it is frozen, {name: seconds}; of a text one passage,
            of a sound one patch.
        train: Each block forward and backward, {name: seconds}, likewise.
        probe: Fitting a head on cached features, float.
        passages: How many a text has (how many patches a sound), the mean, float. Defaults to None: the items
            are pictures.
        plain: How many of them are looked at when training is checked, at most, int. Defaults to 1.
    """

    size: int
    decode: float
    augment: float
    infer: float
    forward: Mapping[str, float]
    train: Mapping[str, float]
    probe: float = 0.0
    passages: float | None = None
    plain: int = 1

    def minutes(self, plan: Plan, items: int, val: int = 0) -> float:
        """Predict what a plan takes, from files that were never seen to a model.

        Args:
            plan: What is done.
            items: Training items, int.
            val: Items that each epoch is checked on, int. Defaults to 0.

        Returns:
            Minutes, float.
        """
        blocks = tuple(self.train)
        kept = blocks[: blocks.index(plan.cut) + 1]
        ratio = plan.size / self.size
        # A text in longer passages has fewer of them: all of it costs the same, a passage in proportion.
        scale, whole = (ratio**2, ratio**2) if self.passages is None else (ratio, 1.0)
        share = sum(self.forward[name] for name in kept) / max(sum(self.forward.values()), 1e-12)
        # The probe always comes first: its features, and its head.
        seconds = FIXED_SECONDS + (items + val) * (self.decode + self.infer + self.probe)
        if plan.cut != blocks[-1] or (self.passages is not None and plan.size != self.size):
            seconds += (items + val) * (self.decode + whole * share * self.infer + self.probe)
        if plan.phases:
            seconds += (items + val) * self.decode
        for phase in plan.phases:
            looked = val if self.passages is None else val * min(self.plain, max(1.0, self.passages / ratio))
            seconds += self._phase(phase, kept, scale, items, looked)
        return seconds / 60

    def _phase(self, phase: Phase, kept: tuple[str, ...], scale: float, items: int, val: float) -> float:
        trained = [name for name in kept if name in phase.rates]
        frozen = [name for name in kept if name not in phase.rates]
        step = scale * sum(self.train[name] for name in trained)
        check = scale * sum(self.forward[name] for name in trained)
        prefix = scale * sum(self.forward[name] for name in frozen)
        distort = scale * self.augment if phase.augment is not None else 0.0
        once = 0.0
        if phase.views and frozen:
            # Once for each view, by the engine of the features; every epoch then starts behind the boundary.
            engine = self.infer / (self.passages or 1) * prefix / max(sum(self.forward.values()), 1e-12)
            once = items * phase.views * (self.decode + distort + engine) + val * engine
            prefix = distort = 0.0
        each = items * (step + prefix + distort) * LOOP_OVERHEAD + val * (check + prefix)
        return once + phase.epochs * each

    def to_json(self) -> dict[str, Any]:
        """Return milliseconds an item as a JSON object."""
        value = asdict(self)
        for name in ("decode", "augment", "infer", "probe"):
            value[name] = round(1000 * value[name], 3)
        for name in ("forward", "train"):
            value[name] = {block: round(1000 * seconds, 3) for block, seconds in value[name].items()}
        return value


def measure(
    dataset: Dataset,
    backbone: Backbone,
    engine: Callable[[], Engine],
    *,
    precision: Precision = "bf16",
    probe: float = 0.0,
) -> tuple[Cost, NDArray[Any]]:
    """Time one batch of everything that a plan may consist of; a few seconds for a small network.

    Args:
        dataset: The items, of which the first readable ones of an even spread are timed.
        backbone: The network, which is left as it was.
        engine: Starts what computes features.
        precision: That training will use. Defaults to "bf16".
        probe: Seconds an item that fitting a head took, float. Defaults to 0.

    Returns:
        The cost, and the prepared inputs that were timed, uint8 [n, side, side, 3], int32 [n, tokens]
        or float32 [n, frames, bands].

    Raises:
        DataError: Not one of the items can be read.
    """
    found, reading = _inputs(dataset, backbone)
    rows = [row for each in found for row in each]
    infer = _engine(engine(), rows[: _ROWS * SAMPLE]) * len(rows) / len(found)
    spec, distort, passages, plain = backbone.card.preprocess, 0.0, None, 1
    if isinstance(spec, Tokens):
        inputs: NDArray[Any] = together(rows[:SAMPLE], spec.pad)
        passages, plain = len(rows) / len(found), tokens.PLAIN
    elif isinstance(spec, Waves):
        inputs = np.stack(rows[:SAMPLE])
        passages, plain = len(rows) / len(found), patches.PLAIN
        distort = _distort_sounds(dataset, spec)
    else:
        inputs = np.stack(rows)
        distort = _distort(inputs, backbone.card.pixels)
    forward, train = _blocks(backbone, torch.from_numpy(inputs), precision)
    return Cost(spec.size, reading, distort, infer, forward, train, probe, passages, plain), inputs


def _inputs(dataset: Dataset, backbone: Backbone) -> tuple[list[list[NDArray[Any]]], float]:
    """Return the prepared inputs of some items, and what preparing one takes."""
    spec = backbone.card.preprocess
    step = max(1, len(dataset) // SAMPLE)
    reader, rows, seconds = modality(dataset.modality), [], []
    for item in dataset.items[::step]:
        started = time.perf_counter()
        try:
            rows.append(list(reader.inputs(item.source, spec, "torch")))
        except DecodeError:
            continue  # the pass itself lists what cannot be read
        seconds.append(time.perf_counter() - started)
        if len(rows) == SAMPLE:
            break
    if not rows:
        raise DataError("at least one readable item", "none", "check the files with: headstart inspect")
    return rows, float(np.median(seconds)) / available_cores()


def _distort(pixels: NDArray[np.uint8], spec: Preprocess) -> float:
    """Return what distorting a picture takes."""
    canvases = torch.from_numpy(np.stack([prepare_canvas(each, spec) for each in pixels[:4]]))
    keys = [(0, 0, number) for number in range(len(canvases))]
    started = time.perf_counter()
    augment(canvases, STANDARD, keys, spec.size)
    return (time.perf_counter() - started) / len(canvases)


def _distort_sounds(dataset: Dataset, spec: Waves) -> float:
    """Return what one distorted patch of a sound takes."""
    for item in dataset:
        try:
            wave = decode(read_bytes(item.source), spec.rate, LONGEST).wave
        except DecodeError:
            continue
        augment_sound(wave, spec, STANDARD_SOUND, (0, 0, 0))  # the first one loads what it needs
        started = time.perf_counter()
        for number in range(_REPEATS):
            augment_sound(wave, spec, STANDARD_SOUND, (0, number, 0))
        return (time.perf_counter() - started) / _REPEATS
    return 0.0


def _engine(engine: Engine, rows: list[NDArray[Any]]) -> float:
    inputs = list(enumerate(rows))
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for _key, _outputs in engine.run(inputs, ("features",)):
            pass
        best = min(best, time.perf_counter() - started)
    return best / len(inputs)


def _blocks(
    backbone: Backbone, pixels: Tensor, precision: Precision
) -> tuple[dict[str, float], dict[str, float]]:
    """Time each block in the training loop: forward while frozen, forward and backward while trained."""
    buffers = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    modes = {name: block.training for name, block in backbone.blocks.items()}
    learning = [parameter.requires_grad for parameter in backbone.parameters()]
    try:
        with mixed(backbone, precision) as autocast:
            backbone.requires_grad_(True)
            runs = [_once(backbone, pixels, autocast) for _ in range(_REPEATS)]
        # The fastest of each: what else the machine does only ever adds.
        forward, train = ({name: min(r[kind][name] for r in runs) for name in runs[0][0]} for kind in (0, 1))
        return forward, train
    finally:
        for name, buffer in backbone.named_buffers():
            buffer.copy_(buffers[name])  # the running statistics of batch norms have moved
        backbone.zero_grad(set_to_none=True)
        for parameter, learned in zip(backbone.parameters(), learning, strict=True):
            parameter.requires_grad_(learned)
        for name, block in backbone.blocks.items():
            block.train(modes[name])


def _once(
    backbone: Backbone, pixels: Tensor, autocast: Callable[[], AbstractContextManager[None]]
) -> tuple[dict[str, float], dict[str, float]]:
    forward: dict[str, float] = {}
    train: dict[str, float] = {}
    device = backbone.mean.device
    x = backbone.normalise(pixels.to(device))
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    for name, block in backbone.blocks.items():
        block.eval()
        with torch.no_grad(), autocast():
            started = _now(device)
            block(x)
            forward[name] = (_now(device) - started) / len(pixels)
        block.train()
        inputs = x.detach().requires_grad_(x.is_floating_point())
        started = _now(device)
        with autocast():
            y = block(inputs)
        y.backward(torch.ones_like(y))
        train[name] = (_now(device) - started) / len(pixels)
        x = y.detach()
    return forward, train


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
