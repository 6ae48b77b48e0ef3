"""How long each method between domains takes on 2,000 × 1,280 features of each domain."""

from __future__ import annotations

import argparse
import re

import numpy as np
from support.common import record, table, timed

from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.methods import METHODS
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, one_core_each

LIMIT, DANN_LIMIT = 30.0, 60.0
KNOWN = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--features", type=int, default=1280)
    options = parser.parse_args()
    domains = made(options.items, options.features)
    told = with_known(domains)
    rows: list[tuple[object, ...]] = [("method", "seconds", "CPU seconds", "limit", "")]
    figures: dict[str, object] = {"items": options.items, "features": options.features}
    for method in METHODS:
        asked = told if method.needs_known else domains
        with one_core_each():
            spent = timed(lambda method=method, asked=asked: method.fit(asked, 0.01, 0))  # type: ignore[misc]
        limit = DANN_LIMIT if method.name == "DANN" else LIMIT
        met = "met" if spent.wall <= limit else "missed"
        rows.append((method.name, spent.wall, spent.cpu, limit, met))
        column = re.sub(r"\W+", "_", method.name)
        figures |= {f"{column}_s": spent.wall, f"{column}_cpu_s": spent.cpu}
    table("Seconds to fit", rows)
    record("domains_speed", figures, ("scikit-learn", "torch", "numpy"))


def made(items: int, features: int) -> Domains:
    """Return ten classes in features that hang together as a network's do, the target shifted and scaled."""
    chance = np.random.default_rng(0)
    mix = chance.normal(size=(features // 8, features)) / np.sqrt(features // 8)
    centres = chance.normal(0, 1, (10, features))
    y = np.arange(2 * items) % 10
    rows = centres[y] + 3 * chance.normal(size=(2 * items, features // 8)) @ mix
    rows[items:] = 1.3 * rows[items:] + chance.normal(0, 1, features)
    X = np.maximum(rows, 0).astype(np.float32)
    item = np.arange(2 * items)
    data = Labelled(Features(X, item, item), np.where(item < items, y, -1), 10)
    return Domains(data, item[:items], item[items:])


def with_known(domains: Domains) -> Domains:
    """Return the same with the classes of some target items."""
    y = domains.data.y.copy()
    y[domains.target[:KNOWN]] = domains.target[:KNOWN] % 10
    return domains.with_data(domains.data.relabel(y))


if __name__ == "__main__":
    main()
