"""Process-wide settings, set by the command line and the server, never by importing the library."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

# glibc's names and numbers (malloc.h). M_MMAP_MAX = 0 keeps large blocks on the heap and the huge
# M_TRIM_THRESHOLD keeps the heap: activations then reuse warm pages instead of faulting in new ones.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def tune_process() -> dict[str, bool]:
    """Make heavy computation in this process faster; call it before torch is imported.

    Two settings, measured in benchmarks/feature_pass.py: glibc's allocator keeps memory it has freed
    (fewer page faults: torch's CPU time at batch 32 more than halves, resident memory grows by a third),
    and OpenMP's idle threads sleep instead of spinning (steadier latency where cores are shared).

    Returns:
        Which of the two took effect: {"allocator": bool, "wait_policy": bool}. The allocator's is for
        Linux with glibc; the wait policy's comes too late once torch is loaded.

    Example:
        >>> sorted(tune_process())
        ['allocator', 'wait_policy']
    """
    early = "torch" not in sys.modules
    if early:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return {"allocator": _tune_allocator(), "wait_policy": early}


def _tune_allocator() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def available_memory() -> int | None:
    """Return how many bytes of memory are left for this process; None where the system does not tell.

    A container's own limit counts, where there is one.

    Example:
        >>> (available_memory() or 1) > 0
        True
    """
    try:
        told = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", told, re.MULTILINE)
    sizes = [int(match[1]) * 1024] if match else []
    try:
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        sizes.append(most - used)
    except (OSError, ValueError):  # no limit: "max", or another system
        pass
    return min(sizes) if sizes else None
