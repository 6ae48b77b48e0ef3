"""What is kept: a model as a folder of JSON, tensors and a network, that answers without torch."""

from __future__ import annotations

from headstart.artefact.exporting import export
from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.artefact.prediction import Prediction

__all__ = ["Model", "Prediction", "export", "load"]
