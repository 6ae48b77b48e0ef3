"""The Keras side of feature_pass.py: runs in an environment of its own that has tensorflow-cpu and Pillow.

    python -m venv .envs/keras && .envs/keras/bin/pip install tensorflow-cpu pillow
    .envs/keras/bin/python benchmarks/support/keras_predict.py PHOTOGRAPH…

Prints {"predict": wall seconds for a decoded photograph, "cpu": CPU seconds, "version": …}.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image


def main() -> None:
    photographs = np.stack(
        [np.asarray(Image.open(path).convert("RGB").resize((224, 224)), np.float32) for path in sys.argv[1:]]
    )
    network = keras.Sequential(
        [
            keras.Input((224, 224, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg"),
        ]
    )
    network.predict(photographs[:64], verbose=0)  # compilation is not prediction
    wall, cpu = time.perf_counter(), time.process_time()
    network.predict(photographs, batch_size=32, verbose=0)
    wall, cpu = (
        (time.perf_counter() - wall) / len(photographs),
        (time.process_time() - cpu) / len(photographs),
    )
    print(json.dumps({"predict": wall, "cpu": cpu, "version": keras.__version__}))


if __name__ == "__main__":
    main()
