"""A model from the names of its classes alone; items, with or without labels, make it better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.artefact.network import answering_network
from headstart.backbones import Card
from headstart.data.items import Dataset, Source
from headstart.engines.conversion import backbone_ir, save_ir
from headstart.engines.precision import Precision
from headstart.errors import OptionError, require
from headstart.files import cache_dir, digest_bytes, digest_json
from headstart.fitting.gathering import gather
from headstart.fitting.spine import fit
from headstart.fitting.views import feature_member
from headstart.modalities import modality as reader_of
from headstart.progress import Say, quiet
from headstart.text.pretrained import glove_6b_50d
from headstart.transfer.calibration import Abstention, Calibration, Conformal
from headstart.transfer.heads import Head, fit_head
from headstart.transfer.names.clip import clip_directions, is_clip
from headstart.transfer.names.conse import kinds
from headstart.transfer.names.described import Described, read_labels
from headstart.transfer.names.encoding import encode
from headstart.transfer.names.similarity import unit
from headstart.transfer.source_head import match_names, source_classifier
from headstart.transfer.store import FeatureStore

Floats = NDArray[np.float64]

ENOUGH = 10
"""So many items a class tell what is usual in a collection; of fewer nothing is learned without labels."""
_LEAST = 1e-6
_SURE, _STRENGTH = 0.5, 0.001
_TEXT_SCALE = 10.0
"""Of the cosines of texts and descriptions, so that differences become probabilities."""
_CLIP_SCALE = 10.0
"""The same for CLIP, whose projected features are about ten long: it learned with 100 times the cosine."""
_UNKNOWN = Calibration(1.0, Conformal(0.9, 0.0), Abstention(0.99, 0.9, 0.0))
"""Without labelled items nothing can be promised: no class is ruled out, unsure answers are withheld."""


def zero_shot(
    labels: str | Iterable[str] | Mapping[str, str],
    source: Dataset | Path | str | Sequence[Source] | None = None,
    *,
    modality: str | None = None,
    backbone: str | None = None,
    engine: str = "auto",
    precision: Precision | None = None,
    seed: int = 0,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Model:
    """Make a model that tells classes apart by their names, without a single labelled item.

    Pictures are named through the classes that the backbone was trained on: its probabilities of those, times
    how near their names are to the new ones (ConSE). Texts are compared with the names, or with their
    descriptions, by the backbone, a sentence encoder. With "hf:" and a CLIP model the pictures themselves are
    compared with the names.

    Items make it better. Those without labels show what is usual in the collection, whatever the class. Those
    with labels are learned from, starting from what the names say: `fit` with this model as its start.

    Args:
        labels: "dog, cat, horse", "okapi: a striped forest giraffe; horse", a list, or {name: description}.
        source: Items, as for `headstart.data.open`, maybe some with labels. Defaults to None: names alone.
        modality: "image" or "text". Defaults to None: what `source` holds, else "image".
        backbone: A network for pictures with the classes of ImageNet, or "hf:" and CLIP; for texts a sentence
            encoder. Defaults to None: the modality's default.
        engine: "auto", "openvino" or "torch", for the items. Defaults to "auto".
        precision: "bf16" or "fp32". Defaults to None: what the engine does best.
        seed: As for `fit`, int. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The model: it is saved, loaded, served like any other. Without labelled items nothing vouches for its
        probabilities, and its prediction sets hold all classes.

    Raises:
        OptionError: Fewer than two names, names without word vectors, or a backbone that knows no names.
        BackboneError: What is needed cannot be had.

    References:
        Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014. Radford
        et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021 (CLIP).

    Example:
        >>> import headstart as hs
        >>> model = hs.zero_shot("dog, cat, horse")  # doctest: +SKIP
        >>> model.predict(["rex.jpg"])[0].label  # doctest: +SKIP
        'dog'
    """
    require(("sklearn", "scipy", "torch"), "train", "a model from names")
    described = read_labels(labels)
    dataset = None if source is None else _open(source, modality)
    kind = modality or (dataset.modality if dataset else "image")
    if kind not in ("image", "text"):
        raise OptionError("the modality image or text", repr(kind), "fit on labelled items instead")
    name = backbone or reader_of(kind).default_backbone
    with ExitStack() as stack:
        if dataset is not None and store is None:
            store = stack.enter_context(FeatureStore())
        rows = None
        new = [item for item in dataset or () if item.label is None and item.split != "test"]
        if dataset is not None and store is not None and new:
            found = gather(
                replace(dataset, items=tuple(new)), store, backbone=name, engine=engine, precision=precision,
                offline=offline, say=say,
            )  # fmt: skip
            rows = found.features.pool(np.asarray(found.features.X, np.float32))
        members = _members(described, kind, name, _enough(rows, len(described), say), offline, say)
        model = _model(described, kind, members, precision)
        known = [] if dataset is None else [item for item in dataset if item.label is not None]
        if dataset is None or not known:
            return model
        _check_classes(known, described)
        labelled = replace(dataset, items=tuple(known))
        return fit(
            labelled, backbone=backbone, engine=engine, precision=precision, seed=seed, offline=offline,
            start=model, say=say, store=store,
        )  # fmt: skip


def _open(source: Any, modality: str | None) -> Dataset:
    if isinstance(source, Dataset):
        return source
    return data.open(source, modality=modality, unlabelled=True)


def _enough(rows: NDArray[np.float32] | None, classes: int, say: Say) -> NDArray[np.float32] | None:
    """Return the items' features if there are enough to learn from them without labels."""
    if rows is None or len(rows) >= ENOUGH * classes:
        return rows
    say(f"{len(rows)} items are too few to learn from without labels: {ENOUGH} for each class would do")
    return None


def _check_classes(items: Sequence[Any], labels: Sequence[Described]) -> None:
    classes = sorted({item.label for item in items})
    places = match_names(classes, [label.name for label in labels])
    if unnamed := [label for label, found in zip(classes, places, strict=True) if not found]:
        fix = "name all classes of the data, or leave the labels out"
        raise OptionError("names of the classes that the data has", f"none for {', '.join(unnamed)}", fix)


def _members(
    labels: Sequence[Described],
    kind: str,
    name: str,
    rows: NDArray[np.float32] | None,
    offline: bool,
    say: Say,
) -> list[Member]:
    if kind == "text":
        vectors = encode([str(label) for label in labels], name, offline=offline, say=say)
        return [_by_directions(unit(vectors).T * _TEXT_SCALE, rows, name, offline)]
    if is_clip(name, offline=offline):
        return [
            _by_directions(clip_directions(name, labels, offline=offline) * _CLIP_SCALE, rows, name, offline)
        ]
    first, said = _by_source_classes(labels, name, rows, offline, say)
    if rows is None or said is None:
        return [first]
    return [first, _self_trained(rows, said, name, offline)]


def _by_source_classes(
    labels: Sequence[Described], name: str, rows: NDArray[np.float32] | None, offline: bool, say: Say
) -> tuple[Member, NDArray[np.floating] | None]:
    """Return the member that names pictures through the source classes, and what it says about some."""
    card = backbones.card(name, offline=offline)
    if card.labels != "imagenet-1k":
        fix = "leave the backbone out, or name a CLIP model: hf:owner/model"
        raise OptionError("a backbone with the classes of ImageNet", f"{name!r}, without", fix)
    names = backbones.imagenet_labels(offline=offline)
    weight, bias = source_classifier(card, offline=offline)
    vectors = glove_6b_50d(offline=offline, say=say)
    mixture = kinds(labels, names, weight, vectors, lambda texts: encode(texts, offline=offline, say=say))
    if rows is not None:
        # What the network sees everywhere in this collection, such as blur, says nothing about an item.
        bias = -(rows.astype(np.float64) @ weight).mean(0)
    network = _naming_network(card, weight, bias, mixture, offline)
    classes = len(labels)
    identity = Head("linear", ((np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)),))
    own = replace(
        card, features=classes, labels=None, blocks=(*card.blocks, "names"), digest=network.stem[6:]
    )
    member = feature_member(own, network, identity)
    if rows is None:
        return member, None
    logits = rows @ weight + bias
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return member, np.log(np.maximum(probabilities @ mixture, _LEAST))


def _naming_network(card: Card, weight: Floats, bias: Floats, mixture: Floats, offline: bool) -> Path:
    """Write the IR whose features are the logarithms of the labels' probabilities; return its .xml."""
    import openvino
    from openvino import opset13 as ops

    parts = [np.ascontiguousarray(each, np.float32) for each in (weight, bias, mixture)]
    digest = digest_json(
        [card.digest, card.preprocess.to_json(), *(digest_bytes(each.tobytes()) for each in parts)]
    )
    path = cache_dir() / "networks" / f"names-{digest}.xml"
    if path.is_file() and path.with_suffix(".bin").is_file():
        return path
    body = backbone_ir(card, lambda: backbones.load(card.name, offline=offline))
    head = Head("linear", ((parts[0], parts[1]),))
    whole = answering_network(body, head, _UNKNOWN)
    found = next(each for each in whole.outputs if "probabilities" in each.names)
    mixed = ops.matmul(found.get_node().input_value(0), ops.constant(parts[2]), False, False)
    said = ops.log(ops.maximum(mixed, ops.constant(np.array([[_LEAST]], np.float32))))
    named = openvino.Model([ops.result(said.output(0))], whole.get_parameters(), "names")
    named.outputs[0].set_names({"features"})
    save_ir(named, path)
    return path


def _by_directions(
    weight: NDArray[np.floating], rows: NDArray[np.float32] | None, name: str, offline: bool
) -> Member:
    """Return the member that compares features with a direction for each label, by the cosine.

    The length of an item's features only says how sure it is, so that no division is needed: a linear head.
    """
    card = backbones.card(name, offline=offline)
    usual = np.zeros(len(weight)) if rows is None else rows.mean(0, np.float64)
    head = Head("linear", ((weight.astype(np.float32), (-usual @ weight).astype(np.float32)),))
    return feature_member(card, backbone_ir(card, lambda: backbones.load(name, offline=offline)), head)


def _self_trained(rows: NDArray[np.float32], said: NDArray[np.floating], name: str, offline: bool) -> Member:
    """Return a member that learned from the surest half of what the names said of each class.

    References:
        Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
        Networks", ICML workshop 2013.
    """
    guess = said.argmax(1)
    sure = said.max(1) - np.logaddexp.reduce(said, axis=1)
    kept: list[int] = []
    for label in np.unique(guess):
        own = np.flatnonzero(guess == label)
        kept += own[np.argsort(-sure[own], kind="stable")][: max(1, int(_SURE * len(own)))].tolist()
    chosen = np.sort(kept)
    head = fit_head("linear", rows[chosen], guess[chosen], said.shape[1], strength=_STRENGTH)
    card = backbones.card(name, offline=offline)
    return feature_member(card, backbone_ir(card, lambda: backbones.load(name, offline=offline)), head)


def _model(
    labels: Sequence[Described], kind: str, members: Sequence[Member], precision: Precision | None
) -> Model:
    first, *others = members
    model = Model(
        labels=[label.name for label in labels],
        modality=kind,
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        head=first.head,
        tokenizer=first.tokenizer,
        others=others,
        combine="sum" if others else "mean",
        calibration=_UNKNOWN,
        precision=precision,
        plan={
            "strategy": "zero-shot",
            "labels": [str(label) for label in labels],
            "backbone": first.backbone.name,
        },
        data={"name": "names alone", "items": 0, "fitted_on": 0, "counts": {}, "digest": "", "left_out": 0,
              "duplicates": 0, "seen": []},
    )  # fmt: skip
    model.record_golden(_examples(labels, kind))
    return model


def _examples(labels: Sequence[Described], kind: str) -> list[Source]:
    """Return inputs for the golden vectors: the labels themselves, or drawn pictures."""
    if kind == "text":
        return [str(label) for label in labels[:2]]
    across = np.linspace(0, 255, 64, dtype=np.uint8)
    ramp = np.broadcast_to(across[:, None], (64, 64, 3)).copy()
    return [ramp, np.where(ramp > 128, 255 - ramp.transpose(1, 0, 2), 40).astype(np.uint8)]
