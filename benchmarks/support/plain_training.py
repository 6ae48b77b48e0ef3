"""What everybody writes in torch: photographs by Pillow in a DataLoader, an eager loop in fp32, AdamW.

This is the peer in boundary.py: order of the items, schedule and groups of weights are headstart's, so that
only the way of computing differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from headstart.backbones.card import Preprocess
from headstart.data.items import Source
from headstart.images.preprocess import field_of_view, resize
from headstart.training import schedules
from headstart.training.network import Network, bind
from headstart.training.plan import Plan
from headstart.training.sampling import batches, order
from support.common import Spent, Stopwatch

WORKERS = 2
Items = NDArray[np.int64]
Batches = Callable[[list[Items]], Iterable[Tensor]]


class Photographs(Dataset[Tensor]):
    """Photographs, decoded and resized by Pillow in worker processes."""

    def __init__(self, sources: list[Source], spec: Preprocess) -> None:
        self._sources, self._spec = sources, spec

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self._sources[index]) as file:  # type: ignore[arg-type]
            pixels = np.asarray(file.convert("RGB"))
        return torch.tensor(resize(field_of_view(pixels, self._spec), self._spec, "pillow"))

    def batches(self, parts: list[Items]) -> Iterable[Tensor]:
        """Return the batches of some items each, uint8 [n, side, side, 3]."""
        return DataLoader(self, batch_sampler=[part.tolist() for part in parts], num_workers=WORKERS)


def train_plainly(
    network: Network,
    plan: Plan,
    y: NDArray[np.int64],
    train: Items,
    val: Items,
    source: Batches,
    start: str | None,
) -> tuple[list[Spent], float]:
    """Train the plan's first phase.

    Args:
        network: What is trained.
        plan: Whose first phase is done.
        y: Class of every item.
        train: Items that are trained on.
        val: Items that are looked at after every epoch.
        source: Gives the batches of lists of items.
        start: The first block that runs on them; None for pixels.

    Returns:
        What each epoch took, and the best accuracy.
    """
    phase, settings = plan.phases[0], plan.settings
    optimiser = torch.optim.AdamW(bind(network, plan, phase))
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    targets, spent, best = torch.from_numpy(y), [], 0.0
    looked_at = [val[n : n + settings.batch] for n in range(0, len(val), settings.batch)]
    torch.manual_seed(plan.seed)
    for epoch in range(phase.epochs):
        with Stopwatch() as watch:
            steps = batches(order(train, y, (plan.seed, 0, epoch), "shuffle"), settings.batch)
            parts = [part for step in steps for part in step]
            network.train()
            for number, (part, x) in enumerate(zip(parts, source(parts), strict=True)):
                factor = schedules.factor(settings, epoch * len(parts) + number, phase.epochs * len(parts))
                for group in optimiser.param_groups:
                    group["lr"] = phase.rates[group["name"]] * factor
                optimiser.zero_grad()
                nn.functional.cross_entropy(network(x, start), targets[part]).backward()
                nn.utils.clip_grad_norm_(weights, settings.clip)
                optimiser.step()
            network.eval()
            with torch.no_grad():
                answers = torch.cat([network(x, start).argmax(1) for x in source(looked_at)])
            best = max(best, float((answers == targets[val]).float().mean()))
        spent.append(watch.spent)
    return spent, best
