"""Which places of a picture count for an answer; what takes a network's gradient is in `gradients`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.schema import FrontEnd
from headstart.artefact.streaming import Asked, prepare, see
from headstart.backbones.card import Preprocess
from headstart.data.items import Source
from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.explain.explanation import LeftOut, PictureExplanation
from headstart.explain.following import Features, Floats, Followed
from headstart.explain.overlay import Box, spread
from headstart.images.decode import Pixels, decode
from headstart.images.preprocess import seen_box

if TYPE_CHECKING:
    from headstart.artefact.model import Model

METHODS = ("auto", "gradcam", "hirescam", "gradients", "occlusion")
_CELLS = 8
"""Cells in each direction of a picture of which four at a time are covered: 49 passes."""
_REFINED = 14
"""Cells that are then covered alone, where most changed: with the whole picture 64 passes."""
Ask = Callable[[Sequence[Asked]], Iterable[Features]]
"""From variants of an item to what the networks make of them."""
_FINE = 56
"""Cells in each direction of a map that is put together from maps of different parts of the picture."""

_IN_WORDS = {
    "place": "class-activation map (CAM, here the same as HiResCAM): what each place brings to the answer",
    "hirescam": "HiResCAM: the activations of each place, times the gradient of the answer",
    "gradcam": "Grad-CAM: the activations of each place, weighed by the mean gradient of the answer",
    "gradients": "integrated gradients, from the blurred picture to the picture",
    "occlusion": "occlusion: how much less sure the answer is with parts covered by the mean colour",
}


@dataclass(frozen=True, eq=False)
class Looked:
    """A picture as the networks of a model see it.

    Args:
        inputs: For each front end, uint8 [side, side, 3].
        boxes: The part of the original picture that each sees.
        features: What the networks made of it.
        grids: The grid of each member's network, float32 [d, rows, columns]; None where it gives none.
    """

    inputs: dict[FrontEnd, Pixels]
    boxes: dict[FrontEnd, Box]
    features: Features
    grids: Sequence[NDArray[np.float32] | None]

    @classmethod
    def at(
        cls,
        asked: Asked,
        picture: Pixels,
        features: Features,
        grids: Sequence[NDArray[np.float32] | None],
    ) -> Looked:
        """Return a picture as it was seen.

        Args:
            asked: The picture, prepared for its front ends.
            picture: The same as it was, uint8 [h, w, 3].
            features: As for the class.
            grids: As for the class.
        """
        inputs = {front: np.asarray(rows[0], np.uint8) for front, rows in asked.inputs.items()}
        boxes = {front: seen_box(picture, _spec(front)) for front in inputs}
        return cls(inputs, boxes, features, grids)

    @property
    def box(self) -> Box:
        """The part of the picture that any of the networks sees."""
        left, top, right, bottom = zip(*self.boxes.values(), strict=True)
        return min(left), min(top), max(right), max(bottom)


def explain_picture(
    model: Model,
    source: Source,
    *,
    method: str = "auto",
    label: str | None = None,
    name: str | None = None,
    offline: bool = False,
) -> PictureExplanation:
    """Explain a model's answer to a picture by the places that count for it.

    "auto" takes the class-activation map where features are the mean over places, for there it is what the
    model computes, and occlusion elsewhere: both ask the saved model itself, without torch. The other
    methods, of networks whose features are no such mean, build the network in torch.

    Args:
        model: A model for pictures.
        source: A Path, encoded bytes, or an array uint8 [h, w, 3].
        method: "auto", "gradcam", "hirescam", "gradients" (integrated) or "occlusion". Defaults to "auto".
        label: Which answer to explain. Defaults to None: the most probable one.
        name: What the picture is called. Defaults to None: its path, or "input 1".
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The PictureExplanation; its evidence is in log-odds of the label, or in the unit of the number.

    Raises:
        DecodeError: It cannot be read.
        OptionError: There is no such method or label.
        ArtefactError, BackboneError, MissingExtraError: The network cannot be had in torch.

    References:
        CAM: Zhou et al., CVPR 2016. Grad-CAM: Selvaraju et al., ICCV 2017. HiResCAM: Draelos and Carin,
        https://arxiv.org/abs/2011.08891. Integrated gradients: Sundararajan, Taly and Yan, ICML 2017.
        Occlusion: Zeiler and Fergus, ECCV 2014.

    Example:
        >>> explain_picture(hs.load("cats.headstart"), Path("cat.jpg")).region()  # doctest: +SKIP
        (120, 40, 260, 190)
    """
    if method not in METHODS:
        raise OptionError(f"a method of {', '.join(METHODS)}", repr(method), "name one of them")
    asked = prepare((1, source), model.front_ends, model.modality)
    if (error := asked.error) is not None:
        raise DecodeError(error.expected, f"{asked.name}: {error.received}", error.fix) from error
    picture = decode(source)
    looked = look(model, asked, picture)
    followed = Followed.of(model, looked.features, label)
    evidence, how = _evidence(followed, looked, method, offline)
    found = PictureExplanation(
        name=name or asked.name,
        label=followed.label,
        confidence=followed.confidence(looked.features),
        method=_IN_WORDS[how],
        exact=how == "place" and is_linear(model),
        picture=picture,
        evidence=evidence,
        seen=looked.box,
    )
    return replace(found, check=_without_region(followed, looked, found.region()))


def look(model: Model, asked: Asked, picture: Pixels) -> Looked:
    """Run the networks of a model over a prepared picture.

    Args:
        model: The model.
        asked: The picture, prepared for its front ends.
        picture: The same as it was, uint8 [h, w, 3].
    """
    features, grids = {}, []
    for member in model.members:
        engine = model.engine_of(member)
        wanted = tuple(each for each in ("features", "grid") if each in getattr(engine, "outputs", ()))
        out = engine.one(np.asarray(asked.inputs[member.front_end][0], np.uint8), wanted or ("features",))
        features[member.network] = out["features"][None]
        grids.append(out.get("grid"))
    return Looked.at(asked, picture, features, grids)


def _spec(front: FrontEnd) -> Preprocess:
    if not isinstance(front.preprocess, Preprocess):
        raise ArtefactError("a network that sees pictures", type(front.preprocess).__name__, "fit it again")
    return front.preprocess


def _evidence(followed: Followed, looked: Looked, method: str, offline: bool) -> tuple[Floats, str]:
    """Return the evidence and how it was found."""
    if method in ("auto", "hirescam", "gradcam") and (brought := by_place(followed, looked)) is not None:
        # The gradient is the same at every place: Grad-CAM only leaves out what speaks against.
        return (np.maximum(brought, 0), "gradcam") if method == "gradcam" else (brought, "place")
    if method in ("auto", "occlusion"):
        return by_occlusion(followed, looked), "occlusion"
    from headstart.errors import require

    require(["torch", "captum"], "train", "the gradients of a network")
    from headstart.explain import gradients
    from headstart.explain.network import score_network

    network = score_network(followed.model, offline=offline)
    pixels = [looked.inputs[member.front_end] for member in followed.model.members]
    if method == "gradients":
        maps = gradients.integrated(network, pixels, followed.column)
    else:
        maps = gradients.cam(network, pixels, followed.column, high_resolution=method == "hirescam")
    found = together(followed.model, looked, maps)
    return (np.maximum(found, 0) if method == "gradcam" else found), method


def is_linear(model: Model) -> bool:
    """Return whether what the places of a picture bring adds up to the answer."""
    one = len(model.members) == 1 or model.combine == "sum"
    return one and all(len(member.head.layers) == 1 for member in model.members)


def by_place(followed: Followed, looked: Looked) -> Floats | None:
    """Return what each place brings, from the networks' own grids.

    Args:
        followed: What is followed.
        looked: The picture.

    Returns:
        float64 [rows, columns]; None where the features of a network are not the mean over its places.
    """
    model = followed.model
    maps = []
    for member, slope, given in zip(
        model.members, followed.slopes(looked.features), looked.grids, strict=True
    ):
        features = looked.features[member.network][0]
        grid = None if given is None else _channels_last(given, features)
        if grid is None:
            return None
        maps.append(np.asarray(grid @ slope[0] / (grid.shape[0] * grid.shape[1])))
    return together(model, looked, maps)


def _channels_last(given: NDArray[np.float32], features: NDArray[np.float32]) -> Floats | None:
    """Return a grid as [rows, columns, d] if its mean is the features, else None."""
    grid = given.astype(np.float64)
    if grid.ndim != 3:
        return None
    if grid.shape[0] == len(features) and grid.shape[2] != len(features):
        grid = grid.transpose(1, 2, 0)
    if grid.shape[2] != len(features):
        return None
    off = float(np.abs(grid.mean((0, 1)) - features).max())
    return grid if off <= 0.02 * max(float(np.abs(features).max()), 1e-6) else None


def together(model: Model, looked: Looked, maps: Sequence[Floats]) -> Floats:
    """Add up the maps of the members, which may see different parts of the picture.

    Args:
        model: The model.
        looked: The picture.
        maps: What each member's places bring, float64 [rows, columns] each.

    Returns:
        float64 [rows, columns], for `looked.box`.
    """
    boxes = [looked.boxes[member.front_end] for member in model.members]
    if len(maps) == 1:
        return maps[0]
    left, top, right, bottom = looked.box
    found = np.zeros((_FINE, _FINE))
    for each, box in zip(maps, boxes, strict=True):
        columns = _cells(box[0] - left, box[2] - left, right - left, _FINE)
        rows = _cells(box[1] - top, box[3] - top, bottom - top, _FINE)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        found[rows, columns] += spread(each, height, width) * each.size / (height * width)
    return found


def _cells(start: float, stop: float, length: float, cells: int) -> slice:
    """Return the cells between two places of a length, at least one."""
    first = min(round(start / length * cells), cells - 1)
    return slice(first, max(first + 1, round(stop / length * cells)))


def by_occlusion(followed: Followed, looked: Looked, ask: Ask | None = None) -> Floats:
    """Return by how much the answer falls when parts are covered: large parts, then small ones that matter.

    Captum's Occlusion wants a network in torch and one input; this asks the saved model itself, whose
    members may see different parts of the picture.

    Args:
        followed: What is followed.
        looked: The picture.
        ask: What asks the networks about variants. Defaults to None: the model itself.

    Returns:
        float64 [8, 8].
    """
    whole = followed.score(looked.features)
    windows = [(row, column, 2) for row, column in np.ndindex(_CELLS - 1, _CELLS - 1)]
    falls = whole - _with_covered(followed, looked, windows, ask)
    total, count = np.zeros((_CELLS, _CELLS)), np.zeros((_CELLS, _CELLS))
    for (row, column, side), fall in zip(windows, falls, strict=True):
        cells = slice(row, row + side), slice(column, column + side)
        total[cells] += fall / side**2
        count[cells] += 1
    found: Floats = total / count
    strongest = np.argsort(-np.abs(found).ravel(), kind="stable")[:_REFINED]
    alone = [(int(cell) // _CELLS, int(cell) % _CELLS, 1) for cell in strongest]
    for (row, column, _), fall in zip(
        alone, whole - _with_covered(followed, looked, alone, ask), strict=True
    ):
        found[row, column] = (found[row, column] + fall) / 2
    return found


def _with_covered(
    followed: Followed, looked: Looked, windows: Sequence[tuple[int, int, int]], ask: Ask | None
) -> NDArray[np.float64]:
    """Return the followed number with each window of cells covered, (row, column, side) → float64 [n]."""
    left, top, right, bottom = looked.box
    across, down = (right - left) / _CELLS, (bottom - top) / _CELLS
    places = (
        (left + column * across, top + row * down, left + (column + side) * across, top + (row + side) * down)
        for row, column, side in windows
    )
    return np.array([followed.score(features) for features in _covering(followed.model, looked, places, ask)])


def _without_region(followed: Followed, looked: Looked, region: Box) -> LeftOut:
    """Return what the answer is with the top region covered."""
    (features,) = _covering(followed.model, looked, [region])
    fall = followed.score(looked.features) - followed.score(features)
    return LeftOut("the top region, covered by the mean colour", followed.confidence(features), fall)


def _covering(
    model: Model,
    looked: Looked,
    places: Iterable[tuple[float, float, float, float]],
    ask: Ask | None = None,
) -> Iterable[Features]:
    """Yield what the networks make of the picture with each place covered.

    Args:
        model: The model.
        looked: The picture.
        places: Left, top, right, bottom in pixels of the original picture.
        ask: As for `by_occlusion`.
    """
    variants = (
        Asked(
            "", {front: [_covered(each, looked.boxes[front], place)] for front, each in looked.inputs.items()}
        )
        for place in places
    )
    if ask is not None:
        return ask(list(variants))
    return (asked.features for asked in see(variants, model.members, model.engine_of))


def _covered(pixels: Pixels, box: Box, place: tuple[float, float, float, float]) -> Pixels:
    """Return an input, which shows a box of the original picture, with a place in the mean colour."""
    found = np.array(pixels)
    height, width = pixels.shape[:2]
    x = [_inside(edge, box[0], box[2], width) for edge in place[::2]]
    y = [_inside(edge, box[1], box[3], height) for edge in place[1::2]]
    found[slice(*y), slice(*x)] = pixels.mean((0, 1)).round()
    return found


def _inside(place: float, start: int, stop: int, pixels: int) -> int:
    """Return where a place of the original picture is in an input."""
    return round(min(max((place - start) / (stop - start), 0.0), 1.0) * pixels)
