"""The space that a plan spans: every point of it is a plan, the plan itself is one of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from headstart.audio.augmentation import STRONG as STRONG_SOUNDS
from headstart.images.augmentation import LIGHT, STANDARD
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.tuning.space import grid, in_words, planned, search_space, starting_point

BLOCKS = {"toy": ("stem", "one", "two", "three", "top"), "small": ("a", "b", "c")}
OWN = {"toy": BLOCKS["toy"]}
FROZEN = Plan("freeze-all", "toy", "top", 64)
LATE = Plan(
    "fine-tune-late",
    "toy",
    "three",
    64,
    (
        Phase("head", 1, {HEAD: 1e-3}),
        Phase("last", 2, {"three": 4e-4, HEAD: 1e-3}, LIGHT),
        Phase("late", 4, {"two": 1e-4, "three": 2e-4, HEAD: 5e-4}, LIGHT, views=3),
    ),
    settings=Settings(weight_decay=0.02, dropout=0.25),
)
_ALL = {**dict.fromkeys(BLOCKS["toy"], 1e-3), HEAD: 1e-3}
SCRATCH = Plan("scratch", "toy", "top", 64, (Phase("all", 5, _ALL),))


def points(space: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any point between the ends."""

    def values(where: Any) -> st.SearchStrategy[Any]:
        if isinstance(where, CategoricalDistribution):
            return st.sampled_from(where.choices)
        if isinstance(where, IntDistribution):
            return st.integers(where.low, where.high)
        return st.floats(where.low, where.high)

    return st.fixed_dictionaries({name: values(where) for name, where in space.items()})


@pytest.mark.parametrize("plan", [FROZEN, LATE, SCRATCH], ids=lambda plan: plan.strategy)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_every_point_is_a_plan_for_its_backbone(plan: Plan, data: st.DataObject) -> None:
    space = search_space(plan, BLOCKS, sizes=(32, 96))
    values = data.draw(points(space))
    made = planned(plan, values, BLOCKS)
    made.check(made.backbone, BLOCKS[made.backbone])
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.backbone == values["backbone"]
    assert made.size == values["size"]
    assert made.changes_backbone == plan.changes_backbone
    assert made.epochs == plan.epochs
    assert made.seed == plan.seed


@pytest.mark.parametrize("plan", [LATE, SCRATCH], ids=lambda plan: plan.strategy)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rates_are_as_the_point_says_and_never_rise_towards_the_input(
    plan: Plan, data: st.DataObject
) -> None:
    values = data.draw(points(search_space(plan, OWN)))
    made = planned(plan, values, OWN)
    kept = BLOCKS["toy"][: BLOCKS["toy"].index(plan.cut) + 1]
    deepest = made.phases[-1]
    assert deepest.trainable == kept[len(kept) - values.get("thawed", len(kept)) :]
    rates = [deepest.rates[name] for name in deepest.trainable]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(values["rate"])
    assert max(phase.rates[HEAD] for phase in made.phases) == pytest.approx(values["head_rate"])
    for earlier, later in zip(made.phases, made.phases[1:], strict=False):
        assert set(earlier.trainable) <= set(later.trainable)
    assert made.settings.dropout == values["dropout"]
    assert made.settings.mixup == values["mixup"]


@pytest.mark.parametrize("plan", [FROZEN, LATE, SCRATCH], ids=lambda plan: plan.strategy)
def test_the_plan_itself_is_a_point(plan: Plan) -> None:
    space = search_space(plan, OWN)
    start = starting_point(plan, space, OWN)
    assert list(start) == list(space)
    assert all(where._contains(where.to_internal_repr(start[name])) for name, where in space.items())
    made = planned(plan, start, OWN).replace(evidence={})
    assert made.settings == plan.settings
    assert (made.strategy, made.cut, made.head) == (plan.strategy, plan.cut, plan.head)
    for mine, own in zip(made.phases, plan.phases, strict=True):
        assert mine.rates == pytest.approx(own.rates)
        assert (mine.name, mine.epochs, mine.augment, mine.views) == (
            own.name,
            own.epochs,
            own.augment,
            own.views,
        )


def test_what_lies_outside_starts_at_the_end() -> None:
    plan = LATE.replace(settings=Settings(weight_decay=0.0, dropout=0.9, label_smoothing=0.07))
    start = starting_point(plan, search_space(plan, OWN), OWN)
    assert start["weight_decay"] == 1e-4
    assert start["dropout"] == 0.6
    assert start["label_smoothing"] == pytest.approx(0.05)


def test_cutting_off_blocks_makes_another_strategy() -> None:
    values = {"left_out": 2, "head": "mlp", "strength": 0.5, "class_weight": "balanced"}
    made = planned(FROZEN, values, OWN)
    assert (made.strategy, made.cut, made.head) == ("cut-early", "two", "mlp")
    assert made.settings.class_weight == "balanced"
    assert made.evidence["strength"] == 0.5
    assert planned(FROZEN, {**values, "left_out": 0}, OWN).strategy == "freeze-all"
    assert planned(FROZEN, {**values, "head": "centroid"}, OWN).settings.class_weight is None


def test_thawing_everything_makes_another_strategy() -> None:
    start = starting_point(LATE, search_space(LATE, OWN), OWN)
    assert planned(LATE, {**start, "thawed": 4}, OWN).strategy == "fine-tune-all"
    assert planned(LATE, {**start, "thawed": 1}, OWN).strategy == "fine-tune-late"
    assert "thawed" not in search_space(SCRATCH, OWN)


def test_augmentation_is_that_of_the_point_in_the_phases_that_train_blocks() -> None:
    start = starting_point(LATE, search_space(LATE, OWN), OWN)
    assert [p.augment for p in planned(LATE, {**start, "augment": "standard"}, OWN).phases] == [
        None,
        STANDARD,
        STANDARD,
    ]
    plain = planned(LATE, {**start, "augment": "none"}, OWN).phases[-1]
    assert (plain.augment, plain.views) == (None, 1)  # without distortion all views are the same


def test_sounds_are_distorted_as_sounds() -> None:
    late = LATE.replace(modality="audio")
    start = starting_point(late, search_space(late, OWN), OWN)
    strong = planned(late, {**start, "augment": "strong"}, OWN).phases[-1]
    assert strong.augment == STRONG_SOUNDS
    plain = planned(late, {**start, "augment": "none"}, OWN).phases[-1]
    assert (plain.augment, plain.views) == (None, late.phases[-1].views)  # each view is another patch


def test_what_can_be_chosen_depends_on_the_data_and_on_the_loss() -> None:
    assert search_space(FROZEN, OWN)["head"].choices == ("linear", "mlp", "centroid")  # type: ignore[attr-defined]
    for target in ("labels", "number"):
        space = search_space(FROZEN, OWN, target=target)  # type: ignore[arg-type]
        assert space["head"].choices == ("linear", "mlp")  # type: ignore[attr-defined]
        assert "class_weight" not in space
    squared = LATE.replace(settings=Settings(loss="mse"))
    assert not {"label_smoothing", "mixup"} & set(search_space(squared, OWN))
    assert not {"backbone", "size"} & set(search_space(LATE, OWN))
    assert "left_out" not in search_space(FROZEN.replace(cut="only"), {"toy": ("only",)})


@settings(deadline=None, max_examples=20)
@given(most=st.integers(1, 200), seed=st.integers(0, 3))
def test_a_grid_has_distinct_points_of_the_space_and_longer_ones_begin_alike(most: int, seed: int) -> None:
    for plan in (FROZEN, LATE):
        space = search_space(plan, OWN)
        found = grid(space, most, seed)
        assert 0 < len(found) <= most
        assert len({json.dumps(point) for point in found}) == len(found)
        assert all(
            space[n]._contains(space[n].to_internal_repr(v)) for point in found for n, v in point.items()
        )
        assert grid(space, most + 7, seed)[: len(found)] == found


def test_a_grid_is_complete() -> None:
    space = {
        "a": IntDistribution(0, 2),
        "b": CategoricalDistribution(("x", "y")),
        "c": FloatDistribution(0.0, 0.2, step=0.1),
        "d": FloatDistribution(0.01, 1.0, log=True),
    }
    found = grid(space, 1000)
    assert len(found) == 3 * 2 * 3 * 4
    assert {point["c"] for point in found} == {0.0, 0.1, 0.2}
    assert min(point["d"] for point in found) == 0.01


def test_points_are_said_in_words() -> None:
    assert in_words({"head_rate": 0.00123456, "augment": "light"}) == "head rate 0.00123, augment light"
