"""Captioners of the hub: tiny ones with random weights, saved as the hub saves them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.data.items import Problem
from headstart.errors import ArtefactError, BackboneError, OptionError
from headstart.studio.caption.captioner import Caption, Captioner
from headstart.studio.caption.pretrained import Pretrained, open_captioner
from toy_captioner import SIDE, hub_captioner, toy_captioner

transformers = pytest.importorskip("transformers")
KINDS = ["blip", "git"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {kind: hub_captioner(root / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (30 + n, 40, 3), np.uint8) for n in range(10)]


def captions(captioner, sources, **settings) -> list[Caption]:
    found = list(captioner.caption(sources, **settings))
    assert all(isinstance(each, Caption) for each in found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_what_transformers_generates(kind, folders, photos):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folders[kind]).eval()
    seen = np.stack([np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in (0, 90, 255)])
    pixels = (torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    wanted = model.generate(pixel_values=pixels, max_new_tokens=30, num_beams=3)
    tokenizer = Pretrained.open(f"hf:{folders[kind]}")._tokenizer
    found = captions(open_captioner(f"hf:{folders[kind]}"), list(seen), width=3)
    assert [each.text for each in found] == tokenizer.decode_batch(wanted.tolist())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["beam", "greedy", "sample"])
def test_words_and_probabilities_belong_together(kind, how, folders, photos):
    for found in captions(open_captioner(f"hf:{folders[kind]}"), photos, how=how, width=3, seed=4):
        assert len(found.words) == len(found.log_probabilities)
        assert not any(word.startswith("##") for word in found.words)
        assert all(-80 < log <= 0 for log in found.log_probabilities)
        assert found.log_probability <= sum(found.log_probabilities) + 1e-4  # its end, too
        assert found.attention is None
        assert math.isfinite(found.to_json()["log_probability"])


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_the_models_own(kind, folders, photos):
    captioner = open_captioner(f"hf:{folders[kind]}")
    model, tokenizer = captioner._model, captioner._tokenizer
    pixels = torch.from_numpy(np.full((1, SIDE, SIDE, 3), 60, np.uint8))
    for settings in ({"num_beams": 3, "do_sample": False}, {"num_beams": 1, "do_sample": False}):
        ((tokens, logs),) = captioner._say(pixels, settings)
        seen = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        start = model.config.text_config.bos_token_id if kind == "blip" else model.config.bos_token_id
        ids = torch.tensor([[start, *tokens]])
        with torch.inference_mode():
            said = model(pixel_values=seen, input_ids=ids).logits.log_softmax(-1)
        said = said[0, -len(ids[0]) : -1]
        assert np.allclose(logs, [said[row, token].item() for row, token in enumerate(tokens)], atol=1e-3)
        assert tokenizer.id_to_token(tokens[0])


def test_drawing_depends_on_the_seed_and_leaves_others_alone(folders, photos):
    captioner = open_captioner(f"hf:{folders['git']}")
    before = torch.random.get_rng_state()
    first, again, other = (
        [each.text for each in captions(captioner, photos, how="sample", seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_bad_photographs_keep_their_place(folders, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = np.zeros((20, 20, 3), np.uint8)
    found = list(open_captioner(f"hf:{folders['blip']}").caption([good, bad, good], how="greedy"))
    assert isinstance(found[1], Problem)
    assert found[1].name == str(bad)
    assert isinstance(found[0], Caption)
    assert isinstance(found[2], Caption)
    assert found[0].text == found[2].text
    assert [type(each) for each in open_captioner(f"hf:{folders['blip']}").caption([bad])] == [Problem]


def test_a_folder_needs_no_prefix_and_ones_own_is_known(folders, tmp_path):
    assert isinstance(open_captioner(str(folders["blip"])), Pretrained)
    assert isinstance(open_captioner(str(toy_captioner(tmp_path / "own")), offline=True), Captioner)
    with pytest.raises(ArtefactError, match="caption-train"):
        open_captioner(str(tmp_path))


def test_what_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match=r"download its files.*caption-train"):
        open_captioner("hf:headstart-tests/nothing-here", offline=True)


def test_other_models_are_named(folders, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    with pytest.raises(BackboneError, match="blip, git, received resnet"):
        open_captioner(f"hf:{tmp_path}")


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "model.safetensors"])
def test_missing_and_damaged_files(name, folders, tmp_path):
    for file in folders["blip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(BackboneError, match="to fix"):
        open_captioner(f"hf:{tmp_path}")
    (tmp_path / name).unlink()
    with pytest.raises(BackboneError, match="to fix"):
        open_captioner(f"hf:{tmp_path}")


def test_missing_weights_are_not_made_up(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in folders["git"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BackboneError, match="no weights for"):
        open_captioner(f"hf:{tmp_path}")


def test_other_ways_of_saying(folders):
    captioner = open_captioner(f"hf:{folders['git']}")
    for settings in ({"how": "backwards"}, {"width": 0}):
        with pytest.raises(OptionError, match="to fix"):
            list(captioner.caption([], **settings))
