"""`plan`: what would be done with a data set, and why, before anything is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones
from headstart.backbones.card import Preprocess, Tokens, Waves
from headstart.data.items import Dataset, Target
from headstart.engines.choosing import choose
from headstart.engines.precision import Precision
from headstart.errors import BackboneError, OptionError, require
from headstart.fitting.arranging import Arrangement, arrange
from headstart.fitting.gathering import Gathered, gather, open_labelled
from headstart.fitting.targets import describe, require_two_answers, require_variety
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.training.plan import Plan, Strategy
from headstart.transfer import planner
from headstart.transfer.evidence import Evidence
from headstart.transfer.features import Features
from headstart.transfer.mirror import lost_when_mirrored
from headstart.transfer.scores import leep
from headstart.transfer.selection import Labelled, assign_folds, one_core_each
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.transfer.cost import Cost

MEASURED = 2000
"""So many training items are measured at most: more would hardly change a plan."""
_FOLDS = 3
_DISTANCE_ITEMS, _DISTANCE_ROWS, _LENGTH_ITEMS = 48, 4, 200


@dataclass(frozen=True)
class Ranked:
    """What a backbone promises for a data set, without fine-tuning it.

    Args:
        backbone: Its name, str.
        evidence: What was measured with it.
        milliseconds: To compute the features of one item here, float.
    """

    backbone: str
    evidence: Evidence
    milliseconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures of the whole network as a JSON object."""
        last = self.evidence.depths[-1].to_json()
        return {
            "backbone": self.backbone,
            "accuracy": last["accuracy"],
            "error": last["error"],
            "logme": last["logme"],
            "h_score": last["h_score"],
            "leep": self.evidence.to_json()["leep"],
            "features": last["width"],
            "ms_per_item": round(self.milliseconds, 2),
        }


def plan(
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    target: Target | None = None,
    backbone: str | None = None,
    minutes: float | None = None,
    strategy: Strategy | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Plan:
    """Choose how much of a pretrained network to keep for a data set, from what is measured on it.

    On up to 2,000 training items: linear probes on the features of every depth, LogME, H-score, LEEP, and how
    far the data are from what the network was trained on; on one batch: what everything costs here. Nothing
    is trained, and test items are never looked at.

    Args:
        source: A data set, or what `headstart.data.open` opens.
        target: As for `fit`. Defaults to None: what the data set was opened for.
        backbone: Name of the pretrained network. Defaults to None: the modality's default.
        minutes: All the time that a fit may take, float. Defaults to None: as much as it takes.
        strategy: One of `headstart.training.plan.STRATEGIES` to plan for. Defaults to None: what the evidence
            says.
        val_share: Share of each class held out where no val split is given, float. Defaults to 0.2.
        seed: Of the plan, and of what is measured, int. Defaults to 0.
        engine: As for `fit`. Defaults to "auto".
        precision: As for `fit`. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The plan; `plan.words()` says it in plain words, `plan.evidence["reasons"]` why.

    Raises:
        DataError: The data cannot teach anything: empty, unlabelled, one class, nothing readable.
        OptionError: An unknown strategy, or no time at all.
        BackboneError: The backbone is unknown or cannot be had.

    Example:
        >>> import headstart as hs
        >>> print(hs.plan("photos/", minutes=10).words())  # doctest: +SKIP
        fine-tune-late: the early blocks stay frozen, …
    """
    require(("sklearn", "scipy", "torch"), "train", "planning")
    planner.check(minutes, strategy)
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        gathered, arrangement = _arranged(
            source, store, target, backbone, val_share, seed, engine, precision, offline, say
        )
        evidence, cost = measure(
            gathered,
            arrangement,
            store,
            seed=seed,
            engine=engine,
            precision=precision,
            offline=offline,
            say=say,
        )
        return planner.plan(evidence, cost, minutes=minutes, strategy=strategy, seed=seed)


def rank_backbones(
    source: Dataset | Path | str | Sequence[Path | str],
    names: Sequence[str],
    *,
    target: Target | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> list[Ranked]:
    """Measure several backbones on a data set without fine-tuning any.

    Args:
        source: A data set, or what `headstart.data.open` opens.
        names: Of the backbones, such as ["efficientnet_lite0", "vgg16"].
        target: As for `plan`. Defaults to None.
        val_share: As for `plan`. Defaults to 0.2.
        seed: As for `plan`. Defaults to 0.
        engine: As for `plan`. Defaults to "auto".
        precision: As for `plan`. Defaults to None.
        offline: As for `plan`. Defaults to False.
        say: As for `plan`. Defaults to saying nothing.
        store: As for `plan`. Defaults to the one in the cache.

    Returns:
        The backbones, that with the best probe first.

    Raises:
        OptionError: No name at all.
        DataError: As for `plan`.
        BackboneError: A backbone is unknown or cannot be had.

    Example:
        >>> import headstart as hs
        >>> rank_backbones("photos/", ["efficientnet_lite0", "vgg16"])[0].backbone  # doctest: +SKIP
        'efficientnet_lite0'
    """
    require(("sklearn", "scipy", "torch"), "train", "planning")
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not names:
        raise OptionError("names of backbones", "none", "name some: headstart backbones list")
    for name in names:
        backbones.card(name, offline=offline)  # a wrong name is told before anything is computed
    ranked = []
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        for name in names:
            gathered, arrangement = _arranged(
                source, store, target, name, val_share, seed, engine, precision, offline, say
            )
            evidence, cost = measure(
                gathered, arrangement, store,
                seed=seed, engine=engine, precision=precision, offline=offline, say=say,
            )  # fmt: skip
            ranked.append(Ranked(name, evidence, 1000 * cost.infer))
    return sorted(ranked, key=lambda each: -each.evidence.depths[-1].accuracy)


def measure(
    gathered: Gathered,
    arrangement: Arrangement,
    store: FeatureStore,
    *,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
) -> tuple[Evidence, Cost]:
    """Measure what a plan is chosen from, on training items alone.

    Args:
        gathered: The usable items.
        arrangement: What each item is for.
        store: Keeps the pooled outputs of all blocks.
        seed: Which items are measured where there are more than 2,000, and the folds, int. Defaults to 0.
        engine: As for `plan`. Defaults to "auto".
        precision: As for `plan`; all depths are measured in bf16 or fp32. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Where progress is told.

    Returns:
        The evidence and the cost, for `headstart.transfer.planner.plan`.

    Raises:
        DataError: The training part cannot teach anything.
    """
    from headstart.transfer.cost import measure as measure_cost
    from headstart.transfer.depths import depth_features, probe_depths, source_distances

    train = arrangement.data.take(arrangement.train)
    require_variety(train)
    network = backbones.load(gathered.card.name, offline=offline)
    network = network.cut(gathered.card.blocks[-1]).at(gathered.card.preprocess.size)
    # Of texts it may leave out mail headers.
    network.card = replace(network.card, preprocess=gathered.card.preprocess)
    precision = None if precision == "int8" else precision
    chosen = _subset(train, seed)
    items = arrangement.train[chosen]
    dataset = gathered.dataset.take(items.tolist())
    say(f"measuring {len(dataset)} training items at every depth of {gathered.card.name}")
    features, missing = depth_features(dataset, network, store, engine=engine, precision=precision)
    if missing:  # a file that has gone since it was gathered
        chosen = np.delete(chosen, missing)
    labelled = train.take(chosen)
    spec = network.card.preprocess
    patches = None
    if isinstance(spec, Waves):
        last = features[gathered.card.blocks[-1]]
        patches = len(last.item) / len(last)
        # The mean of a linear head's answers is its answer to the mean, which has fewer rows to fit.
        features = {name: _mean_of_each(its) for name, its in features.items()}
    choice = choose(network.card, lambda: network, engine=engine, precision=precision)
    started = time.monotonic()
    with one_core_each():
        depths = probe_depths(features, labelled, folds=_FOLDS, seed=seed)
    probe = (time.monotonic() - started) / len(depths) / max(1, len(labelled.y)) * (patches or 1)
    cost, _ = measure_cost(dataset, network, choice.start, probe=probe)
    text = isinstance(spec, Tokens)
    distances = {} if text else source_distances(network, _inputs(dataset, network))
    depths = [replace(depth, distance=distances.get(depth.block)) for depth in depths]
    counts = [count for count in train.counts() if count]
    shapes = [facts.shape for facts in (gathered.facts[n] for n in items) if facts.shape]
    seen = shapes and isinstance(spec, Preprocess)
    side = int(np.median([min(shape) for shape in shapes])) if seen else None
    last = features[gathered.card.blocks[-1]]
    evidence = Evidence(
        backbone=gathered.card.name,
        blocks=gathered.card.blocks,
        size=gathered.card.preprocess.size,
        items=len(arrangement.train),
        classes=arrangement.data.classes,
        each=float(np.median(counts)),
        imbalance=max(counts) / min(counts),
        depths=depths,
        measured_on=len(labelled.y),
        distances=distances,
        leep=_leep(network, features, labelled),
        side=side,
        tokens=_tokens(dataset, network) if text else None,
        longest=_longest(network) if text else None,
        patches=patches,
        row_bytes=_row_bytes(network),
        val=len(arrangement.val),
        mirrored=lost_when_mirrored(dataset, last, labelled, network.card, choice, store, seed=seed),
        target=labelled.target,
    )
    return evidence, cost


def read_plan(path: Path | str) -> Plan:
    """Read a plan that `headstart plan -o` or `--json` wrote, maybe changed by hand.

    Args:
        path: The JSON file.

    Returns:
        The plan; `Plan.check` says whether it is for a backbone.

    Raises:
        OptionError: There is no such file, it is no JSON, or it is no plan.

    Example:
        >>> read_plan("plan.json").strategy  # doctest: +SKIP
        'fine-tune-late'
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fix = "make one: headstart plan DATA -o plan.json"
        raise OptionError(f"a plan in {path}, a JSON object", str(reason), fix) from error
    return Plan.from_json(value)


def _arranged(
    source: Dataset | Path | str | Sequence[Path | str],
    store: FeatureStore,
    target: Target | None,
    backbone: str | None,
    val_share: float,
    seed: int,
    engine: str,
    precision: Precision | None,
    offline: bool,
    say: Say,
) -> tuple[Gathered, Arrangement]:
    dataset = open_labelled(source, target)
    say(f"{len(dataset)} {modality(dataset.modality).noun} {describe(dataset)}")
    gathered = gather(
        dataset, store, backbone=backbone, engine=engine, precision=precision, offline=offline, say=say
    )
    require_two_answers(gathered.dataset)
    return gathered, arrange(gathered, folds=False, val_share=val_share, seed=seed)


def _subset(train: Labelled, seed: int) -> NDArray[np.int64]:
    """Return positions of at most `MEASURED` items, of each class its share."""
    if len(train.y) <= MEASURED:
        return np.arange(len(train.y))
    parts = assign_folds(train, len(train.y) // MEASURED + 1, seed)
    return np.flatnonzero(parts == 0)


def _inputs(dataset: Dataset, network: Backbone) -> NDArray[np.uint8]:
    reader, spec = modality(dataset.modality), network.card.preprocess
    some = dataset.items[:: max(1, len(dataset) // _DISTANCE_ITEMS)][:_DISTANCE_ITEMS]
    rows = [reader.inputs(item.source, spec, "torch")[:_DISTANCE_ROWS] for item in some]
    return np.concatenate([np.stack(each) for each in rows])


def _mean_of_each(features: Features) -> Features:
    """Return one row for each item, the mean of its rows."""
    return Features(features.pool(features.X), np.arange(len(features)), features.group)


def _tokens(dataset: Dataset, network: Backbone) -> int:
    """Return how many tokens three quarters of the texts have at most."""
    reader, spec = modality(dataset.modality), network.card.preprocess
    some = dataset.items[:: max(1, len(dataset) // _LENGTH_ITEMS)][:_LENGTH_ITEMS]
    return int(np.quantile([sum(map(len, reader.inputs(item.source, spec))) for item in some], 0.75))


def _longest(network: Backbone) -> int:
    """Return the most tokens in a passage that are worth while and that the network has positions for."""
    for length in reversed(planner.LENGTHS):
        with suppress(BackboneError):
            return network.at(length).card.preprocess.size
    return network.card.preprocess.size


def _leep(network: Backbone, features: dict[str, Features], labelled: Labelled) -> float | None:
    if network.classifier is None or labelled.target != "label":
        return None
    import torch

    last = features[network.card.blocks[-1]]
    pooled = np.array(last.pool(last.X))
    with torch.no_grad():
        answers = network.logits(torch.from_numpy(pooled).to(network.mean.device)).softmax(1)
    return leep(answers.cpu().numpy(), labelled.y)


def _row_bytes(network: Backbone) -> dict[str, int]:
    """Return what one stored output of each block takes, in float16."""
    import torch

    found = {}
    with torch.inference_mode():
        x = network.normalise(network.example().to(network.mean.device))
        for name, block in network.blocks.items():
            x = block(x)
            found[name] = 2 * x[0].numel()
    return found
