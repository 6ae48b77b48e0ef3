"""Training a network to paint in one style, on photographs of one's own."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headstart.data.items import Dataset
from headstart.engines.openvino_engine import has_bf16
from headstart.errors import DataError, DecodeError, OptionError
from headstart.images.decode import Pixels, decode
from headstart.networks.style_network import STRIDE, Exported, StyleNetwork
from headstart.studio.goal import content_loss, gram, gram_loss, style_loss, total_variation
from headstart.studio.layers import Layers
from headstart.training.averaging import Average
from headstart.training.checkpoints import Checkpoints
from headstart.training.learner import check_options, learner_state, load_learner
from headstart.training.reproducible import reproducible

_CPU = torch.device("cpu")
_SAVE_EVERY = 60.0
"""Seconds between two checkpoints."""
_DECAY = 0.99
"""What the average of the weights keeps of itself in a step."""
_ZOOM = 0.6
"""The smallest crop, as a share of a photograph's shorter side."""
_LEAST = 32
"""Pixels of the style picture's shorter side that the deepest layers need."""


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained to paint.

    Args:
        size: Side of the crops that it learns from, int, in pixels. Defaults to 256.
        style_size: Longer side at which the style is looked at, int: the larger, the smaller the strokes
            that are learned. Defaults to 448.
        batch: Photographs in a step, int. Defaults to 2: more steps in the same time.
        steps: The most steps, int; the time may end first. Defaults to 40000.
        rate: Learning rate of Adam, float. Defaults to 0.002.
        content_weight: How much the content counts, float. Defaults to 1.
        style_weight: How much the style does, float. Defaults to 20.
        smooth: Weight of the total variation, float. Defaults to 0.00001.
        content_layer: Layer at which content is compared, str. Defaults to "block3_conv1".
        style_layers: Layers whose Gram matrices are the style, with a share each. Defaults to four, a
            quarter each.
        width: Channels of its first layer, int. Defaults to 16.
        blocks: Its residual blocks, int. Defaults to 5.
        seed: int. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    size: int = 256
    style_size: int = 448
    batch: int = 2
    steps: int = 40_000
    rate: float = 2e-3
    content_weight: float = 1.0
    style_weight: float = 20.0
    smooth: float = 1e-5
    content_layer: str = "block3_conv1"
    style_layers: dict[str, float] = field(
        default_factory=lambda: {
            "block1_conv1": 0.25, "block2_conv1": 0.25, "block3_conv1": 0.25, "block4_conv1": 0.25
        }
    )  # fmt: skip
    width: int = 16
    blocks: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 4 or self.style_size < 32:
            raise OptionError("a size that is a multiple of 4, from 32 on", f"{self.size}", "use --size 256")
        if min(self.batch, self.steps, self.width, self.blocks) < 1 or self.rate <= 0:
            received = f"{self.batch}, {self.steps}, {self.width}, {self.blocks}, {self.rate:g}"
            raise OptionError(
                "batch, steps, width and blocks from 1 on, a rate above 0", received, "raise it"
            )


class Photographs:
    """Crops of photographs, the same ones for the same seed and step.

    Args:
        dataset: Where they come from.
        size: Side of a crop, int.
        seed: int.
    """

    def __init__(self, dataset: Dataset, size: int, seed: int) -> None:
        if dataset.modality != "image":
            fix = "name a folder with photographs"
            raise DataError("photographs to learn from", f"items of the kind {dataset.modality!r}", fix)
        self._items, self._size, self._seed = dataset.items, size, seed
        self.unread: dict[str, str] = {}

    def batch(self, step: int, count: int) -> Tensor:
        """Return the crops of a step, uint8 [count, size, size, 3]."""
        crops = [self._crop(step * count + place) for place in range(count)]
        return torch.from_numpy(np.stack(crops))

    def batches(self, first: int, last: int, count: int) -> Iterator[Tensor]:
        """Yield the crops of the steps from `first` to before `last`, decoded one step ahead."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.batch, first, count)
            for step in range(first, last):
                ready = ahead.result()
                if step + 1 < last:
                    ahead = pool.submit(self.batch, step + 1, count)
                yield ready

    def sample(self) -> Pixels:
        """Return the middle of the first photograph that can be read, its shorter side the crops'."""
        picture = self._read(0)
        height, width = (min(side, 2 * min(picture.shape[:2])) for side in picture.shape[:2])
        top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        scale = self._size / min(height, width)
        size = (round(width * scale) // STRIDE * STRIDE, round(height * scale) // STRIDE * STRIDE)
        return _resized(picture, size, (left, top, left + width, top + height))

    def _crop(self, number: int) -> Pixels:
        epoch, place = divmod(number, len(self._items))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._items))
        picture = self._read(int(order[place]))
        draw = np.random.default_rng([self._seed, epoch, place])
        side = min(picture.shape[:2]) * draw.uniform(_ZOOM, 1)
        top, left = (draw.uniform(0, length - side) for length in picture.shape[:2])
        crop = _resized(picture, (self._size, self._size), (left, top, left + side, top + side))
        return crop[:, ::-1] if draw.integers(2) else crop

    def _read(self, number: int) -> Pixels:
        """Return a photograph, or the next one that can be read."""
        for offset in range(len(self._items)):
            item = self._items[(number + offset) % len(self._items)]
            try:
                return decode(item.source, at_least=round(self._size / _ZOOM))
            except DecodeError as error:
                self.unread[item.name] = str(error)
        name, reason = next(iter(self.unread.items()))
        raise DataError(
            "at least one photograph that can be read", f"{name}: {reason}", "name other photographs"
        )


@dataclass(frozen=True, eq=False)
class Look:
    """How far a training is.

    Args:
        picture: How a photograph is painted now, uint8 [h, w, 3].
        step: Steps so far, int.
        seconds: Time so far, float.
        loss: Mean since the last look, float.
    """

    picture: Pixels
    step: int
    seconds: float
    loss: float


class StyleTraining:
    """A network on its way to paint in one style.

    Args:
        style: The picture that it shall paint like, uint8 [h, w, 3].
        layers: From names to what computes those layers of the network that judges.
        options: How it is trained.
        checkpoints: Where its states go.

    References:
        Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer", ECCV 2016.
    """

    def __init__(
        self,
        style: Pixels,
        layers: Callable[[Sequence[str]], Layers],
        options: TrainOptions,
        checkpoints: Checkpoints,
    ) -> None:
        self.options, self._checkpoints = options, checkpoints
        self._judge = layers([*options.style_layers, options.content_layer])
        self._scene = layers([options.content_layer])  # no deeper than that
        self._wanted = self._grams(_tensor(_fitted(style, options.style_size)))
        self._empty = {name: gram_loss(0 * each, each) for name, each in self._wanted.items()}
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            network = StyleNetwork(options.width, options.blocks)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=options.rate)
        # Instead of a falling rate, which would have to know when the time ends.
        self._average = Average.of(self.network, _DECAY)
        self.step, self.seconds, self.loss = 0, 0.0, float("nan")

    def go(
        self,
        photographs: Photographs,
        minutes: float,
        *,
        every: int = 50,
        see: Callable[[Look], None] = lambda _look: None,
    ) -> None:
        """Train until the time or the steps are used up; a state is kept every minute and at the end.

        Args:
            photographs: What it paints while it learns.
            minutes: Time for all of it, what went before a resume included, float.
            every: Steps between two looks at how a photograph is painted, int. Defaults to 50.
            see: Told how far it is. Defaults to nobody.

        Raises:
            DataError: No photograph can be read.
        """
        begun, saved = time.monotonic() - self.seconds, -math.inf
        losses: list[float] = []
        sample = photographs.sample()
        count = self.options.batch
        with reproducible(_CPU):
            for batch in photographs.batches(self.step, self.options.steps, count):
                losses.append(self._descend(batch))
                self.step, self.seconds = self.step + 1, time.monotonic() - begun
                if self.step % every == 0 or self.step == 1:
                    self.loss = sum(losses) / len(losses)
                    losses.clear()
                    see(Look(self.paint(sample), self.step, self.seconds, self.loss))
                if time.monotonic() - saved > _SAVE_EVERY:
                    self._save(None)
                    saved = time.monotonic()
                if self.seconds >= minutes * 60:
                    break
        if losses:
            self.loss = sum(losses) / len(losses)
        self._save("steps" if self.step >= self.options.steps else "time")

    def finished(self) -> StyleNetwork:
        """Return the network with its weights averaged over the last steps."""
        with self._average.applied():
            network: StyleNetwork = copy.deepcopy(self.network).eval()
        return network

    def paint(self, picture: Pixels) -> Pixels:
        """Return how the averaged network paints a picture, uint8 [h, w, 3] of a multiple of 4 pixels."""
        with self._average.applied(), torch.no_grad():
            painted: Pixels = Exported(self.network)(torch.from_numpy(picture.copy())[None])[0].numpy()
        return painted

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            OptionError: There is none, or it is of another style, of other photographs or options.
        """
        tensors, notes, _ = self._checkpoints.load()
        check_options(notes["options"], self.does())
        load_learner(tensors, self.network, self._optimiser, self._average)
        self.step, self.seconds = notes["step"], notes["seconds"]
        self.loss = float("nan") if notes["loss"] is None else notes["loss"]

    def _save(self, stopped: str | None) -> None:
        tensors = learner_state(self.network, self._optimiser, self._average)
        loss = None if math.isnan(self.loss) else self.loss
        notes = {"options": self.does(), "step": self.step, "seconds": self.seconds, "loss": loss}
        notes["stopped"] = stopped
        self._checkpoints.save(tensors, notes, None, dict)

    def does(self) -> dict[str, Any]:
        """Return the options that the result depends on, JSON-able."""
        return {name: value for name, value in asdict(self.options).items() if name != "steps"}

    def _descend(self, batch: Tensor) -> float:
        options = self.options
        self._optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            painted = self.network(batch).permute(0, 3, 1, 2)
        scenes = batch.permute(0, 3, 1, 2).float()
        with torch.no_grad():
            content = self._scene(scenes)[options.content_layer]
        seen = self._judge(painted)
        # Each part relative to an empty picture's: the weights then mean the same for every style and layer.
        kept = content_loss(seen[options.content_layer], content) / content_loss(content, 0 * content)
        style = sum(
            share * style_loss(seen[name], self._wanted[name]) / self._empty[name]
            for name, share in options.style_layers.items()
        )
        # Each picture has Gram matrices of its own: the mean of their losses.
        loss = options.content_weight * kept + options.style_weight * style / len(batch)
        loss = loss + options.smooth * total_variation(painted)
        if not math.isfinite(float(loss.detach())):
            raise OptionError("a loss that is a number", f"{float(loss.detach())}", "use a lower rate")
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._average.update()
        return float(loss.detach())

    def _grams(self, style: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            seen = self._judge(style)
        return {
            name: gram(seen[name]) / (seen[name].shape[2] * seen[name].shape[3])
            for name in self.options.style_layers
        }


def _resized(picture: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, box=box))


def _fitted(picture: Pixels, side: int) -> Pixels:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(_LEAST, round(width * scale)), max(_LEAST, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
