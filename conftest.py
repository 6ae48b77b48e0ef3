"""One cache for all tests and doctests: what is fetched stays, what is computed is new in every run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Fetched once, or made from what was fetched; a second run needs no network.
_KEPT = ("weights", "networks", "demo", "tests")


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """headstart's cache during the tests: an empty feature store beside what earlier runs fetched.

    Fetched files are kept in `HEADSTART_TEST_CACHE`, or .envs/cache in the repository. The processes that
    tests start see the same cache, through `HEADSTART_CACHE`.
    """
    named = os.environ.get("HEADSTART_TEST_CACHE")
    kept = Path(named).expanduser() if named else Path(__file__).parent / ".envs" / "cache"
    cache = tmp_path_factory.mktemp("cache")
    for name in _KEPT:
        (kept / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to((kept / name).resolve(), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(cache))
        yield cache
