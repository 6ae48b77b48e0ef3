"""What a machine has for headstart: processor, memory, GPU, and whether they work together."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from headstart.process import available_memory

_CPU_FLAGS = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "avx512_bf16": "avx512_bf16",
    "vnni": "avx512_vnni",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
}
_LITTLE = 2.0
"""GB of memory that a fit or a server with one model should have left."""
_SIDE = 1024
_SECONDS = 5.0


def processor() -> dict[str, Any]:
    """Return the processor's name, and which of the instructions that make networks fast it has.

    Returns:
        {"name": str, "avx2", "avx512", "avx512_bf16", "vnni", "amx_bf16", "amx_int8": bool}; of instructions
        nothing where the system does not tell.

    Example:
        >>> "name" in processor()
        True
    """
    import platform

    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {"name": platform.processor() or platform.machine()}
    name = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", told, re.MULTILINE)
    found = set(flags[1].split()) if flags else set()
    return {"name": name[1] if name else platform.machine()} | {
        key: flag in found for key, flag in _CPU_FLAGS.items()
    }


def memory() -> tuple[float | None, list[str]]:
    """Return how much memory is left, in GB, and what to do where it is little.

    A container's own limit counts, where there is one.
    """
    found = available_memory()
    left = None if found is None else round(found / 1e9, 1)
    if left is None or left >= _LITTLE:
        return left, []
    fix = f"only {left:.1f} GB of memory are left: stop other programs, or serve with --workers 1"
    return left, [fix]


def gpu() -> tuple[dict[str, Any] | None, list[str]]:
    """Look from the driver upwards: what cards there are, whether torch fits them, and whether they compute.

    Returns:
        {"cards": [{"name", "driver", "memory"}], "torch_cuda", "computes": bool, "device"}, or None where
        there is nothing; and what to do about what is wrong.
    """
    cards, trouble = _cards()
    if trouble:
        return None, [trouble]
    found: dict[str, Any] = {"cards": cards}
    if importlib.util.find_spec("torch") is None:
        return (found, []) if cards else (None, [])
    import torch

    found["torch_cuda"] = torch.version.cuda
    if torch.cuda.is_available():
        found["device"] = "cuda"
        try:
            found["computes"] = _multiplies("cuda")
        except RuntimeError as error:
            found["computes"] = False
            said = str(error).splitlines()[0]
            return found, [f"the GPU does not compute ({said}): update its driver, or see nvidia-smi"]
        return found, [] if found["computes"] else ["the GPU computes wrongly: test its memory, or change it"]
    if cards and torch.version.cuda is None:
        return found, ["there is a GPU, but torch is built for the CPU: pip install --force-reinstall torch"]
    if cards:
        driver, needed = cards[0]["driver"], torch.version.cuda
        return found, [f"torch is built for CUDA {needed}, unknown to driver {driver}: update the driver"]
    if torch.backends.mps.is_available():
        return {**found, "device": "mps", "computes": _multiplies("mps")}, []
    return None, []


def _cards() -> tuple[list[dict[str, str]], str | None]:
    """Return the NVIDIA cards that the driver knows, and what to do where it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], None
    asked = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    try:
        done = subprocess.run(
            [program, *asked], capture_output=True, text=True, check=False, timeout=4 * _SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi does not answer ({error}): restart the machine"
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nvidia-smi fails"]
        return [], f"{said[0]}: after an update of the driver restart the machine, else install it again"
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == 2]
    return [{"name": name, "driver": driver, "memory": size} for name, driver, size in rows], None


def _multiplies(device: str) -> bool:
    """Allocate and multiply there, and compare with the CPU."""
    import torch

    generator = torch.Generator().manual_seed(0)
    a = torch.randn(_SIDE, _SIDE, generator=generator)
    there = a.to(device)
    return bool((there @ there).cpu().sub(a @ a).abs().max() < 1)


def hub(offline: bool) -> bool | None:
    """Return whether the Hugging Face hub can be reached; None where one is to stay off the network.

    Args:
        offline: Whether to stay off the network.

    Example:
        >>> hub(offline=True) is None
        True
    """
    if offline or os.environ.get("HF_HUB_OFFLINE") == "1":
        return None
    place = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if not place.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(place, method="HEAD"), timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answers
    except (OSError, ValueError):
        return False


def nginx_program() -> str | None:
    """Return where nginx is, also where its folder is on the PATH of root alone; None where it is not."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def nginx() -> str | None:
    """Return nginx's version; None where it is not installed."""
    program = nginx_program()
    if program is None:
        return None
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=_SECONDS)
    return done.stderr.strip().rpartition("/")[2] or None
