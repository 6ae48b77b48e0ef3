"""Fine-tuning inside a fit: a plan's phases are trained, and the result must beat the probe to be kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones
from headstart.audio.augmentation import AudioAugmentation
from headstart.backbones import Card, tensors
from headstart.backbones.card import Tokens, Waves
from headstart.engines.conversion import backbone_ir, ir_path
from headstart.engines.openvino_engine import OpenVinoEngine, openvino_key
from headstart.errors import DataError, OptionError
from headstart.files import atomic_file, digest_bytes, digest_json
from headstart.fitting.heads import Scale, fitting_loss, load_head, read_head
from headstart.images.augmentation import Augmentation
from headstart.modalities import modality
from headstart.progress import Say
from headstart.training import lora, patches
from headstart.training.initialisation import initialise
from headstart.training.inputs import Inputs
from headstart.training.loop import Trained, TrainingData, train
from headstart.training.network import Network, make_head
from headstart.training.patches import Clips, PatchInputs
from headstart.training.pixels import Canvases, PixelInputs
from headstart.training.plan import HEAD, Phase, Plan
from headstart.training.tokens import PLAIN, Passages, TokenInputs
from headstart.transfer.boundary import BoundaryInputs, boundary_inputs
from headstart.transfer.heads import Head
from headstart.transfer.passes import extract
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.fitting.arranging import Arrangement
    from headstart.fitting.gathering import Gathered
    from headstart.transfer.stacking import StackedHead

RESERVE_SECONDS = 20.0
"""What is left to do after training: conversion to OpenVINO, the answers on val and test, the report."""


@dataclass(frozen=True)
class Tuned:
    """A network that was trained, as it will answer: converted, its logits computed by OpenVINO.

    Args:
        plan: What was done.
        trained: How the training went.
        card: The backbone's card with the digest of the new weights.
        network: The .xml of its IR.
        weights: Its tensors, a safetensors file; None where only the head was trained.
        head: From its features to logits; of a stack with what stands beside the network.
        logits: Of val and test items, {"validation" | "test": float [items, classes]}.
        seconds: What it took, float.
    """

    plan: Plan
    trained: Trained
    card: Card
    network: Path
    weights: Path | None
    head: Head | StackedHead
    logits: dict[str, NDArray[np.float32]]
    seconds: float


@dataclass(frozen=True)
class Training:
    """A network as `train_plan` leaves it.

    Args:
        plan: What was done, with the loss that fits the target.
        network: With its best weights, and maybe adapters.
        trained: How it went; its logits are of scaled targets.
        scale: Of the targets.
        seconds: What it took, float.
    """

    plan: Plan
    network: Network
    trained: Trained
    scale: Scale
    seconds: float


def train_plan(
    gathered: Gathered,
    arrangement: Arrangement,
    plan: Plan,
    head: Head | None,
    store: FeatureStore,
    *,
    run: Path | None = None,
    resume: bool = False,
    deadline: float | None = None,
    offline: bool = False,
    targets: NDArray[np.float32] | None = None,
    on_epoch: Callable[[dict[str, Any]], bool] | None = None,
    progress: bool = True,
    say: Say,
) -> Training:
    """Train what a plan says is trained.

    Args:
        gathered: The usable items.
        arrangement: What each item is for: train is trained on, val decides when to stop.
        plan: What is trained, when and how.
        head: What training starts from: the probe's head, fitted on train alone. None starts from random
            numbers.
        store: Keeps the frozen blocks' outputs.
        run: Folder of checkpoints and history. Defaults to None: nothing is kept.
        resume: Whether to go on from that folder's last checkpoint. Defaults to False.
        deadline: `time.monotonic()` at which the training must end, float; `keep` takes up to
            `RESERVE_SECONDS` after it. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        targets: What is learned in place of the items' answers, float32, a row for each item of `gathered`,
            as in `TrainingData.y`. Defaults to None.
        on_epoch: As for `training.loop.train`. Defaults to None.
        progress: Whether to draw bars. Defaults to True.
        say: Where progress is told.

    Returns:
        The network with its best weights, and how it came to them.

    Raises:
        DataError: There is nothing to check the training on.
        OptionError: The plan is for another backbone, or blends texts.
    """
    started = time.monotonic()
    if not len(arrangement.val):
        raise DataError(
            "items to check the training on", "no val part", "add some, or give a val split in the data"
        )
    plan.check(gathered.card.name, backbones.card(plan.backbone, offline=offline).blocks)
    plan, scale = fitting_loss(plan, arrangement) if targets is None else (plan, Scale())
    backbone = starting_backbone(plan, offline=offline)
    _check_distortions(plan, gathered.card)
    if isinstance(gathered.card.preprocess, Tokens):
        _skip_mail_headers(backbone, gathered.card)
    if plan.settings.lora and plan.changes_backbone:
        say(lora.add(backbone, plan))
    network = Network(backbone, make_head(plan, backbone.card.features, arrangement.data.classes))
    if head is not None and plan.strategy != "scratch":
        load_head(network.head, scale.inverse(head))
    data = TrainingData(
        inputs=_phase_inputs(gathered, arrangement, plan, backbone, store, progress, say),
        y=scale.targets(arrangement.data.y) if targets is None else targets,
        train=arrangement.train,
        val=arrangement.val,
        classes=arrangement.data.classes,
        digest=_digest(gathered, arrangement, targets),
        labels=arrangement.labels,
    )
    trained = train(
        network,
        plan,
        data,
        run=run,
        resume=resume,
        deadline=deadline,
        on_epoch=on_epoch,
        progress=progress,
        say=say,
    )
    return Training(plan, network, trained, scale, time.monotonic() - started)


def keep(training: Training, gathered: Gathered, arrangement: Arrangement, store: FeatureStore) -> Tuned:
    """Make a trained network answer as it will when it is saved.

    Args:
        training: What `train_plan` returned.
        gathered: The items.
        arrangement: What each is for.
        store: Keeps the features of val and test.

    Returns:
        The network, converted, with its logits of val and test.

    Raises:
        DataError: An item can no longer be read.
    """
    started = time.monotonic()
    network = training.network
    lora.merge(network.backbone)
    card, path, weights = keep_network(network.backbone, training.plan)
    head = training.scale.apply(read_head(network.head))
    logits = {
        name: _answer(gathered, items, card, path, head, store)
        for name, items in (("validation", arrangement.val), ("test", arrangement.test))
        if len(items)
    }
    seconds = training.seconds + time.monotonic() - started
    return Tuned(training.plan, training.trained, card, path, weights, head, logits, seconds)


def _digest(gathered: Gathered, arrangement: Arrangement, targets: NDArray[np.float32] | None) -> str:
    """Return the digest of what a run learns from and is checked on: it goes on with nothing else."""
    parts = [
        sorted(gathered.facts[n].digest for n in items) for items in (arrangement.train, arrangement.val)
    ]
    taught = "" if targets is None else digest_bytes(targets.tobytes())
    return digest_json([gathered.digest, *parts, taught])


def starting_backbone(plan: Plan, *, offline: bool) -> Backbone:
    """Return the plan's backbone at its cut and input size; for `scratch`, with random weights."""
    backbone = backbones.load(plan.backbone, offline=offline).at(plan.size).cut(plan.cut)
    if plan.strategy == "scratch":
        initialise(backbone.blocks, plan.settings.initialisation, plan.seed)
    return backbone


def _skip_mail_headers(backbone: Backbone, gathered: Card) -> None:
    """Let a text backbone read what the features were computed from."""
    spec, read = backbone.card.preprocess, gathered.preprocess
    if isinstance(spec, Tokens) and isinstance(read, Tokens):
        backbone.card = replace(backbone.card, preprocess=replace(spec, email=read.email))


def keep_network(backbone: Backbone, plan: Plan) -> tuple[Card, Path, Path | None]:
    """Convert a trained backbone for answering, and keep its weights: (card, IR, safetensors)."""
    if not plan.changes_backbone:
        return backbone.card, backbone_ir(backbone.card, lambda: backbone), None
    learned = backbone.card.training_data if plan.strategy != "scratch" else "nothing"
    return keep_weights(backbone, f"{learned}, then the user's own data", "trained further by headstart")


def keep_weights(backbone: Backbone, training_data: str, how: str) -> tuple[Card, Path, Path]:
    """Convert a backbone whose weights have changed, and keep them.

    Args:
        backbone: The network; it gets the new card and loses the source classifier.
        training_data: What it has learned from by now, str.
        how: What became of the weights that its card names, str, a few words.

    Returns:
        Its card with the digest of the new weights, the .xml of its IR, and the safetensors file.
    """
    from safetensors.torch import save

    backbone = backbone.to("cpu").float().eval()
    state = {
        name: tensor.contiguous()
        for name, tensor in backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    card = replace(
        backbone.card,
        digest=tensors.digest(state),
        labels=None,
        doors=(),
        source=f"{backbone.card.source}, {how}",
        training_data=training_data,
    )
    backbone.card = card
    backbone.classifier = None
    path = backbone_ir(card, lambda: backbone)
    weights = ir_path(card).with_suffix(".safetensors")
    with atomic_file(weights) as temporary:
        temporary.write_bytes(save(state))
    return card, path, weights


def _phase_inputs(
    gathered: Gathered,
    arrangement: Arrangement,
    plan: Plan,
    backbone: Backbone,
    store: FeatureStore,
    progress: bool,
    say: Say,
) -> Callable[[Phase], Inputs]:
    """Return what gives each phase its inputs: from behind the frozen blocks where that saves time."""
    whole, plain = _whole_network(gathered, arrangement, plan, backbone)

    def inputs(phase: Phase) -> Inputs:
        if not phase.trainable and phase.augment is None and gathered.features.one_row_each:
            # What was gathered is all that a head in front of a frozen network needs.
            return BoundaryInputs(HEAD, (gathered.card.features,), [gathered.features.X])
        kept = [name for name in backbone.card.blocks if name not in phase.trainable]
        parts = isinstance(backbone.card.preprocess, Tokens | Waves)  # another part of an item in each epoch
        anew = bool(phase.trainable) if parts else phase.augment is not None
        if not kept or (anew and not phase.views):
            return whole(phase)
        found = boundary_inputs(
            gathered.dataset,
            store,
            backbone,
            kept[-1],
            train=arrangement.train,
            val=arrangement.val,
            augmentation=phase.augment,
            views=phase.views or plain,
            plain=plain,
            seed=plan.seed,
            progress=progress,
        )
        say(found.cost.words())
        return found

    return inputs


def _whole_network(
    gathered: Gathered, arrangement: Arrangement, plan: Plan, backbone: Backbone
) -> tuple[Callable[[Phase], Inputs], int]:
    """Return what gives a phase the inputs of all blocks, and how many rows an item's plain view has."""
    items, spec = gathered.dataset.items, backbone.card.preprocess
    if isinstance(spec, Tokens):
        passages = Passages(items, spec)
        plain = min(PLAIN, passages.most(arrangement.val))
        return lambda _phase: TokenInputs(passages, plan.seed, plain), plain
    if isinstance(spec, Waves):
        clips = Clips(items, spec)
        plain = min(patches.PLAIN, clips.most(arrangement.val))

        def heard(phase: Phase) -> Inputs:
            how = phase.augment if isinstance(phase.augment, AudioAugmentation) else None
            return PatchInputs(clips, how, plan.seed, plain)

        return heard, plain
    canvases = Canvases(items, backbone.card.pixels)

    def seen(phase: Phase) -> Inputs:
        how = phase.augment if isinstance(phase.augment, Augmentation) else None
        return PixelInputs(canvases, how, plan.seed)

    return seen, 1


def _check_distortions(plan: Plan, card: Card) -> None:
    """Refuse a plan whose items would be distorted in ways that they cannot be."""
    found = [phase.augment for phase in plan.phases if phase.augment is not None]
    if isinstance(card.preprocess, Tokens):
        if found or plan.settings.mixup > 0 or plan.settings.cutmix > 0:
            fix = "leave augment, mixup and cutmix out: another passage in each epoch is what texts have"
            raise OptionError("a plan for texts", "one that distorts or blends pictures", fix)
        return
    sound = isinstance(card.preprocess, Waves)
    if sound and plan.settings.cutmix > 0:
        raise OptionError("a plan for sounds", "one with CutMix, which is for pictures", "use mixup")
    if not all(isinstance(each, AudioAugmentation if sound else Augmentation) for each in found):
        fix = f'say "modality": "{card.modality}" in the plan, or leave augment out'
        raise OptionError(f"distortions for {modality(card.modality).noun}", "others", fix)


def _answer(
    gathered: Gathered, items: NDArray[np.int64], card: Card, network: Path, head: Head, store: FeatureStore
) -> NDArray[np.float32]:
    """Return the logits of some items, computed as the saved model will."""
    precision = gathered.answering_precision(trained=True)
    dataset = gathered.dataset.take(items.tolist())
    done = extract(dataset, store, card, openvino_key(precision), lambda: OpenVinoEngine(network, precision))
    features = done.features(dataset, store)
    return features.pool(head.logits(features.X))
