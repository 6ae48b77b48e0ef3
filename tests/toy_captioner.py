"""Captioners that nobody trained: one of our own, and tiny ones in the hub's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from headstart.studio.caption.decoders import build
from headstart.studio.caption.making import save_captioner
from headstart.studio.caption.seen import open_eyes
from headstart.studio.caption.vocabulary import SPECIAL, Vocabulary

WORDS = ("a", "the", "dog", "cat", "boy", "runs", "jumps", "on", "in", "grass", "water", "red")
SIDE = 32


def toy_captioner(folder: Path, kind: str = "attention", members: int = 1) -> Path:
    """Write a captioner as training leaves one, with opinions that are random, and return its folder."""
    vocabulary = Vocabulary((*SPECIAL, *WORDS))
    eyes = open_eyes("efficientnet_lite0", 224, offline=True)
    settings = {"width": 12, "embedding": 8}
    decoders = []
    for number in range(members):
        torch.manual_seed(number)
        decoder = build(kind, len(vocabulary), eyes.shape[0], settings).eval()
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.mul_(2)
        decoders.append(decoder)
    card = {
        "kind": kind,
        "settings": settings,
        "length_power": 0.7,
        "guidance": 0.3,
        "backbone": {"name": eyes.card.name, "digest": eyes.card.digest, "size": 224},
    }
    channels, rows, columns = eyes.shape
    save_captioner(decoders, vocabulary, torch.zeros(rows * columns, channels), folder, card)
    return folder


def hub_captioner(folder: Path, kind: str) -> Path:
    """Save a tiny "blip" or "git" with random weights as the hub has them, and return its folder."""
    import transformers

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**small, "image_size": SIDE, "patch_size": 16}
    words = {"vocab_size": _words(folder), "max_position_embeddings": 64}
    if kind == "blip":
        tokens = {"bos_token_id": 2, "eos_token_id": 1, "sep_token_id": 1, "pad_token_id": 0}
        text: dict[str, Any] = {**small, **words, **tokens, "encoder_hidden_size": 16}
        config = transformers.BlipConfig(text_config=text, vision_config=vision)
        model = transformers.BlipForConditionalGeneration(config)
    else:
        tokens = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
        model = transformers.GitForCausalLM(
            transformers.GitConfig(vision_config=vision, **small, **words, **tokens)
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    model.save_pretrained(folder)
    spec = {"size": {"height": SIDE, "width": SIDE}, "resample": 3, "do_resize": True, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(spec))
    return folder


def _words(folder: Path) -> int:
    """Write a tokenizer that knows the words and some endings, and return how many tokens it has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokens = ["[PAD]", "[SEP]", "[CLS]", "[UNK]", *WORDS, "##s", "##es", "##ing"]
    tokenizer = Tokenizer(models.WordPiece({token: n for n, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[SEP]", "[CLS]", "[UNK]"])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(tokens)
