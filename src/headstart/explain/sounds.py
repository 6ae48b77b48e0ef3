"""Which moments and bands of a sound count for an answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.streaming import Asked, see
from headstart.audio.decode import Recording, read_bytes
from headstart.audio.hearing import Patch, cut, sounding, spectrogram
from headstart.audio.mel import band_centres, whole_patch
from headstart.backbones.card import Waves
from headstart.data.items import Source
from headstart.errors import DecodeError, OptionError, require
from headstart.explain.explanation import LeftOut, SoundExplanation
from headstart.explain.following import Features, Floats, Followed

if TYPE_CHECKING:
    from pathlib import Path

    from headstart.artefact.model import Model

METHODS = ("auto", "gradients", "occlusion")
SECONDS = 30.0
"""So much of a recording is explained: of a longer one what is about its strongest moment."""
_AT_ONCE = 32
_TILES = (4, 8)
"""Parts of a window that are covered one after the other: moments and bands."""
_FRAME = 0.01
"""Seconds in which the evidence of single samples is added up."""
_QUIETEST = 0.1
"""Each band is quiet where it is no louder than in this share of the time."""
_CELL, _CELLS = 0.08, 16
"""Seconds in which, and parts of the pitches in which, evidence is added up: single places are noise."""

_IN_WORDS = {
    "gradients": "integrated gradients over the spectrogram, from where every band is quiet",
    "waves": "integrated gradients over the wave, from silence: the network hears no bands, only moments",
    "occlusion": "occlusion: how much less sure the answer is with parts of the spectrogram quiet",
}


def explain_sound(
    model: Model,
    source: Source,
    *,
    method: str = "auto",
    label: str | None = None,
    name: str | None = None,
    offline: bool = False,
) -> SoundExplanation:
    """Explain a model's answer to a sound by the moments and bands that count for it.

    A recording of any length is heard as it comes, in memory that stays flat. Of one that is longer than
    30 seconds those about the window that brings most are explained.

    Args:
        model: A model for sounds.
        source: A file's Path or name, or its bytes.
        method: "auto", "gradients" (integrated) or "occlusion". Defaults to "auto": gradients, or where
            torch is not installed occlusion.
        label: Which answer to explain. Defaults to None: the most probable one.
        name: What the sound is called. Defaults to None: its path, or "input 1".
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The SoundExplanation; its evidence is in log-odds of the label, or in the unit of the number.

    Raises:
        DecodeError: It cannot be read.
        OptionError: There is no such method or label, or the networks hear windows of different kinds.
        ArtefactError, BackboneError, MissingExtraError: The network cannot be had in torch.

    References:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
        https://arxiv.org/abs/1703.01365. Occlusion: Zeiler and Fergus, ECCV 2014.

    Example:
        >>> explain_sound(hs.load("birds.headstart"), Path("garden.wav")).top  # doctest: +SKIP
        '62% of what speaks for it is at 1.20 to 1.84 s, 2,100 to 4,300 Hz'
    """
    if method not in METHODS:
        raise OptionError(f"for sounds a method of {', '.join(METHODS)}", repr(method), "name one of them")
    name = name or ("input 1" if isinstance(source, bytes | np.ndarray) else str(source))
    spec = _spec(model)
    try:
        content = read_bytes(source)
        whole = _hear_all(model, content, spec)
        followed = Followed.of(model, whole.features, label)
        part = _strongest_part(followed, whole, spec)
        heard = _hear_part(model, content, spec, whole, part)
    except DecodeError as error:
        raise DecodeError(error.expected, f"{name}: {error.received}", error.fix) from error
    if method == "auto":
        method = "gradients" if importlib.util.find_spec("torch") else "occlusion"
    maps = _by_covering(followed, heard) if method == "occlusion" else _by_gradients(followed, heard, offline)
    shown, evidence = _in_place(heard, maps, content, spec)
    found = SoundExplanation(
        name=name,
        label=followed.label,
        confidence=followed.confidence(whole.features),
        method=_told(
            "waves" if spec.front == "wave" and method == "gradients" else method, whole, heard, spec
        ),
        exact=False,
        spectrogram=shown,
        evidence=evidence,
        seconds=heard.frames * spec.hop / spec.rate,
        hertz=None if spec.front == "wave" else band_centres(spec),
        start=heard.first * spec.hop / spec.rate,
    )
    return replace(found, check=_without_peak(followed, heard, found, spec))


@dataclass(frozen=True, eq=False)
class _Whole:
    """A recording, heard once: in which windows anything sounds, and which ones its answer is made from."""

    sounds: NDArray[np.bool_]
    numbers: NDArray[np.int64]
    frames: int
    features: Features


@dataclass(frozen=True, eq=False)
class _Part:
    """Windows that follow each other: where they begin, in frames of the part, and what is in them."""

    first: int
    frames: int
    starts: Sequence[int]
    patches: Sequence[Patch]
    features: Features
    quiet: Floats


def _spec(model: Model) -> Waves:
    spec = model.front_end.preprocess
    if not isinstance(spec, Waves) or len(model.front_ends) > 1:
        raise OptionError(
            "a model that hears windows of sound, all of one kind",
            f"{model!r} with {len(model.front_ends)} kinds of input",
            "use a model that was fitted on sounds with one backbone",
        )
    return spec


def _hear_all(model: Model, content: bytes | NDArray[np.uint8], spec: Waves) -> _Whole:
    """Hear the windows that an answer is made from, as `audio.hearing.heard` does."""
    sounds = sounding(content, spec)
    wanted = np.zeros(len(sounds), bool)
    wanted[np.linspace(0, len(sounds) - 1, min(len(sounds), spec.rows)).round().astype(int)] = True
    kept = wanted & sounds if (wanted & sounds).any() else wanted
    frames = 0

    def counted(parts: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        nonlocal frames
        for part in parts:
            frames += len(part)
            yield part

    with Recording(content) as recording:
        spectra = counted(spectrogram(recording.waves(spec.rate), spec))
        windows = enumerate(cut(spectra, spec.size, spec.step))
        patches = (whole_patch(each, spec) for n, each in windows if n < len(kept) and kept[n])
        features = _features(model, patches)
    return _Whole(sounds, np.flatnonzero(kept), frames, features)


def _features(model: Model, patches: Iterator[Patch]) -> dict[Path, NDArray[np.float32]]:
    """Return what the networks make of some windows, which come one after the other."""

    def some() -> Iterator[Asked]:
        while rows := list(islice(patches, _AT_ONCE)):
            yield Asked("", {model.front_end: rows})

    found = [each.features for each in see(some(), model.members, model.engine_of)]
    return {path: np.concatenate([each[path] for each in found]) for path in found[0]}


def _strongest_part(followed: Followed, whole: _Whole, spec: Waves) -> range:
    """Return the numbers of the windows that are explained: all, or those about the one that brings most."""
    count = len(whole.sounds)
    most = max(1, 1 + (round(SECONDS * spec.rate / spec.hop) - spec.size) // spec.step)
    if count <= most:
        return range(count)
    brought = np.zeros(len(whole.numbers))
    slopes = followed.slopes(whole.features)
    for member, slope in zip(followed.model.members, slopes, strict=True):
        brought += (whole.features[member.network] * slope).sum(1)
    first = int(whole.numbers[brought.argmax()]) - most // 2
    first = min(max(first, 0), count - most)
    return range(first, first + most)


def _hear_part(
    model: Model, content: bytes | NDArray[np.uint8], spec: Waves, whole: _Whole, part: range
) -> _Part:
    """Hear some windows that follow each other; of a whole recording those its answer is made from."""
    entire = len(part) == len(whole.sounds)
    counted = whole.numbers if entire else part.start + np.flatnonzero(whole.sounds[part.start : part.stop])
    kept = set(counted.tolist()) or set(part)
    everything = {n: min(n * spec.step, max(0, whole.frames - spec.size)) for n in part}
    first = everything[part.start]
    with Recording(content) as recording:
        windows = cut(spectrogram(recording.waves(spec.rate), spec), spec.size, spec.step)
        raw = {n: each for n, each in islice(enumerate(windows), part.start, part.stop) if n in kept}
    patches = [whole_patch(each, spec) for each in raw.values()]
    quiet = np.zeros(1)
    if spec.front != "wave":
        quiet = np.quantile(np.concatenate(patches), _QUIETEST, 0).astype(np.float64)
    frames = min(everything[part.stop - 1] + spec.size, whole.frames) - first
    starts = [everything[n] - first for n in raw]
    return _Part(first, frames, starts, patches, _features(model, iter(patches)), quiet)


def _by_gradients(followed: Followed, heard: _Part, offline: bool) -> Iterator[Floats]:
    """Yield what each frame and band of each window brings, float64 [size, bands]."""
    require(["torch"], "train", "the gradients of a network")
    from headstart.explain.sound_gradients import integrated, networks

    found = networks(followed.model, offline)
    slopes = followed.slopes(heard.features)
    for number, patch in enumerate(heard.patches):
        yield sum(
            (
                integrated(network, patch, heard.quiet, slope[number])
                for network, slope in zip(found, slopes, strict=True)
            ),
            np.zeros(patch.shape),
        )


def _by_covering(followed: Followed, heard: _Part) -> Iterator[Floats]:
    """Yield how much the answer falls when each part of each window is quiet, float64 [size, bands]."""
    model = followed.model
    whole = followed.score(heard.features)
    for number, patch in enumerate(heard.patches):
        tiles = list(_tiles(patch.shape))
        features = _features(model, (_covered(patch, tile, heard.quiet) for tile in tiles))
        found = np.zeros(patch.shape)
        for place, tile in enumerate(tiles):
            rows = {path: np.array(its) for path, its in heard.features.items()}
            for path, its in rows.items():
                its[number] = features[path][place]
            found[tile] = (whole - followed.score(rows)) / found[tile].size
        yield found


def _tiles(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a window: a wave has no bands."""
    moments, bands = (
        np.linspace(0, n, min(n, k) + 1).astype(int) for n, k in zip(shape, _TILES, strict=True)
    )
    for start, stop in pairwise(moments):
        yield from ((slice(start, stop), slice(a, b)) for a, b in pairwise(bands))


def _covered(patch: Patch, tile: tuple[slice, slice], quiet: Floats) -> Patch:
    found = patch.copy()
    found[tile] = np.minimum(found[tile], quiet[tile[1]]) if len(quiet) > 1 else 0.0
    return found


def _in_place(
    heard: _Part, maps: Iterable[Floats], content: bytes | NDArray[np.uint8], spec: Waves
) -> tuple[Floats, Floats]:
    """Return the spectrogram of a part of a recording and its evidence, float64 [frames, bands] each."""
    bands = heard.patches[0].shape[1]
    shown, evidence = np.full((heard.frames, bands), np.nan), np.zeros((heard.frames, bands))
    for start, patch, found in zip(heard.starts, heard.patches, maps, strict=True):
        part = slice(start, start + spec.size)
        length = len(evidence[part])
        shown[part], evidence[part] = patch[:length], evidence[part] + found[:length]
    if spec.front == "wave":
        shown, evidence = _of_wave(heard, evidence[:, 0], content, spec)
        return shown, in_cells(evidence, round(_CELL / _FRAME), 1)
    frames, count = round(_CELL * spec.rate / spec.hop), max(1, bands // _CELLS)
    return np.where(np.isnan(shown), heard.quiet, shown), in_cells(evidence, frames, count)


def in_cells(evidence: Floats, frames: int, bands: int) -> Floats:
    """Spread evidence evenly over cells; its sum stays.

    Args:
        evidence: float64 [frames, bands].
        frames: Of a cell, int.
        bands: Likewise, int.

    Example:
        >>> in_cells(np.array([[4.0, 0.0, 1.0]]), 1, 2)
        array([[2., 2., 1.]])
    """
    for axis, size in enumerate((frames, bands)):
        edges = np.arange(0, evidence.shape[axis], max(1, size))
        sizes = np.diff(edges, append=evidence.shape[axis])
        shape = (-1, 1) if axis == 0 else (1, -1)
        means = np.add.reduceat(evidence, edges, axis) / sizes.reshape(shape)
        evidence = np.repeat(means, sizes, axis)
    return evidence


def _of_wave(
    heard: _Part, evidence: Floats, content: bytes | NDArray[np.uint8], spec: Waves
) -> tuple[Floats, Floats]:
    """Return a spectrogram for people, and what its moments brought, spread over all bands."""
    seen = Waves()
    first, seconds = heard.first / spec.rate, heard.frames / spec.rate
    with Recording(content) as recording:
        frames = cut(spectrogram(recording.waves(seen.rate), seen), 1, 1)
        begin = round(first / _FRAME)
        shown = np.concatenate(list(islice(frames, begin, begin + max(1, round(seconds / _FRAME)))))
    edges = np.linspace(0, len(evidence), len(shown), endpoint=False).astype(int)
    moments = np.add.reduceat(evidence, edges)
    return shown.astype(np.float64), np.repeat(moments[:, None] / seen.bands, seen.bands, 1)


def _told(method: str, whole: _Whole, heard: _Part, spec: Waves) -> str:
    """Return in words how it was found out, and of how much of the recording."""
    if heard.frames >= whole.frames:
        return _IN_WORDS[method]
    each = spec.hop / spec.rate
    start, end = heard.first * each, (heard.first + heard.frames) * each
    about = (
        f"of {whole.frames * each:,.0f} seconds those about the strongest moment, {start:,.1f} to {end:,.1f}"
    )
    return f"{_IN_WORDS[method]}; {about}"


def _without_peak(followed: Followed, heard: _Part, found: SoundExplanation, spec: Waves) -> LeftOut | None:
    """Return what the answer about the part is where the moment and band that count most are quiet."""
    if found.peak is None:
        return None
    scale = heard.frames / len(found.evidence)
    start, stop = round(found.peak[0].start * scale), round(found.peak[0].stop * scale)
    bands = slice(None) if spec.front == "wave" else found.peak[1]
    patches = (
        _covered(patch, (slice(max(0, start - begin), max(0, stop - begin)), bands), heard.quiet)
        for begin, patch in zip(heard.starts, heard.patches, strict=True)
    )
    features = _features(followed.model, patches)
    fall = followed.score(heard.features) - followed.score(features)
    return LeftOut(found.place, followed.confidence(features), fall)
