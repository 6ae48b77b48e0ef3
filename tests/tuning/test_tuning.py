"""`tune` on pictures: what it finds, that it goes on, and that the test split is not there for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart import data
from headstart.errors import DataError, OptionError, StorageError
from headstart.files import cache_dir
from headstart.fitting.planning import read_plan
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.transfer.store import FeatureStore
from headstart.tuning import searching
from headstart.tuning.result import Tuning

Write = Callable[..., Path]
FROZEN = Plan("freeze-all", "efficientnet_lite0", "head", 224)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Write) -> Path:
    """Patterns with train and val."""
    root = tmp_path_factory.mktemp("tuning") / "patterns"
    write_pictures(root / "train", across=8, along=8, checks=8)
    return write_pictures(root / "val", start=100, across=5, along=5, checks=5).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "patterns.study"


@pytest.fixture(scope="module")
def found(pictures: Path, folder: Path, store: FeatureStore) -> Tuning:
    return hs.tune(pictures, study=folder, plan=FROZEN, metric="loss", trials=12, store=store)


def outcome(tuning: Tuning) -> list[Any]:
    return [(trial.values, trial.accuracy, trial.loss, trial.state) for trial in tuning.trials]


def test_the_first_trial_is_the_plan_and_the_best_is_no_worse(found: Tuning) -> None:
    first = found.trials[0]
    assert found.first is first
    assert first.values == {"left_out": 0, "head": "linear", "strength": 0.01, "class_weight": "even"}
    assert len(found.trials) == 12
    assert found.best.loss == min(trial.loss for trial in found.trials if trial.loss is not None)
    assert found.best.loss < (first.loss or 0)
    assert found.judged == "15 validation items"
    assert set(found.importances) == set(first.values)
    assert sum(found.importances.values()) == pytest.approx(1)
    assert found.headline.startswith("The best of 12 plans is right")
    assert found.plan.evidence["reasons"] == [f"Tuning on 15 validation items. {found.headline}"]


def test_the_best_plan_is_a_file_that_fit_accepts(
    found: Tuning, folder: Path, pictures: Path, store: FeatureStore
) -> None:
    plan = read_plan(folder / "best.json")
    assert plan == found.plan
    model = hs.fit(pictures, plan=plan, class_weight=plan.settings.class_weight, store=store)
    assert (model.head.kind, model.backbone.blocks[-1]) == (plan.head, plan.cut)
    assert "<svg" in (folder / "report.html").read_text()
    assert json.loads(json.dumps(found.to_json()))["best"]["loss"] == found.best.loss


def test_the_same_call_goes_on_and_does_nothing_twice(
    found: Tuning, folder: Path, pictures: Path, store: FeatureStore
) -> None:
    said: list[str] = []
    same = hs.tune(pictures, study=folder, metric="loss", trials=12, store=store, say=said.append)
    assert outcome(same) == outcome(found)
    more = hs.tune(pictures, study=folder, metric="loss", trials=14, store=store, say=said.append)
    assert outcome(more)[:12] == outcome(found)
    assert len(more.trials) == 14
    assert [line.split(":")[0] for line in said if " of 14: " in line] == ["13 of 14", "14 of 14"]
    assert any("12 trials so far" in line for line in said)


def test_a_study_of_something_else_is_refused(
    found: Tuning, folder: Path, pictures: Path, store: FeatureStore, tmp_path: Path, write_pictures: Write
) -> None:
    other = write_pictures(tmp_path / "other", across=6, along=6, checks=6)
    with pytest.raises(OptionError, match="data digest"):
        hs.tune(other, study=folder, metric="loss", store=store)
    for changes, match in (
        ({"metric": "accuracy"}, "metric"),
        ({"folds": 3}, "judgement"),
        ({"sizes": [64]}, "search space"),
        ({"plan": FROZEN.replace(cut="stage6")}, "the study began with"),
        ({"strategy": "scratch"}, "the study began with"),
    ):
        with pytest.raises(OptionError, match=match):
            hs.tune(pictures, study=folder, store=store, **{"metric": "loss", **changes})  # type: ignore[arg-type]
    with searching.alone(folder), pytest.raises(StorageError, match="nobody else"):
        hs.tune(pictures, study=folder, metric="loss", store=store)


def test_the_test_split_is_not_even_opened(
    found: Tuning, pictures: Path, tmp_path: Path, store: FeatureStore
) -> None:
    poisoned = tmp_path / "patterns"
    shutil.copytree(pictures, poisoned)
    for source, target in (("along", "across"), ("across", "checks")):  # wrong labels
        (poisoned / "test" / target).mkdir(parents=True)
        for number, picture in enumerate(sorted((pictures / "train" / source).iterdir())):
            shutil.copy(picture, poisoned / "test" / target / f"copy-{number}.jpg")
    (poisoned / "test" / "unknown").mkdir()  # a class that is nowhere else
    (poisoned / "test" / "unknown" / "broken.jpg").write_bytes(b"no picture")
    (poisoned / "test" / "along").mkdir()
    (poisoned / "test" / "along" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    said: list[str] = []
    opened = data.open(poisoned)
    assert {item.split for item in opened} == {"train", "val", "test"}
    again = hs.tune(
        opened, study=tmp_path / "s", plan=FROZEN, metric="loss", trials=12, store=store, say=said.append
    )
    assert outcome(again) == outcome(found)
    assert again.plan.replace(evidence={}) == found.plan.replace(evidence={})
    assert not any("broken" in line or "gone" in line for line in said)


def test_folds_judge_where_they_are_wanted_or_given_and_where_nothing_can_be_set_aside(
    pictures: Path, tmp_path: Path, store: FeatureStore
) -> None:
    found = hs.tune(pictures, study=tmp_path / "a", plan=FROZEN, folds=3, trials=6, store=store)
    assert found.judged == "3 folds of 39 items"
    assert set(found.trials[0].steps) == {1, 2, 3}
    assert all(len(trial.steps) == 3 for trial in found.trials if trial.state == "complete")
    rows = [
        f"{path},{path.parent.name},{number % 4}"
        for number, path in enumerate(sorted((pictures / "train").rglob("*.jpg")))
    ]
    manifest = tmp_path / "folds.csv"
    manifest.write_text("path,label,fold\n" + "\n".join(rows) + "\n")
    given = hs.tune(manifest, study=tmp_path / "b", plan=FROZEN, trials=2, store=store)
    assert given.judged == "4 folds of 24 items"
    with pytest.raises(OptionError, match="division"):  # other folds: other figures
        hs.tune(pictures, study=tmp_path / "a", plan=FROZEN, folds=3, seed=1, store=store)


def test_several_sizes_and_a_grid(pictures: Path, tmp_path: Path, store: FeatureStore) -> None:
    plan = FROZEN.replace(size=64)
    found = hs.tune(
        pictures, study=tmp_path / "s", plan=plan, sizes=[96], sampler="grid", trials=8, store=store
    )
    assert {trial.values["size"] for trial in found.trials} == {64, 96}
    assert found.plan.size in (64, 96)


def test_a_plan_that_trains_is_varied_in_what_it_trains(
    pictures: Path, tmp_path: Path, store: FeatureStore
) -> None:
    phases = (Phase("head", 1, {HEAD: 1e-3}), Phase("late", 2, {"stage3": 3e-4, HEAD: 1e-3}))
    quick = Settings(batch=8, precision="fp32")
    plan = Plan("fine-tune-late", "efficientnet_lite0", "stage3", 64, phases, settings=quick)
    kept = set((cache_dir() / "networks").glob("*.safetensors"))
    found = hs.tune(pictures, study=tmp_path / "s", plan=plan, trials=1, store=store)
    assert set((cache_dir() / "networks").glob("*.safetensors")) == kept  # trials leave no network behind
    first = found.trials[0]
    assert (first.state, first.values["thawed"]) == ("complete", 1)
    assert first.values["rate"] == pytest.approx(3e-4)
    assert set(first.steps) == {1, 2, 3}
    assert found.plan.changes_backbone
    assert found.plan.epochs == 3


@pytest.mark.slow
def test_the_planner_chooses_where_no_plan_is_given(
    pictures: Path, tmp_path: Path, store: FeatureStore
) -> None:
    found = hs.tune(pictures, study=tmp_path / "s", strategy="freeze-all", trials=1, store=store)
    assert found.start.strategy == "freeze-all"
    assert "depths" in found.start.evidence


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"trials": 0}, "at least one trial"),
        ({"jobs": 0}, "at least one process"),
        ({"minutes": -1.0}, "minutes"),
        ({"folds": 1}, "folds"),
        ({"sampler": "best"}, "sampler"),
        ({"strategy": "scratch"}, "a plan or a strategy"),
        ({"pruner": "median"}, "pruner"),
        ({"metric": "f1"}, "metric"),
        ({"backbones": ["no_such_network"]}, "no_such_network"),
        ({"plan": FROZEN.replace(cut="no_such_block")}, "no_such_block"),
    ],
)
def test_bad_options_are_refused(
    pictures: Path, tmp_path: Path, store: FeatureStore, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(hs.errors.HeadstartError, match=match):
        hs.tune(pictures, study=tmp_path / "s", store=store, **{"plan": FROZEN, **changes})


def test_plans_that_train_need_a_val_part_and_no_folds(
    pictures: Path, tmp_path: Path, store: FeatureStore, write_pictures: Write
) -> None:
    plan = Plan(
        "fine-tune-late", "efficientnet_lite0", "head", 64, (Phase("a", 1, {"head": 1e-3, HEAD: 1e-3}),)
    )
    with pytest.raises(OptionError, match="folds"):
        hs.tune(pictures, study=tmp_path / "s", plan=plan, folds=3, store=store)
    tiny = write_pictures(tmp_path / "tiny", across=1, along=1)
    with pytest.raises(DataError, match="items to check the training on"):
        hs.tune(tiny, study=tmp_path / "t", plan=plan, store=store)


def test_data_that_cannot_teach_are_refused(
    pictures: Path, tmp_path: Path, store: FeatureStore, write_pictures: Write
) -> None:
    loose = write_pictures(tmp_path / "x", across=3) / "across"
    with pytest.raises(DataError, match="labelled items"):
        hs.tune(loose, study=tmp_path / "s", plan=FROZEN, store=store)
    only_test = write_pictures(tmp_path / "y" / "test", across=3, along=3).parent
    write_pictures(only_test / "train", across=3)
    with pytest.raises(DataError, match="at least two classes"):
        hs.tune(only_test, study=tmp_path / "s", plan=FROZEN, store=store)
    with pytest.raises(OptionError, match="succeeds"):
        hs.tune(pictures, study=tmp_path / "t", plan=FROZEN, minutes=1e-9, store=store)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        hs.tune(pictures, study=tmp_path / "file", plan=FROZEN, store=store)
