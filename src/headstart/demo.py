"""The demo: real photographs through the first door that opens, and a guided tour on them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from headstart.data.kinds import SUFFIXES, suffix
from headstart.data.rcc import read_rcc
from headstart.errors import DataError
from headstart.files import atomic_folder, cache_dir, write_text
from headstart.progress import Say, quiet

_PACKAGE = "gcompris-qt-data"
_HUB = "AI-Lab-Makerere/beans"
_HUB_FILES = ("data/validation.zip", "data/test.zip")
_RESOURCES = "usr/share/gcompris-qt/rcc"
# Class → folders of photographs inside the package's resource files; drawings (.svg) are left out.
_CATEGORIES = "gcompris/src/activities/categorization/resource/images"
_MONUMENTS = "gcompris/src/activities/explore_monuments/resource"
_CLASSES = {
    "fishes": (("categorization.rcc", f"{_CATEGORIES}/fishes/"),),
    "monuments": (
        ("categorization.rcc", f"{_CATEGORIES}/monuments/"),
        ("explore_monuments.rcc", f"{_MONUMENTS}/"),
    ),
    "renewable energy": (("categorization.rcc", f"{_CATEGORIES}/renewable/"),),
    "tools": (("categorization.rcc", f"{_CATEGORIES}/tools/"),),
}
_ATTRIBUTION = "ATTRIBUTION.txt"
_GCOMPRIS = """These photographs come from GCompris, https://gcompris.net, by way of Debian's package
gcompris-qt-data. Each has an author and a free licence of its own (public domain, CC0, CC BY, CC BY-SA). What
follows is the package's own list of them; it names the files as they were before GCompris made them smaller.

"""
_BEANS = """These photographs of bean leaves are by the Makerere AI Lab, licence MIT:
https://huggingface.co/datasets/AI-Lab-Makerere/beans
"""
_TEST_EVERY = 5
_TIMEOUT = 300.0  # seconds; 44 MB over a slow line


def photographs(*, offline: bool = False, say: Say = quiet) -> Path:
    """Return a folder of real photographs, a folder for each class.

    The doors, in order: headstart's cache; Debian's package gcompris-qt-data, downloaded without being
    installed (172 photographs of fishes, monuments, renewable energy and tools, free licences); a small
    public data set on the Hugging Face hub.

    Args:
        offline: Whether to stay off the network: only the cache is tried. Defaults to False.
        say: Where progress is told. Defaults to nowhere.

    Returns:
        The folder.

    Raises:
        DataError: No door opens; the message says why for each.
    """
    folder = cache_dir() / "demo" / "photographs"
    if folder.is_dir():
        return folder
    closed = [f"the cache (no {folder})"]
    if offline:
        closed.append("no network was asked for")
    for name, fill in () if offline else _DOORS:
        try:
            with atomic_folder(folder) as draft:
                fill(draft, say)
        except (OSError, subprocess.SubprocessError, DataError, ImportError, zipfile.BadZipFile) as error:
            closed.append(f"{name} ({_reason(error)})")
        else:
            return folder
    fix = "run `headstart demo` once with a network, or use your own pictures: headstart fit FOLDER -o MODEL"
    raise DataError("photographs for the demo", "; ".join(closed), fix)


def tour(out: Path, *, seed: int = 0, offline: bool = False, say: Say = quiet) -> dict[str, Any]:
    """Inspect, fit, evaluate and predict on the demo photographs.

    Args:
        out: Where photographs/, model.headstart and report.html go, Path.
        seed: Of the fit, int. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        say: Where each step is told. Defaults to nowhere.

    Returns:
        {"photographs", "model", "report", "items", "val_accuracy", "test_accuracy", "seconds", "next":
        commands to try}.

    Raises:
        DataError: The photographs cannot be had.
        ArtefactError: Something that is no saved model is in the way.
    """
    from headstart import data
    from headstart.artefact import load
    from headstart.data.audit import audit
    from headstart.fitting import evaluate_model, fit
    from headstart.transfer.passes import examine
    from headstart.transfer.store import FeatureStore

    started = time.monotonic()
    folder, file, report = out / "photographs", out / "model.headstart", out / "report.html"
    if not folder.exists():  # what is there, whoever put it there, is used and not replaced
        _lay_out(photographs(offline=offline, say=say), folder)
    dataset = data.open(folder)
    say(f"\n1. inspect: what is in {folder}?")
    with FeatureStore() as store:
        found = audit(dataset, examine(dataset, store))
    counts = ", ".join(f"{count} {label}" for label, count in dataset.counts().items())
    say(f"   {len(dataset)} photographs: {counts}")
    for finding in found.findings[:3]:
        say(f"   {finding.severity}: {finding.sentence}")
    say("\n2. fit: a pretrained network looks at each photograph once, a small head learns the classes")
    model = fit(dataset, seed=seed, offline=offline, say=lambda line: say(f"   {line}"))
    model.save(file)
    if model.report is not None:
        model.report.save(report)
    say("\n3. evaluate: the saved model on photographs that it has never seen")
    saved = load(file)
    figures = next(iter(evaluate_model(saved, dataset, seed=seed).evaluations.values()))
    wrong = int((~figures.right).sum())
    say(f"   {wrong} of {len(figures.y)} answers are wrong; accuracy {figures.accuracy:.3f}")
    say("\n4. predict: one of each class")
    fresh = [item for item in dataset if item.split == "test"] or list(dataset)
    shown = [next((item for item in fresh if item.label == label), fresh[0]) for label in dataset.classes]
    for item, answer in zip(shown, saved.predict([item.source for item in shown]), strict=True):
        say(f"   {item.name}: {answer.label or answer.error} ({answer.confidence:.0%})")
    commands = _next(out, shown[0].name)
    say(f"\nOpen {report} in a browser. What to try next:")
    for command in commands:
        say(f"   {command}")
    say("and with a folder of your own, one folder in it for each class: headstart fit FOLDER -o MODEL")
    return {
        "photographs": str(folder),
        "model": str(file),
        "report": str(report),
        "items": len(dataset),
        "val_accuracy": model.metrics.get("validation", {}).get("accuracy"),
        "test_accuracy": figures.accuracy,
        "seconds": round(time.monotonic() - started, 2),
        "next": commands,
    }


def _lay_out(source: Path, target: Path) -> None:
    """Copy the photographs into train and test, a folder for each class; every fifth one is for test."""
    attribution = target.with_name(f"{target.name}-{_ATTRIBUTION}")
    write_text(attribution, (source / f".{_ATTRIBUTION}").read_text(encoding="utf-8"))
    with atomic_folder(target) as draft:
        for label in sorted(path for path in source.iterdir() if path.is_dir()):
            for number, photograph in enumerate(sorted(label.iterdir())):
                split = "train" if (number + 1) % _TEST_EVERY else "test"
                (draft / split / label.name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(photograph, draft / split / label.name / photograph.name)


def _next(out: Path, photograph: str) -> list[str]:
    """Return three commands that run in the shell that the reader is in."""
    program = "headstart"
    if shutil.which(program) is None:  # such as an environment that is not activated
        program = os.path.relpath(Path(sys.executable).with_name(program))
    model, folder = out / "model.headstart", out / "photographs"
    return [
        shlex.join([program, *map(str, arguments)])
        for arguments in (
            ("inspect", folder, "--html", out / "photographs.html"),
            ("predict", model, (folder / photograph).parent, "--abstain"),
            ("fit", folder, "-o", out / "mlp.headstart", "--head", "mlp"),
        )
    ]


def _from_debian(draft: Path, say: Say) -> None:
    """Download the package with apt, in folders of our own so that no root is needed, and unpack it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for part in ("state/lists/partial", "cache/archives/partial"):
            (work / part).mkdir(parents=True)
        options = [
            f"-oDir::State={work / 'state'}",
            "-oDir::State::status=/var/lib/dpkg/status",
            f"-oDir::Cache={work / 'cache'}",
            "-oAPT::Sandbox::User=root",
        ]
        say(f"getting photographs: Debian's package {_PACKAGE} (44 MB, downloaded, not installed)")
        _run(["apt-get", "-qq", *options, "update"], work)
        _run(["apt-get", "-qq", *options, "download", _PACKAGE], work)
        for package in work.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(work / "unpacked")], work)
        unpack(work / "unpacked" / _RESOURCES, draft)
        authors = work / "unpacked" / "usr/share/doc" / _PACKAGE / "copyright"
        write_text(draft / f".{_ATTRIBUTION}", _GCOMPRIS + authors.read_text(encoding="utf-8"))


def unpack(resources: Path, target: Path) -> int:
    """Write the photographs in the package's resource files into a folder for each class.

    Args:
        resources: The folder with the .rcc files.
        target: Where the class folders go.

    Returns:
        The number of photographs.

    Raises:
        DataError: A resource file is damaged, or holds no photographs.
    """
    written = 0
    for label, places in _CLASSES.items():
        (target / label).mkdir(parents=True)
        for archive, prefix in places:
            for path, content in read_rcc((resources / archive).read_bytes()):
                if path.startswith(prefix) and suffix(path) in SUFFIXES["image"]:
                    name = path.removeprefix(prefix).replace("/", "-")
                    (target / label / name).write_bytes(content)
                    written += 1
    if not written:
        raise DataError(
            "photographs in Debian's package",
            "none where they used to be",
            "report it: the package has changed",
        )
    return written


def _from_hub(draft: Path, say: Say) -> None:
    """Copy a small public folder-per-class data set from the Hugging Face hub."""
    from huggingface_hub import hf_hub_download

    say(f"getting photographs: {_HUB} from the Hugging Face hub")
    for file in _HUB_FILES:
        archive = hf_hub_download(_HUB, file, repo_type="dataset", etag_timeout=5)
        with zipfile.ZipFile(archive) as content:
            for entry in content.namelist():
                *_, label, name = ("", *PurePosixPath(entry).parts)
                if label not in ("", "..") and suffix(name) in SUFFIXES["image"]:
                    (draft / label).mkdir(exist_ok=True)
                    (draft / label / name).write_bytes(content.read(entry))
    write_text(draft / f".{_ATTRIBUTION}", _BEANS)


_DOORS: tuple[tuple[str, Callable[[Path, Say], None]], ...] = (
    (f"Debian's package {_PACKAGE}", _from_debian),
    (f"{_HUB} on the Hugging Face hub", _from_hub),
)


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=_TIMEOUT)


def _reason(error: Exception) -> str:
    """Return one line that says why a door stayed closed."""
    if isinstance(error, FileNotFoundError) and error.filename == "apt-get":
        return "this system has no apt-get"
    text = str(error)
    if isinstance(error, subprocess.CalledProcessError):
        text = (error.stderr or b"").decode(errors="replace").strip() or text
    return next((line for line in text.splitlines()[::-1] if line.strip()), type(error).__name__)
