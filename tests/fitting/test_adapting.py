"""A model for one domain answers for another: striped pictures and their dark negatives, toy texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import headstart as hs
from headstart import fitting
from headstart.artefact import Model, load
from headstart.data import open as open_data
from headstart.errors import ArtefactError, DataError, OptionError
from headstart.evaluation.adaptation import Adaptation
from headstart.transfer.calibration import Interval
from headstart.transfer.store import FeatureStore
from toy_texts import NAME, ToyText, write_texts

WritePictures = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = hs.Plan("freeze-all", "efficientnet_lite0", "stage4", 64)
"""112 features: every method takes a moment."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_pictures: WritePictures) -> Path:
    return write_pictures(tmp_path_factory.mktemp("domains") / "day", across=16, along=16)


@pytest.fixture(scope="module")
def target(source: Path, write_pictures: WritePictures) -> Path:
    """Other pictures of the same kinds, as dark negatives."""
    root = write_pictures(source.parent / "night", 200, across=18, along=18)
    for file in root.rglob("*.jpg"):
        dark = ImageOps.invert(Image.open(file).convert("L")).point(lambda grey: grey // 3)
        dark.convert("RGB").save(file, quality=90)
    return root


@pytest.fixture(scope="module")
def nameless(target: Path) -> Path:
    """The same pictures in one folder, without labels."""
    root = target.parent / "nameless"
    root.mkdir()
    for file in target.rglob("*.jpg"):
        shutil.copy(file, root / f"{file.parent.name}-{file.name}")
    return root


@pytest.fixture(scope="module")
def model(source: Path) -> Model:
    return hs.fit(source, plan=SMALL)


@pytest.fixture(scope="module")
def adapted(model: Model, target: Path, source: Path) -> Model:
    return hs.adapt(model, target, source, methods=["CORAL", "own statistics"])


def report_of(made: Model) -> Adaptation:
    assert isinstance(made.report, Adaptation)
    return made.report


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def test_an_adapted_model_is_a_model_like_any_other(
    adapted: Model, model: Model, target: Path, tmp_path: Path
) -> None:
    again = load(adapted.save(tmp_path / "night.headstart"))
    files = files_of(target)
    np.testing.assert_allclose(again.predict_proba(files), adapted.predict_proba(files), atol=1e-6)
    assert again.labels == model.labels
    assert again.backbone == model.backbone
    adaptation = again.plan["adaptation"]
    assert (adaptation["source"], adaptation["target"]) == ("day", "night")
    assert adaptation["method"] == report_of(adapted).kept.name
    assert again.golden is not None


def test_the_shown_accuracy_is_that_of_the_model_on_the_target(adapted: Model, target: Path) -> None:
    found = report_of(adapted)
    assert found.evaluation is not None
    checked = fitting.evaluate_model(adapted, target).content.evaluation
    assert found.kept.accuracy == pytest.approx(checked.accuracy)
    assert found.evaluation.accuracy == found.kept.accuracy == adapted.metrics["target"]["accuracy"]
    assert found.items == (32, 36)
    assert [each.kept for each in found.tried].count(True) == 1
    assert {each.name for each in found.tried} == {"source only", "CORAL", "own statistics"}


def test_labels_of_the_target_change_nothing(
    adapted: Model, model: Model, target: Path, nameless: Path, source: Path
) -> None:
    without = hs.adapt(model, nameless, source, methods=["CORAL", "own statistics"])
    wrong = open_data(target)
    turned = {"across": "along", "along": "across"}
    items = tuple(hs.data.Item(item.name, item.source, turned[item.label or ""]) for item in wrong)
    lied = hs.adapt(model, hs.data.Dataset(items, "image"), source, methods=["CORAL", "own statistics"])
    found = [report_of(made) for made in (adapted, without, lied)]
    assert len({each.kept.name for each in found}) == 1
    scores = [[tried.score for tried in each.tried] for each in found]
    assert scores[1] == pytest.approx(scores[0])
    assert scores[2] == pytest.approx(scores[0])
    truth, lie = (each.kept.accuracy for each in (found[0], found[2]))
    assert truth is not None
    assert lie == pytest.approx(1 - truth)
    assert found[1].evaluation is None
    assert "No label of nameless was looked at" in found[1].headline
    files = files_of(target)[:6]
    for other in (without, lied):
        np.testing.assert_allclose(other.predict_proba(files), adapted.predict_proba(files), atol=1e-5)


def test_the_page_and_the_figures_tell_the_same(adapted: Model, tmp_path: Path) -> None:
    found = report_of(adapted)
    page = found.save(tmp_path / "adapted.html").read_text(encoding="utf-8")
    for words in (
        "From day to night", "What was tried", "only shown", "How far apart the domains are",
        "Map of both domains", "by domain", "by class", "target: night", "Where it is right and wrong",
    ):  # fmt: skip
        assert words in page, words
    assert "http" not in page.replace("http://www.w3.org", "")
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["method"] == found.kept.name
    assert value["a_distance"]["before"] > 1  # dark negatives are easily told apart
    assert 0 <= value["methods"][0]["nats"] <= np.log(2)


def test_the_source_alone_is_what_the_domains_have_in_common(
    model: Model, source: Path, write_pictures: WritePictures, tmp_path: Path
) -> None:
    """Where the target is like the source there is nothing to win, and nothing is lost."""
    more = write_pictures(tmp_path / "more", 500, across=12, along=12)
    made = hs.adapt(model, more, source, methods=["CORAL"])
    found = report_of(made)
    assert found.kept.accuracy is not None
    assert found.floor.accuracy is not None
    assert found.kept.accuracy >= found.floor.accuracy - 0.05
    np.testing.assert_array_equal(
        made.predict_proba(files_of(more)).argmax(1), model.predict_proba(files_of(more)).argmax(1)
    )


def test_a_source_that_loses_a_whole_class_to_the_target_is_refused(
    model: Model, source: Path, target: Path, tmp_path: Path
) -> None:
    shutil.copytree(target, tmp_path / "mixed")
    for file in files_of(source / "along"):
        shutil.copy(file, tmp_path / "mixed" / "along" / f"copy-{file.name}")
    with pytest.raises(DataError, match=r"every class in the source alone.*'along'"):
        hs.adapt(model, tmp_path / "mixed", source, methods=[])


def test_items_of_both_are_left_out_of_the_source(
    model: Model, source: Path, target: Path, tmp_path: Path
) -> None:
    shutil.copytree(target, tmp_path / "mixed")
    for file in files_of(source / "along")[:3]:
        shutil.copy(file, tmp_path / "mixed" / "along" / f"copy-{file.name}")
    (tmp_path / "mixed" / "along" / "broken.jpg").write_bytes(b"no picture")
    said: list[str] = []
    made = hs.adapt(model, tmp_path / "mixed", source, methods=[], say=said.append)
    assert report_of(made).items == (29, 39)
    assert any("3 items that are also in the target" in line for line in said)
    assert any("broken.jpg" in line for line in said)
    assert any(problem.name.endswith("broken.jpg") for problem in report_of(made).left_out)
    assert report_of(made).kept.name == "source only"


def test_labels_teach_where_that_is_asked_for(
    model: Model, source: Path, target: Path, tmp_path: Path
) -> None:
    for split, part in (("train", slice(0, 3)), ("test", slice(3, None))):
        for label in ("across", "along"):
            (tmp_path / "split" / split / label).mkdir(parents=True)
            for file in files_of(target / label)[part]:
                shutil.copy(file, tmp_path / "split" / split / label)
    names = ["own statistics", "TrAdaBoost"]
    made = hs.adapt(model, tmp_path / "split", source, methods=names, labels=True)
    found = report_of(made)
    assert [each.name for each in found.tried] == ["source only", *names]
    assert found.taught == 6 == made.plan["adaptation"]["target_labels"]
    assert found.evaluation is not None
    assert len(found.evaluation.y) == 30
    assert made.data["fitted_on"] == 32 + 6
    assert "6 labels of the target were learned from" in found.html()


def test_a_stack_of_texts_is_adapted_as_a_stack(
    toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    stacked = hs.fit(folder_of_texts)
    other = write_texts(tmp_path / "other", 300, good=20, bad=20)
    made = hs.adapt(stacked, other, folder_of_texts, methods=["CORAL", "self-training"])
    found = report_of(made)
    assert found.kept.accuracy is not None
    assert found.kept.accuracy > 0.7
    names = {member.backbone.name for member in stacked.members}
    assert {member.backbone.name for member in made.members} <= names
    again = load(made.save(tmp_path / "texts.headstart"))
    texts = sorted(other.rglob("*.txt"))
    np.testing.assert_allclose(again.predict_proba(texts), made.predict_proba(texts), atol=1e-5)
    checked = fitting.evaluate_model(again, other).content.evaluation
    assert checked.accuracy == pytest.approx(found.kept.accuracy)


def test_terms_alone_are_adapted_too(toy_text: ToyText, folder_of_texts: Path, tmp_path: Path) -> None:
    terms = hs.fit(folder_of_texts, backbone="terms")
    other = write_texts(tmp_path / "other", 300, good=12, bad=12)
    made = hs.adapt(terms, other, folder_of_texts, methods=["self-training"])
    assert report_of(made).distance == (None, None)
    assert "Map of both domains" not in report_of(made).html()
    assert made.predict(["a superb scene"])[0].label == "good"
    assert NAME not in {member.backbone.name for member in made.members}


def test_data_that_cannot_be_used(
    model: Model,
    source: Path,
    target: Path,
    folder_of_texts: Path,
    write_pictures: WritePictures,
    tmp_path: Path,
) -> None:
    renamed = shutil.copytree(target, tmp_path / "renamed")
    (renamed / "along").rename(renamed / "lengthways")
    half = write_pictures(tmp_path / "half", 700, across=4)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"no picture")
    cases = [
        (renamed, source, "lengthways"),
        (target, renamed, "lengthways"),
        (target, half, "'along'"),
        (source, source, "same items"),
        (folder_of_texts, source, "pictures in the target"),
        (target, folder_of_texts, "pictures in the source"),
        (broken, source, "readable items in both domains"),
    ]
    with FeatureStore() as store:
        for asked, its, words in cases:
            with pytest.raises(DataError, match=words):
                hs.adapt(model, asked, its, methods=[], store=store)


def test_labels_that_are_asked_for_and_not_there(model: Model, source: Path, nameless: Path) -> None:
    with pytest.raises(DataError, match="a few target items with labels"):
        hs.adapt(model, nameless, source, labels=True)


def test_models_and_methods_that_cannot_be_used(model: Model, source: Path, target: Path) -> None:
    with pytest.raises(OptionError, match="'magic'"):
        hs.adapt(model, target, source, methods=["magic"])
    with pytest.raises(ArtefactError):
        hs.adapt(source, target, source)
    ensemble = copy(model)
    ensemble.members = (*model.members, *model.members)
    with pytest.raises(OptionError, match="an ensemble"):
        hs.adapt(ensemble, target, source)
    numbers = copy(model)
    numbers.calibration = Interval(0.9, 1.0)
    with pytest.raises(OptionError, match="one for number"):
        hs.adapt(numbers, target, source)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_same_seed_gives_the_same_model(seed: int, model: Model, target: Path, source: Path) -> None:
    first, second = (hs.adapt(model, target, source, methods=["CORAL"], seed=seed) for _ in range(2))
    assert report_of(first).to_json() == report_of(second).to_json()
    for one, other in zip(first.head.layers, second.head.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
