"""How fast features are made: against the machine's limit, in bf16 and int8, against torch and against Keras.

    HEADSTART_DATA=… python benchmarks/feature_pass.py [--repeat 5] [--keras PYTHON]

The limit is cores / (decode + network CPU seconds for a photograph), each measured alone, in this run. A pass
is all that `fit` does before the head: list, read, hash, decode, fingerprint, resize, network, store, index.
Other work on the machine slows the wall clock, so CPU time stands beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from support.common import (
    Spent,
    cores,
    data_folder,
    median,
    photographs,
    record,
    spread,
    table,
    timed,
    verdict,
)

from headstart import backbones, data
from headstart.process import tune_process

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

BACKBONE = "efficientnet_lite0"
SLOW_PART = 400
"""The torch loop and Keras get this many photographs: they take seconds, not milliseconds, for a hundred."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--keras", metavar="PYTHON", help="an interpreter with tensorflow-cpu and pillow")
    options = parser.parse_args()
    folder = data_folder("dogs_vs_cats")
    tune_process()  # as the command line does; it must come before torch
    from headstart.engines.choosing import choose

    card = backbones.card(BACKBONE)
    paths = photographs(folder / "train")
    inputs = [_prepare(path) for path in paths]
    choices = {
        precision: choose(
            card,
            lambda: backbones.load(BACKBONE),
            engine="openvino",
            precision=precision,
            calibration=lambda: inputs[:: len(inputs) // 200],
        )
        for precision in ("bf16", "int8", "fp32")
    }
    engines = {precision: choice.start() for precision, choice in choices.items()}

    def network(precision: str) -> Callable[[], object]:
        return lambda: _drain(engines[precision].run(enumerate(inputs), ("features",)))

    def whole_pass(precision: str) -> Callable[[], object]:
        from headstart.transfer.passes import extract
        from headstart.transfer.store import FeatureStore

        def run() -> None:
            dataset = data.open(folder / "train")
            with tempfile.TemporaryDirectory() as temporary, FeatureStore(Path(temporary)) as store:
                choice = choices[precision]
                done = extract(dataset, store, card, choice.key, lambda: engines[precision], progress=False)
                if done.computed != len(paths):
                    sys.exit(f"expected {len(paths)} photographs to be computed, received {done.computed}")

        return run

    loaded = backbones.load(BACKBONE)  # loading is not counted
    keras: list[dict[str, float]] = []
    work: dict[str, Callable[[], object]] = {
        "decode, one core": lambda: [_prepare(path) for path in paths],
        "network bf16": network("bf16"),
        "pass bf16": whole_pass("bf16"),
        "network int8": network("int8"),
        "pass int8": whole_pass("int8"),
        "network fp32": network("fp32"),
        "torch loop": lambda: _torch_loop(loaded, paths[:SLOW_PART]),
    }
    spent: dict[str, list[Spent]] = {name: [] for name in [*work, "decode, all cores"]}
    with multiprocessing.get_context("forkserver").Pool(cores()) as pool:
        pool.map(_decode_cpu, [paths[:50]] * cores())  # imports are not decoding
        for _ in range(options.repeat):
            for name, run in work.items():
                spent[name].append(_scaled(timed(run), len(paths) / SLOW_PART if name == "torch loop" else 1))
            if options.keras:
                keras.append(_keras(options.keras, paths[:SLOW_PART]))
            shares = [paths[n :: cores()] for n in range(cores())]
            used = pool.map(_decode_cpu, shares, chunksize=1)
            spent["decode, all cores"].append(Spent(max(used), sum(used)))

    def milliseconds(name: str) -> tuple[float, float]:
        """Median wall and CPU milliseconds for a photograph."""
        share = 1000 / len(paths)
        return median(s.wall for s in spent[name]) * share, median(s.cpu for s in spent[name]) * share

    rows: list[tuple[object, ...]] = [("", "wall ms", "CPU ms", "wall, lowest–highest")]
    rows += [
        (name, *milliseconds(name), spread(s.wall * 1000 / len(paths) for s in spent[name])) for name in spent
    ]
    table(f"{len(paths)} photographs, {options.repeat} repetitions; a photograph takes", rows)

    # Ratios are made within one repetition, then the median is taken: slow minutes cancel.
    ratios = _ratios(spent, len(paths))
    ours = milliseconds("pass bf16")[0] / 1000
    same = _same_answers(folder, engines["bf16"], engines["int8"], inputs)
    figures = {
        "pass_per_s": 1 / ours,
        "limit_per_s": cores()
        * 1000
        / (milliseconds("decode, one core")[1] + milliseconds("network bf16")[1]),
        **ratios,
        "int8_same_predictions": same,
        "torch_per_s": 1000 / milliseconds("torch loop")[0],
    }
    lines: list[tuple[object, ...]] = [
        ("claim", "measured", "target", ""),
        ("pass against the limit (wall)", *_line(figures["of_limit_wall"], 0.95)),
        ("the same, of the fastest repetitions", *_line(figures["of_limit_fastest"], 0.95)),
        ("the same, decode measured on all cores", *_line(figures["of_busy_limit_wall"], 0.95)),
        ("CPU time of decode + network / of the pass", *_line(figures["of_limit_cpu"], 0.95)),
        ("int8 network against bf16", *_line(figures["int8_network"], 1.4)),
        ("the same, CPU time", *_line(figures["int8_network_cpu"], 1.4)),
        ("int8 pass against bf16", *_line(figures["int8_pass"], 1.4)),
        ("int8 predictions unchanged", *_line(same, 0.995)),
        ("pass against a torch fp32 loop", *_line(figures["against_torch"], 5.0)),
        ("the same, CPU time", *_line(figures["against_torch_cpu"], 5.0)),
    ]
    if options.keras:
        figures |= _against_keras(keras, spent, len(paths))
        lines.append(("network against Keras predict", *_line(figures["network_against_keras"], 3.0)))
        lines.append(("pass against Keras predict", *_line(figures["pass_against_keras"], 3.0)))
        lines.append(("the same, CPU time", *_line(figures["pass_against_keras_cpu"], 3.0)))
    table("Claims", lines)
    record(
        "feature_pass",
        {"repeat": options.repeat, **figures},
        ("openvino", "torch", "nncf", "simplejpeg", "pillow"),
    )


def _line(value: float, target: float) -> tuple[object, ...]:
    return value, target, verdict(value, target)


def _prepare(path: Path) -> NDArray[np.uint8]:
    """Read, decode and resize one photograph: what the limit counts as decoding."""
    from headstart.images.preprocess import prepare

    return prepare(path, backbones.card(BACKBONE).preprocess, "torch")


def _decode_cpu(paths: list[Path]) -> float:
    """Decode a share in a process of its own; return the CPU seconds."""
    import torch

    torch.set_num_threads(1)
    return timed(lambda: [_prepare(path) for path in paths]).cpu


def _drain(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _ratios(spent: dict[str, list[Spent]], count: int) -> dict[str, float]:
    def paired(value: Callable[..., float], *names: str) -> float:
        return median(value(*together) for together in zip(*(spent[name] for name in names), strict=True))

    def of_limit(decode: Spent, network: Spent, whole: Spent) -> float:
        return (decode.cpu + network.cpu) / cores() / whole.wall

    return {
        "of_limit_wall": paired(of_limit, "decode, one core", "network bf16", "pass bf16"),
        "of_busy_limit_wall": paired(of_limit, "decode, all cores", "network bf16", "pass bf16"),
        "of_limit_cpu": paired(
            lambda d, n, p: (d.cpu + n.cpu) / p.cpu, "decode, one core", "network bf16", "pass bf16"
        ),
        "int8_network": paired(lambda a, b: a.wall / b.wall, "network bf16", "network int8"),
        "int8_network_cpu": paired(lambda a, b: a.cpu / b.cpu, "network bf16", "network int8"),
        "of_limit_fastest": (
            (min(s.cpu for s in spent["decode, one core"]) + min(s.cpu for s in spent["network bf16"]))
            / cores()
            / min(s.wall for s in spent["pass bf16"])
        ),
        "int8_pass": paired(lambda a, b: a.wall / b.wall, "pass bf16", "pass int8"),
        "against_torch": paired(lambda p, t: t.wall / p.wall, "pass bf16", "torch loop"),
        "against_torch_cpu": paired(lambda p, t: t.cpu / p.cpu, "pass bf16", "torch loop"),
        "decode_ms": median(s.cpu for s in spent["decode, one core"]) * 1000 / count,
        "network_ms": median(s.cpu for s in spent["network bf16"]) * 1000 / count,
        "pass_cpu_ms": median(s.cpu for s in spent["pass bf16"]) * 1000 / count,
    }


def _torch_loop(network: Backbone, paths: list[Path]) -> None:
    """The peer: torch eager in fp32, batches of 32, Pillow in a DataLoader with two workers."""
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(_PillowPhotographs(paths), batch_size=32, num_workers=2)
    with torch.inference_mode():
        features = torch.cat([network(pixels)[1] for pixels in loader])
    if len(features) != len(paths):
        sys.exit("the torch loop lost photographs")


class _PillowPhotographs:
    """Photographs as Pillow reads them: the short side to 256, the centre 224."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        from PIL import Image

        with Image.open(self._paths[index]) as file:
            image = file.convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
        )
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        return np.array(image.crop((left, top, left + 224, top + 224)))


def _same_answers(folder: Path, bf16: object, int8: object, train: list[NDArray[np.uint8]]) -> float:
    """Share of val and test photographs that heads fitted on bf16 and on int8 features agree about."""
    from headstart.transfer.heads import fit_head

    y = np.array([path.parent.name == "dogs" for path in photographs(folder / "train")], np.int64)
    held = [_prepare(path) for split in ("val", "test") for path in photographs(folder / split)]
    answers = []
    for engine in (bf16, int8):
        rows = _features(engine, train)
        head = fit_head("linear", rows, y, 2, strength=0.001)
        answers.append(head.logits(_features(engine, held)).argmax(1))
    return float(np.mean(answers[0] == answers[1]))


def _features(engine: object, inputs: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    run = engine.run(enumerate(inputs), ("features",))  # type: ignore[attr-defined]
    return np.stack([outputs["features"] for _, outputs in run])


def _scaled(spent: Spent, factor: float) -> Spent:
    return Spent(spent.wall * factor, spent.cpu * factor)


def _keras(python: str, paths: list[Path]) -> dict[str, float]:
    """Time MobileNetV2's `predict` in Keras, weights at random, in the given interpreter."""
    script = Path(__file__).parent / "support" / "keras_predict.py"
    done = subprocess.run(
        [python, str(script), *map(str, paths)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{python} could not run keras_predict.py:\n{done.stderr[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _against_keras(
    keras: list[dict[str, float]], spent: dict[str, list[Spent]], count: int
) -> dict[str, float]:
    def ratio(name: str, measure: str, of: Callable[[Spent], float]) -> float:
        pairs = zip(keras, spent[name], strict=True)
        return median(answer[measure] * count / of(ours) for answer, ours in pairs)

    return {
        "keras_predict_per_s": 1 / median(answer["predict"] for answer in keras),
        "keras_version": keras[0]["version"],
        "network_against_keras": ratio("network fp32", "predict", lambda s: s.wall),
        "pass_against_keras": ratio("pass bf16", "predict", lambda s: s.wall),
        "pass_against_keras_cpu": ratio("pass bf16", "cpu", lambda s: s.cpu),
    }


if __name__ == "__main__":
    main()
