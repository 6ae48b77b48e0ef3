"""How many frames a second a trained style paints, and how near it comes to the slow way.

    headstart style-train PHOTOS starry_night.jpg -o night.style --minutes 40
    python benchmarks/fast_style.py --style night.style [--size 256] [--frames 60] [--repeats 5]

Speed: frames of SIZE × SIZE pixels through OpenVINO, from memory and from JPEG files, against the same
network in torch (eager, channels last, no gradients, fp32 and bf16); they take turns, and the median counts.
By CPU time means: if the cores were there for nothing else.

Likeness: five photographs (two of scikit-learn's, three of HEADSTART_DATA/images/style) at 448 pixels, the
size at which the style was looked at, painted by the trained network, by magenta-stylize and by L-BFGS.
Content: the SSIM of both pictures' edges (Sobel). Style: the squared distance of the Gram matrices over that
of an empty picture's, mean of the four layers that the network was trained with, in fp32. The photograph
itself stands beside them.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from support.common import Stopwatch, cores, data_folder, median, record, spread, table, timed, verdict

from headstart.process import tune_process

tune_process()
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from scipy.ndimage import sobel, uniform_filter  # noqa: E402

from headstart import backbones  # noqa: E402
from headstart.backbones import tensors  # noqa: E402
from headstart.images.decode import Pixels, decode  # noqa: E402
from headstart.images.saving import save_picture  # noqa: E402
from headstart.networks.style_network import Exported, StyleNetwork  # noqa: E402
from headstart.studio.any_style import any_style  # noqa: E402
from headstart.studio.fast_style import WEIGHTS, open_style, read_card  # noqa: E402
from headstart.studio.goal import gram, gram_loss  # noqa: E402
from headstart.studio.layers import Layers  # noqa: E402
from headstart.studio.style import StyleOptions, stylize  # noqa: E402

FRAMES_A_SECOND = 24.0
SIDE = 448


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--style", type=Path, required=True, help="a folder of `headstart style-train`")
    parser.add_argument("--picture", default="starry_night.jpg", help="its picture, in images/style")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=120, help="evaluations of L-BFGS")
    parser.add_argument("--only-speed", action="store_true")
    parser.add_argument("--sheet", type=Path, help="where to put all paintings beside each other, a picture")
    options = parser.parse_args()
    figures = measure_speed(options.style, options.size, options.frames, options.repeats)
    if not options.only_speed:
        figures |= measure_likeness(
            options.style, data_folder("style"), options.picture, options.steps, options.sheet
        )
    rows: list[tuple[object, ...]] = [("", "value", "target", "")]
    for name in ("openvino_fps", "openvino_fps_by_cpu"):
        rows.append((name, figures[name], FRAMES_A_SECOND, verdict(figures[name], FRAMES_A_SECOND)))
    table("Claims", rows)
    record("fast_style", {"size": options.size, **figures})


def measure_speed(folder: Path, size: int, count: int, repeats: int) -> dict[str, float]:
    picture = Image.fromarray(scenes()[0]).resize((size, size))
    frame = np.asarray(picture)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    jpeg = file.getvalue()
    brush = open_style(folder)
    network = torch_network(folder)

    def through_torch(bf16: bool) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for _ in range(count // 4):
                network(torch.from_numpy(frame.copy())[None])

    ways: dict[str, Callable[[], object]] = {
        "openvino": lambda: list(brush.stream(frame for _ in range(count))),
        "openvino_jpeg": lambda: list(brush.stream(decode(jpeg) for _ in range(count))),
        "torch": lambda: through_torch(False),
        "torch_bf16": lambda: through_torch(True),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    alone: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            frames = count // 4 if name.startswith("torch") else count
            spent = timed(way)
            speeds[name].append(frames / spent.wall)
            alone[name].append(frames / spent.cpu * cores())
    rows: list[tuple[object, ...]] = [("", "frames a second, median", "of the runs", "by CPU time")]
    rows += [(name, median(values), spread(values), median(alone[name])) for name, values in speeds.items()]
    table(f"Frames of {size} × {size} pixels, {count} at a time", rows)
    found = {f"{name}_fps": median(values) for name, values in speeds.items()}
    found |= {f"{name}_fps_by_cpu": median(values) for name, values in alone.items()}
    best = max(found["torch_fps"], found["torch_bf16_fps"])
    return {**found, "openvino_spread": spread(speeds["openvino"]), "ratio": found["openvino_fps"] / best}  # type: ignore[dict-item]


def torch_network(folder: Path) -> Exported:
    shape = read_card(folder)["network"]
    network = StyleNetwork(shape["width"], shape["blocks"])
    network.load_state_dict(tensors.read(folder / WEIGHTS))
    return Exported(network.eval().to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def scenes() -> list[Pixels]:
    from sklearn.datasets import load_sample_images

    return [np.asarray(picture) for picture in load_sample_images().images]


def measure_likeness(
    folder: Path, pictures: Path, name: str, steps: int, sheet: Path | None
) -> dict[str, float]:
    style = fitted(decode(pictures / name))
    contents = [fitted(each) for each in scenes()]
    contents += [
        fitted(decode(pictures / f"{each}.jpg")) for each in ("tubingen", "golden_gate", "hoovertowernight")
    ]
    network = backbones.load("vgg16")
    judge = Judge(Layers(network, list(read_card(folder)["options"]["style_layers"]), fast=False), style)
    brush, any_brush = open_style(folder), any_style([style])
    wanted = StyleOptions(size=SIDE, steps=steps)
    ways: dict[str, Callable[[Pixels], Pixels]] = {
        "the photograph": lambda scene: scene,
        "trained": brush.paint,
        "magenta": any_brush.paint,
        "lbfgs": lambda scene: stylize(scene, [(style, 1.0)], lambda names: Layers(network, names), wanted),
    }
    rows: list[tuple[object, ...]] = [("", "SSIM of edges", "spread", "Gram distance", "spread", "seconds")]
    found: dict[str, float] = {}
    lines: list[Pixels] = []
    for way, paint in ways.items():
        painted, seconds = [], []
        for scene in contents:
            with Stopwatch() as watch:
                painted.append(paint(scene))
            seconds.append(watch.spent.wall)
        edges = [ssim(outline(scene), outline(each)) for scene, each in zip(contents, painted, strict=True)]
        grams = [judge.distance(each) for each in painted]
        squares = [Image.fromarray(each).resize((300, 200)) for each in painted]
        lines.append(np.concatenate([np.asarray(square) for square in squares], axis=1))
        rows.append((way, median(edges), spread(edges), median(grams), spread(grams), median(seconds)))
        key = way.replace("the ", "")
        found |= {f"{key}_edges": median(edges), f"{key}_gram": median(grams), f"{key}_s": median(seconds)}
    if sheet is not None:
        save_picture(sheet, np.concatenate(lines))
    table(f"Likeness, median of {len(contents)} photographs of {SIDE} pixels, L-BFGS of {steps} steps", rows)
    return found


class Judge:
    """How far a picture is from a style."""

    def __init__(self, layers: Layers, style: Pixels) -> None:
        self._layers = layers
        self._wanted = dict(self._grams(style))

    def distance(self, picture: Pixels) -> float:
        """Return the mean over the layers; 1 is an empty picture's."""
        parts = [
            gram_loss(found, self._wanted[name]) / gram_loss(0 * found, self._wanted[name])
            for name, found in self._grams(picture)
        ]
        return float(torch.stack(parts).mean())

    def _grams(self, picture: Pixels) -> Iterator[tuple[str, torch.Tensor]]:
        with torch.inference_mode():
            seen = self._layers(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float())
        for name, answer in seen.items():
            yield name, gram(answer) / (answer.shape[2] * answer.shape[3])


def fitted(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    sides = (round(width * scale / 4) * 4, round(height * scale / 4) * 4)
    return np.asarray(Image.fromarray(picture).resize(sides, Image.Resampling.LANCZOS))


def outline(picture: Pixels) -> np.ndarray:
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float64)
    edges = np.hypot(sobel(grey, 0), sobel(grey, 1))
    return edges / max(edges.max(), 1e-9)


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity (Wang et al., 2004) in windows of 7 pixels, of values from 0 to 1."""
    means = [uniform_filter(each, 7) for each in (one, other)]
    squares = [
        uniform_filter(each * each, 7) - mean**2 for each, mean in zip((one, other), means, strict=True)
    ]
    common = uniform_filter(one * other, 7) - means[0] * means[1]
    small, smaller = 0.01**2, 0.03**2
    above = (2 * means[0] * means[1] + small) * (2 * common + smaller)
    below = (means[0] ** 2 + means[1] ** 2 + small) * (squares[0] + squares[1] + smaller)
    return float((above / below).mean())


if __name__ == "__main__":
    main()
