"""Backbones from the Hugging Face hub, or from a folder in its format, through transformers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from headstart.backbones import hub_sounds, hub_texts, tensors
from headstart.backbones.backbone import AveragePool, Backbone, ClassToken
from headstart.backbones.card import Card, Interpolation, Preprocess
from headstart.backbones.hub_cards import hub_card
from headstart.errors import BackboneError, missing_extra

_FILES = (
    *("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"),
)
_PILLOW_FILTERS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class _Parts:
    """A model of transformers, cut up: its blocks in order, what pools them, its classifier."""

    blocks: dict[str, nn.Module]
    pool: nn.Module
    features: int
    classifier: nn.Module | None = None


def folder(name: str, *, offline: bool = False) -> Path:
    """Return the folder with a model's files, downloading what the hub's cache does not have.

    Args:
        name: "owner/model" on the hub, or the path of a folder in the hub's format, str.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The folder, a Path.

    Raises:
        BackboneError: There is no such folder, or the hub does not have or give the model.
        MissingExtraError: huggingface_hub is not installed.
    """
    if name and Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise BackboneError(
            "hf:owner/model, or hf: and an existing folder", f"'hf:{name}'", "correct the name or the path"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_extra("huggingface_hub", "train", "models from the hub") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=offline))
    except (OSError, ValueError, RuntimeError) as error:  # all of the hub's own errors are one of these
        where = "the hub's cache (offline)" if offline else "the Hugging Face hub"
        raise BackboneError(
            f"the model {name!r} from {where}",
            (str(error).splitlines() or [type(error).__name__])[0],
            "check the name and the network, or download its files elsewhere and name their folder: "
            "hf:/path/to/folder; the backbones of `headstart backbones list` need no hub",
        ) from error


def load(name: str, *, offline: bool = False) -> Backbone:
    """Load an image model, or an encoder of texts or sounds, of transformers as ordered blocks.

    Args:
        name: "owner/model" on the hub, or the path of a folder in the hub's format, str.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The Backbone, in evaluation mode, in float32.

    Raises:
        BackboneError: The model cannot be had, is damaged, or is of a family that is not supported.
        MissingExtraError: transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "train", "models from the hub") from error
    where = folder(name, offline=offline)
    config = _json(where / "config.json")
    kind = str(config.get("model_type"))
    if kind in hub_texts.KINDS:
        return hub_texts.build(name, where, config, _model(transformers, kind, config, where))
    if kind in hub_sounds.KINDS:
        settings = _json(where / "preprocessor_config.json")
        return hub_sounds.build(name, config, settings, _model(transformers, kind, config, where))
    if kind not in _FAMILIES:
        raise BackboneError(
            f"an image model of one of the families {', '.join(_FAMILIES)}, a text encoder of "
            f"{', '.join(hub_texts.KINDS)}, or a sound encoder of {', '.join(hub_sounds.KINDS)}",
            f"'hf:{name}', a {kind!r}",
            "choose another model",
        )
    spec = preprocess(_json(where / "preprocessor_config.json"), where)
    model = _model(transformers, kind, config, where)
    parts = _FAMILIES[kind](model, spec.size)
    card = _card(name, config, spec, parts)
    return Backbone(card, parts.blocks, parts.pool, parts.classifier)


def preprocess(config: Mapping[str, Any], where: Path) -> Preprocess:
    """Read the preprocessing out of a preprocessor_config.json.

    Args:
        config: Content of the file.
        where: Its folder, for the messages.

    Returns:
        The Preprocess.

    Raises:
        BackboneError: It asks for something that headstart's preprocessing cannot do.

    Example:
        >>> spec = preprocess({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
        ...                    "do_center_crop": True, "resample": 3}, Path("."))
        >>> spec.size, spec.resize, spec.crop, spec.interpolation
        (224, 'crop', 0.875, 'bicubic')
    """
    size, cut = config.get("size", 224), config.get("crop_size")
    short = size.get("shortest_edge") if isinstance(size, dict) else None
    crop_wanted = bool(config.get("do_center_crop", False)) and cut is not None
    if isinstance(size, int) and (crop_wanted or "crop_pct" in config):
        short = size  # in old files a single number is the short side where a crop follows
    filter_number = int(config.get("resample", 2))
    if filter_number not in _PILLOW_FILTERS or not config.get("do_resize", True):
        raise BackboneError(
            "bilinear or bicubic resizing",
            f"resample {filter_number} in {where}",
            "choose another model, or correct its preprocessor_config.json",
        )
    side, resize, crop = _geometry(config, where, size, short, _side(cut, where) if crop_wanted else None)
    # (x · scale − mean) / std, in grey levels
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    normalise = config.get("do_normalize", True)
    mean = config.get("image_mean", (0.5, 0.5, 0.5)) if normalise else (0.0, 0.0, 0.0)
    std = config.get("image_std", (0.5, 0.5, 0.5)) if normalise else (1.0, 1.0, 1.0)
    fields = {
        "size": side,
        "resize": resize,
        "crop": crop,
        "interpolation": _PILLOW_FILTERS[filter_number],
        "mean": [value / scale for value in mean],
        "std": [value / scale for value in std],
    }
    return Preprocess.from_json(fields)


def _geometry(
    config: Mapping[str, Any], where: Path, size: Any, short: int | None, cut: int | None
) -> tuple[int, str, float]:
    """Return (side, "crop" or "squash", crop)."""
    if short is None:
        side = _side(size, where)
        if cut in (None, side):
            return side, "squash", 1.0
    elif cut is None:
        # ConvNeXt's rule, which ResNet's files use too: below 384 pixels crop_pct, else squash.
        if short >= 384:
            return short, "squash", 1.0
        return short, "crop", float(config.get("crop_pct", 224 / 256))
    elif cut <= short:
        return cut, "crop", cut / short
    raise BackboneError(
        "a crop out of the scaled picture", f"size {size} and crop {cut} in {where}", "choose another model"
    )


def _side(value: Any, where: Path) -> int:
    if isinstance(value, dict) and value.get("height") == value.get("width"):
        value = value.get("height")
    if not isinstance(value, int):
        raise BackboneError("a square input size", f"{value!r} in {where}", "choose another model")
    return value


def _model(transformers: Any, kind: str, config: Mapping[str, Any], where: Path) -> nn.Module:
    """Load the model with its weights, from safetensors only."""
    architecture = str((config.get("architectures") or [""])[0])
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "dtype": "float32"}
    if kind in ("clip", "clip_vision_model"):
        loader = transformers.CLIPVisionModel
    elif kind != "dinov2" and architecture.endswith("ForImageClassification"):
        loader = transformers.AutoModelForImageClassification
    else:
        loader = transformers.AutoModel
        if kind in ("vit", "bert", "roberta", "xlm-roberta", "mpnet"):
            options["add_pooling_layer"] = False
        if kind in (*hub_texts.KINDS, *hub_sounds.KINDS):
            options["attn_implementation"] = "eager"  # takes the mask that our blocks hand on
    from safetensors import SafetensorError

    try:
        with silence(transformers):
            model, loading = loader.from_pretrained(where, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise tensors.unreadable(where, error) from error
    missing = sorted(set(loading["missing_keys"]) - hub_sounds.ABSENT)
    if missing:  # transformers would go on with random numbers
        raise tensors.unreadable(where, f"no weights for {', '.join(missing[:3])}")
    return cast(nn.Module, model.eval())


@contextlib.contextmanager
def silence(transformers: Any) -> Iterator[None]:
    """Keep transformers' progress bar and remarks on unused tensors off the terminal, then restore them."""
    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _card(name: str, config: Mapping[str, Any], spec: Preprocess, parts: _Parts) -> Card:
    names = config.get("id2label") or {}
    imagenet = len(names) == 1000 and str(names.get("0", "")).startswith("tench")
    labels = None if parts.classifier is None else "imagenet-1k" if imagenet else f"hf:{name}"
    return hub_card(
        name, config, spec, parts.blocks, parts.pool, parts.features,
        classifier=parts.classifier, labels=labels,
    )  # fmt: skip


def _resnet(model: Any, _size: int) -> _Parts:
    body = getattr(model, "resnet", model)
    blocks = {"embedder": body.embedder, **_numbered("stage", body.encoder.stages)}
    return _Parts(blocks, AveragePool(), body.config.hidden_sizes[-1], _classifier(model))


def _convnext(model: Any, _size: int) -> _Parts:
    body = getattr(model, "convnext", model)
    blocks = {"embeddings": body.embeddings, **_numbered("stage", body.encoder.stages)}
    return _Parts(blocks, AveragePool(body.layernorm), body.config.hidden_sizes[-1], _classifier(model))


def _mobilenet_v2(model: Any, _size: int) -> _Parts:
    body = getattr(model, "mobilenet_v2", model)
    blocks = {"stem": body.conv_stem, **_numbered("layer", body.layer), "head": body.conv_1x1}
    return _Parts(blocks, AveragePool(), body.conv_1x1.convolution.out_channels, _classifier(model))


def _vit(model: Any, size: int) -> _Parts:
    body = getattr(model, "vit", model)
    layers = body.layers if hasattr(body, "layers") else body.encoder.layer
    return _transformer(body.embeddings, layers, body.layernorm, body.config, size, _classifier(model))


def _dinov2(model: Any, size: int) -> _Parts:
    return _transformer(model.embeddings, model.encoder.layer, model.layernorm, model.config, size)


def _clip(model: Any, size: int) -> _Parts:
    body = getattr(model, "vision_model", model)
    start = nn.Sequential(body.embeddings, body.pre_layrnorm)  # the missing "e" is theirs
    layers = [_Unmasked(layer) for layer in body.encoder.layers]
    return _transformer(start, layers, body.post_layernorm, model.config, size)


def _transformer(
    embeddings: nn.Module,
    layers: Any,
    norm: nn.Module,
    config: Any,
    size: int,
    classifier: nn.Module | None = None,
) -> _Parts:
    blocks = {"embeddings": embeddings, **_numbered("layer", layers)}
    last = f"layer{len(layers)}"
    blocks[last] = nn.Sequential(blocks[last], norm)
    return _Parts(blocks, ClassToken(size // config.patch_size), config.hidden_size, classifier)


class _Unmasked(nn.Module):
    """A layer of CLIP, called without an attention mask: every patch sees every patch."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layer(x, attention_mask=None))


def _numbered(word: str, modules: Any) -> dict[str, nn.Module]:
    return {f"{word}{number}": module for number, module in enumerate(modules, start=1)}


def _classifier(model: Any) -> nn.Module | None:
    found = getattr(model, "classifier", None)
    return found if isinstance(found, nn.Module) and not isinstance(found, nn.Identity) else None


_FAMILIES: dict[str, Callable[[Any, int], _Parts]] = {
    "resnet": _resnet,
    "convnext": _convnext,
    "mobilenet_v2": _mobilenet_v2,
    "vit": _vit,
    "dinov2": _dinov2,
    "clip": _clip,
    "clip_vision_model": _clip,
}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"a readable {path.name} in {path.parent}", str(error), "get the model's files again"
        ) from error
    if not isinstance(value, dict):
        raise BackboneError(f"a JSON object in {path}", type(value).__name__, "get the model's files again")
    return value
