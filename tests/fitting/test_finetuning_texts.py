"""Training a text encoder inside a fit: it learns, answers with terms beside it, and is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.errors import OptionError
from headstart.fitting import fit
from headstart.fitting.distilling import distill
from headstart.fitting.reporting import Report
from headstart.images.augmentation import LIGHT
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.tuning.search import tune
from toy_texts import NAME, ToyText, write_texts, written

SETTINGS = Settings(batch=8, precision="fp32", dropout=0.0)
PHASE = Phase("late", 4, {"layer2": 5e-3, "layer3": 5e-3, HEAD: 1e-2}, views=2)
LATE = Plan("fine-tune-late", NAME, "layer3", 32, (PHASE,), settings=SETTINGS, modality="text")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough of them to weigh a network against terms on."""
    return write_texts(tmp_path_factory.mktemp("reviews"), good=150, bad=150)


@pytest.fixture(scope="module")
def model(toy_text: ToyText, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> hs.Model:
    said: list[str] = []
    run = tmp_path_factory.mktemp("run") / "run"
    made = fit(reviews, plan=LATE, precision="fp32", guard=False, run=run, say=said.append)
    made.data["said"] = said
    return made


def test_a_trained_network_answers_alone_or_with_terms(model: hs.Model) -> None:
    assert isinstance(model.report, Report)
    names = [trial.name for trial in model.report.content.trials]
    assert names == ["probe", "fine-tune-late", "fine-tune-late, stacked"]
    assert [trial.kept for trial in model.report.content.trials].count(True) == 1
    assert model.metrics["validation"]["accuracy"] > 0.9
    assert any("2 views of each item through the frozen blocks" in line for line in model.data["said"])


def test_the_stack_of_a_trained_network_is_saved_whole(model: hs.Model, tmp_path: Path) -> None:
    kept = next(trial.name for trial in model.report.content.trials if trial.kept)  # type: ignore[union-attr]
    assert [member.backbone.name for member in model.members] == (
        [NAME, "terms"] if "stacked" in kept else [NAME]
    )
    assert model.members[0].weights is not None
    assert model.members[0].backbone.digest != hs.backbones.card(NAME).digest
    texts = [written("good", 900), written("bad", 901), "", "the the the"]
    again = hs.load(model.save(tmp_path / "m.headstart"))
    np.testing.assert_allclose(again.predict_proba(texts[:2]), model.predict_proba(texts[:2]), atol=1e-6)
    assert [found.label for found in again.predict(texts[:2])] == ["good", "bad"]


def test_the_plan_is_said_in_words_of_texts(model: hs.Model) -> None:
    words = LATE.words()
    assert "on passages of 32 tokens" in words
    assert "a passage of each text in turn, 2 of each computed once" in words
    assert "pixels" not in words
    assert "picture" not in words
    assert model.plan["modality"] == "text"


def test_planned_by_itself_and_resumed(toy_text: ToyText, folder_of_texts: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    first = fit(folder_of_texts, strategy="fine-tune-all", run=run, precision="fp32", say=said.append)
    assert any("All blocks are trained" in line for line in said)
    assert not any("picture" in line or "pixel" in line for line in said)
    again = fit(folder_of_texts, run=run, resume=True, precision="fp32")
    assert again.metrics == first.metrics
    np.testing.assert_array_equal(
        again.predict_proba([written("odd", 3)]), first.predict_proba([written("odd", 3)])
    )


def test_adapters_learn(toy_text: ToyText, folder_of_texts: Path) -> None:
    said: list[str] = []
    fit(folder_of_texts, lora=2, precision="fp32", say=said.append)
    assert any(line.startswith("LoRA of rank 2 in layer2 to layer3") for line in said)


def test_what_distorts_pictures_is_refused(toy_text: ToyText, folder_of_texts: Path) -> None:
    phase = Phase("late", 1, {"layer3": 1e-3, HEAD: 1e-2}, LIGHT)
    for plan in (
        LATE.replace(phases=(phase,)),
        LATE.replace(settings=Settings(mixup=0.2)),
    ):
        with pytest.raises(OptionError, match="distorts or blends"):
            fit(folder_of_texts, plan=plan)


def test_what_is_no_network_is_not_trained(toy_text: ToyText, folder_of_texts: Path) -> None:
    with pytest.raises(OptionError, match="'terms'"):
        fit(folder_of_texts, backbone="terms", minutes=5)


def test_tuning_tries_plans_for_texts(toy_text: ToyText, folder_of_texts: Path, tmp_path: Path) -> None:
    plan = LATE.replace(phases=(Phase("late", 1, {"layer3": 1e-3, HEAD: 1e-2}),))
    found = tune(folder_of_texts, study=tmp_path / "s", plan=plan, trials=3, jobs=1)
    assert found.plan.modality == "text"
    assert not {"mixup", "augment"} & set(found.best.values)
    assert "pixels" not in found.plan.words()


def test_a_head_learns_from_texts_of_one_passage(
    toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    teacher = fit(folder_of_texts, precision="fp32")
    said: list[str] = []
    student = distill(teacher, folder_of_texts, strategy="freeze-all", epochs=3, say=said.append)
    assert any("The teacher had learned from" in line for line in said)
    text = [written("good", 901)]
    np.testing.assert_allclose(
        hs.load(student.save(tmp_path / "small.headstart")).predict_proba(text),
        student.predict_proba(text),
        atol=1e-6,
    )


def test_a_student_learns_what_a_stack_answers(
    toy_text: ToyText, folder_of_texts: Path, model: hs.Model, tmp_path: Path
) -> None:
    more = write_texts(tmp_path / "more", 300, good=20, bad=20)
    student = distill(model, folder_of_texts, unlabelled=more, cut="layer2", strategy="freeze-all", epochs=5)
    assert student.members[0].backbone.blocks[-1] == "layer2"
    assert student.data["unlabelled"] == 40
    again = hs.load(student.save(tmp_path / "student.headstart"))
    texts = [written("good", 800), written("bad", 801)]
    np.testing.assert_allclose(again.predict_proba(texts), student.predict_proba(texts), atol=1e-6)


def test_a_student_without_a_network_is_refused(
    toy_text: ToyText, folder_of_texts: Path, model: hs.Model
) -> None:
    with pytest.raises(OptionError, match="student"):
        distill(model, folder_of_texts, student="terms")
