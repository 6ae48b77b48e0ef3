"""Plans are made from training items alone, the same way twice, and say what they are based on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from headstart import data
from headstart.data.items import Dataset, Item
from headstart.errors import BackboneError, DataError, OptionError
from headstart.fitting import plan, planning, rank_backbones, read_plan
from headstart.fitting.planning import MEASURED
from headstart.training.plan import Plan
from headstart.transfer.depths import Depth
from headstart.transfer.evidence import Evidence
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled
from headstart.transfer.store import FeatureStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path_factory.mktemp("features")) as opened:
        yield opened


@pytest.fixture(scope="module")
def patterns(pattern_pictures: Path) -> Dataset:
    """36 pictures to learn from, six to be asked about in the end."""
    found = data.open(pattern_pictures)
    return found.with_splits(["test" if n % 7 == 0 else None for n in range(len(found))])


@pytest.fixture(scope="module")
def planned(patterns: Dataset, store: FeatureStore) -> Plan:
    return plan(patterns, store=store)


def test_a_small_collection_keeps_the_network(planned: Plan) -> None:
    assert planned.strategy in ("freeze-all", "cut-early")
    assert not planned.phases
    assert planned.backbone == "efficientnet_lite0"
    evidence = planned.evidence
    assert evidence["large"] is False
    assert evidence["items"] < 36  # some of them are for validation
    assert [depth["block"] for depth in evidence["depths"]][-1] == "head"
    assert all(0 <= depth["accuracy"] <= 1 for depth in evidence["depths"])
    assert evidence["leep"] < 0
    assert evidence["distance"] > 0
    assert evidence["picture_side"] == 64
    assert planned.minutes is not None
    assert 0 < planned.minutes < 10


def test_a_plan_survives_a_file(planned: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(planned.to_json(), allow_nan=False))
    assert read_plan(path) == Plan.from_json(planned.to_json())


def test_test_items_change_nothing(patterns: Dataset, planned: Plan, store: FeatureStore) -> None:
    """The test items' labels are turned round, one of them is broken: the evidence stays what it was."""
    labels = list(patterns.classes)
    turned = [
        replace(item, label=labels[labels.index(str(item.label)) - 1]) if item.split == "test" else item
        for item in patterns
    ]
    first = next(n for n, item in enumerate(turned) if item.split == "test")
    turned[first] = replace(turned[first], source=b"broken")
    again = plan(replace(patterns, items=tuple(turned)), store=store)
    for key in ("items", "depths", "leep", "distance", "similar", "large"):
        assert again.evidence[key] == planned.evidence[key], key
    assert again.strategy == planned.strategy


def test_a_strategy_can_be_asked_for(patterns: Dataset, store: FeatureStore) -> None:
    made = plan(patterns, strategy="fine-tune-late", store=store)
    made.check("efficientnet_lite0", ("stem", *(f"stage{n}" for n in range(1, 8)), "head"))
    assert made.phases[0].trainable[-1] == "head"
    assert any("was asked for" in reason for reason in made.evidence["reasons"])


def test_at_most_two_thousand_items_are_measured() -> None:
    y = np.repeat([0, 1], [9000, 1000])
    items = np.arange(len(y))
    train = Labelled(Features(np.zeros((len(y), 1), np.float32), items, items), y, 2)
    chosen = planning._subset(train, seed=0)
    assert 0.8 * MEASURED < len(chosen) <= MEASURED
    assert y[chosen].mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(planning._subset(train.take(chosen), 0), np.arange(len(chosen)))


def test_backbones_are_ranked_by_their_probe(
    patterns: Dataset, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures of a network that is better and slower, put in the place of measurements."""
    accuracy = {"efficientnet_lite0": 0.7, "vgg16": 0.9}
    asked = []

    def noted(name: str) -> tuple[Evidence, SimpleNamespace]:
        asked.append(name)
        depth = Depth("head", 1280, accuracy[name], 0.01, 0.1, 1.0)
        evidence = Evidence(name, ("head",), 224, 30, 3, 10, 1.0, [depth], 30, {})
        return evidence, SimpleNamespace(infer=accuracy[name] / 100)

    monkeypatch.setattr(planning, "_arranged", lambda _source, _store, _target, name, *_: (name, None))
    monkeypatch.setattr(planning, "measure", lambda name, *_, **__: noted(name))
    ranked = rank_backbones(patterns, ["efficientnet_lite0", " vgg16", "efficientnet_lite0"], store=store)
    assert asked == ["efficientnet_lite0", "vgg16"]
    assert [each.backbone for each in ranked] == ["vgg16", "efficientnet_lite0"]
    assert ranked[0].to_json() == {
        "backbone": "vgg16", "accuracy": 0.9, "error": 0.01, "logme": 0.1, "h_score": 1.0, "leep": None,
        "features": 1280, "ms_per_item": 9.0,
    }  # fmt: skip


def test_numbers_can_be_planned_for(patterns: Dataset, store: FeatureStore) -> None:
    items = tuple(replace(item, label=None, value=float(len(str(item.label)))) for item in patterns)
    made = plan(Dataset(items, "image", target="number"), store=store)
    assert made.strategy in ("freeze-all", "cut-early")
    assert made.evidence["leep"] is None


def test_bad_requests(patterns: Dataset, store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="more than 0 minutes"):
        plan(patterns, minutes=0, store=store)
    with pytest.raises(OptionError, match=r"a strategy: freeze-all.*'melt'"):
        plan(patterns, strategy="melt", store=store)  # type: ignore[arg-type]
    with pytest.raises(BackboneError, match="efficientnet_lite9"):
        plan(patterns, backbone="efficientnet_lite9", store=store)
    with pytest.raises(BackboneError, match="vgg17"):
        rank_backbones(patterns, ["efficientnet_lite0", "vgg17"], store=store)
    with pytest.raises(OptionError, match="names of backbones"):
        rank_backbones(patterns, [" "], store=store)


def test_unlabelled_data() -> None:
    grey = np.full((40, 40, 3), 99, np.uint8)
    with pytest.raises(DataError, match="labelled items"):
        plan(Dataset((Item("a", grey), Item("b", grey)), "image"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "a JSON object"),
        ("[1]", "a plan, a JSON object"),
        ('{"strategy": "freeze-all"}', "a plan that says 'backbone'"),
        (
            '{"strategy": "freeze-all", "backbone": "b", "cut": "c", "size": 224, "colour": 1}',
            "also 'colour'",
        ),
        ('{"strategy": "melt", "backbone": "b", "cut": "c", "size": 224}', "'melt'"),
        (b"\xff\xfe", "a JSON object"),
    ],
)
def test_plan_files_that_are_none(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OptionError, match=message):
        read_plan(path)
    with pytest.raises(OptionError, match="No such file"):
        read_plan(tmp_path / "absent.json")
