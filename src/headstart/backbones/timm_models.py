"""Backbones from timm, through the extra headstart[timm]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from headstart.backbones import torchvision_schemas
from headstart.backbones.backbone import Backbone, count_and_digest
from headstart.backbones.card import Card, Interpolation, Preprocess, Resize
from headstart.errors import BackboneError, missing_extra


def load(name: str, *, offline: bool = False) -> Backbone:
    """Load an image model of timm.

    Its children become the blocks where running them in order gives what the model gives (this is
    tried out); where it does not, the whole trunk is one block.

    Args:
        name: A pretrained model of timm such as "inception_v3.tv_in1k", or "local-dir:" and a folder that
            timm saved, str.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The Backbone, in evaluation mode.

    Raises:
        BackboneError: timm does not have the model, or its weights cannot be had.
        MissingExtraError: timm or torchvision is not installed.
    """
    model = _create(name, offline)
    config = dict(model.pretrained_cfg)
    spec = _preprocess(config)
    probe = torch.zeros(1, 3, spec.size, spec.size).uniform_(
        -1, 1, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        trunk = model.forward_features(probe)
        pool = _Pool(model)
        features = pool(trunk)[1]
        classifier = _classifier(model, trunk, features)
        blocks = _children(model, probe, trunk) or {"trunk": _Trunk(model)}
    parameters, digest = count_and_digest(blocks, pool, classifier)
    card = Card(
        name=f"timm:{name}",
        architecture=str(config.get("architecture", name)),
        source=f"timm, {config.get('hf_hub_id') or name}",
        licence=str(config.get("license") or "see the model's page on the hub"),
        training_data=f"timm's tag {config['tag']!r}"
        if config.get("tag")
        else "see the model's page on the hub",
        preprocess=spec,
        features=features.shape[1],
        blocks=tuple(blocks),
        parameters=parameters,
        digest=digest,
        labels=None if classifier is None else f"timm:{name}",
    )
    return Backbone(card, blocks, pool, classifier)


def _create(name: str, offline: bool) -> Any:
    try:
        torchvision_schemas.declare()
        import timm
    except ImportError as error:
        raise missing_extra("timm", "timm", "models of timm") from error
    import huggingface_hub.constants as hub
    from safetensors import SafetensorError

    was_offline = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = was_offline or offline
    try:
        return timm.create_model(name, pretrained=True).eval()
    except (OSError, ValueError, RuntimeError, KeyError, AssertionError, SafetensorError) as error:
        raise BackboneError(
            f"the model {name!r} of timm",
            (str(error).splitlines() or [type(error).__name__])[0],
            "check the name and the network; a folder that timm saved is named timm:local-dir:/path",
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = was_offline


def _preprocess(config: Mapping[str, Any]) -> Preprocess:
    _, height, width = config["input_size"]
    interpolation = config.get("interpolation", "bicubic")
    if height != width or interpolation not in ("bilinear", "bicubic"):
        raise BackboneError(
            "a square input and bilinear or bicubic resizing",
            f"{height} × {width}, {interpolation}",
            "choose another model",
        )
    mean, std = ([255.0 * value for value in config[key]] for key in ("mean", "std"))
    resize: Resize = "squash" if config.get("crop_mode") == "squash" else "crop"
    return Preprocess(
        size=height,
        resize=resize,
        crop=float(config.get("crop_pct") or 0.875),
        interpolation=cast(Interpolation, interpolation),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
    )


def _classifier(model: Any, trunk: Tensor, features: Tensor) -> nn.Module | None:
    """Return the model's last layer where it reads our features (no hidden layer or norm comes between)."""
    found = model.get_classifier()
    if not isinstance(found, nn.Linear) or found.in_features != features.shape[1]:
        return None
    return found if torch.allclose(found(features), model.forward_head(trunk), atol=1e-4) else None


def _children(model: Any, probe: Tensor, wanted: Tensor) -> dict[str, nn.Module]:
    """Return the model's children as blocks, sequences opened; nothing where they are not the model."""
    blocks: dict[str, nn.Module] = {}
    matching: dict[str, nn.Module] = {}
    x = probe
    for name, module in _opened(model):
        try:
            x = module(x)
        except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError):
            break
        if not isinstance(x, Tensor):
            break
        blocks[name] = module
        same = x.shape == wanted.shape and torch.allclose(x, wanted, atol=1e-5)
        # Not the first match but the last one with weights: a residual block may add nothing yet.
        if same and (not matching or any(True for _ in module.parameters())):
            matching = dict(blocks)
    return matching


def _opened(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Yield the model's children by name, the parts of a sequence one by one."""
    for name, child in model.named_children():
        if isinstance(child, nn.Sequential):
            yield from ((f"{name}_{part}", module) for part, module in child.named_children())
        else:
            yield name, child


class _Trunk(nn.Module):
    """All of a timm model but its head (which is taken off), as one block."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.model.reset_classifier(0)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.model.forward_features(x))


class _Pool(nn.Module):
    """Grid and features from a trunk's output: [n, d, h, w], [n, h, w, d] or tokens [n, t, d]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.channels = int(model.num_features)
        self.prefix = int(getattr(model, "num_prefix_tokens", 0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim == 3:
            side = int((x.shape[1] - self.prefix) ** 0.5)
            grid = x[:, self.prefix :].transpose(1, 2).reshape(-1, x.shape[2], side, side)
            return grid, x[:, 0] if self.prefix else grid.mean((2, 3))
        grid = x if x.shape[1] == self.channels else x.permute(0, 3, 1, 2)
        return grid, grid.mean((2, 3))
