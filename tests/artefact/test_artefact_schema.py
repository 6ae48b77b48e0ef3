from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.artefact import schema
from headstart.artefact.schema import Artefact
from headstart.backbones.card import Card, Preprocess
from headstart.errors import ArtefactError
from headstart.files import digest_json

Steps = tuple[str | int, ...]
OPTIONAL = {
    each.name
    for kind in (Artefact, schema.MemberFiles, schema.FrontEnd, Card, Preprocess)
    for each in dataclasses.fields(kind)
    if each.default is not dataclasses.MISSING
}


@pytest.fixture(scope="module")
def document(model: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = model.save(tmp_path_factory.mktemp("schema") / "tiny.headstart")
    value: dict[str, Any] = json.loads((folder / "artefact.json").read_text())
    return value


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """Give a changed document the digest that it would have been saved with."""
    content = {key: part for key, part in value.items() if key != "digest"}
    return {**content, "digest": digest_json(content)}


def places(value: Any, above: Steps = ()) -> Iterator[Steps]:
    """Yield the way to every entry whose shape the schema knows."""
    free = above[:1] in (("plan",), ("metrics",), ("data",)) or above[-1:] == ("doors",)
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs if not free else ():
        yield (*above, key)
        yield from places(part, (*above, key))


def at(value: Any, steps: Steps) -> Any:
    for step in steps:
        value = value[step]
    return value


def test_round_trip(document: dict[str, Any]) -> None:
    artefact = Artefact.from_json(copy.deepcopy(document))
    assert artefact.to_json() == document
    assert Artefact.from_json(json.loads(json.dumps(artefact.to_json()))) == artefact


def test_says_what_the_design_asks_for(document: dict[str, Any], model: Any) -> None:
    assert document["schema"] == 1
    assert document["labels"] == list(model.labels)
    member = document["members"][0]
    assert member["backbone"]["digest"] == model.backbone.digest
    assert member["front_end"] == {"preprocess": model.front_end.preprocess.to_json(), "kernel": "pillow"}
    assert (member["network"], member["pool"], document["combine"]) == ("network.xml", "mean", "mean")
    assert member["head"] == {"kind": "linear", "file": "head.safetensors"}
    assert {"headstart", "openvino", "numpy", "python"} <= document["versions"].keys()
    assert document["golden"]["labels"] == list(model.labels)
    assert document["data"]["items"] == 9  # a NumPy number
    assert document["metrics"]["test"]["auc"] is None  # NaN, which JSON does not have


@pytest.mark.parametrize("number", [2, 0, None, "1", 1.5, True, []])
def test_unknown_schema(document: dict[str, Any], number: Any) -> None:
    with pytest.raises(ArtefactError, match="expected an artefact of schema 1") as caught:
        Artefact.from_json({**document, "schema": number})
    assert "version of headstart" in caught.value.fix


def test_schema_is_looked_at_before_keys_it_may_not_have() -> None:
    with pytest.raises(ArtefactError, match="schema 2"):
        Artefact.from_json({"schema": 2, "networks": []})


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_every_key_without_a_default_is_needed(document: dict[str, Any], data: st.DataObject) -> None:
    value = copy.deepcopy(document)
    known = [s for s in places(value) if s[0] not in ("schema", "digest", "files", "versions", "labels")]
    steps = data.draw(st.sampled_from([s for s in known if isinstance(s[-1], str) and s[-1] not in OPTIONAL]))
    del at(value, steps[:-1])[steps[-1]]
    with pytest.raises(ArtefactError, match=repr(steps[-1])):
        Artefact.from_json(sealed(value))


def test_an_artefact_from_before_there_were_targets_is_read(document: dict[str, Any]) -> None:
    value = copy.deepcopy(document)
    for name in ("target", "thresholds", "interval"):
        del value[name]
    assert Artefact.from_json(sealed(value)) == Artefact.from_json(document)
    assert {"target", "combine", "pool", "kernel", "resize"} <= OPTIONAL


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "number"},
        {"target": "labels"},
        {"calibration": None},
        {"abstain": None},
        {"interval": {"level": 0.9, "width": 1.0}},
        {"target": "number", "interval": {"level": 0.9, "width": 1.0}},
        {"target": "labels", "calibration": None, "thresholds": {"temperature": 1.0, "thresholds": [0.5]}},
    ],
)
def test_target_and_calibration_agree(document: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(ArtefactError, match=r"calibration for the target|a threshold for each label"):
        Artefact.from_json(sealed({**document, **changes}))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_every_type_is_checked(document: dict[str, Any], data: st.DataObject) -> None:
    value = copy.deepcopy(document)
    steps = data.draw(st.sampled_from([s for s in places(value) if s[0] not in ("schema", "digest")]))
    old = at(value, steps)
    wrong = data.draw(st.sampled_from([[], {}, True, "x", 3.5, [1], {"x": 1}, None]))
    same = type(wrong) is type(old) or (old is None and steps[-1] == "labels")
    number = isinstance(wrong, float) and isinstance(old, int | float)
    if same or number or (steps[-1] == "labels" and steps[0] == "members"):
        return
    at(value, steps[:-1])[steps[-1]] = wrong
    with pytest.raises(ArtefactError, match=r"expected .*, received .*, to fix: "):
        Artefact.from_json(sealed(value))


def test_unknown_keys_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ArtefactError, match="also 'ensemble'"):
        Artefact.from_json(sealed({**document, "ensemble": 1}))


def test_a_value_changed_by_hand_is_noticed(document: dict[str, Any]) -> None:
    value = copy.deepcopy(document)
    value["labels"] = value["labels"][::-1]
    with pytest.raises(ArtefactError, match="changed afterwards"):
        Artefact.from_json(value)


@pytest.mark.parametrize(
    ("path", "wrong", "says"),
    [
        (("members", 0, "network"), "../network.xml", "own folder"),
        (("members", 0, "head", "file"), "/etc/passwd", "own folder"),
        (("golden", "file"), "", "own folder"),
        (("members", 0, "network"), "other.xml", "a digest for 'other.xml'"),
        (("labels",), ["a", "a"], "all different"),
        (("labels",), ["a"], "at least two"),
        (("combine",), "vote", "combine"),
        (("members", 0, "head", "kind"), "forest", "'linear'"),
        (("members", 0, "front_end", "preprocess", "size"), 0, "positive input size"),
        (("members", 0, "front_end", "preprocess", "mean"), [1.0, 2.0], "mean"),
        (("engine", "engine"), "tflite", "'openvino'"),
        (("calibration", "temperature"), "1", "temperature"),
    ],
)
def test_values_out_of_range(document: dict[str, Any], path: Steps, wrong: Any, says: str) -> None:
    value = copy.deepcopy(document)
    at(value, path[:-1])[path[-1]] = wrong
    with pytest.raises(ArtefactError, match=says):
        Artefact.from_json(sealed(value))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "3", '"x"', "\ufeff{}", "[" * 100_000, '{"schema": NaN}']
)
def test_what_is_no_artefact(tmp_path: Path, content: str) -> None:
    (tmp_path / "artefact.json").write_text(content)
    with pytest.raises(ArtefactError):
        schema.read(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "artefact.json").write_bytes(b"\x80\x81\xff{")
    with pytest.raises(ArtefactError, match="damaged"):
        schema.read(tmp_path)


@settings(deadline=None, max_examples=50)
@given(labels=st.lists(st.text(st.characters()), min_size=2, max_size=5, unique=True))
def test_any_labels_survive_the_disk(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    """Also lone surrogates, which is how Python names folders that are not UTF-8."""
    folder = tmp_path_factory.mktemp("labels")
    schema.write(Artefact.from_json(sealed({**document, "labels": labels})), folder)
    assert schema.read(folder).labels == tuple(labels)
