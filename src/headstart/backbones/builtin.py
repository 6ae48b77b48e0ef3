"""From a card of the catalogue to its network, and from foreign tensor names to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from headstart.backbones import tensors as tensor_files
from headstart.backbones.audio_backbone import AudioBackbone
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card
from headstart.backbones.text_backbone import MeanOfTokens, TextBackbone
from headstart.errors import BackboneError
from headstart.networks import bert
from headstart.networks import efficientnet_lite as lite
from headstart.networks.basic_cnn import OF_SOUNDS, BasicCNN
from headstart.networks.bert import BertEncoder
from headstart.networks.efficientnet_lite import EfficientNetLite
from headstart.networks.vgg import VGG16
from headstart.networks.yamnet import Yamnet, published_names, wheel_names

Network = EfficientNetLite | VGG16 | BertEncoder | Yamnet

# Multipliers of width and depth.
_LITE = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}


def build(card: Card, weights: Mapping[str, Tensor]) -> Backbone:
    """Build the network of a card of the catalogue around its weights.

    Args:
        card: A card of the catalogue.
        weights: Name → tensor in our names, as `canonical` returns them; used as they are, not copied.

    Returns:
        The Backbone, in evaluation mode.
    """
    with torch.device("meta"):  # no time lost on random numbers that would be overwritten
        network = _network(card)
        blocks = dict(network.blocks.items())
        classifier = network.classifier if isinstance(network, EfficientNetLite | Yamnet) else None
        if isinstance(network, BertEncoder):
            backbone: Backbone = TextBackbone(card, blocks, MeanOfTokens())
        elif isinstance(network, Yamnet):
            backbone = AudioBackbone(card, blocks, classifier=classifier)
        else:
            backbone = Backbone(card, blocks, classifier=classifier)
    # The counters of batch norm matter only to training without momentum; files need not carry them.
    counters = {
        name: torch.zeros((), dtype=torch.long)
        for name in backbone.state_dict()
        if name.endswith("num_batches_tracked")
    }
    backbone.load_state_dict({**counters, **weights}, assign=True)
    return backbone


def untrained(card: Card) -> Backbone:
    """Build the network of a card without weights: it starts from random numbers, the same every time.

    Args:
        card: A card of the catalogue that is not `pretrained`.

    Returns:
        The Backbone, in evaluation mode.
    """
    if card.modality == "audio":
        return AudioBackbone(card, dict(BasicCNN(1, OF_SOUNDS).blocks.items()))
    return Backbone(card, dict(BasicCNN().blocks.items()))


def canonical(card: Card, found: Mapping[str, Tensor], origin: Path) -> dict[str, Tensor]:
    """Rename the tensors of any known file to ours, drop what is not the backbone's, check the rest.

    Args:
        card: A card of the catalogue.
        found: Name → tensor, as the file names them.
        origin: Where they come from, for the messages.

    Returns:
        Name → tensor, those of the card and no others.

    Raises:
        BackboneError: Tensors are missing or of another shape, or the digest is not the card's.
    """
    with torch.device("meta"):
        network = _network(card)
    wanted = {n: tuple(t.shape) for n, t in network.state_dict().items() if "num_batches_tracked" not in n}
    aliases = _aliases(network, wanted)
    result: dict[str, Tensor] = {}
    for name, shape in wanted.items():
        tensor = next((found[alias] for alias in aliases[name] if alias in found), None)
        if tensor is None:
            raise _not_these(card, origin, f"a file without {name!r}")
        if tensor.ndim == 4 and tuple(tensor.shape) != shape:
            tensor = tensor.permute(3, 2, 0, 1)  # Keras's .h5: [height, width, in, out]
        if tuple(tensor.shape) != shape:
            raise _not_these(card, origin, f"{name!r} with the shape {tuple(tensor.shape)}, not {shape}")
        result[name] = tensor.to(torch.float32).contiguous()
    received = tensor_files.digest(result)
    if received != card.digest:
        raise _not_these(card, origin, f"tensors with the digest {received}, not {card.digest}")
    return result


def _aliases(network: Network, wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what files may call each of our tensors, our own name first."""
    if isinstance(network, VGG16):
        return {ours: (ours, *_keras_names(ours)) for ours in wanted}
    if isinstance(network, Yamnet):
        theirs, wheel = published_names(network), wheel_names(network)
        return {ours: (ours, theirs[ours], wheel[ours]) for ours in wanted}
    names = (
        bert.reference_names(network) if isinstance(network, BertEncoder) else lite.reference_names(network)
    )
    return {ours: (ours, theirs) for ours, theirs in names.items()}


def _network(card: Card) -> Network:
    if card.modality == "text":
        return BertEncoder()
    if card.modality == "audio":
        return Yamnet()
    if card.name in _LITE:
        return EfficientNetLite(*_LITE[card.name])
    return VGG16()


def _keras_names(name: str) -> tuple[str, ...]:
    """Return what Keras's .h5 files and the ONNX files made from Keras call one of our tensors."""
    _, _, layer, kind = name.split(".")
    if kind == "weight":
        return (f"functional_1/{layer}_1/convolution/ReadVariableOp:0", *_h5_names(layer, ("kernel", "W_1")))
    return (f"functional_1/{layer}_1/Squeeze:0", *_h5_names(layer, ("bias", "b_1")))


def _h5_names(layer: str, kinds: tuple[str, str]) -> tuple[str, ...]:
    kind, old = kinds
    plain = (f"{layer}/{layer}/{kind}:0", f"{layer}/{layer}_{old}:0")
    return (*plain, *(f"model_weights/{name}" for name in plain))


def _not_these(card: Card, origin: Path, received: str) -> BackboneError:
    return BackboneError(
        f"the weights of {card.name!r} in {origin}", received, f"get the file from {card.source}"
    )
