"""The demo: real photographs through the first door that opens, and a guided tour on them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from headstart.data.rcc import read_rcc
from headstart.errors import DataError
from headstart.files import atomic_folder, cache_dir
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
_ORIGIN = """These photographs come from GCompris, https://gcompris.net, by way of Debian's package
gcompris-qt-data. Each has an author and a free licence of its own; COPYRIGHT.txt beside this file
lists them.
"""


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
    closed = ["cache: nothing there yet"]
    doors: tuple[tuple[str, Callable[[Path, Say], None]], ...] = (
        ("Debian", _from_debian),
        ("Hugging Face hub", _from_hub),
    )
    for name, fill in () if offline else doors:
        try:
            with atomic_folder(folder) as draft:
                fill(draft, say)
        except (OSError, subprocess.SubprocessError, DataError, ImportError) as error:
            closed.append(f"{name}: {_reason(error)}")
        else:
            return folder
    fix = "go on line once, or use your own pictures: headstart fit FOLDER -o MODEL"
    raise DataError("photographs for the demo", "; ".join(closed), fix)


def tour(out: Path, *, seed: int = 0, offline: bool = False, say: Say = quiet) -> dict[str, Any]:
    """Inspect, fit, evaluate and predict on the demo photographs.

    Args:
        out: Where report.html and model.headstart go.
        seed: For the split, int. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        say: Where each step is told. Defaults to nowhere.

    Returns:
        {"photographs", "model", "report", "items", "val_accuracy", "seconds"}.

    Raises:
        DataError: The photographs cannot be had.
    """
    from headstart import data
    from headstart.artefact import load
    from headstart.data.audit import audit
    from headstart.fitting import fit
    from headstart.transfer.passes import examine
    from headstart.transfer.store import FeatureStore

    started = time.monotonic()
    folder = photographs(offline=offline, say=say)
    say(f"1. inspect: {folder}")
    dataset = data.open(folder)
    with FeatureStore() as store:
        found = audit(dataset, examine(dataset, store))
    counts = ", ".join(f"{label} {count}" for label, count in dataset.counts().items())
    say(f"   {len(dataset)} photographs: {counts}")
    for finding in found.findings[:3]:
        say(f"   {finding.severity}: {finding.sentence}")
    say("2. fit: a frozen pretrained network reads them once, a small head learns the classes")
    model = fit(dataset, seed=seed, offline=offline, say=lambda line: say(f"   {line}"))
    model.save(out / "model.headstart")
    say("3. evaluate: the report")
    if model.report is not None:
        model.report.save(out / "report.html")
    say("4. predict: what the saved model says, as it would on another machine")
    shown = [next(item for item in dataset if item.label == label) for label in dataset.classes]
    for item, answer in zip(
        shown, load(out / "model.headstart").predict([i.source for i in shown]), strict=True
    ):
        say(f"   {item.name}: {answer.label} ({answer.confidence:.0%})")
    for line in _next_steps(out, folder):
        say(line)
    return {
        "photographs": str(folder),
        "model": str(out / "model.headstart"),
        "report": str(out / "report.html"),
        "items": len(dataset),
        "val_accuracy": model.metrics["validation"]["accuracy"],
        "seconds": round(time.monotonic() - started, 2),
    }


def _next_steps(out: Path, folder: Path) -> list[str]:
    # The commands are for the shell that the reader is in, which may not have .venv on its path.
    program = "headstart" if _on_path("headstart") else ".venv/bin/headstart"
    model = out / "model.headstart"
    return [
        "",
        f"Open {out / 'report.html'} in a browser. Then try:",
        f"  {program} inspect '{folder}' --html {out / 'photographs.html'}",
        f"  {program} predict {model} '{folder / 'fishes'}' --abstain",
        f"  {program} fit YOUR_PICTURES -o mine.headstart --report mine.html",
    ]


def _on_path(program: str) -> bool:
    import shutil

    return shutil.which(program) is not None


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
        package = next(work.glob("*.deb"))
        _run(["dpkg-deb", "-x", str(package), str(work / "unpacked")], work)
        unpack(work / "unpacked" / _RESOURCES, draft)
        copyright_file = work / "unpacked" / "usr/share/doc" / _PACKAGE / "copyright"
        if copyright_file.is_file():
            (draft / ".about").mkdir()
            (draft / ".about" / "COPYRIGHT.txt").write_bytes(copyright_file.read_bytes())
            (draft / ".about" / "ORIGIN.txt").write_text(_ORIGIN, encoding="utf-8")


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
                if path.startswith(prefix) and path.endswith((".webp", ".jpg", ".png")):
                    name = path.removeprefix(prefix).replace("/", "-")
                    source = archive.removesuffix(".rcc")
                    (target / label / f"{source}-{name}").write_bytes(content)
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
                if label and name.lower().endswith((".jpg", ".jpeg", ".png")):
                    (draft / label).mkdir(exist_ok=True)
                    (draft / label / name).write_bytes(content.read(entry))


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (
            (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:][0]
            if error.stderr
            else str(error)
        )
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
