"""`hs.fit_tasks`: several label columns, cells that are empty, an ordinary model for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.fitting.tasks import OWN, SHARED, Tasks
from headstart.transfer.store import FeatureStore

Write = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def manifest(write_pictures: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patterns with what they are, whether they are checks (a third unknown), nothing, always the same."""
    root = write_pictures(tmp_path_factory.mktemp("tasks") / "pictures", across=16, along=16, checks=16)
    rows = ["path,kind,checked,nothing,same"]
    for n, path in enumerate(sorted(root.rglob("*.jpg"))):
        checked = "" if n % 3 == 0 else "yes" if path.parent.name == "checks" else "no"
        rows.append(f"{path.relative_to(root).as_posix()},{path.parent.name},{checked},,x")
    (root / "labels.csv").write_text("\n".join(rows))
    return root / "labels.csv"


@pytest.fixture(scope="module")
def tasks(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Tasks:
    with FeatureStore(tmp_path_factory.mktemp("store")) as store:
        return hs.fit_tasks(manifest, ["kind", "checked"], store=store)


def test_each_task_has_the_model_that_did_better(tasks: Tasks) -> None:
    assert {task: model.labels for task, model in tasks.models.items()} == {
        "kind": ("across", "along", "checks"),
        "checked": ("no", "yes"),
    }
    assert tasks.known == {"kind": 48, "checked": 32}
    for task, (own, shared) in tasks.trials.items():
        assert (own.name, shared.name) == (OWN, SHARED)
        assert tasks.kept[task] == (SHARED if shared.rank < own.rank else OWN)
        assert tasks.gains[task] == pytest.approx(own.rank[0] - shared.rank[0])
        assert tasks.models[task].head.kind == ("mlp" if tasks.kept[task] == SHARED else "linear")
        assert tasks.models[task].metrics["validation"]["accuracy"] > 0.7


def test_the_models_are_ordinary_ones(tasks: Tasks, manifest: Path, tmp_path: Path) -> None:
    places = tasks.save_models(tmp_path / "both")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "checked.headstart", "kind.headstart", "tasks.html",
    ]  # fmt: skip
    picture = manifest.parent / "checks" / "003.jpg"
    for task, place in places.items():
        loaded = hs.load(place)
        asked = loaded.predict_proba([picture])
        assert asked == pytest.approx(tasks.models[task].predict_proba([picture]), abs=1e-5)
        assert asked.sum() == pytest.approx(1, abs=1e-5)


def test_the_page_says_what_was_gained(tasks: Tasks) -> None:
    page = tasks.html()
    assert "What each task gained" in page
    for task in ("kind", "checked"):
        assert f">{task}<" in page
    value = tasks.to_json()
    assert value["kind"]["kept"] == tasks.kept["kind"]
    assert np.mean([each["weight"] for each in value.values()]) == pytest.approx(1, abs=1e-3)


def test_what_one_task_learns_from_never_checks_another(manifest: Path) -> None:
    from headstart.fitting.tasks import _open, _with_splits

    whole, answers = _open(manifest, ["kind", "checked"], {})
    divided = _with_splits(whole, answers, seed=0)
    assert len({item.name for item in divided}) == len(divided) == 48
    assert {item.split for item in divided} == {"train", "val"}
    for labels in answers.values():
        inside = [item for item in divided if item.name in labels]
        assert {labels[i.name] for i in inside if i.split == "val"} == set(labels.values())
        assert {labels[i.name] for i in inside if i.split == "train"} == set(labels.values())


def test_columns_that_teach_nothing_are_refused(manifest: Path) -> None:
    with pytest.raises(DataError, match="labels in the column 'nothing', received 48 empty cells"):
        hs.fit_tasks(manifest, ["kind", "nothing"])
    with pytest.raises(DataError, match="two classes in the column 'same', received only 'x'"):
        hs.fit_tasks(manifest, ["kind", "same"])
    with pytest.raises(DataError, match="a column 'absent'"):
        hs.fit_tasks(manifest, ["kind", "absent"])
    for columns in (["kind"], ["kind", "kind"], []):
        with pytest.raises(OptionError, match="at least two different label columns"):
            hs.fit_tasks(manifest, columns)
