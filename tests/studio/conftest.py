"""What tests of the studio share: one thread, and a document CNN that is trained once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from written_models import cnn_member

from headstart.artefact.members import Member


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only lose time by sharing their work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Member:
    """A document CNN."""
    return cnn_member(tmp_path_factory.mktemp("cnn"))
