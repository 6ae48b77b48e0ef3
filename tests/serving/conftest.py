"""What tests of serving share: small real models, and an application around them."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

import headstart as hs
from headstart.serving.app import create_app
from headstart.serving.settings import Settings
from toy_sounds import encoded, toy_scene, toy_sound


@pytest.fixture(scope="session")
def patterns(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model for pictures: across, along and checks."""
    return hs.fit(pattern_pictures).save(tmp_path_factory.mktemp("served") / "patterns.headstart")


@pytest.fixture(scope="session")
def mood(folder_of_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model for texts: good and bad; its terms are counted, no network is needed."""
    folder = tmp_path_factory.mktemp("served_texts")
    return hs.fit(folder_of_texts, backbone="terms").save(folder / "mood.headstart")


@pytest.fixture(scope="session")
def sound_client(noises: Path, tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A client of an application that hears; tests share it, where they leave no trace."""
    state = tmp_path_factory.mktemp("hearing") / "state"
    return create_app(Settings((noises,), state, workers=2, items=8, seconds=30)).test_client()


@pytest.fixture(scope="session")
def sound() -> bytes:
    """A sound of the class "tone", of three seconds."""
    return encoded(toy_sound("tone", 99, 3))


@pytest.fixture(scope="session")
def scene() -> bytes:
    """Four seconds of hiss, three of nearly nothing, then four of a tone."""
    return encoded(toy_scene(), "FLAC")


@pytest.fixture(scope="session")
def settings(patterns: Path, mood: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Both models, and a state folder."""
    return Settings((patterns, mood), tmp_path_factory.mktemp("state") / "headstart", workers=2, items=8)


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """A client of an application of its own."""
    return create_app(settings).test_client()


@pytest.fixture(scope="session")
def shared_client(settings: Settings) -> FlaskClient:
    """A client of an application that tests share, where they leave no trace."""
    return create_app(settings).test_client()


@pytest.fixture(scope="session")
def picture(pattern_pictures: Path) -> bytes:
    """A picture of the class "along"."""
    return (pattern_pictures / "along" / "01.jpg").read_bytes()
