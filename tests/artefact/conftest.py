"""Fixtures of the artefact's tests."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from tiny_model import Tiny, make_tiny

from headstart.artefact.model import Model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The parts of a tiny model."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def model(tiny: Tiny) -> Model:
    """A tiny model with golden vectors."""
    return tiny.model()


@pytest.fixture
def saved(model: Model, tmp_path: Path) -> Path:
    """The folder of a saved tiny model, which the test may damage."""
    return model.save(tmp_path / "tiny.headstart")


@pytest.fixture(scope="session")
def png(tiny: Tiny) -> bytes:
    """The first picture, encoded without loss."""
    buffer = io.BytesIO()
    Image.fromarray(tiny.pictures[0]).save(buffer, "PNG")
    return buffer.getvalue()
