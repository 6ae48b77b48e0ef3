"""What a model keeps for comparing traffic with: it travels, it is checked, and old models do without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from tiny_model import FEATURES, LABELS, Tiny

from headstart.artefact import load
from headstart.artefact.schema import Artefact
from headstart.errors import ArtefactError
from headstart.evaluation.drift import Reference
from headstart.files import digest_file, digest_json


def reference(count: int = 30, width: int = FEATURES) -> Reference:
    generator = np.random.default_rng(0)
    return Reference.of(generator.normal(size=(count, width)), generator.dirichlet([1] * len(LABELS), count))


@pytest.mark.parametrize("width", [FEATURES, 0])
def test_a_reference_comes_back_as_it_was(tiny: Tiny, tmp_path: Path, width: int) -> None:
    model = tiny.model()
    model.reference = reference(width=width)
    found = load(model.save(tmp_path / "m.headstart")).reference
    assert found is not None
    np.testing.assert_array_equal(found.embeddings, model.reference.embeddings)
    np.testing.assert_array_equal(found.answers, model.reference.answers)


def test_a_model_without_one_loads_and_its_json_does_not_need_the_key(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny.model().save(tmp_path / "m.headstart")
    assert load(folder).reference is None
    assert not (folder / "reference.safetensors").exists()


def rewrite(folder: Path, content: bytes) -> None:
    """Put another reference in, with its digests right."""
    (folder / "reference.safetensors").write_bytes(content)
    value = json.loads((folder / "artefact.json").read_bytes())
    value["files"]["reference.safetensors"] = digest_file(folder / "reference.safetensors")
    kept = {key: part for key, part in value.items() if key not in ("schema", "digest")}
    value["digest"] = digest_json({"schema": 1, **kept})
    (folder / "artefact.json").write_text(json.dumps(value))
    Artefact.from_json(value)


@pytest.mark.parametrize(
    "shapes",
    [((30, 7), (30, 3)), ((30, FEATURES), (29, 3)), ((30, FEATURES), (30, 2)), ((30,), (30, 3))],
)
def test_a_reference_of_another_model_is_refused(
    tiny: Tiny, tmp_path: Path, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    model = tiny.model()
    model.reference = reference()
    folder = model.save(tmp_path / "m.headstart")
    embeddings, answers = (np.zeros(shape, np.float32) for shape in shapes)
    rewrite(folder, save({"embeddings": embeddings, "answers": answers}))
    with pytest.raises(ArtefactError, match=r"columns in reference\.safetensors"):
        load(folder)


def test_a_damaged_reference_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny.model()
    model.reference = reference()
    folder = model.save(tmp_path / "m.headstart")
    file = folder / "reference.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ArtefactError, match="as it was saved"):
        load(folder)
    rewrite(folder, b"no tensors")
    with pytest.raises(ArtefactError, match=r"tensors in reference\.safetensors"):
        load(folder)
