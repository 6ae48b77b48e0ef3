"""`headstart caption` from end to end, with captioners that were not trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.images.decode import decode
from toy_captioner import hub_captioner, toy_captioner

Headstart = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_captioner(tmp_path_factory.mktemp("captioners") / "toy.captioner")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for name in ("a.png", "b.jpg", "more/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)).save(folder / name)
    return folder


def lines(ran: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def test_one_photograph_is_one_sentence(model: Path, photos: Path, headstart: Headstart) -> None:
    ran = headstart("caption", model, photos / "a.png")
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    assert set(ran.out.split()) <= set("a the dog cat boy runs jumps on in grass water red".split())  # noqa: SIM905


def test_a_folder_as_json_and_as_pictures(
    model: Path, photos: Path, tmp_path: Path, headstart: Headstart
) -> None:
    ran = headstart("caption", model, photos, "-o", tmp_path / "strips", "--json")
    assert ran.code == 0, ran.err
    told = lines(ran)
    assert [each["input"] for each in told] == [
        str(photos / "a.png"), str(photos / "b.jpg"), str(photos / "more" / "a.png")
    ]  # fmt: skip
    assert all(set(each) == {"input", "caption", "log_probability"} for each in told)
    assert all(each["log_probability"] < 0 and each["caption"] for each in told)
    written = sorted(path.name for path in (tmp_path / "strips").iterdir())
    assert written == ["a-2.jpg", "a.jpg", "b.jpg"]
    words = len(told[0]["caption"].split())
    shape = decode(tmp_path / "strips" / "a.jpg").shape
    assert shape[1] > min(words + 1, 5) * 80
    assert f"wrote {tmp_path / 'strips'}" in ran.err
    plain = headstart("caption", model, photos)
    assert plain.out.splitlines() == [f"{each['input']}\t{each['caption']}" for each in told]


def test_ways_of_saying_it(model: Path, photos: Path, headstart: Headstart) -> None:
    said = {}
    for options in ("--greedy", "--beam 1", "--beam 4", "--sample --seed 1", "--sample --seed 2"):
        ran = headstart("caption", model, photos, *options.split(), "--json")
        assert ran.code == 0, ran.err
        said[options] = [each["caption"] for each in lines(ran)]
    assert said["--greedy"] == said["--beam 1"]
    assert said["--sample --seed 1"] != said["--sample --seed 2"]


def test_one_picture_of_one_caption(model: Path, photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    ran = headstart("caption", model, photos / "a.png", "-o", tmp_path / "strip.png")
    assert ran.code == 0, ran.err
    assert decode(tmp_path / "strip.png").ndim == 3
    ran = headstart("caption", model, photos, "-o", tmp_path / "strip.png")
    assert ran.code == 2
    assert "name a folder" in ran.err
    (tmp_path / "notes.txt").write_text("mine")
    ran = headstart("caption", model, photos, "-o", tmp_path / "notes.txt")
    assert ran.code == 2
    assert not ran.out
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_bad_photographs_are_listed(model: Path, photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    ran = headstart("caption", model, photos, photos / "gone.jpg", "--json", "-o", tmp_path / "out")
    assert ran.code == 1
    told = {Path(each["input"]).relative_to(photos).as_posix(): each for each in lines(ran)}
    assert list(told) == ["a.png", "b.jpg", "bad.jpg", "dot.png", "more/a.png", "gone.jpg"]
    assert {name for name, each in told.items() if "error" in each} == {"bad.jpg", "gone.jpg"}
    assert "bad.jpg" in ran.err
    assert len(list((tmp_path / "out").iterdir())) == 4
    ran = headstart("caption", model, photos / "bad.jpg", "-o", tmp_path / "none")
    assert ran.code == 2
    assert not (tmp_path / "none").exists()


def test_several_members_and_the_merge_model(photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    for kind, members in (("attention", 2), ("merge", 1)):
        model = toy_captioner(tmp_path / kind, kind, members)
        ran = headstart("caption", model, photos / "b.jpg", "-o", tmp_path / f"{kind}.png")
        assert ran.code == 0, ran.err
        assert decode(tmp_path / f"{kind}.png").size


def test_a_captioner_of_the_hub(photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    folder = hub_captioner(tmp_path / "git", "git")
    ran = headstart("caption", f"hf:{folder}", photos, "-o", tmp_path / "strips", "--beam", 2, "--json")
    assert ran.code == 0, ran.err
    assert len(lines(ran)) == 3
    assert len(list((tmp_path / "strips").iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--greedy", "--sample"], "leave one out"),
        (["--beam", "0"], "--beam 5"),
        (["--sample", "--top-p", "0"], "--top-p"),
        (["--sample", "--temperature", "-1"], "--temperature"),
    ],
)
def test_wrong_options(
    model: Path, photos: Path, options: list[str], said: str, headstart: Headstart
) -> None:
    ran = headstart("caption", model, photos, *options)
    assert ran.code == 2
    assert said in ran.err


def test_what_is_no_captioner(photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    ran = headstart("caption", tmp_path, photos)
    assert ran.code == 2
    assert "caption-train" in ran.err


def test_a_damaged_captioner(photos: Path, tmp_path: Path, headstart: Headstart) -> None:
    model = toy_captioner(tmp_path / "model")
    vocabulary = json.loads((model / "vocabulary.json").read_text())
    (model / "vocabulary.json").write_text(json.dumps([*vocabulary, "purple"]))
    ran = headstart("caption", model, photos)
    assert ran.code == 2
    assert "vocabulary.json" in ran.err


def test_a_photograph_is_not_written_over(
    model: Path, photos: Path, tmp_path: Path, headstart: Headstart
) -> None:
    photo = tmp_path / "mine.jpg"
    photo.write_bytes(next(path for path in sorted(photos.iterdir())).read_bytes())
    before = photo.read_bytes()
    for output in (photo, tmp_path):
        ran = headstart("caption", model, photo, "-o", output)
        assert ran.code == 2
        assert "another place" in ran.err
    assert photo.read_bytes() == before


def test_a_beam_has_a_limit(model: Path, photos: Path, headstart: Headstart) -> None:
    ran = headstart("caption", model, photos, "--beam", 100_000)
    assert ran.code == 2
    assert "a beam from 1 to 100 wide" in ran.err
