"""Text encoders of transformers in a folder: the same numbers, block by block, and bad folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstart import backbones
from headstart.backbones.catalogue import cached_tokenizer
from headstart.backbones.text_backbone import FirstToken, TextBackbone
from headstart.engines.conversion import convert
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import BackboneError
from headstart.networks.bert import Layer
from headstart.text.tokens import rows
from headstart.training import lora
from toy_texts import WORDS, write_tokenizer

_SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS) + 4,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
_DISTIL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", {}),
    "bert with relu": ("BertConfig", {"hidden_act": "relu"}),
    "roberta": ("RobertaConfig", {"pad_token_id": 0}),
    "xlm-roberta": ("XLMRobertaConfig", {"pad_token_id": 0}),
    "distilbert": ("DistilBertConfig", _DISTIL),
    "mpnet": ("MPNetConfig", {"pad_token_id": 0}),
    "electra": ("ElectraConfig", {"embedding_size": 8}),
}
PASSAGES = [[2, 8, 9, 30, 3], [2, 40, 3], [2, *range(5, 25), 3]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


def encoder(folder: Path, family: str) -> Any:
    """A random encoder with its tokenizer, saved as transformers does; returned as it computes there."""
    import transformers

    name, changes = FAMILIES[family]
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(getattr(transformers, name)(**{**_SIZES, **changes})).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer.json")
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_give_what_transformers_gives(family: str, tmp_path: Path) -> None:
    model = encoder(tmp_path, family)
    backbone = backbones.load(f"hf:{tmp_path}")
    assert isinstance(backbone, TextBackbone)
    assert backbone.card.blocks == ("embeddings", "layer1", "layer2")
    assert isinstance(backbone.blocks["layer1"], Layer) == (family == "bert")
    ids = torch.zeros(3, 22, dtype=torch.int32)
    for place, passage in enumerate(PASSAGES):
        ids[place, : len(passage)] = torch.tensor(passage)
    with torch.inference_mode():
        expected = model(input_ids=ids.long(), attention_mask=(ids != 0).long()).last_hidden_state
        grid, features = backbone(ids)
    torch.testing.assert_close(grid[ids != 0], expected[ids != 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features[1], expected[1, :3].mean(0), atol=1e-5, rtol=1e-4)
    assert backbone.cut("layer1").card.features == 16

    engine = OpenVinoEngine(convert(backbone, backbone.card), "fp32")
    for place, passage in enumerate(PASSAGES):
        found = engine.one(np.array(passage, np.int32), ("features",))["features"]
        np.testing.assert_allclose(found, features[place].numpy(), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_block_learns_and_is_saved(family: str, tmp_path: Path) -> None:
    from safetensors.torch import save

    encoder(tmp_path, family)
    backbone = backbones.load(f"hf:{tmp_path}")
    backbone.requires_grad_(True)
    backbone(torch.tensor(PASSAGES[:1], dtype=torch.int32))[1].sum().backward()
    for name in backbone.card.blocks:
        assert any(weight.grad is not None for weight in backbone.blocks[name].parameters()), name
    assert save(backbone.state_dict())  # refuses tensors that two blocks share
    assert len(lora.attention_layers(backbone, ["layer1"])) == 2


def test_the_card_says_how_texts_are_read(tmp_path: Path) -> None:
    encoder(tmp_path, "bert")
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24}))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    backbone = backbones.load(f"hf:{tmp_path}")
    assert isinstance(backbone, TextBackbone)
    assert (backbone.spec.size, backbone.card.modality) == (24, "text")
    assert isinstance(backbone.pool, FirstToken)
    assert cached_tokenizer(backbone.card).is_file()
    assert rows("The film was superb.", backbone.spec)[0][0] == 2
    assert backbone.at(40).card.preprocess.size == 40
    with pytest.raises(BackboneError, match="41 tokens"):
        backbone.at(41)


def test_positions_that_are_taken_by_padding_are_not_counted(tmp_path: Path) -> None:
    encoder(tmp_path, "roberta")
    backbone = backbones.load(f"hf:{tmp_path}")
    assert backbone.card.preprocess.size == 39
    backbone.widths()


def test_without_a_tokenizer(tmp_path: Path) -> None:
    encoder(tmp_path, "bert")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(BackboneError, match=r"tokenizer\.json"):
        backbones.load(f"hf:{tmp_path}")


def test_other_families_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(BackboneError, match="distilbert"):
        backbones.load(f"hf:{tmp_path}")
