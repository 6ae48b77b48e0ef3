"""From a network's name to its filters: a sheet of one layer, or a page of the whole network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.engines.torch_engine import best_device
from headstart.errors import OptionError
from headstart.files import write_json, write_text
from headstart.images.saving import check_picture_name, save_picture
from headstart.progress import Say, quiet
from headstart.studio.features import Filter, FilterOptions, channel_count, draw_filters
from headstart.studio.filter_sheets import filter_sheet, gallery
from headstart.studio.layers import Layers, layer_names

CLASSES = "classes"
"""The layer of the answers, of networks that have a head."""
_ON_A_SHEET, _OF_EACH_LAYER = 16, 8


def draw_network(
    name: str,
    output: Path,
    *,
    layer: str | None = None,
    channels: Sequence[int] | None = None,
    offline: bool = False,
    say: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Draw filters of a network; see `draw_filters`.

    Args:
        name: A backbone, or the folder of a saved model, str.
        output: A sheet (.png, .jpg, .webp) of one layer, or a page (.html) of all. A .json beside it says how
            strongly each answers.
        layer: Which; "classes" are the answers of the head. Defaults to None: all, for a page.
        channels: Which channels of it. Defaults to None: the first 16, on a page the first 8.
        offline: Whether to stay off the network. Defaults to False.
        say: Told how far it is. Defaults to nobody.
        **options: The fields of `FilterOptions`.

    Returns:
        What was done, for a JSON file: each layer's filters, what they answer, which are dead.

    Raises:
        BackboneError: The network cannot be had.
        OptionError: There is no such layer or channel, or a sheet is asked for without a layer.
        StorageError: It cannot be written.
    """
    wanted = FilterOptions(**options)
    as_page = output.suffix.lower() == ".html"
    if not as_page:
        check_picture_name(output)
    network, names = _opened(name, offline)
    network.to(best_device())
    known = layer_names(network, learned=True)
    if layer is None and not as_page:
        raise OptionError("a layer, for a sheet", "none", f"name one with --layer: {', '.join(known)}")
    shown: list[tuple[str, int, Sequence[Filter]]] = []
    for each in known if layer is None else (layer,):
        layers = Layers(network, [each], linear=True)
        count = channel_count(layers, each, wanted.size)
        some = range(min(count, _OF_EACH_LAYER if as_page else _ON_A_SHEET)) if channels is None else channels
        shown.append((each, count, draw_filters(layers, each, some, wanted, see=_in_tenths(say, each))))
    if as_page:
        write_text(output, gallery(network.card, shown, {CLASSES: names}))
    else:
        ((each, _, filters),) = shown
        title = f"{network.card.name}, {each}"
        save_picture(output, filter_sheet(filters, title, names if each == CLASSES else ()))
    made = {
        "network": name,
        **vars(wanted),
        "layers": {each: list(map(_told, all_)) for each, _, all_ in shown},
    }
    write_json(output.with_suffix(".json"), made)
    return made


def _in_tenths(say: Say, what: str) -> Callable[[float], None]:
    last = 0

    def see(share: float) -> None:
        nonlocal last
        if int(10 * share) > last:
            last = int(10 * share)
            say(f"{what}: {10 * last}%")

    return see


def _told(each: Filter) -> dict[str, Any]:
    return {"channel": each.channel, "answer": round(each.answer, 4), "dead": each.dead}


def _opened(name: str, offline: bool) -> tuple[Backbone, Sequence[str]]:
    """Return a network, with its head as a last layer where it has one, and the names of its classes."""
    from headstart import backbones

    if Path(name).is_dir():
        from headstart.artefact.loading import load
        from headstart.explain.network import ScoreNetwork

        model = load(name)
        network = ScoreNetwork.of(model, offline=offline)
        return _with_classes(cast(Backbone, network.backbones[0]), network.heads[0]), model.labels
    backbone = backbones.load(name, offline=offline)
    if backbone.classifier is None:
        return backbone, ()
    known = backbone.card.labels == "imagenet-1k"
    return _with_classes(backbone, backbone.classifier), backbones.imagenet_labels(
        offline=offline
    ) if known else ()


def _with_classes(backbone: Backbone, head: nn.Module) -> Backbone:
    card = replace(backbone.card, blocks=(*backbone.card.blocks, CLASSES))
    return Backbone(card, {**dict(backbone.blocks.items()), CLASSES: _Classes(backbone.pool, head)})


class _Classes(nn.Module):
    """From the last grid to the logits, as a grid of one place."""

    def __init__(self, pool: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.pool, self.head = pool, head

    def forward(self, grid: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(grid)[1])
        return logits[..., None, None]
