"""CLIP: the directions of names order pictures as the whole model does; a tiny one, made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import headstart as hs
from headstart import backbones
from headstart.errors import BackboneError
from headstart.transfer.names.clip import clip_directions, is_clip
from headstart.transfer.names.described import read_labels

WORDS = ("a", "photo", "of", "dog", "cat", "horse")
LABELS = "dog, cat, horse"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it, with random weights."""
    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    end = len(WORDS) + 2
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": end + 1, "eos_token_id": end, "bos_token_id": end - 1},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate((*WORDS, "?", "<s>", "</s>"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    spec = {
        "size": {"height": 32, "width": 32},
        "resample": 3,
        "image_mean": [0.5] * 3,
        "image_std": [0.3] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(spec))
    return folder


def test_directions_order_pictures_as_the_whole_model_does(clip: Path) -> None:
    name = f"hf:{clip}"
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8))
    backbone = backbones.load(name, offline=True)
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    tokenizer = Tokenizer.from_file(str(clip / "tokenizer.json"))
    ids = torch.tensor([tokenizer.encode(f"a photo of a {each}").ids for each in ("dog", "cat", "horse")])
    with torch.no_grad():
        whole = model(input_ids=ids, pixel_values=backbone.normalise(pixels)).logits_per_image.numpy()
        features = backbone(pixels)[1].numpy()
    ours = features @ clip_directions(name, read_labels(LABELS), offline=True)
    ratio = whole / ours
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-3)
    assert (ratio > 0).all()


def test_a_clip_folder_makes_a_model_from_names(clip: Path, tmp_path: Path) -> None:
    assert is_clip(f"hf:{clip}", offline=True)
    assert not is_clip("efficientnet_lite0")
    model = hs.zero_shot(LABELS, backbone=f"hf:{clip}", offline=True)
    pictures = list(np.random.default_rng(1).integers(0, 255, (3, 32, 32, 3), np.uint8))
    again = hs.load(model.save(tmp_path / "m.headstart"))
    np.testing.assert_allclose(again.predict_proba(pictures), model.predict_proba(pictures), atol=1e-3)


def test_a_folder_without_tokenizer_is_refused(clip: Path, tmp_path: Path) -> None:
    for file in clip.iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BackboneError, match="tokenizer"):
        clip_directions(f"hf:{tmp_path}", read_labels(LABELS), offline=True)
