"""A small student learns what a big teacher answers: real networks, striped pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headstart as hs
from headstart import fitting
from headstart.artefact import Model, load
from headstart.artefact.model import Member
from headstart.data import open as open_data
from headstart.errors import ArtefactError, BackboneError, DataError, OptionError
from headstart.fitting import Report, distilling
from headstart.fitting.ensembles import ensemble
from headstart.fitting.footprints import footprints
from headstart.fitting.soft_targets import soft_targets, teacher_logits
from headstart.training.plan import HEAD
from headstart.transfer.store import FeatureStore

WritePictures = Callable[..., Path]
UNTRAINED = hs.Plan("freeze-all", "basic_cnn", "block4", 150)
"""A quick other model, which knows nothing."""
SMALL = {"student": "efficientnet_lite0", "cut": "stage4", "size": 64, "strategy": "freeze-all"}
"""A student whose head is fitted in a moment."""


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """One thread: for such small networks more cost more than they bring. Times are taken in few rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.fitting.footprints._SECONDS", 0.0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory, write_pictures: WritePictures) -> Path:
    """Labelled pictures with train, val and test."""
    root = tmp_path_factory.mktemp("labelled") / "stripes"
    for start, (split, count) in zip((0, 100, 200), (("train", 10), ("val", 8), ("test", 8)), strict=True):
        write_pictures(root / split, start, across=count, along=count)
    return root


@pytest.fixture(scope="module")
def more(stripes: Path, tmp_path_factory: pytest.TempPathFactory, write_pictures: WritePictures) -> Path:
    """Pictures in one folder without labels; one is a copy of a test picture, one of a val picture."""
    folders = write_pictures(tmp_path_factory.mktemp("drawn"), 300, across=12, along=12)
    root = tmp_path_factory.mktemp("unlabelled") / "more"
    root.mkdir()
    for label in ("across", "along"):
        for file in sorted((folders / label).iterdir()):
            shutil.copy(file, root / f"{label}-{file.name}")
    shutil.copy(stripes / "test" / "across" / "200.jpg", root / "copy-of-test.jpg")
    shutil.copy(stripes / "val" / "along" / "100.jpg", root / "copy-of-val.jpg")
    return root


@pytest.fixture(scope="module")
def teacher(stripes: Path) -> Model:
    return hs.fit(stripes)


@pytest.fixture(scope="module")
def student(teacher: Model, stripes: Path, more: Path) -> Model:
    return hs.distill(teacher, stripes, unlabelled=more, **SMALL)


def test_a_student_is_a_model_like_any_other(student: Model, stripes: Path, tmp_path: Path) -> None:
    files = sorted((stripes / "test").rglob("*.jpg"))
    again = load(student.save(tmp_path / "student.headstart"))
    np.testing.assert_allclose(again.predict_proba(files), student.predict_proba(files), atol=1e-6)
    assert again.labels == ("across", "along")
    assert again.backbone.preprocess.size == 64
    assert again.plan["settings"]["loss"] == "distillation"
    assert again.plan["teacher"] == {"backbones": ["efficientnet_lite0"]}
    report = fitting.evaluate_model(again, stripes)
    assert len(report.content.evaluation.y) == 16
    assert fitting.compare_models(again, student, stripes).difference == 0
    assert hs.export(again, tmp_path / "student.xml").stat().st_size > 10_000


def test_the_report_compares_both_on_the_same_items(student: Model, teacher: Model, stripes: Path) -> None:
    report = student.report
    assert isinstance(report, Report)
    found = report.content.distilled
    assert found is not None
    assert (found.split, found.comparison.items) == ("test", 16)
    expected = fitting.evaluate_model(teacher, stripes, split="test").content.evaluation.accuracy
    assert found.comparison.accuracy[0] == pytest.approx(expected)
    assert found.comparison.accuracy[1] == student.metrics["test"]["accuracy"]
    files = sorted((stripes / "test").rglob("*.jpg"))
    same = teacher.predict_proba(files).argmax(1) == student.predict_proba(files).argmax(1)
    assert found.agreement == pytest.approx(same.mean(), abs=0.07)  # predict resizes with another kernel
    large, small = found.footprints
    assert large.megabytes > 10 > 2 > small.megabytes
    assert large.parameters > 3_000_000 > 300_000 > small.parameters
    assert large.milliseconds > 0 < small.milliseconds  # which is faster, a busy machine does not show
    page = report.html()
    for words in ("Teacher and student", "times smaller", "MB on disk", "without a label", "distill TEACHER"):
        assert words in page, words
    assert "--student efficientnet_lite0 " in page
    assert "--plan" not in page  # distill knows no such option
    value = json.loads(json.dumps(found.to_json()))
    assert value["teacher"]["accuracy"] == found.comparison.accuracy[0]
    assert value["student"]["parameters"] == small.parameters


def test_copies_of_what_is_tested_are_not_learned_and_what_is_learned_is_known_as_seen(
    teacher: Model, stripes: Path, more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_to: dict[str, Any] = {}

    def spy(gathered: Any, arrangement: Any, *rest: Any, **named: Any) -> Any:
        given_to.update(gathered=gathered, arrangement=arrangement, targets=named["targets"])
        return train_plan(gathered, arrangement, *rest, **named)

    train_plan = distilling.train_plan
    monkeypatch.setattr(distilling, "train_plan", spy)
    said: list[str] = []
    model = hs.distill(teacher, stripes, unlabelled=more, say=said.append, **SMALL)
    gathered, arrangement = given_to["gathered"], given_to["arrangement"]
    digests = [facts.digest for facts in gathered.facts]
    held = {digests[n] for n in (*arrangement.val, *arrangement.test)}
    learned = {digests[n] for n in arrangement.train}
    assert not held & learned
    names = {item.name for item in gathered.dataset}
    assert "across-300.jpg" in names
    assert not {"copy-of-test.jpg", "copy-of-val.jpg"} & names
    assert any("copies of labelled ones" in line for line in said)
    targets = given_to["targets"]
    labelled = targets[:, 2:].sum(1) == 1
    assert labelled.sum() == sum(item.label is not None for item in gathered.dataset) == 52
    assert not targets[~labelled, 2:].any()
    assert model.data["unlabelled"] == (~labelled).sum() > 10
    seen = {digest[:16] for digest in learned}
    assert seen <= set(model.data["seen"])
    assert not {digests[n][:16] for n in arrangement.test} & set(model.data["seen"])


def test_the_teacher_is_asked_once(teacher: Model, stripes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hs.distill(teacher, stripes, **SMALL)

    def refused(_model: Model, _member: Member) -> Any:
        raise AssertionError("the teacher's network ran again")

    with FeatureStore() as store, monkeypatch.context() as patch:
        patch.setattr(Model, "engine_of", refused)
        logits = teacher_logits(teacher, open_data(stripes), store)
    assert logits.shape == (52, 2)


def test_the_teachers_logits_are_what_it_answers(
    teacher: Model, stripes: Path, more: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    other = hs.fit(stripes, plan=UNTRAINED)
    fresh = write_pictures(tmp_path / "fresh", 500, across=8, along=8)
    both = ensemble([load(m.save(tmp_path / n)) for n, m in (("a", teacher), ("b", other))], fresh)
    dataset = open_data(more)
    files = [item.source for item in dataset]
    with FeatureStore() as store:
        for model in (teacher, both):
            logits = teacher_logits(model, dataset, store)
            said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            # The rows of the store are made with torch's resize kernel, answers with Pillow's.
            np.testing.assert_allclose(said, model.predict_proba(files), atol=0.1)
            assert np.median(np.abs(said - model.predict_proba(files))) < 0.01
    taught = hs.distill(both, stripes, unlabelled=more, **SMALL)
    assert taught.plan["teacher"]["backbones"] == ["efficientnet_lite0", "basic_cnn"]


def test_unlabelled_items_bring_the_student_nearer_to_its_teacher(
    teacher: Model, stripes: Path, more: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    """Where labels mislead: the few that are learned from are swapped, so that the start is all wrong."""
    few = tmp_path / "few"
    for label, other in (("across", "along"), ("along", "across")):
        for split, count, found in (("train", 2, other), ("val", 8, label)):
            files = sorted((stripes / split / found).iterdir())[:count]
            (few / split / label).mkdir(parents=True)
            for file in files:
                shutil.copy(file, few / split / label)
    alone = hs.distill(teacher, few, alpha=0.0, epochs=100, **SMALL)
    taught = hs.distill(teacher, few, alpha=0.0, epochs=100, unlabelled=more, **SMALL)
    fresh = sorted(write_pictures(tmp_path / "fresh", 600, across=20, along=20).rglob("*.jpg"))
    wanted = teacher.predict_proba(fresh)
    far, near = (np.abs(model.predict_proba(fresh) - wanted).mean() for model in (alone, taught))
    assert near < 0.8 * far


def test_labels_that_the_data_lack_stay_the_students(
    teacher: Model, more: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    three = hs.fit(write_pictures(tmp_path / "three", 0, across=10, along=10, checks=10))
    two = write_pictures(tmp_path / "two", 40, across=10, along=10)
    model = hs.distill(three, two, **SMALL)
    assert model.labels == ("across", "along", "checks")
    assert model.predict_proba(sorted(two.rglob("*.jpg"))[:2]).shape == (2, 3)


def test_items_of_the_data_without_a_label_teach_too(teacher: Model, stripes: Path) -> None:
    given = open_data(stripes)
    items = [
        replace(item, label=None) if item.split == "train" and int(item.name[-6:-4]) >= 4 else item
        for item in given
        if item.split != "test"
    ]
    model = hs.distill(teacher, replace(given, items=tuple(items)), **SMALL)
    assert model.data["unlabelled"] == 12
    found = model.report
    assert isinstance(found, Report)
    assert found.content.distilled is not None
    assert found.content.distilled.split == "validation"
    assert found.content.distilled.seen == 16  # the teacher was fitted on train and val
    assert "too optimistic" in found.html()


@pytest.mark.slow
def test_a_student_is_trained_as_planned(teacher: Model, stripes: Path, more: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    model = hs.distill(
        teacher,
        stripes,
        unlabelled=more,
        student="basic_cnn",
        size=32,
        epochs=6,
        run=run,
    )
    assert model.plan["strategy"] == "scratch"  # it knows nothing
    assert model.plan["size"] == 32
    assert [phase["epochs"] for phase in model.plan["phases"]] == [6]
    assert model.members[0].weights is not None
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    losses = [line["train_loss"] for line in history if "train_loss" in line]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    report = model.report
    assert isinstance(report, Report)
    assert "How the student was trained" in report.html()
    # What was trained may teach in its turn.
    trained = load(model.save(tmp_path / "trained.headstart"))
    assert hs.distill(trained, stripes, **SMALL).plan["teacher"] == {"backbones": ["basic_cnn"]}


@pytest.mark.slow
def test_late_blocks_are_trained_behind_the_boundary(teacher: Model, stripes: Path, more: Path) -> None:
    said: list[str] = []
    options = {"student": "efficientnet_lite0", "cut": "stage3", "size": 64}
    model = hs.distill(
        teacher, stripes, unlabelled=more, strategy="fine-tune-late", epochs=2, say=said.append, **options
    )
    assert model.plan["cut"] == "stage3"
    trained = [name for name in model.plan["phases"][0]["rates"] if name != HEAD]
    assert trained[-1] == "stage3"
    assert "stem" not in trained
    assert any("through the frozen blocks, once" in line for line in said)


def test_another_temperature_does_not_go_on_with_the_run(
    teacher: Model, stripes: Path, more: Path, tmp_path: Path
) -> None:
    hs.distill(teacher, stripes, run=tmp_path / "run", **SMALL)
    with pytest.raises(OptionError, match="checkpoint of the plan"):
        hs.distill(teacher, stripes, run=tmp_path / "run", resume=True, temperature=2.0, **SMALL)
    other = hs.fit(stripes, plan=UNTRAINED)
    with pytest.raises(OptionError, match="checkpoint of the data"):
        hs.distill(other, stripes, run=tmp_path / "run", resume=True, **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "temperature above 0"),
        ({"temperature": float("nan")}, "temperature above 0"),
        ({"alpha": -0.5}, "alpha from 0 to 1"),
        ({"alpha": 2.0}, "alpha from 0 to 1"),
        ({"epochs": 0}, "at least one epoch"),
        ({"minutes": 0.0}, "more than 0 minutes"),
        ({"strategy": "cut-early"}, "strategy for the student"),
        ({"strategy": "distil-all"}, "strategy"),
        ({"cut": "stage99"}, "a block of 'efficientnet_lite0'"),
    ],
)
def test_options_out_of_range_are_refused(
    wrong: dict[str, Any], message: str, teacher: Model, stripes: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        hs.distill(teacher, stripes, **{**SMALL, **wrong})


def test_what_cannot_be_distilled_is_refused(
    teacher: Model, stripes: Path, more: Path, tmp_path: Path, write_pictures: WritePictures
) -> None:
    with pytest.raises(ArtefactError, match="saved model"):
        hs.distill(stripes, stripes, **SMALL)
    with pytest.raises(BackboneError):
        hs.distill(teacher, stripes, student="no-such-network")
    with pytest.raises(OptionError, match="alpha below 1"):
        hs.distill(teacher, stripes, unlabelled=more, **SMALL, alpha=1.0)
    strange = write_pictures(tmp_path / "strange", 0, across=3, checks=3)
    with pytest.raises(DataError, match=r"as the teacher knows them.*'checks'"):
        hs.distill(teacher, strange, **SMALL)
    with pytest.raises(DataError, match="labelled items to check"):
        hs.distill(teacher, more, **SMALL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        hs.distill(teacher, stripes, unlabelled=tmp_path / "empty", **SMALL)


def test_a_teacher_for_numbers_is_refused(teacher: Model, stripes: Path) -> None:
    from headstart.transfer.calibration import Interval

    other = load_copy(teacher)
    other.calibration = Interval(0.9, 1.0)
    with pytest.raises(OptionError, match=r"one label.*number"):
        hs.distill(other, stripes, **SMALL)


def load_copy(model: Model) -> Model:
    copy = object.__new__(Model)
    copy.__dict__.update(model.__dict__)
    return copy


def test_footprints_count_what_answers(stripes: Path) -> None:
    model = hs.fit(stripes, plan=UNTRAINED)
    (alone,) = footprints([model])
    weights = sum(p.numel() for p in hs.backbones.load("basic_cnn").parameters() if p.ndim == 4)
    head, constants = 128 * 2 + 2, 3 + 3 + 1  # mean, std, temperature; fresh batch norms do nothing
    assert alone.parameters == weights + head + constants
    member = model.members[0]
    doubled = load_copy(model)
    doubled.members = (member, replace(member))
    assert footprints([doubled])[0].parameters > 2 * weights
    broken = load_copy(model)
    broken.golden = None
    with pytest.raises(ArtefactError, match="golden"):
        footprints([broken])


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 50), st.floats(0, 1))
def test_targets_hold_logits_and_labels(n: int, k: int, seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, k)).astype(np.float32)
    y: NDArray[np.int64] = generator.integers(0, k, round(share * n))
    found = soft_targets(logits, y)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :k], logits)
    np.testing.assert_array_equal(found[: len(y), k:].argmax(1), y)
    np.testing.assert_array_equal(found[:, k:].sum(1), np.arange(n) < len(y))
