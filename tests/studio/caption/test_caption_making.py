"""From a folder of captioned photographs to a captioner that is opened again: small, but real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.data.items import Problem
from headstart.errors import ArtefactError, DataError, OptionError
from headstart.images.decode import decode
from headstart.studio.caption import making
from headstart.studio.caption.captioner import Caption, Captioner, read_card
from headstart.studio.caption.data import open_captions
from headstart.studio.caption.making import make_captioner
from headstart.text.vectors import WordVectors

SAID = {
    "across": ("stripes that go across", "lines lying down"),
    "along": ("stripes that go along", "lines standing up"),
    "checks": ("a board with checks", "a pattern of checks"),
}
SMALL: dict[str, Any] = {
    "backbone": "efficientnet_lite0", "size": 64, "least_count": 1, "batch": 4, "rate": 0.01,
    "average": 0.9, "settings": {"width": 48, "embedding": 24, "seen": 32, "keys": 16, "drop": 0.1},
}  # fmt: skip


def captioned(pictures: Path, folder: Path) -> Path:
    """Write a token file for the pictures, which are copied beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for path in sorted(pictures.rglob("*.jpg")):
        name = f"{path.parent.name}-{path.name}"
        (folder / "images").mkdir(exist_ok=True)
        shutil.copy(path, folder / "images" / name)
        lines += [f"{name}#{n}\t{said} ." for n, said in enumerate(SAID[path.parent.name])]
    (folder / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_vectors() -> Iterator[None]:
    """Vectors of a few words in the place of 400,000, which take seconds to read."""
    words = ("stripes", "lines", "board", "that", "go")
    few = WordVectors(words, np.random.default_rng(0).normal(size=(5, 50)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "glove_6b_50d", lambda **_: few)
        yield


@pytest.fixture(scope="module")
def captions(pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captioned(pattern_pictures, tmp_path_factory.mktemp("captions") / "patterns")


@pytest.fixture(scope="module")
def made(captions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A captioner of two decoders, its card, and what was said of the training."""
    folder = tmp_path_factory.mktemp("made") / "patterns.captioner"
    lines: list[str] = []
    card = make_captioner(captions, folder, members=2, epochs=10, say=lines.append, **SMALL)
    return folder, card, lines


def test_it_says_what_it_sees(made: tuple[Path, dict[str, Any], list[str]], captions: Path) -> None:
    folder, card, lines = made
    captioner = Captioner.open(folder)
    paths = sorted((captions / "images").iterdir())
    said = list(captioner.caption(paths))
    right = 0
    for path, caption in zip(paths, said, strict=True):
        assert isinstance(caption, Caption)
        right += caption.text in SAID[path.name.partition("-")[0]]
        assert caption.attention is not None
        assert caption.attention.shape == (len(caption.words), 2, 2)
        np.testing.assert_allclose(caption.attention.sum((1, 2)), 1, atol=1e-5)
        assert caption.log_probability <= sum(caption.log_probabilities) + 1e-6 <= 1e-6
    assert right >= 0.8 * len(paths)
    assert card["held_out"]["bleu"][0] > 0.7
    assert card["photographs"]["train"] == 38
    assert any("decoder 2 of 2, epoch 10 of 10" in line and "“" in line for line in lines)
    assert read_card(folder) == card


def test_a_preview_is_drawn(made: tuple[Path, dict[str, Any], list[str]]) -> None:
    picture = decode(made[0].with_name("patterns.captioner.run") / "preview.jpg")
    assert picture.shape[0] > 64
    assert picture.std() > 10


def test_other_ways_to_say_it(made: tuple[Path, dict[str, Any], list[str]], captions: Path) -> None:
    captioner = Captioner.open(made[0])
    paths = sorted((captions / "images").iterdir())[::7]
    greedy = [each.text for each in captioner.caption(paths, how="greedy") if isinstance(each, Caption)]
    narrow = [each.text for each in captioner.caption(paths, width=1) if isinstance(each, Caption)]
    assert greedy == narrow
    drawn = [
        [each.text for each in captioner.caption(paths, how="sample", seed=seed) if isinstance(each, Caption)]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    with pytest.raises(OptionError, match="one of beam"):
        next(captioner.caption(paths, how="shout"))


def test_what_cannot_be_read_keeps_its_place(
    made: tuple[Path, dict[str, Any], list[str]], captions: Path, tmp_path: Path
) -> None:
    good = sorted((captions / "images").iterdir())[:2]
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(good[0].read_bytes()[:100])
    absent = tmp_path / "absent.jpg"
    found = list(Captioner.open(made[0]).caption([torn, good[0], absent, good[1], torn]))
    assert [type(each) for each in found] == [Problem, Caption, Problem, Caption, Problem]
    assert [each.name for each in found] == [str(each) for each in (torn, good[0], absent, good[1], torn)]


def test_arrays_and_pixels_are_photographs(made: tuple[Path, dict[str, Any], list[str]]) -> None:
    one = np.zeros((1, 1, 3), np.uint8)
    found = list(Captioner.open(made[0]).caption([one]))
    assert isinstance(found[0], Caption)
    assert found[0].name == "photograph 1"


def test_damaged_and_mixed_captioners_are_refused(
    made: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ArtefactError, match="a trained captioner"):
        Captioner.open(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    words = json.loads((copy / "vocabulary.json").read_text())
    (copy / "vocabulary.json").write_text(json.dumps(words[:-1]))
    with pytest.raises(ArtefactError, match=r"vocabulary\.json of this captioner"):
        Captioner.open(copy)
    card = json.loads((copy / "captioner.json").read_text())
    from headstart.files import digest_file

    card["files"]["vocabulary.json"] = digest_file(copy / "vocabulary.json")  # said to be its own
    (copy / "captioner.json").write_text(json.dumps(card))
    with pytest.raises(ArtefactError, match=f"weights of {len(words) - 1} words"):
        Captioner.open(copy)
    card["schema"] = 99
    (copy / "captioner.json").write_text(json.dumps(card))
    with pytest.raises(ArtefactError, match="update headstart"):
        Captioner.open(copy)
    (copy / "captioner.json").write_text("{")
    with pytest.raises(ArtefactError, match="JSON"):
        Captioner.open(copy)


def test_a_training_goes_on_where_it_was_cut_off(
    captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    make_captioner(captions, whole, members=2, epochs=2, **SMALL)

    class StopError(Exception):
        pass

    epochs: list[str] = []

    def say(line: str) -> None:
        if "epoch" in line:
            epochs.append(line)
            if len(epochs) == 3:
                raise StopError

    with pytest.raises(StopError):
        make_captioner(captions, cut, members=2, epochs=2, say=say, **SMALL)
    with pytest.raises(OptionError, match="--resume"):
        make_captioner(captions, cut, members=2, epochs=2, **SMALL)
    with pytest.raises(OptionError, match="another epochs"):
        make_captioner(captions, cut, members=2, epochs=3, resume=True, **SMALL)
    with pytest.raises(OptionError, match="of the labels"):
        make_captioner(captions, cut, members=2, epochs=2, resume=True, **{**SMALL, "least_count": 20})
    with pytest.raises(OptionError, match="of the backbone"):
        make_captioner(captions, cut, members=2, epochs=2, resume=True, **{**SMALL, "size": 96})
    lines: list[str] = []
    made = make_captioner(captions, cut, members=2, epochs=2, resume=True, say=lines.append, **SMALL)
    assert sum("epoch" in line for line in lines) == 1
    assert made["training"] == read_card(whole)["training"]
    for name in made["members"]:
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_photographs_that_cannot_be_read_are_left_out(captions: Path, tmp_path: Path) -> None:
    copy = tmp_path / "patterns"
    shutil.copytree(captions, copy)
    (copy / "images" / "along-03.jpg").write_bytes(b"no picture")
    (copy / "images" / "along-04.jpg").unlink()
    lines: list[str] = []
    card = make_captioner(copy, tmp_path / "made", epochs=1, say=lines.append, **SMALL)
    assert card["photographs"]["left_out"] == 2
    assert any("along-03.jpg" in line for line in lines)
    assert any("along-04.jpg: no such photograph" in line for line in lines)


def test_one_caption_a_photograph_and_the_merge_model(captions: Path, tmp_path: Path) -> None:
    data = open_captions(captions)
    single = type(data)(data.photographs, tuple(each[:1] for each in data.captions))
    small = SMALL | {"settings": {"width": 48, "embedding": 24, "drop": 0.1}}
    card = make_captioner(single, tmp_path / "made", kind="merge", epochs=12, **small)
    caption = next(iter(Captioner.open(tmp_path / "made").caption([data.photographs.items[0].source])))
    assert isinstance(caption, Caption)
    assert caption.attention is None
    assert card["kind"] == "merge"


def test_values_out_of_range(captions: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--members"):
        make_captioner(captions, tmp_path / "a", members=0)
    for name in ("epochs", "batch", "rate"):
        with pytest.raises(OptionError):
            make_captioner(captions, tmp_path / "a", **{name: 0})
    with pytest.raises(OptionError, match="attention"):
        make_captioner(captions, tmp_path / "a", kind="transformer")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(OptionError, match="a place for a captioner"):
        make_captioner(captions, tmp_path / "b")
    with pytest.raises(DataError):
        make_captioner(tmp_path / "absent", tmp_path / "a")
