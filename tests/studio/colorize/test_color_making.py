"""What is kept of a training: a folder that answers as the network did, and says what has to be known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from vgg_like import vgg_like

from headstart.backbones import tensors
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import ArtefactError
from headstart.studio.colorize.card import FILES, is_colorizer, read_card
from headstart.studio.colorize.making import _vivid, build, colours_told, described, save_colorizer
from headstart.studio.colorize.networks import Whole
from headstart.studio.colorize.photographs import Views
from headstart.studio.colorize.quantising import bins, encode, mean_colour
from headstart.studio.colorize.training import TrainOptions

PRIOR = np.full(len(bins()), 1 / len(bins()), np.float32)


@pytest.fixture(scope="module", params=["unet", "classic"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, Path]:
    options = TrainOptions(kind=request.param, size=32)
    whole = Whole(*build(vgg_like(4, 6, 8), options)).eval()
    folder = tmp_path_factory.mktemp("kept") / "toy.colorizer"
    save_colorizer(whole, folder, described(options, PRIOR, 0.7))
    return whole, folder


def test_the_kept_network_tells_what_the_trained_one_does(saved: tuple[Whole, Path]) -> None:
    whole, folder = saved
    card = read_card(folder)
    lightness = np.random.default_rng(0).uniform(0, 100, (1, 32, 32)).astype(np.float32)
    engine = OpenVinoEngine(folder / "network.xml", "fp32", 1)
    found = engine.one(lightness, (card["output"],))[card["output"]]
    with torch.no_grad():
        expected = whole(torch.from_numpy(lightness)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01 * float(np.abs(expected).max()))
    assert found.shape == ((261, 8, 8) if card["kind"] == "unet" else (2, 8, 8))


def test_the_card_says_what_has_to_be_known(saved: tuple[Whole, Path]) -> None:
    whole, folder = saved
    card = json.loads((folder / "colorizer.json").read_text())
    assert is_colorizer(folder)
    assert (card["schema"], card["size"]) == (1, 32)
    assert sorted(card["files"]) == sorted(FILES)
    if card["kind"] == "unet":
        np.testing.assert_array_equal(card["bins"], bins())
        assert (card["temperature"], card["mix"], len(card["prior"])) == (0.38, 0.7, 261)
    kept = tensors.read(folder / "weights.safetensors")
    assert kept.keys() == whole.network.state_dict().keys()  # the backbone is named, not kept twice


def test_what_is_damaged_or_no_colorizer_is_refused(saved: tuple[Whole, Path], tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="readable"):
        read_card(tmp_path)
    _, folder = saved
    for name in ("colorizer.json", *FILES):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "network.bin").write_bytes(b"other")
    with pytest.raises(ArtefactError, match=r"changed network\.bin"):
        read_card(tmp_path)
    (tmp_path / "colorizer.json").write_text('{"schema": 9}')
    with pytest.raises(ArtefactError, match="schema 9"):
        read_card(tmp_path)


def test_the_mix_is_the_one_that_is_as_colourful_as_the_photographs() -> None:
    generator = np.random.default_rng(0)
    ab = generator.normal(0, 25, (4, 8, 8, 2)).astype(np.float32)
    views = Views(generator.uniform(40, 70, (4, 1, 32, 32)).astype(np.float32), ab)
    prior = np.bincount(encode(ab * 0.3)[0].ravel(), minlength=261).astype(np.float32) + 0.1
    prior /= prior.sum()
    places, shares = encode(ab)
    sure = np.full((4, 8, 8, 261), 1e-4, np.float32)
    np.put_along_axis(sure, places, shares, 3)
    torn = 0.02 * sure + prior  # mostly what is usual: greyish
    logits = [np.log(np.moveaxis(each, 3, 1)) for each in (sure, torn)]
    mixes = [_vivid([(torch.from_numpy(each), views)], prior) for each in logits]
    assert mixes[0] > 0.95  # vivid enough
    assert mixes[1] < mixes[0]


def test_colours_of_a_classic_network_are_taken_as_they_are() -> None:
    ab = np.random.default_rng(0).normal(0, 20, (2, 2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(colours_told(ab, PRIOR, 0.5), np.moveaxis(ab, 1, 3))
    logits = np.random.default_rng(0).normal(0, 2, (1, 261, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(
        colours_told(logits, PRIOR, 0.5), mean_colour(logits, bins(), temperature=0.38), atol=1e-3
    )
