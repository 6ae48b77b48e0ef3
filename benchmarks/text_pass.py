"""How fast texts become features: a pass with MiniLM against the plain loop with transformers.

    HEADSTART_DATA=… python benchmarks/text_pass.py [--texts 300] [--repeat 3]

The plain loop is what tutorials show: one text after the other, tokenised, padded to nothing, through
transformers' BertModel, eager, in fp32, mean over the tokens. Both see the same passages of the same reviews;
a pass also reads, decodes, fingerprints, stores and indexes. The vectoriser is beside scikit-learn's in
benchmarks/text_pipeline.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from support.common import Spent, data_folder, median, record, spread, table, timed, verdict

from headstart import backbones, data
from headstart.data.items import Dataset
from headstart.process import tune_process

BACKBONE = "minilm-l6"
TARGET = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    folder = data_folder("imdb", "text")
    tune_process()  # as the command line does; it must come before torch
    dataset = data.open(folder)
    dataset = dataset.take(range(0, len(dataset), len(dataset) // options.texts)[: options.texts])
    from headstart.engines.choosing import choose

    card = backbones.card(BACKBONE)
    choice = choose(card, lambda: backbones.load(BACKBONE), engine="openvino")
    engine = choice.start()

    def ours() -> None:
        from headstart.transfer.passes import extract
        from headstart.transfer.store import FeatureStore

        with tempfile.TemporaryDirectory() as temporary, FeatureStore(Path(temporary)) as store:
            done = extract(dataset, store, card, choice.key, lambda: engine, progress=False)
            if done.computed != len(dataset):
                sys.exit(f"expected {len(dataset)} texts to be computed, received {done.computed}")

    plain = _plain(dataset)
    spent: dict[str, list[Spent]] = {"pass": [], "plain loop": []}
    for _ in range(options.repeat):
        spent["pass"].append(timed(ours))
        spent["plain loop"].append(timed(plain))

    def ratio(what: str) -> float:
        pairs = zip(spent["plain loop"], spent["pass"], strict=True)
        return median(getattr(theirs, what) / getattr(own, what) for theirs, own in pairs)

    share = 1000 / len(dataset)
    rows: list[tuple[object, ...]] = [("", "wall ms", "CPU ms", "wall, lowest–highest")]
    for name, each in spent.items():
        wall = [s.wall * share for s in each]
        rows.append((name, median(wall), median(s.cpu * share for s in each), spread(wall)))
    table(f"{len(dataset)} reviews, {options.repeat} repetitions; a review takes", rows)
    figures = {"against_plain": ratio("wall"), "against_plain_cpu": ratio("cpu")}
    table(
        "Claims",
        [
            ("claim", "measured", "target", ""),
            (
                "pass against the plain loop",
                figures["against_plain"],
                TARGET,
                verdict(figures["against_plain"], TARGET),
            ),
            ("the same, CPU time", figures["against_plain_cpu"], TARGET, ""),
        ],
    )
    record(
        "text_pass",
        {
            "texts": len(dataset),
            "repeat": options.repeat,
            "pass_per_s": len(dataset) / median(s.wall for s in spent["pass"]),
            "plain_per_s": len(dataset) / median(s.wall for s in spent["plain loop"]),
            **figures,
        },
        ("openvino", "torch", "transformers", "tokenizers"),
    )


def _plain(dataset: Dataset) -> Any:
    """Return the loop, with the weights in transformers' own network."""
    import torch
    from transformers import BertConfig, BertModel

    from headstart.networks.bert import BertEncoder, reference_names
    from headstart.text.modality import TextModality

    encoder = backbones.load(BACKBONE)
    own = encoder.state_dict()
    names = reference_names(BertEncoder())
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict({theirs: own[ours] for ours, theirs in names.items()}, strict=False)
    reader, spec = TextModality(), encoder.card.preprocess

    def run() -> None:
        for item in dataset:
            rows = reader.inputs(item.source, spec)
            found = []
            with torch.inference_mode():
                for row in rows:
                    ids = torch.from_numpy(row[row != 0].astype(np.int64))[None]
                    found.append(model(input_ids=ids).last_hidden_state.mean(1))
            torch.cat(found).mean(0)

    return run


if __name__ == "__main__":
    main()
