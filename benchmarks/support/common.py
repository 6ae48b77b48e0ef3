"""What every benchmark needs: the data, a stopwatch for wall and CPU time, one CSV row a run, a table."""

from __future__ import annotations

import csv
import datetime
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
JPEGS = (".jpg", ".jpeg")


def data_folder(name: str, kind: str = "images") -> Path:
    """Return a folder of the benchmark data, or stop and say what is missing.

    Args:
        name: The data set, str.
        kind: The folder that it is in: "images" or "text". Defaults to "images".
    """
    root = os.environ.get("HEADSTART_DATA")
    if not root:
        sys.exit(
            f"This benchmark needs the data set {name}. Set HEADSTART_DATA to the folder that holds "
            f"{kind}/{name} (docs/benchmarks.md says where the sets come from)."
        )
    folder = Path(root) / kind / name
    if not folder.is_dir():
        sys.exit(f"This benchmark needs {folder}, which does not exist.")
    return folder


def photographs(folder: Path) -> list[Path]:
    """Return all JPEG files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in JPEGS)


@dataclass(frozen=True)
class Spent:
    """Wall and CPU seconds; CPU counts all threads of this process and the children that it waited for."""

    wall: float
    cpu: float


class Stopwatch:
    """Measures the block that it is used around."""

    spent: Spent

    def __enter__(self) -> Stopwatch:
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.spent = Spent(time.perf_counter() - self._wall, _cpu_seconds() - self._cpu)


def _cpu_seconds() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def timed(work: Callable[[], object]) -> Spent:
    """Run something once and return what it took."""
    with Stopwatch() as watch:
        work()
    return watch.spent


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Iterable[float]) -> str:
    """Return "lowest–highest", with three significant digits."""
    values = list(values)
    return f"{min(values):.3g}–{max(values):.3g}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """Return the processor's name, with the family that tells apart what a hypervisor calls alike."""
    facts = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    except OSError:
        return platform.processor() or platform.machine()
    return f"{facts.get('model name', platform.machine())} (family {facts.get('cpu family', '?')})"


def versions(*packages: str) -> str:
    """Return "package version" of Python and some packages, separated by semicolons."""
    found = [f"python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return "; ".join(found)


def record(name: str, figures: dict[str, Any], packages: tuple[str, ...] = ("openvino", "torch")) -> None:
    """Append one row to results/<name>.csv; columns that are new are added at the end.

    Args:
        name: The benchmark, str.
        figures: Column → value.
        packages: Whose versions are noted.
    """
    row = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "cpu": cpu_model(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "",
        "versions": versions(*packages),
        **{key: f"{value:.5g}" if isinstance(value, float) else value for key, value in figures.items()},
    }
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    earlier: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            earlier = list(csv.DictReader(file))
    columns = list(dict.fromkeys(key for line in [*earlier, row] for key in line))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*earlier, row])


def table(title: str, rows: list[tuple[object, ...]]) -> None:
    """Print rows in columns that line up; the first row is the heading."""
    cells = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def verdict(value: float, target: float, *, at_least: bool = True) -> str:
    """Return "met" or "missed"."""
    return "met" if (value >= target if at_least else value <= target) else "missed"
