"""The card of a network from the hub: what its page says is linked to, what its files say is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from headstart.backbones.backbone import count_and_digest
from headstart.backbones.card import Card, Spec

_SEE = "see the model's page on the hub"


def hub_card(
    name: str,
    config: Mapping[str, Any],
    spec: Spec,
    blocks: Mapping[str, nn.Module],
    pool: nn.Module,
    features: int,
    *,
    modality: Literal["image", "text", "audio"] = "image",
    classifier: nn.Module | None = None,
    labels: str | None = None,
) -> Card:
    """Return the card of a network that was cut into blocks.

    Args:
        name: What `load` was called with, without "hf:", str.
        config: Content of its config.json.
        spec: How items become its input.
        blocks: Name → module, in order.
        pool: From the last block's output to (grid, features).
        features: Length of a feature vector, int.
        modality: "image", "text" or "audio". Defaults to "image".
        classifier: Of the source task. Defaults to None.
        labels: What the classifier names. Defaults to None.
    """
    parameters, digest = count_and_digest(blocks, pool, classifier)
    return Card(
        name=f"hf:{name}",
        architecture=str((config.get("architectures") or [config["model_type"]])[0]),
        source=f"the Hugging Face hub, {name}",
        licence=_SEE,
        training_data=_SEE,
        preprocess=spec,
        features=features,
        blocks=tuple(blocks),
        parameters=parameters,
        digest=digest,
        modality=modality,
        labels=labels,
    )
