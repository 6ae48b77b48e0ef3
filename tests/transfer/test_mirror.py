"""Mirror images: what the planner finds out about them before it mirrors pictures for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs


@pytest.mark.parametrize(("kind", "means_the_same"), [("side", False), ("shade", True)])
def test_a_side_is_lost_in_the_mirror_and_a_shade_is_not(
    tmp_path: Path, kind: str, means_the_same: bool
) -> None:
    generator = np.random.default_rng(0)
    for label in range(2):
        folder = tmp_path / f"{kind}{label}"
        folder.mkdir()
        for number in range(44):
            pixels = generator.integers(0, 90, (64, 64, 3))
            if kind == "side":
                pixels[:, 32 * label : 32 * label + 32] += 120
            else:
                pixels += 120 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    plan = hs.plan(tmp_path, strategy="fine-tune-late")
    lost = plan.evidence["lost_when_mirrored"]
    augment = plan.phases[0].augment
    assert augment is not None
    assert (lost <= 0.03) == means_the_same
    assert (augment.flip > 0) == means_the_same
    assert any("mirror" in reason for reason in plan.evidence["reasons"])
