"""`hs.AudioClassifier` under scikit-learn's contract: files of sound in, labels out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import headstart as hs
from headstart.errors import DataError


def test_it_hears_rain_from_a_dog(data_folder: Path) -> None:
    classifier = hs.AudioClassifier()
    assert clone(classifier).get_params()["backbone"] is None
    with (data_folder / "audio" / "esc10" / "meta.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths: list[str] = []
    labels: list[str] = []
    for category in ("dog_bark", "rain"):
        for row in [each for each in rows if each["category"] == category][:8]:
            paths.append(str(next((data_folder / "audio" / "esc10" / "clips").rglob(row["filename"]))))
            labels.append(category)
    fitted = classifier.fit(paths, labels)
    assert fitted.predict(paths[:1] + paths[-1:]).tolist() == ["dog_bark", "rain"]
    np.testing.assert_allclose(fitted.predict_proba(paths[:3]).sum(1), 1, atol=1e-5)


def test_a_single_path_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="list of sounds"):
        hs.AudioClassifier().fit(str(tmp_path / "a.wav"), ["a"])
