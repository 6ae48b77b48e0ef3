"""BERT's encoder: the network behind MiniLM and most sentence encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_FAR = -1e4
"""Added to the attention that padding would get: enough to leave none, and representable in 16 bits."""


class BertEncoder(nn.Module):
    """Token embeddings and transformer layers, as blocks that run strictly in order.

    Between blocks a text is [n, tokens, width + 1]: the last number of each token is 1 for a token and 0 for
    padding, so that a block's output is all that the next one needs, wherever it was kept in between.

    Args:
        width: Length of a token's vector, int. Defaults to 384.
        layers: Number of layers, int. Defaults to 6.
        heads: Attention heads, int. Defaults to 12.
        hidden: Width inside the feed-forward part, int. Defaults to 1536.
        vocabulary: Number of tokens there are, int. Defaults to 30522.
        positions: Most tokens in a row, int. Defaults to 512.
        pad: Number of the padding token, int. Defaults to 0.

    References:
        Devlin et al., "BERT", https://arxiv.org/abs/1810.04805. Wang et al., "MiniLM",
        https://arxiv.org/abs/2002.10957.

    Example:
        >>> network = BertEncoder(width=8, layers=1, heads=2, hidden=16, vocabulary=50).eval()
        >>> tuple(network(torch.tensor([[3, 4, 0]])).shape)
        (1, 3, 9)
    """

    def __init__(
        self,
        width: int = 384,
        layers: int = 6,
        heads: int = 12,
        hidden: int = 1536,
        vocabulary: int = 30522,
        positions: int = 512,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict({"embeddings": Embeddings(width, vocabulary, positions, pad)})
        for number in range(1, layers + 1):
            self.blocks[f"layer{number}"] = Layer(width, heads, hidden)

    def forward(self, ids: Tensor) -> Tensor:
        """Return [n, tokens, width + 1] of token numbers, int [n, tokens]."""
        x = ids
        for block in self.blocks.values():
            x = cast(Tensor, block(x))
        return x


class Embeddings(nn.Module):
    """Token, position and segment embeddings, normalised."""

    def __init__(self, width: int, vocabulary: int, positions: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.word = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(positions, width)
        self.segment = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Return [n, tokens, width + 1] of token numbers, int [n, tokens]."""
        mask = (ids != self.pad).unsqueeze(2)
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.word(ids) + self.position(places) + self.segment.weight[0]
        x = self.dropout(self.norm(x))
        return torch.cat([x, mask.to(x.dtype)], 2)


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each added to its input and normalised."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, tokens, width + 1] of the same."""
        x, mask = x[..., :-1], x[..., -1:]
        x = self.attention_norm(x + self.dropout(self.out(self._attend(x, mask))))
        x = self.norm(x + self.dropout(self.down(functional.gelu(self.up(x)))))
        return torch.cat([x, mask.to(x.dtype)], 2)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        far = (1 - mask).to(q.dtype).transpose(1, 2).unsqueeze(1) * _FAR
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=far).transpose(1, 2).flatten(2)


def reference_names(network: BertEncoder) -> dict[str, str]:
    """Return what transformers' BertModel calls each of our tensors, {ours: theirs}."""
    embeddings = {"word": "word_embeddings", "position": "position_embeddings", "norm": "LayerNorm"}
    embeddings["segment"] = "token_type_embeddings"
    layer: Mapping[str, str] = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }

    def theirs(name: str) -> str:
        _, block, part, kind = name.split(".")
        if block == "embeddings":
            return f"embeddings.{embeddings[part]}.{kind}"
        return f"encoder.layer.{int(block.removeprefix('layer')) - 1}.{layer[part]}.{kind}"

    return {name: theirs(name) for name in network.state_dict()}


def from_config(config: Mapping[str, Any]) -> BertEncoder:
    """Build the encoder that a transformers config.json describes.

    Args:
        config: Content of the file.
    """
    return BertEncoder(
        config["hidden_size"],
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config["intermediate_size"],
        config["vocab_size"],
        config["max_position_embeddings"],
        config.get("pad_token_id", 0),
    )
