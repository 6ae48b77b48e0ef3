"""How fast photographs are told: beam search against greedy, and captions a second from files.

    HEADSTART_DATA=… python benchmarks/captions.py CAPTIONER [--photographs 500]

CAPTIONER is a folder that `headstart caption-train` left. Decoding alone is timed on grids that are there
already, greedy and beam 5 in turns, the median of five; captions a second count all from the photograph's
file to the sentence (opening the captioner is not counted), the median of five passes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from support.common import data_folder, median, photographs, record, table, timed, verdict

from headstart.data import open as open_data
from headstart.process import tune_process
from headstart.studio.caption.captioner import Captioner
from headstart.studio.caption.decoding import greedy
from headstart.studio.caption.seen import look
from headstart.transfer.store import FeatureStore

TIMES_GREEDY, A_SECOND = 3.0, 15.0
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captioner", type=Path)
    parser.add_argument("--photographs", type=int, default=500)
    options = parser.parse_args()
    tune_process()
    files = photographs(data_folder("flickr8k", "captions"))[: options.photographs]
    captioner = Captioner.open(options.captioner)
    with FeatureStore() as store:
        seen, _ = look(captioner.eyes, open_data(files, modality="image", unlabelled=True), store)
        grid = seen.batch(np.arange(len(files)))
    decoder = captioner.guided()
    rounds = [
        (
            timed(lambda: greedy(decoder, grid, once=captioner.once)),
            timed(lambda: captioner.decode(grid)),
            timed(lambda: list(captioner.caption(files))),
        )
        for _ in range(ROUNDS)
    ]
    plain, beam, whole = ([each[place] for each in rounds] for place in range(3))
    ratio = median(b.cpu / g.cpu for g, b in zip(plain, beam, strict=True))
    whole_ratio = median(b.wall / g.wall for g, b in zip(plain, beam, strict=True))
    rate = len(files) / median(each.wall for each in whole)
    table(
        f"Captions of {len(files)} photographs, {len(captioner.card['members'])} decoders",
        [
            ("", "a second", "CPU ms a photograph"),
            ("decoding, greedy", *_told(plain, len(files))),
            ("decoding, beam 5", *_told(beam, len(files))),
            ("from files, beam 5", *_told(whole, len(files))),
            ("beam 5 / greedy, CPU", f"{ratio:.2f}", verdict(ratio, TIMES_GREEDY, at_least=False)),
            ("captions a second", f"{rate:.1f}", verdict(rate, A_SECOND)),
        ],
    )
    figures = {
        "photographs": len(files),
        "members": len(captioner.card["members"]),
        "beam_by_greedy_cpu": round(ratio, 3),
        "beam_by_greedy_wall": round(whole_ratio, 3),
        "captions_a_second": round(rate, 1),
        "cpu_ms_a_photograph": round(1000 * median(each.cpu for each in whole) / len(files), 1),
    }
    record("captions", figures, ("openvino", "torch"))


def _told(spent: list, count: int) -> tuple[str, str]:  # type: ignore[type-arg]
    wall, cpu = median(each.wall for each in spent), median(each.cpu for each in spent)
    return f"{count / wall:.1f}", f"{1000 * cpu / count:.1f}"


if __name__ == "__main__":
    main()
