"""Loading a saved model: every byte is checked, then a few answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.artefact import schema
from headstart.artefact.golden import Golden
from headstart.artefact.members import Member, combined
from headstart.artefact.model import Model
from headstart.artefact.network import outputs
from headstart.artefact.schema import Artefact, MemberFiles
from headstart.artefact.versions import answering
from headstart.backbones.card import Spec, Tokens
from headstart.errors import ArtefactError
from headstart.evaluation.drift import Reference
from headstart.files import digest_file
from headstart.text.tokens import know
from headstart.transfer.calibration import AnyCalibration
from headstart.transfer.heads import Combine, Head

Tensors = Mapping[str, NDArray[np.generic]]
Answers = NDArray[np.floating]
_INPUTS = (np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.float32))
"""What golden inputs are made of: pixels and bytes, or numbers of tokens."""


def load(path: str | Path, *, threads: int | None = None) -> Model:
    """Load a model that `Model.save` wrote. Needs no torch.

    The digest of every file is checked, then the answers to the golden vectors.

    Args:
        path: The folder, str or Path; of a folder of versions, the one that answers by default.
        threads: How many inputs are computed at once, int. Defaults to None: as many as there are cores.

    Returns:
        The Model.

    Raises:
        ArtefactError: There is no saved model, a file is missing, damaged or changed, the schema is unknown,
            or the model answers differently than when it was saved.

    Example:
        >>> load("cats.headstart").predict(["new.jpg"])[0].label  # doctest: +SKIP
        'cat'
    """
    folder = answering(Path(path))
    _check_folder(folder)
    artefact = schema.read(folder)
    for name, digest in artefact.files.items():
        _check_file(folder / name, digest)
    model = _assemble(folder, artefact)
    model.threads = threads
    check_model(model)
    return model


def check_model(model: Model) -> None:
    """Check the golden vectors twice: as `predict` answers, and as the network alone does.

    Args:
        model: A model whose network has the outputs of an artefact.

    Raises:
        ArtefactError: The answers differ from those expected, or there are none.
    """
    golden = model.golden
    if golden is None:
        raise ArtefactError(
            "golden vectors", "a model without", "call model.record_golden([…]) before saving"
        )
    names = outputs(model.target)
    seen = dict(zip(model.front_ends, (golden.inputs, *golden.others), strict=True))
    heads: list[Answers] = []
    networks: list[Answers] = []
    for member in model.members:
        engine = model.engine_of(member)
        wanted = names[1:] if member.is_ir else names[1:2]
        if missing := set(wanted) - set(engine.outputs):
            received = f"none named {', '.join(sorted(missing))}"
            raise ArtefactError(f"the network's outputs {', '.join(names)}", received, "save the model again")
        answers = [engine.one(value, wanted) for value in seen[member.front_end]]
        heads.append(member.head.logits(np.stack([answer["features"] for answer in answers])))
        if member.is_ir:
            networks.append(np.stack([answer[names[-1]] for answer in answers]))
    golden.check(model.calibration.answers(combined(heads, model.target, model.combine)), "predict")
    if len(networks) == len(model.members):
        golden.check(_together(networks, model.calibration, model.combine), "the network")


def _together(networks: list[Answers], calibration: AnyCalibration, combine: Combine) -> Answers:
    """Return the answer that the answers of several networks make."""
    if len(networks) == 1:
        return networks[0]
    if combine == "sum":  # only of models with one label an item: what softmax took away does not matter
        with np.errstate(divide="ignore"):
            return calibration.answers(np.log(np.stack(networks).astype(np.float64)).sum(0))
    mean: Answers = np.stack(networks).mean(0, np.float64)
    if calibration.target == "number":
        return mean
    with np.errstate(divide="ignore"):
        logits = np.log(mean) if calibration.target == "label" else np.log(mean) - np.log1p(-mean)
    return calibration.answers(logits)


def _check_folder(folder: Path) -> None:
    fix = "name the folder that save (or headstart fit -o) wrote"
    if not folder.exists():
        raise ArtefactError("a saved model", f"{str(folder)!r}, which does not exist", fix)
    if not folder.is_dir():
        raise ArtefactError("the folder of a saved model", f"a file, {str(folder)!r}", fix)


def _check_file(path: Path, digest: str) -> None:
    fix = "get an undamaged copy, or save the model again"
    try:
        found = digest_file(path)
    except OSError as error:
        raise ArtefactError(
            f"the file {path.name} of the saved model", error.strerror or str(error), fix
        ) from error
    if found != digest:
        received = f"{path.stat().st_size} bytes with the SHA-256 {found[:12]}…, not {digest[:12]}…"
        raise ArtefactError(f"{path.name} as it was saved", received, fix)


def _assemble(folder: Path, artefact: Artefact) -> Model:
    first, *others = (_member(folder, member, artefact) for member in artefact.members)
    model = Model(
        labels=artefact.labels,
        modality=artefact.modality,
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        head=first.head,
        weights=first.weights,
        others=others,
        combine=artefact.combine,
        tokenizer=first.tokenizer,
        calibration=artefact.scale,
        precision=artefact.engine.precision,
        plan=artefact.plan,
        metrics=artefact.metrics,
        data=artefact.data,
        created=artefact.created,
    )
    model.golden = _golden(folder / artefact.golden.file, artefact, len(model.front_ends))
    if artefact.reference is not None:
        model.reference = _reference(folder / artefact.reference, model)
    return model


def _member(folder: Path, member: MemberFiles, artefact: Artefact) -> Member:
    tensors = _tensors(folder / member.head.file).items()
    head = Head.from_tensors(member.head.kind, {name: value.astype(np.float32) for name, value in tensors})
    width, classes = head.layers[0][0].shape[0], head.layers[-1][0].shape[1]
    if (width, classes) != (member.backbone.features, len(artefact.labels)):
        expected = f"a head from {member.backbone.features} features to {len(artefact.labels)} labels"
        raise ArtefactError(expected, f"one from {width} to {classes}", "save the model again")
    weights = None if member.weights is None else folder / member.weights
    tokenizer = None if member.tokenizer is None else folder / member.tokenizer
    _know_tokenizer(member.front_end.preprocess, tokenizer)
    return Member(member.front_end, member.backbone, folder / member.network, head, weights, tokenizer)


def _know_tokenizer(spec: Spec, file: Path | None) -> None:
    """Make a member's own tokenizer known, which its front end names by the digest."""
    wanted = spec.tokenizer if isinstance(spec, Tokens) else ""
    found = "" if file is None else know(file)
    if found != wanted:
        expected = f"the tokenizer {wanted[:12]}…" if wanted else "no tokenizer"
        raise ArtefactError(expected, f"{found[:12]}…" if found else "none", "save the model again")


def _golden(path: Path, artefact: Artefact, front_ends: int) -> Golden:
    tensors = _tensors(path)
    names = ["inputs", *(f"inputs-{number}" for number in range(2, front_ends + 1))]
    if not {"probabilities", *names} <= tensors.keys() or any(tensors[n].dtype not in _INPUTS for n in names):
        raise ArtefactError(
            f"{', '.join(names)} and probabilities in {path.name}",
            repr(sorted(tensors)),
            "save the model again",
        )
    inputs, *others = (tensors[name] for name in names)
    return Golden(
        inputs,
        tensors["probabilities"].astype(np.float64),
        artefact.target,
        artefact.golden.tolerance,
        tuple(others),
    )


def _reference(path: Path, model: Model) -> Reference:
    tensors = _tensors(path)
    embeddings, answers = (tensors.get(name, np.zeros(0)) for name in ("embeddings", "answers"))
    widths = (0, model.backbone.features), (len(model.labels),)
    shapes = embeddings.shape, answers.shape
    fits = all(shape == (len(answers), shape[-1]) for shape in shapes)
    if not fits or any(shape[-1] not in width for shape, width in zip(shapes, widths, strict=True)):
        expected = f"embeddings and answers of {model.backbone.features} and {len(model.labels)} columns"
        raise ArtefactError(f"{expected} in {path.name}", f"{shapes}", "save the model again")
    return Reference(embeddings.astype(np.float16), answers.astype(np.float32))


def _tensors(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    try:
        found: Tensors = parse(path.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ArtefactError(
            f"tensors in {path.name}", str(error), "get an undamaged copy, or save the model again"
        ) from error
    return found
