"""`hs.cluster`: pictures through the real backbone, texts through a tiny one, the page, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.fitting.clustering import Clustering
from toy_texts import ToyText

Photos = dict[str, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def crops(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve crops of a cat and nine of a temple, all in one folder."""
    root = tmp_path_factory.mktemp("crops") / "mixed"
    root.mkdir()
    generator = np.random.default_rng(0)
    for name, count in (("chelsea", 12), ("china", 9)):
        height, width = photos[name].shape[:2]
        for number in range(count):
            top, left = generator.integers(0, height // 6), generator.integers(0, width // 6)
            crop = photos[name][top : top + 5 * height // 6, left : left + 5 * width // 6]
            Image.fromarray(crop).resize((96, 96)).save(root / f"{name}{number:02d}.jpg")
    return root


@pytest.fixture(scope="module")
def found(crops: Path) -> Clustering:
    return hs.cluster(crops)


def test_pictures_are_put_together_and_named_by_what_is_seen(found: Clustering) -> None:
    assert found.clusters.sizes == [12, 9]
    groups = [{found.dataset.items[n].name[:4] for n in found.clusters.members(k)} for k in (0, 1)]
    assert groups == [{"chel"}, {"chin"}]
    assert {"tabby", "Egyptian cat", "tiger cat", "lynx"} & set(found.words[0])
    assert len(set(found.names)) == 2
    assert "cluster" not in "".join(found.names)


def test_the_page_shows_each_cluster(found: Clustering, tmp_path: Path) -> None:
    page = found.save(tmp_path / "clusters.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64") == 12 + 9 + 1  # the thumbnails of the map are one picture
    assert "21 pictures in 2 clusters" in page
    assert "Map of the pictures" in page
    assert "adjusted Rand index" not in page  # there are no labels to compare with
    value = found.to_json()
    assert [len(each["items"]) for each in value["clusters"]] == [12, 9]
    assert value["agreement"] is None


def test_labels_play_no_part_but_are_compared(crops: Path, tmp_path: Path) -> None:
    for name in ("chelsea", "china"):
        (tmp_path / name).mkdir()
        for file in crops.glob(f"{name}*"):
            shutil.copy(file, tmp_path / name)
    labelled = hs.cluster(tmp_path, 2)
    assert labelled.agreement == pytest.approx(1)
    assert "chelsea 100 %" in labelled.html()


def test_texts_are_named_by_their_words(toy_text: ToyText, tmp_path: Path) -> None:
    rows = ["text,label"]
    rows += [f"lovely superb fine great lovely garden{n % 3}," for n in range(12)]
    rows += [f"awful dull poor sad awful engine{n % 3},angry" for n in range(9)]
    (tmp_path / "letters.csv").write_text("\n".join(rows))
    texts = hs.cluster(tmp_path / "letters.csv", 2)
    assert len(texts.dataset) == 21  # also those without a label
    assert "lovely" in texts.words[0]
    assert "awful" in texts.words[1]
    assert texts.labels.count("angry") == 9


def test_a_manifest_needs_no_label_column(crops: Path) -> None:
    rows = ["path,width", *(f"{path.name},96" for path in sorted(crops.glob("*.jpg"))[:6])]
    (crops / "list.csv").write_text("\n".join(rows))
    try:
        assert len(hs.cluster(crops / "list.csv", 2).dataset) == 6
    finally:
        (crops / "list.csv").unlink()


def test_what_cannot_be_clustered_is_refused(crops: Path) -> None:
    with pytest.raises(OptionError, match="a number of clusters from 2 to 21"):
        hs.cluster(crops, 1)
    with pytest.raises(DataError, match="at least 4 items"):
        hs.cluster(sorted(crops.glob("*.jpg"))[:3])
    texts = hs.data.open(["one word", "two words", "three words", "no words"], modality="text")
    with pytest.raises(OptionError, match="a backbone that gives vectors"):
        hs.cluster(texts, backbone="terms")
