"""How long one waits before anything happens: import, --help, the first answer of a saved model.

    python benchmarks/start_up.py [--repeat 10]

Every figure is a whole process, interpreter included (a bare interpreter stands beside them). The saved model
is fitted here, on a few pictures that the script makes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from memory import make_photographs
from support.common import Spent, Stopwatch, median, record, spread, table, verdict

COMMAND = [sys.executable, "-c", "from headstart.cli import main; main()"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_photographs(folder / "photographs", 40)
        model, picture = folder / "toy.headstart", folder / "photographs" / "red" / "1.jpg"
        run([*COMMAND, "fit", str(folder / "photographs"), "-o", str(model)])
        commands = {
            "python alone": ([sys.executable, "-c", "pass"], None),
            "import headstart": ([sys.executable, "-c", "import headstart"], 0.3),
            "headstart --help": ([*COMMAND, "--help"], 0.5),
            "headstart predict": ([*COMMAND, "predict", str(model), str(picture), "--json"], 2.0),
        }
        spent: dict[str, list[Spent]] = {name: [] for name in commands}
        for _ in range(options.repeat):
            for name, (command, _target) in commands.items():
                spent[name].append(run(command))
    rows: list[tuple[object, ...]] = [("process", "wall s", "lowest–highest", "CPU s", "target", "")]
    figures: dict[str, object] = {"repeat": options.repeat}
    for name, (_command, target) in commands.items():
        wall, cpu = median(s.wall for s in spent[name]), median(s.cpu for s in spent[name])
        said = "" if target is None else verdict(wall, target, at_least=False)
        rows.append((name, wall, spread(s.wall for s in spent[name]), cpu, target or "", said))
        key = name.replace("headstart ", "").replace("--", "").replace(" ", "_")
        figures |= {f"{key}_s": wall, f"{key}_cpu_s": cpu}
        if target is not None:
            figures[f"{key}_ratio"] = wall / target
    table(f"Median of {options.repeat}", rows)
    record("start_up", figures, ("openvino", "typer"))


def run(command: list[str]) -> Spent:
    """Run a process, stop if it fails, return what it took."""
    with Stopwatch() as watch:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} failed:\n{done.stderr}")
    return watch.spent


if __name__ == "__main__":
    main()
