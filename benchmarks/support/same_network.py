"""The network that `headstart serve` runs, as lean as can be, for the servers it is compared with."""

from __future__ import annotations

import os
import threading

import headstart as hs
from headstart.artefact.prediction import predicted
from headstart.artefact.streaming import prepare

model = hs.load(os.environ["MODEL"], threads=1)
_lock = threading.Lock()


def answer(body: bytes) -> dict[str, object]:
    """Decode in the calling thread, run the compiled network, word the answer."""
    rows = prepare((1, body), model.front_ends, "image").inputs[model.front_end]
    with _lock:
        features = model.engine.one(rows[0], ("features",))["features"]
    values = model.answer_features({model.network: features[None]})
    return predicted("input 1", values, model.labels, model.calibration).to_json()
