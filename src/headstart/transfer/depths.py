"""What a network knows about the data at each depth: all blocks' pooled outputs, probed and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Dataset
from headstart.engines.choosing import choose
from headstart.engines.precision import Precision
from headstart.transfer.features import Features
from headstart.transfer.passes import Output, extract
from headstart.transfer.scores import h_score, logme
from headstart.transfer.selection import Labelled, select
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

DEPTHS = 8
"""So many depths are probed at most: more of them would cost time and decide nothing else."""


@dataclass(frozen=True)
class Depth:
    """What the features of one depth are worth for the task.

    Args:
        block: The block that they leave from, str.
        width: Their number, int.
        accuracy: Of a linear probe's answers by cross-validation, float: the share that is right; of several
            labels the share of the always-most-common answer's mistakes that is avoided; of numbers R².
        error: Standard error of that accuracy, float.
        logme: See `transfer.scores.logme`, float.
        h_score: See `transfer.scores.h_score`, float; None where items do not have one class each.
        distance: See `source_distances`, float. Defaults to None: not measurable for this network.
    """

    block: str
    width: int
    accuracy: float
    error: float
    logme: float
    h_score: float | None
    distance: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object, rounded to what means something."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def depth_features(
    dataset: Dataset,
    backbone: Backbone,
    store: FeatureStore,
    *,
    engine: str = "auto",
    precision: Precision | None = None,
    calibration: Callable[[], Sequence[NDArray[np.uint8]]] | None = None,
    progress: bool = True,
) -> tuple[dict[str, Features], list[int]]:
    """Compute, or fetch from the store, every block's pooled output: one forward pass for all depths.

    Args:
        dataset: The items.
        backbone: The network.
        store: Keeps the rows.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: Defaults to None: the engine's own choice.
        calibration: Prepared inputs to quantise on, for int8. Defaults to None.
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        The features of each block, {name: Features}, of the items that could be read, and the positions of
        those that could not.
    """
    from headstart.backbones.backbone import Depths

    network = Depths(backbone)
    choice = choose(
        backbone.card,
        lambda: network,
        engine=engine,
        precision=precision,
        calibration=calibration,
        outputs=("depths",),
    )
    output = Output("depths", network.width)
    done = extract(dataset, store, backbone.card, choice.key, choice.start, output=output, progress=progress)
    rows, item, missing = done.read(store)
    kept = np.setdiff1d(np.arange(len(dataset)), missing)
    item = np.searchsorted(kept, item)
    group = np.arange(len(kept))
    features = {name: Features(rows[:, where], item, group) for name, where in network.columns.items()}
    return features, missing


def probe_depths(
    features: Mapping[str, Features],
    labelled: Labelled,
    *,
    distances: Mapping[str, float] | None = None,
    folds: int = 3,
    seed: int = 0,
) -> list[Depth]:
    """Measure how well a linear head does on the features of each depth.

    Args:
        features: Of each block, in order, as `depth_features` returns them.
        labelled: What is known about the items; its own features are not used, its groups are.
        distances: From `source_distances`. Defaults to None.
        folds: Of the cross-validation, int. Defaults to 3.
        seed: For the folds, int. Defaults to 0.

    Returns:
        At most `DEPTHS` depths, evenly spread, in order; the last block is always among them.
    """
    found = []
    # Renumbered, so that folds do not depend on what else there is in the data set.
    group = np.unique(labelled.features.group, return_inverse=True)[1]
    for block in chosen_depths(tuple(features)):
        own = replace(features[block], group=group)
        data = replace(labelled, features=own)
        accuracy, error = _accuracy(data, select(data, "linear", folds=folds, seed=seed).logits)
        pooled = own.pool(own.X)
        y = data.y if data.target == "label" else data.y.astype(np.float64)
        score = h_score(pooled, data.y) if data.target == "label" else None
        distance = (distances or {}).get(block)
        found.append(Depth(block, pooled.shape[1], accuracy, error, logme(pooled, y), score, distance))
    return found


def _accuracy(data: Labelled, logits: NDArray[np.float32]) -> tuple[float, float]:
    """Return how good out-of-fold answers are, from 0 or less to 1, and the standard error."""
    if data.target == "label":
        wrong, scale = (logits.argmax(1) != data.y).astype(np.float64), 1.0
    elif data.target == "labels":
        wrong = ((logits > 0) != data.y).mean(1)
        scale = float(np.minimum(data.y.mean(0), 1 - data.y.mean(0)).mean())
    else:
        wrong, scale = (logits[:, 0] - data.y) ** 2, float(data.y.var())
    wrong = wrong / max(scale, 1e-12)
    return float(1 - wrong.mean()), float(wrong.std() / np.sqrt(len(wrong)))


def chosen_depths(blocks: Sequence[str]) -> list[str]:
    """Return at most `DEPTHS` of the blocks, evenly spread, with the last one.

    Example:
        >>> chosen_depths([f"layer{n}" for n in range(1, 13)])
        ['layer1', 'layer3', 'layer4', 'layer6', 'layer7', 'layer9', 'layer10', 'layer12']
    """
    places = np.linspace(0, len(blocks) - 1, min(DEPTHS, len(blocks))).round().astype(int)
    return [blocks[place] for place in places]


def source_distances(backbone: Backbone, pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Measure how unlike the network's training data some pictures are, at every depth.

    A batch norm remembers the mean and variance that each channel had while the network was trained. Here
    both are measured on the pictures; the distance of a channel is the Kullback-Leibler divergence of the
    two normal distributions, that of a block the median over the channels of its batch norms. Data like the
    training data are near 0; each nat is a channel whose spread is off by a factor of three or so.

    Args:
        backbone: The network.
        pixels: Prepared inputs, uint8 [n, side, side, 3]; 32 to 100 are enough.

    Returns:
        {block: nats}, of the blocks that have batch norms: empty for networks without any (VGG16,
        transformers), which keep no statistics of their training data.

    References:
        The same statistics as in Li et al., "Revisiting Batch Normalization For Practical Domain
        Adaptation", ICLR workshop 2017.
    """
    import torch
    from torch import nn

    sums: dict[nn.Module, list[torch.Tensor]] = {}

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0].transpose(0, 1).flatten(1).double()
        count = torch.full((), x.shape[1], dtype=torch.double)
        new = [count, x.sum(1), (x**2).sum(1)]
        sums[module] = [a + b for a, b in zip(sums[module], new, strict=True)] if module in sums else new

    norms = {
        name: [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
        for name, block in backbone.blocks.items()
    }
    if not any(norms.values()):
        return {}
    handles = [norm.register_forward_pre_hook(note) for block in norms.values() for norm in block]
    try:
        with torch.inference_mode():
            for start in range(0, len(pixels), 16):
                batch = torch.from_numpy(pixels[start : start + 16]).to(backbone.mean.device)
                backbone.run_blocks(backbone.normalise(batch))
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for name, block in norms.items():
        channels = [_divergence(norm, *sums[norm]) for norm in block if norm.running_mean is not None]
        if channels:
            found[name] = float(torch.cat(channels).median())
    return found


def _divergence(norm: Any, count: Any, total: Any, square: Any) -> Any:
    """Return KL(data ‖ training data) of each channel, in nats, both taken as normal."""
    mean = total / count
    ratio = ((square / count - mean**2).clamp(min=0) + norm.eps) / (norm.running_var.double() + norm.eps)
    shift = (mean - norm.running_mean.double()) ** 2 / (norm.running_var.double() + norm.eps)
    return 0.5 * (ratio + shift - 1 - ratio.log())
