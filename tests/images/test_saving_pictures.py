"""Pictures are written whole, in the format of their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headstart.errors import OptionError, StorageError
from headstart.images.decode import decode
from headstart.images.saving import check_picture_name, save_picture


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 255))
def test_a_png_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, h: int, w: int, v: int) -> None:
    path = tmp_path_factory.mktemp("saved") / "a.png"
    picture = np.random.default_rng(v).integers(0, 256, (h, w, 3), dtype=np.uint8)
    save_picture(path, picture)
    assert (decode(path) == picture).all()


@pytest.mark.parametrize(
    ("ending", "kind"), {".jpg": "JPEG", ".JPEG": "JPEG", ".webp": "WEBP", ".png": "PNG"}.items()
)
def test_the_ending_names_the_format(ending: str, kind: str, tmp_path: Path) -> None:
    save_picture(tmp_path / f"a{ending}", np.zeros((8, 8, 3), np.uint8))
    with Image.open(tmp_path / f"a{ending}") as found:
        assert found.format == kind


@pytest.mark.parametrize("name", ["a.txt", "a", "a.png.exe"])
def test_another_ending_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="correct the ending"):
        check_picture_name(tmp_path / name)
    with pytest.raises(OptionError, match="a picture named"):
        save_picture(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save_picture(tmp_path / "file" / "a.png", np.zeros((8, 8, 3), np.uint8))
