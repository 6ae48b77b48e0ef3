"""What tests of explanations share: a model whose reasons are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pasted_patterns import Known, make_known


@pytest.fixture(scope="session")
def known(photos: dict[str, NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A model of patterns in photographs, and pictures that it has not learned from."""
    return make_known(photos, tmp_path_factory.mktemp("pasted") / "patterns")
