"""Saving a model: written beside its place, loaded back and checked there, then moved."""

from __future__ import annotations

import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart import __version__
from headstart.artefact import schema
from headstart.artefact.golden import Golden
from headstart.artefact.loading import load
from headstart.artefact.members import Member
from headstart.artefact.network import answering_network, untempered
from headstart.artefact.prediction import predicted
from headstart.artefact.schema import Artefact, GoldenFile, HeadFile, MemberFiles, Runner, Scaling
from headstart.data.items import in_words
from headstart.engines.conversion import save_ir
from headstart.engines.openvino_engine import default_precision
from headstart.errors import ArtefactError, HeadstartError, StorageError
from headstart.files import atomic_folder, digest_file
from headstart.transfer.calibration import Calibration, Interval, Thresholds

if TYPE_CHECKING:
    from headstart.artefact.model import Model

NETWORK, HEAD, WEIGHTS = ("network", ".xml"), ("head", ".safetensors"), ("weights", ".safetensors")
TERMS, TOKENIZER = ("terms", ".json"), ("tokenizer", ".json")
GOLDEN, REFERENCE, README = "golden.safetensors", "reference.safetensors", "README.md"


def save(model: Model, path: str | Path) -> Path:
    """Write a model as a folder, whole or not at all; see `Model.save`."""
    # A link is followed, so that the folder behind it is replaced and not the link.
    target = Path(path).resolve()
    golden = model.golden
    if golden is None:
        raise ArtefactError(
            "golden vectors", "a model without", "call model.record_golden([…]) before saving"
        )
    try:
        check_place(target)
        with atomic_folder(target) as folder:
            _write(model, golden, folder)
            load(folder)
    except HeadstartError:
        raise
    except OSError as error:
        fix = "name another place; nothing was lost"
        raise StorageError(f"a place to write {target}", error.strerror or str(error), fix) from error
    return Path(path)


def check_place(target: Path) -> None:
    """Make sure that a model may be saved somewhere: worth asking before a long fit.

    Only an older artefact may be replaced, and only if nothing else lies in its folder.

    Args:
        target: The folder.

    Raises:
        ArtefactError: Something else is in the way.
    """
    fix = "name another folder, or move what is there"
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise ArtefactError("a new folder, or a saved model to replace", f"a file, {target}", fix)
    try:
        ours = {schema.NAME, *schema.read(target).files}
    except ArtefactError as error:
        raise ArtefactError(
            "a new folder, or a saved model to replace", f"a folder with {error.received}", fix
        ) from error
    if others := sorted(entry.name for entry in target.iterdir() if entry.name not in ours):
        raise ArtefactError(
            "a saved model with nothing else in its folder", f"also {', '.join(others[:5])}", fix
        )


def _write(model: Model, golden: Golden, folder: Path) -> None:
    from safetensors.numpy import save as pack

    vectors: dict[str, NDArray[np.generic]] = {
        "inputs": golden.inputs,
        "probabilities": golden.probabilities,
        **{f"inputs{_number(place)}": inputs for place, inputs in enumerate(golden.others, 1)},
    }
    if golden.target == "label":
        vectors["labels"] = golden.probabilities.argmax(1).astype(np.int64)
    calibration = model.calibration
    scaling = abstain = None
    if isinstance(calibration, Calibration):
        scaling, abstain = Scaling(calibration.temperature, calibration.conformal), calibration.abstention
    (folder / GOLDEN).write_bytes(
        pack({name: np.ascontiguousarray(value) for name, value in vectors.items()})
    )
    reference = model.reference
    if reference is not None:
        kept = {"embeddings": reference.embeddings, "answers": reference.answers}
        (folder / REFERENCE).write_bytes(pack({k: np.ascontiguousarray(v) for k, v in kept.items()}))
    (folder / README).write_bytes(model.card.encode("utf-8", "replace"))
    artefact = Artefact(
        created=model.created,
        modality=model.modality,
        labels=model.labels,
        members=tuple(_write_member(model, place, folder) for place in range(len(model.members))),
        calibration=scaling,
        abstain=abstain,
        plan=model.plan,
        metrics=model.metrics,
        data=model.data,
        versions=versions(),
        engine=Runner("openvino", default_precision(model.precision)),
        golden=GoldenFile(GOLDEN, _in_words(model, golden), golden.tolerance),
        files={file.name: digest_file(file) for file in sorted(folder.iterdir())},
        combine=model.combine,
        target=model.target,
        thresholds=calibration if isinstance(calibration, Thresholds) else None,
        interval=calibration if isinstance(calibration, Interval) else None,
        reference=None if reference is None else REFERENCE,
    )
    schema.write(artefact, folder)


def _write_member(model: Model, place: int, folder: Path) -> MemberFiles:
    from safetensors.numpy import save as pack

    member, number = model.members[place], _number(place)
    head = f"{HEAD[0]}{number}{HEAD[1]}"
    (folder / head).write_bytes(pack(member.head.tensors()))
    return MemberFiles(
        member.front_end,
        member.backbone,
        _write_member_network(model, member, number, folder),
        HeadFile(member.head.kind, head),
        weights=_copied(member.weights, folder, f"{WEIGHTS[0]}{number}{WEIGHTS[1]}"),
        tokenizer=_copied(member.tokenizer, folder, f"{TOKENIZER[0]}{number}{TOKENIZER[1]}"),
    )


def _write_member_network(model: Model, member: Member, number: str, folder: Path) -> str:
    """Write the network's main file and what belongs beside it; return the main file's name."""
    if not member.is_ir:
        name = f"{TERMS[0]}{number}{TERMS[1]}"
        shutil.copyfile(member.network, folder / name)
        suffix = schema.BESIDE[TERMS[1]]
        shutil.copyfile(member.network.with_suffix(suffix), (folder / name).with_suffix(suffix))
        return name
    # What several members say is calibrated when it is combined; the logits of each already are.
    calibration = model.calibration if len(model.members) == 1 else untempered(model.calibration)
    name = f"{NETWORK[0]}{number}{NETWORK[1]}"
    save_ir(answering_network(member.network, member.head, calibration), folder / name)
    return name


def _copied(file: Path | None, folder: Path, name: str) -> str | None:
    if file is None:
        return None
    shutil.copyfile(file, folder / name)
    return name


def _number(place: int) -> str:
    """Return what tells the files of a further member from those of the first."""
    return f"-{place + 1}" if place else ""


def _in_words(model: Model, golden: Golden) -> tuple[str, ...]:
    answers = (predicted("", row, model.labels, model.calibration) for row in golden.probabilities)
    known = (next(a for a in (p.label, p.labels, p.value) if a is not None) for p in answers)
    return tuple(map(in_words, known))


def versions() -> dict[str, str]:
    """Return the versions of what makes and answers, {name: version}."""
    found = {"headstart": __version__, "python": platform.python_version()}
    for name in ("numpy", "openvino", "pillow", "simplejpeg", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # answering needs no torch
            continue
    return found
