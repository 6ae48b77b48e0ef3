"""fit with minutes, a strategy or a plan: what is trained, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.artefact import load
from headstart.errors import DataError, OptionError
from headstart.fitting import Report, fit
from headstart.fitting.heads import Scale, load_head, read_head
from headstart.fitting.wishes import PLANS
from headstart.images.augmentation import LIGHT
from headstart.training.network import make_head
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.transfer.heads import Head

SIDE = 64
LATE = {"stage7": 3e-4, "head": 3e-4, HEAD: 1e-3}


def a_plan(**changes: object) -> Plan:
    """One epoch of Lite0's last blocks at 64 pixels."""
    phase = Phase("late", 2, LATE, LIGHT, views=2)
    settings = Settings(batch=8, dropout=0.0)
    plan = Plan("fine-tune-late", "efficientnet_lite0", "head", SIDE, (phase,), settings=settings)
    return plan.replace(**changes)


@pytest.fixture(scope="module")
def split_patterns(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """Striped pictures with train, val and test."""
    root = tmp_path_factory.mktemp("split") / "stripes"
    for start, (split, count) in zip((0, 100, 200), (("train", 12), ("val", 6), ("test", 6)), strict=True):
        write_pictures(root / split, start, across=count, along=count)
    return root


def test_a_plan_trains_the_network_and_the_model_answers_with_it(
    split_patterns: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    model = fit(split_patterns, plan=a_plan(), guard=False, run=tmp_path / "run", say=said.append)
    assert model.plan["strategy"] == "fine-tune-late"
    assert model.backbone.digest != hs.backbones.card("efficientnet_lite0").digest
    assert model.metrics["test"]["accuracy"] > 0.8
    again = load(model.save(tmp_path / "stripes.headstart"))
    files = sorted((split_patterns / "test").rglob("*.jpg"))
    assert again.predict_proba(files) == pytest.approx(model.predict_proba(files), abs=1e-6)
    report = model.report
    assert isinstance(report, Report)
    assert [trial.name for trial in report.content.trials] == ["probe", "fine-tune-late"]
    assert report.content.trials[1].kept
    page = report.html()
    assert "What was tried" in page
    assert "Training: fine-tune-late" in page
    for reason in report.content.why:  # it has learned from train, not from what it was checked on
        assert isinstance(reason.shown, bytes)
        assert reason.near
        assert all(near.name.startswith("train/") for near in reason.near)
    assert any("2 views of each" in line for line in said)
    history = (tmp_path / "run" / "fine-tune-late" / "history.jsonl").read_text().splitlines()
    assert sum("val_loss" in line for line in history) == 2


def test_frozen_blocks_keep_their_weights_and_the_named_ones_change(
    split_patterns: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    model = fit(split_patterns, plan=a_plan(), guard=False)
    weights = model.members[0].weights
    assert weights is not None
    tuned = load_file(weights)
    original = hs.backbones.load("efficientnet_lite0").state_dict()
    changed = {name for name, value in tuned.items() if not np.array_equal(value, original[name].numpy())}
    assert {name.split(".")[1] for name in changed} == {"stage7", "head"}
    assert any(name.endswith("running_mean") for name in changed)


def test_what_is_worse_than_the_probe_is_not_kept(split_patterns: Path) -> None:
    said: list[str] = []
    rates = dict.fromkeys(LATE, 5.0)
    wild = a_plan(
        phases=(Phase("wild", 1, rates),),
        settings=Settings(optimiser="sgd", clip=0.0, batch=8, precision="fp32"),
    )
    model = fit(split_patterns, plan=wild, say=said.append)
    assert model.plan["strategy"] == "freeze-all"
    assert model.backbone.digest == hs.backbones.card("efficientnet_lite0").digest
    assert model.metrics["validation"]["accuracy"] > 0.8
    assert any("probe is what is kept" in line or "not finite" in line for line in said), said


def test_cut_early_leaves_out_the_late_blocks(split_patterns: Path, tmp_path: Path) -> None:
    plan = Plan("cut-early", "efficientnet_lite0", "stage3", SIDE)
    model = fit(split_patterns, plan=plan)
    assert model.backbone.blocks[-1] == "stage3"
    assert model.backbone.features == 40
    assert model.plan["strategy"] == "cut-early"
    again = load(model.save(tmp_path / "cut.headstart"))
    files = sorted((split_patterns / "test").rglob("*.jpg"))
    assert again.predict_proba(files) == pytest.approx(model.predict_proba(files), abs=1e-6)
    assert again.front_end.preprocess.size == SIDE
    assert "blocks up to stage3" in model.report.html()  # type: ignore[union-attr]


def test_a_strategy_is_planned_and_followed(split_patterns: Path) -> None:
    said: list[str] = []
    model = fit(split_patterns, strategy="freeze-all", say=said.append)
    assert model.plan["strategy"] == "freeze-all"
    assert any("items to learn from" in line for line in said)


def test_minutes_that_are_too_few_leave_the_probe(split_patterns: Path) -> None:
    model = fit(split_patterns, minutes=0.05)
    assert model.plan["strategy"] == "freeze-all"
    assert model.metrics["test"]["accuracy"] > 0.8


def test_several_labels_and_numbers_are_trained_too(tmp_path: Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    rows = []
    for number in range(48):
        shade = int(generator.integers(20, 235))
        pixels = (generator.integers(0, 256, (SIDE, SIDE, 3)) * (shade / 255)).astype(np.uint8)
        labels = [name for name, edge in (("bright", 120), ("very bright", 180)) if shade > edge]
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        split = ("train", "train", "val", "test")[number % 4]
        rows.append({"path": f"{number}.png", "shade": shade, "labels": "|".join(labels), "split": split})
    for column, target in (("shade", "number"), ("labels", "labels")):
        table = tmp_path / f"{column}.jsonl"
        table.write_text("\n".join(json.dumps({**row, "label": row[column]}) for row in rows))
        settings = Settings(batch=8, dropout=0.0, statistics="stored")
        plan = a_plan(phases=(Phase("late", 3, LATE),), settings=settings)
        data = hs.data.open(table, target=target)
        model = fit(data, plan=plan, guard=False)
        assert model.plan["settings"]["loss"] == ("mse" if target == "number" else "binary")
        if target == "number":
            assert model.metrics["test"]["mae"] < model.metrics["test"]["baseline_mae"] * 0.75
        else:
            assert model.metrics["test"]["mean_average_precision"] > 0.8


class TestWhatIsRefused:
    def test_a_plan_for_another_backbone(self, split_patterns: Path) -> None:
        with pytest.raises(OptionError, match="a plan for 'vgg16'"):
            fit(split_patterns, backbone="vgg16", plan=a_plan())

    def test_a_network_that_knows_nothing(self, split_patterns: Path) -> None:
        with pytest.raises(OptionError, match="untrained"):
            fit(split_patterns, backbone="basic_cnn", minutes=5)

    def test_blocks_that_the_backbone_does_not_have(self, split_patterns: Path) -> None:
        phase = Phase("late", 1, {"block5": 1e-4, HEAD: 1e-3})
        with pytest.raises(OptionError, match="whole blocks"):
            fit(split_patterns, plan=a_plan(phases=(phase,)))

    def test_a_loss_for_another_target(self, split_patterns: Path) -> None:
        with pytest.raises(OptionError, match="a loss for the target label"):
            fit(split_patterns, plan=a_plan(settings=Settings(loss="mse")))

    def test_a_plan_that_trains_without_phases(self, split_patterns: Path, tmp_path: Path) -> None:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(a_plan(phases=()).to_json()))
        with pytest.raises(OptionError, match="phases of training"):
            fit(split_patterns, plan=file)

    def test_a_plan_and_a_strategy(self, split_patterns: Path) -> None:
        with pytest.raises(OptionError, match="both"):
            fit(split_patterns, plan=a_plan(), strategy="scratch")

    def test_folds_where_something_is_trained(self, split_patterns: Path) -> None:
        with pytest.raises(OptionError, match="held-out part"):
            fit(split_patterns, plan=a_plan(), folds=3)

    def test_nothing_to_resume(self, split_patterns: Path, tmp_path: Path) -> None:
        for run in (None, tmp_path / "nothing"):
            with pytest.raises(OptionError, match="a run to resume"):
                fit(split_patterns, run=run, resume=True)

    def test_other_data_than_the_checkpoint_was_made_with(
        self, split_patterns: Path, tmp_path: Path, write_pictures: Callable[..., Path]
    ) -> None:
        run = tmp_path / "run"
        fit(split_patterns, plan=a_plan(), run=run)
        other = tmp_path / "other"
        for start, split in ((300, "train"), (400, "val")):
            write_pictures(other / split, start, across=8, along=8)
        with pytest.raises(OptionError, match="data"):
            fit(other, run=run, resume=True)

    @pytest.mark.parametrize("minutes", [0, -1, float("nan")])
    def test_no_time(self, split_patterns: Path, minutes: float) -> None:
        with pytest.raises(OptionError, match="more than 0 minutes"):
            fit(split_patterns, minutes=minutes)

    def test_nothing_to_check_the_training_on(
        self, tmp_path: Path, write_pictures: Callable[..., Path]
    ) -> None:
        write_pictures(tmp_path / "train", across=1, along=1)
        with pytest.raises(DataError):
            fit(tmp_path / "train", plan=a_plan())


def test_a_finished_run_is_resumed_to_the_same_model(split_patterns: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = fit(split_patterns, plan=a_plan(), guard=False, run=run)
    written = json.loads((run / PLANS).read_text())
    assert [Plan.from_json(value) for value in written["plans"]] == [a_plan()]
    again = fit(split_patterns, guard=False, run=run, resume=True)
    assert again.backbone.digest == first.backbone.digest
    # The floor is the head at the plan's own size, as when the run was started.
    assert [t.score for t in again.report.content.trials] == [t.score for t in first.report.content.trials]  # type: ignore[union-attr]


def test_a_run_is_resumed_with_its_own_seed_and_plan_or_not_at_all(
    split_patterns: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    fit(split_patterns, plan=a_plan(), run=run)
    with pytest.raises(OptionError, match="the seed of the run, 0"):
        fit(split_patterns, run=run, resume=True, seed=5)
    with pytest.raises(OptionError, match="the plan that the run was started with"):
        fit(split_patterns, run=run, resume=True, plan=a_plan(seed=3))
    (run / PLANS).write_text("{")
    with pytest.raises(OptionError, match="a damaged file"):
        fit(split_patterns, run=run, resume=True)


class TestHeads:
    def test_there_and_back(self) -> None:
        head = read_head(make_head(a_plan(), 7, 3))
        other = make_head(a_plan(seed=5), 7, 3)
        assert load_head(other, head)
        x = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
        expected = other.eval()(torch.from_numpy(x)).detach().numpy()
        assert head.logits(x) == pytest.approx(expected, abs=1e-5)

    def test_another_shape_is_left_alone(self) -> None:
        made = make_head(a_plan(), 7, 3)
        before = read_head(made)
        assert not load_head(made, Head("linear", ((np.zeros((7, 4), np.float32), np.zeros(4, np.float32)),)))
        assert np.array_equal(read_head(made).layers[0][0], before.layers[0][0])

    def test_scaled_numbers_come_back(self) -> None:
        scale = Scale(40.0, 8.0)
        head = read_head(make_head(replace(a_plan(), head="mlp"), 5, 1))
        x = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
        assert scale.apply(head).logits(x) == pytest.approx(head.logits(x) * 8 + 40, rel=1e-5)
        assert scale.inverse(scale.apply(head)).logits(x) == pytest.approx(head.logits(x), abs=1e-4)
        assert scale.targets(np.array([40.0, 48.0])).tolist() == [0.0, 1.0]
        assert scale.targets(np.array([1, 0])).dtype == np.int64
