"""Training a network for sounds inside a fit: planned, trained on patches, answered by all of them, kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.audio.augmentation import STANDARD
from headstart.data.items import Dataset, Item
from headstart.errors import OptionError
from headstart.fitting.reporting import Report
from headstart.images.augmentation import LIGHT
from headstart.training.plan import HEAD, Phase, Plan, Settings
from toy_sounds import LABELS, encoded, toy_sound, write_sounds

BLOCKS = hs.backbones.card("log_mel_cnn").blocks
RATES = {**dict.fromkeys(BLOCKS, 2e-3), HEAD: 5e-3}
PHASE = Phase("all", 6, RATES, STANDARD)
SETTINGS = Settings(batch=8, precision="fp32")
PLAN = Plan("scratch", "log_mel_cnn", BLOCKS[-1], 64, (PHASE,), settings=SETTINGS, modality="audio")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"), each=14)


@pytest.fixture(scope="module")
def model(sounds: Path) -> hs.Model:
    return hs.fit(sounds, plan=PLAN, precision="fp32", guard=False)


def test_a_trained_network_is_judged_as_it_answers(model: hs.Model, sounds: Path, tmp_path: Path) -> None:
    assert isinstance(model.report, Report)
    assert [trial.kept for trial in model.report.content.trials] == [False, True]
    assert model.metrics["validation"]["accuracy"] > 0.8
    assert model.plan["modality"] == "audio"
    assert model.members[0].weights is not None
    again = hs.load(model.save(tmp_path / "m.headstart"))
    fresh = [encoded(toy_sound(label, 77, seconds)) for label in LABELS for seconds in (0.3, 3.0)]
    np.testing.assert_allclose(again.predict_proba(fresh), model.predict_proba(fresh), atol=1e-6)
    assert sum(found.label == LABELS[n // 2] for n, found in enumerate(again.predict(fresh))) >= 5


def test_late_blocks_learn_behind_what_is_stored(sounds: Path) -> None:
    said: list[str] = []
    phase = Phase("late", 3, {name: RATES[name] for name in (*BLOCKS[-1:], HEAD)}, STANDARD, views=2)
    late = PLAN.replace(strategy="fine-tune-late", phases=(phase,))
    made = hs.fit(sounds, plan=late, precision="fp32", guard=False, say=said.append)
    assert any("2 views of each item through the frozen blocks" in line for line in said)
    assert "a distorted patch of each sound in turn, 2 of each computed once" in late.words()
    assert made.metrics["validation"]["accuracy"] > 0.5


def test_it_is_planned_and_resumed(sounds: Path, tmp_path: Path) -> None:
    said: list[str] = []
    plan = hs.plan(sounds, backbone="log_mel_cnn", strategy="scratch", say=said.append)
    assert plan.modality == "audio"
    assert plan.evidence["sound_patches"] > 3
    assert plan.phases[0].augment is not None
    assert plan.minutes is not None
    told = " ".join([plan.words(), *plan.evidence["reasons"], *said])
    assert "picture" not in told
    assert "pixel" not in told
    run = tmp_path / "run"
    short = plan.replace(phases=(Phase("all", 2, plan.phases[0].rates, STANDARD),))
    first = hs.fit(sounds, plan=short, run=run, precision="fp32")
    again = hs.fit(sounds, run=run, resume=True, precision="fp32")
    assert again.metrics == first.metrics


def test_it_is_carried_over_to_other_sounds(model: hs.Model, sounds: Path) -> None:
    items = [
        Item(f"{label}{n}", encoded(0.2 * toy_sound(label, 100 + n, 1.5)), label=label)
        for label in LABELS
        for n in range(12)
    ]
    unlabelled = Dataset(tuple(replace(item, label=None) for item in items), "audio")
    adapted = hs.adapt(model, unlabelled, sounds, methods=["AdaBN"])
    few = Dataset(tuple(item for n, item in enumerate(items) if n % 4 == 0), "audio")
    started = hs.fit(few, start=model)
    for made in (adapted, started):
        found = made.predict([item.source for item in items])
        assert sum(each.label == item.label for each, item in zip(found, items, strict=True)) > 24


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phases": (Phase("all", 2, RATES, LIGHT),)}, "distortions for sounds"),
        ({"settings": Settings(cutmix=0.5)}, "CutMix"),
        ({"size": 96}, "hears 64 frames"),
        ({"settings": Settings(lora=4), "strategy": "fine-tune-all"}, "attention layers"),
    ],
)
def test_what_sounds_cannot_have_is_refused(sounds: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises((OptionError, hs.errors.BackboneError), match=said):
        hs.fit(sounds, plan=PLAN.replace(**changes))


def test_an_untrained_network_is_no_probe(sounds: Path) -> None:
    with pytest.raises(OptionError, match="untrained"):
        hs.fit(sounds, backbone="log_mel_cnn")


def test_one_speaker_alone_may_check_the_training() -> None:
    noises = np.random.default_rng(0).normal(0, 0.1, (180, 6_000))  # no two alike
    dull = [np.convolve(noise, np.ones(9) / 3, "same") for noise in noises[::2]]
    items = [
        Item(f"{n}", encoded(wave), label=label, group="abc"[n % 3], split="val" if n % 3 == 0 else None)
        for label, waves in (("dull", dull), ("bright", list(noises[1::2])))
        for n, wave in enumerate(waves)
    ]
    assert sum(item.split == "val" for item in items) >= 60  # enough to calibrate on
    short = PLAN.replace(phases=(Phase("all", 1, RATES),))
    made = hs.fit(Dataset(tuple(items), "audio"), plan=short, precision="fp32", guard=False)
    assert made.metrics["validation"]["accuracy"] > 0.4
