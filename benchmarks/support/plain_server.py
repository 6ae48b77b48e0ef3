"""What one writes first: Flask, torch in eager mode, Pillow. Benchmark for `serve.py`, run under Gunicorn."""

from __future__ import annotations

import io
import os

import numpy as np
import torch
from flask import Flask, Response, jsonify, request
from PIL import Image

import headstart as hs

torch.set_num_threads(1)  # each of Gunicorn's workers has a core
model = hs.load(os.environ["MODEL"])
network = model.torch_network(offline=True).eval()
weight, bias = (torch.from_numpy(part) for part in model.head.layers[0])
spec = model.front_end.preprocess
app = Flask(__name__)


@app.get("/readyz")
def ready() -> Response:
    return jsonify({"status": "ready"})


@app.post("/predict")
def predict() -> Response:
    image = Image.open(io.BytesIO(request.get_data())).convert("RGB")
    side = round(spec.size / spec.crop)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - spec.size) // 2, (image.height - spec.size) // 2
    image = image.crop((left, top, left + spec.size, top + spec.size))
    with torch.inference_mode():
        _, features = network(torch.from_numpy(np.array(image))[None])
        shares = torch.softmax(features @ weight + bias, 1)[0]
    best = int(shares.argmax())
    return jsonify({"label": model.labels[best], "confidence": float(shares[best])})
