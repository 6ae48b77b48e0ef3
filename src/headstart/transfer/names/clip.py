"""CLIP: pictures and names in one space, through transformers, where a hub or a folder has the model."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.backbones import hub
from headstart.errors import BackboneError, missing_extra
from headstart.transfer.names.described import Described

_PREFIX = "hf:"


def is_clip(name: str, *, offline: bool = False) -> bool:
    """Return whether a backbone is a CLIP model with its text encoder.

    Args:
        name: A backbone, such as "hf:openai/clip-vit-base-patch32".
        offline: Whether to stay off the network. Defaults to False.
    """
    if not name.startswith(_PREFIX):
        return False
    config = json.loads(
        (hub.folder(name.removeprefix(_PREFIX), offline=offline) / "config.json").read_text("utf-8")
    )
    return bool(config.get("model_type") == "clip" and "text_config" in config)


def clip_directions(name: str, labels: Sequence[Described], *, offline: bool = False) -> NDArray[np.float32]:
    """Return a direction for each label among the features that the backbone of the same name gives.

    A picture's features, projected, are compared with the projected name. The projection is linear, and the
    length of the picture's vector changes no order: so a label is one direction, and the head is linear.

    Args:
        name: As for `is_clip`.
        labels: The classes.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        float32 [features, labels].

    Raises:
        BackboneError: The model or its tokenizer cannot be had.
        MissingExtraError: transformers is not installed.

    References:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
    """
    try:
        import torch
        import transformers
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "train", "CLIP") from error
    where = hub.folder(name.removeprefix(_PREFIX), offline=offline)
    if not (where / "tokenizer.json").is_file():
        raise BackboneError(
            "a CLIP model with its tokenizer.json", f"none in {where}", "get the model's files again"
        )
    try:
        model = transformers.CLIPModel.from_pretrained(
            where, use_safetensors=True, local_files_only=True, dtype="float32"
        ).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        fix = "get the model's files again"
        raise BackboneError(f"a CLIP model in {where}", str(error).splitlines()[0], fix) from error
    tokenizer = Tokenizer.from_file(str(where / "tokenizer.json"))
    told = []
    with torch.no_grad():
        for label in labels:
            ids = tokenizer.encode(f"a photo of a {label.name}{_after(label)}").ids
            pooled = model.text_model(torch.tensor([ids])).pooler_output
            told.append(torch.nn.functional.normalize(model.text_projection(pooled), dim=1))
        names = torch.cat(told)
        directions = model.visual_projection.weight.T @ names.T
    found: NDArray[np.float32] = directions.numpy()
    return found


def _after(label: Described) -> str:
    return f", {label.description}" if label.description else ""
