"""From a data set to an index that answers: texts, pictures, a model's network, and encoders that changed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.backbones.catalogue import CARDS
from headstart.errors import ArtefactError, OptionError
from headstart.searching import item_encoder
from toy_texts import ToyText


def test_every_text_finds_itself(toy_text: ToyText, folder_of_texts: Path, tmp_path: Path) -> None:
    index = hs.build_index(folder_of_texts)
    assert index.ways == ("both", "meaning", "words")
    place = index.save(tmp_path / "index")
    again = hs.open_index(place)
    for name, label in ((index.names[0], "bad"), (index.names[-1], "good")):
        text = (folder_of_texts / name).read_text()
        best = again.search(text, 1, by="meaning")[0]
        assert best.score == pytest.approx(1, abs=1e-2)
        assert best.label == label
        assert again.search(text, 3)[0].name in {hit.name for hit in again.search(text, 3, by="words")}
    found = again.like(item_encoder(again)([folder_of_texts / index.names[5]])[0], 3)
    assert index.names[5] in {hit.name for hit in found}


def test_vectors_of_queries_are_those_of_the_pass(toy_text: ToyText, folder_of_texts: Path) -> None:
    index = hs.build_index(folder_of_texts)
    files = [folder_of_texts / name for name in index.names[:6]]
    made = item_encoder(index)(files)
    directions = made / np.linalg.norm(made, axis=1, keepdims=True)
    assert directions == pytest.approx(index.vectors[:6], abs=2e-2)  # bf16 where the CPU computes in it
    assert index.encode is not None
    assert index.encode([file.read_text() for file in files]) == pytest.approx(made, abs=1e-5)


def test_mail_is_cleaned_before_it_is_indexed(toy_text: ToyText, tmp_path: Path) -> None:
    for number in range(3):
        text = f"From: someone@example.org\nSubject: superb plot\n\nA dull film number{number} with music.\n"
        (tmp_path / f"{number}.txt").write_text(text)
    plain, clean = hs.build_index(tmp_path), hs.build_index(tmp_path, email=True)
    assert len(plain.search("superb", by="words")) == 3
    assert clean.search("superb", by="words") == []
    assert clean.search("number1", by="words")[0].snippet.startswith("A dull film")


def test_another_encoder_is_refused(
    toy_text: ToyText, folder_of_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = hs.build_index(folder_of_texts).save(tmp_path / "index")
    name = toy_text.card.name
    monkeypatch.setitem(CARDS, name, replace(CARDS[name], digest="0" * 64))
    with pytest.raises(ArtefactError, match="weights"):
        hs.open_index(place)
    unknown = hs.SearchIndex.build(["a"], np.ones((1, 3)))
    with pytest.raises(ArtefactError, match="says what encoded"):
        item_encoder(unknown)


def test_pictures_are_found_by_likeness(pattern_pictures: Path, tmp_path: Path) -> None:
    place = hs.build_index(pattern_pictures).save(tmp_path / "index")
    index = hs.open_index(place)
    assert index.ways == ()
    hits = index.like(item_encoder(index)([pattern_pictures / "along" / "03.jpg"])[0], 5)
    assert hits[0].name == "along/03.jpg"
    assert [hit.label for hit in hits].count("along") >= 4
    with pytest.raises(OptionError, match="like"):
        index.search("stripes")


def test_a_models_network_can_describe_the_items(pattern_pictures: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.headstart"
    hs.fit(pattern_pictures, head="centroid").save(model)
    (tmp_path / "new").mkdir()
    for number in range(3):
        picture = pattern_pictures / "checks" / f"0{number}.jpg"
        (tmp_path / "new" / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "new" / "cut.jpg").write_bytes(picture.read_bytes()[:200])
    told: list[str] = []
    index = hs.build_index(tmp_path / "new", model=model, say=told.append)
    assert len(index) == 3
    assert any("cut.jpg" in line for line in told)
    place = index.save(tmp_path / "index")
    query = [pattern_pictures / "checks" / "01.jpg"]
    assert index.like(item_encoder(hs.open_index(place))(query)[0])[0].name == "01.jpg"
    model.rename(tmp_path / "moved.headstart")
    with pytest.raises(ArtefactError, match="saved model"):
        item_encoder(hs.open_index(place))(query)
    moved = hs.open_index(place, model=tmp_path / "moved.headstart")
    assert moved.like(item_encoder(moved)(query)[0])[0].name == "01.jpg"
    hs.fit(pattern_pictures, head="linear").save(tmp_path / "moved.headstart")
    with pytest.raises(ArtefactError, match="made the index"):
        item_encoder(hs.open_index(place, model=tmp_path / "moved.headstart"))(query)


def test_contradictory_options_are_refused(pattern_pictures: Path, toy_text: ToyText) -> None:
    with pytest.raises(OptionError, match="both"):
        hs.build_index(pattern_pictures, model="m.headstart", backbone="vgg16")
    with pytest.raises(OptionError, match="backbone for pictures"):
        hs.build_index(pattern_pictures, backbone=toy_text.card.name)


def test_importing_it_is_light() -> None:
    code = (
        "import sys, headstart as hs\nhs.SearchIndex\n"
        "heavy = {'torch', 'openvino', 'faiss', 'bm25s', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "hs.build_index\n"
        "assert not {'torch', 'faiss', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
