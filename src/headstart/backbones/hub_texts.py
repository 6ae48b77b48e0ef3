"""Text encoders of transformers, from the hub or a folder, as ordered blocks."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from headstart.backbones import tensors
from headstart.backbones.card import Tokens
from headstart.backbones.catalogue import cached_tokenizer
from headstart.backbones.hub_cards import hub_card
from headstart.backbones.text_backbone import FirstToken, MeanOfTokens, TextBackbone
from headstart.errors import BackboneError
from headstart.files import atomic_file
from headstart.networks.bert import from_config, reference_names

KINDS = ("bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "electra")
"""The families that are understood, by their `model_type`."""

SIZE = 128
"""Tokens in a passage where the model does not say what it was trained on."""
_OURS = {"hidden_act": "gelu", "position_embedding_type": "absolute", "type_vocab_size": 2}
"""What a config says of a network that is the same as `networks.bert.BertEncoder`."""
_FAR = -1e4


def build(name: str, where: Path, config: Mapping[str, Any], model: nn.Module) -> TextBackbone:
    """Cut an encoder into blocks.

    Args:
        name: What `load` was called with, without "hf:", str.
        where: The folder with its files.
        config: Content of its config.json.
        model: The encoder, loaded by transformers.

    Returns:
        The TextBackbone, its features the mean over the tokens, or the first token where the folder's
        sentence-transformers settings say so.

    Raises:
        BackboneError: It has no tokenizer.json, or no blocks that are understood.
    """
    kind, pad = str(config["model_type"]), int(config.get("pad_token_id") or 0)
    blocks = _as_bert(config, model) if kind == "bert" and _is_ours(config) else _wrapped(kind, model, pad)
    first = _json(where / "1_Pooling" / "config.json").get("pooling_mode_cls_token", False)
    pool = FirstToken() if first else MeanOfTokens()
    content = _tokenizer(where)
    spec = Tokens(_size(where, config, pad), hashlib.sha256(content).hexdigest(), pad=pad)
    features = int(config.get("hidden_size") or config["dim"])
    card = hub_card(name, config, spec, blocks, pool, features, modality="text")
    _keep(content, cached_tokenizer(card))
    return TextBackbone(card, blocks, pool)


def _is_ours(config: Mapping[str, Any]) -> bool:
    return all(config.get(name, value) == value for name, value in _OURS.items()) and not config.get(
        "is_decoder"
    )


def _as_bert(config: Mapping[str, Any], model: nn.Module) -> dict[str, nn.Module]:
    """Return our BERT's blocks, which run without transformers' detours, with its weights."""
    network, state = from_config(config), model.state_dict()
    network.load_state_dict({ours: state[theirs] for ours, theirs in reference_names(network).items()})
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = float(config.get("layer_norm_eps", 1e-12))
    return dict(network.blocks.items())


def _wrapped(kind: str, model: Any, pad: int) -> dict[str, nn.Module]:
    project = getattr(model, "embeddings_project", None)
    body = getattr(model, "encoder", None) or model.transformer
    blocks: dict[str, nn.Module] = {"embeddings": _Embeddings(model.embeddings, project, pad)}
    for number, layer in enumerate(body.layer, start=1):
        blocks[f"layer{number}"] = _Layer(layer, _Positions(body) if kind == "mpnet" else None)
    return blocks


class _Embeddings(nn.Module):
    """The embeddings of transformers, and the mask behind them: [n, tokens, width + 1]."""

    def __init__(self, embeddings: nn.Module, project: nn.Module | None, pad: int) -> None:
        super().__init__()
        self.embeddings, self.project, self.pad = embeddings, project, pad

    def forward(self, ids: Tensor) -> Tensor:
        x = cast(Tensor, self.embeddings(input_ids=ids))
        x = x if self.project is None else cast(Tensor, self.project(x))
        return torch.cat([x, (ids != self.pad).unsqueeze(2).to(x.dtype)], 2)


class _Positions(nn.Module):
    """What relative positions are worth in MPNet. Its layers share that; here each has a copy of its own."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.worth = copy.deepcopy(encoder.relative_attention_bias)
        self._bucket = encoder.relative_position_bucket

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        worth = cast(Tensor, self.worth(self._bucket(places[None, :] - places[:, None])))
        return worth.permute(2, 0, 1).unsqueeze(0)


class _Layer(nn.Module):
    """A layer of transformers that takes and gives [n, tokens, width + 1]."""

    def __init__(self, layer: nn.Module, positions: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.positions = layer, positions

    def forward(self, x: Tensor) -> Tensor:
        x, mask = x[..., :-1], x[..., -1:]
        options = {"attention_mask": (1 - mask).to(x.dtype).transpose(1, 2).unsqueeze(1) * _FAR}
        if self.positions is not None:
            options["position_bias"] = self.positions(x)
        found = self.layer(x, **options)
        found = found[0] if isinstance(found, tuple) else found
        return torch.cat([found, mask.to(found.dtype)], 2)


def _size(where: Path, config: Mapping[str, Any], pad: int) -> int:
    """Return the most tokens in a passage: what it was trained on, and no more than it has positions for."""
    wanted = int(_json(where / "sentence_bert_config.json").get("max_seq_length") or SIZE)
    reserved = pad + 1 if config["model_type"] in ("roberta", "xlm-roberta", "mpnet") else 0
    return min(wanted, int(config["max_position_embeddings"]) - reserved)


def _tokenizer(where: Path) -> bytes:
    path = where / "tokenizer.json"
    try:
        return path.read_bytes()
    except OSError as error:
        fix = "save it with a fast tokenizer: AutoTokenizer.from_pretrained(…).save_pretrained(folder)"
        raise BackboneError(f"a tokenizer.json in {where}", error.strerror or str(error), fix) from error


def _keep(content: bytes, path: Path) -> None:
    """Put the tokenizer where those of the catalogue's backbones are: under what it contains."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON object that may be missing: {} then."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise tensors.unreadable(path, error) from error
    return value if isinstance(value, dict) else {}
