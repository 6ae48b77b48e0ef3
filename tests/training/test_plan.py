"""The plan: what is read is what was written, and what makes no sense is refused."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.images.augmentation import LIGHT, STRONG
from headstart.training import plan as plans
from headstart.training.plan import HEAD, STRATEGIES, Phase, Plan, Settings, minutes_in_words

BLOCKS = ("stem", "stage1", "stage2", "head")

shares = st.floats(0, 1, exclude_max=True, allow_nan=False)
sizes = st.floats(0, 1e3, allow_nan=False)
rates = st.floats(1e-9, 10, allow_nan=False)
some_settings = st.builds(
    Settings,
    optimiser=st.sampled_from(get_args(plans.Optimiser)),
    momentum=shares,
    weight_decay=sizes,
    l1=sizes,
    schedule=st.sampled_from(get_args(plans.Schedule)),
    warmup=shares,
    batch=st.integers(1, 999),
    accumulate=st.integers(1, 9),
    label_smoothing=shares,
    class_weight=st.sampled_from([None, "balanced"]),
    sampling=st.sampled_from(["shuffle", "balanced"]),
    dropout=shares,
    clip=sizes,
    ema=shares,
    mixup=sizes,
    patience=st.integers(0, 99),
    precision=st.sampled_from(["bf16", "fp32"]),
    initialisation=st.sampled_from(get_args(plans.Initialisation)),
)


@st.composite
def phases(draw: st.DrawFn) -> Phase:
    trained = BLOCKS[draw(st.integers(0, len(BLOCKS))) :]
    return Phase(
        draw(st.text(max_size=9)),
        draw(st.integers(1, 99)),
        {name: draw(rates) for name in (*trained, HEAD)},
        draw(st.sampled_from([None, LIGHT, STRONG])),
        draw(st.integers(0, 9)),
    )


some_plans = st.builds(
    Plan,
    strategy=st.sampled_from(STRATEGIES),
    backbone=st.text(min_size=1, max_size=9),
    cut=st.sampled_from(BLOCKS),
    size=st.integers(8, 999),
    phases=st.lists(phases(), max_size=3, unique_by=lambda phase: phase.name).map(tuple),
    head=st.sampled_from(["linear", "mlp"]),
    settings=some_settings,
    seed=st.integers(-(2**40), 2**40),
    evidence=st.dictionaries(st.text(max_size=5), st.integers() | st.booleans() | st.text(max_size=5)),
    minutes=st.none() | st.floats(0, 1e5, allow_nan=False),
)


@settings(deadline=None, max_examples=60)
@given(plan=some_plans)
def test_what_is_written_is_read(plan: Plan) -> None:
    written = json.dumps(plan.to_json(), allow_nan=False)
    again = Plan.from_json(json.loads(written))
    assert again == plan
    assert again.words() == plan.words()
    # The order of the blocks is kept, too: rates are a dictionary.
    assert [list(phase.rates) for phase in again.phases] == [list(phase.rates) for phase in plan.phases]


@settings(deadline=None, max_examples=60)
@given(plan=some_plans, data=st.data())
def test_a_plan_with_a_wrong_part_is_refused_with_a_hint(plan: Plan, data: st.DataObject) -> None:
    value = json.loads(json.dumps(plan.to_json()))
    place: Any = value
    if data.draw(st.booleans()) and plan.phases:
        place = value["phases"][data.draw(st.integers(0, len(plan.phases) - 1))]
    elif data.draw(st.booleans()):
        place = value["settings"]
    if data.draw(st.booleans()) and "strategy" in place:
        del place[data.draw(st.sampled_from(["strategy", "backbone", "cut", "size"]))]
    else:
        place[data.draw(st.sampled_from(["epoch", "lr", "Strategy", ""]))] = 1
    with pytest.raises(OptionError, match=r"to fix: .*headstart plan"):
        Plan.from_json(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("evidence", []),
        ("evidence", {"reasons": 5}),
        ("minutes", "x"),
        ("minutes", -1),
        ("minutes", math.inf),
    ],
)
def test_what_only_informs_is_checked_too(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name if name == "minutes" else "evidence|reasons"):
        Plan("freeze-all", "toy", "a", 32, **{name: value})


def test_two_phases_of_one_name_are_refused() -> None:
    phase = Phase("late", 1, {HEAD: 1e-3})
    with pytest.raises(OptionError, match="names of their own"):
        Plan("fine-tune-late", "toy", "a", 32, (phase, phase))


@pytest.mark.parametrize("value", [None, [], "plan", 3, {}, {"phases": 3}])
def test_what_is_no_plan_at_all(value: Any) -> None:
    with pytest.raises(OptionError, match="a plan"):
        Plan.from_json(value)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("optimiser", "lion"),
        ("schedule", None),
        ("loss", "huber"),
        ("batch", 0),
        ("batch", 2.0),
        ("batch", True),
        ("accumulate", -1),
        ("patience", -1),
        ("patience", 1.5),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
        ("clip", float("inf")),
        ("clip", "1"),
        ("dropout", 1.0),
        ("ema", -0.1),
        ("label_smoothing", 1),
        ("warmup", False),
        ("momentum", None),
        ("class_weight", "much"),
        ("sampling", "random"),
        ("precision", "fp16"),
        ("initialisation", "zeros"),
    ],
)
def test_settings_outside_their_range(name: str, bad: Any) -> None:
    with pytest.raises(OptionError, match=name) as caught:
        Settings(**{name: bad})
    assert repr(bad) in caught.value.received
    value = Plan("freeze-all", "toy", "stem", 32).to_json()
    value["settings"][name] = bad
    with pytest.raises(OptionError, match=name):
        Plan.from_json(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 1.0},
        {"rates": {"stage2": 1e-3}},
        {"rates": {HEAD: 0.0}},
        {"rates": {HEAD: -1.0}},
        {"rates": {HEAD: float("nan")}},
        {"rates": {HEAD: "1e-3"}},
        {"views": -1},
    ],
    ids=str,
)
def test_phases_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Phase(**{"name": "p", "epochs": 1, "rates": {HEAD: 1e-3}, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"strategy": "freeze"}, {"head": "forest"}, {"size": 7}, {"size": 32.0}, {"seed": "0"}, {"seed": None}],
    ids=str,
)
def test_plans_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Plan(**{"strategy": "scratch", "backbone": "toy", "cut": "stem", "size": 32, **wrong})


@pytest.mark.parametrize("rates", [3, None, ["head"]])
def test_rates_that_are_no_object(rates: Any) -> None:
    value = Plan("scratch", "toy", "stem", 32, (Phase("p", 1, {HEAD: 1.0}),)).to_json()
    value["phases"][0]["rates"] = rates
    with pytest.raises(OptionError, match="learning rate for each block"):
        Plan.from_json(value)


def planned(*trained: str, cut: str = "head") -> Plan:
    phase = Phase("p", 1, {**dict.fromkeys(trained, 1e-4), HEAD: 1e-3})
    return Plan("fine-tune-late", "toy", cut, 32, (phase,))


@settings(deadline=None, max_examples=40)
@given(trained=st.lists(st.sampled_from(BLOCKS), unique=True), cut=st.sampled_from(BLOCKS))
def test_only_whole_suffixes_can_be_trained(trained: list[str], cut: str) -> None:
    kept = BLOCKS[: BLOCKS.index(cut) + 1]
    fits = set(trained) in [set(kept[n:]) for n in range(len(kept) + 1)]
    if fits:
        planned(*trained, cut=cut).check("toy", BLOCKS)
    else:
        with pytest.raises(OptionError, match="whole blocks from the end"):
            planned(*trained, cut=cut).check("toy", BLOCKS)


def test_a_block_called_head_is_not_the_new_head() -> None:
    phase = planned("head").phases[0]
    assert phase.trainable == ("head",)
    assert planned().phases[0].trainable == ()


def test_a_plan_for_another_backbone_says_which() -> None:
    with pytest.raises(OptionError, match=r"for 'vgg16', received one for 'toy', to fix: .*--backbone toy"):
        planned("head").check("vgg16", BLOCKS)
    with pytest.raises(OptionError, match="a cut at one of stem"):
        planned("head", cut="stage9").check("toy", BLOCKS)
    with pytest.raises(OptionError, match="whole blocks"):
        planned("stage7").check("toy", BLOCKS)


def test_every_strategy_can_be_said_in_words() -> None:
    for strategy in STRATEGIES:
        said = Plan(strategy, "toy", "head", 64, planned("head").phases, minutes=90.0).words()
        assert said.startswith(f"{strategy}: ")
        assert "1 epoch of" in said
        assert said.endswith("It is expected to take 1.5 hours.")


def test_words_of_phases() -> None:
    phases = (Phase("a", 1, {HEAD: 0.01}), Phase("b", 3, {"head": 1e-4, HEAD: 1e-3}, LIGHT, views=4))
    said = Plan("fine-tune-late", "toy", "head", 64, phases).words()
    assert "Phase 1 (a): 1 epoch of the head alone" in said
    assert "Phase 2 (b): 3 epochs of head and the head, learning rates 1.0e-04 to 1.0e-03, 4 views" in said


@settings(deadline=None, max_examples=30)
@given(minutes=st.floats(0, 1e4))
def test_minutes_are_rounded_as_people_do(minutes: float) -> None:
    number, unit = minutes_in_words(minutes).split()
    scale = {"second": 1 / 60, "minute": 1, "hour": 60}[unit.rstrip("s")]
    step = 0.1 if unit == "hours" else 1
    assert abs(float(number) - minutes / scale) <= max(0.5 * step, 1 if minutes < 1 / 60 else 0) + 1e-9


def test_replacing_checks_again_and_fields_have_defaults() -> None:
    plan = planned("head")
    assert plan.replace(seed=5).seed == 5
    assert plan.epochs == 1
    with pytest.raises(OptionError):
        plan.replace(size=3)
    short = {key: plan.to_json()[key] for key in ("strategy", "backbone", "cut", "size")}
    assert Plan.from_json(short) == Plan("fine-tune-late", "toy", "head", 32)
    assert {each.name for each in fields(Settings)} == plan.to_json()["settings"].keys()
