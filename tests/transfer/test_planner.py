"""The planner's rule: what it chooses in each quadrant, in how much time, and that it says why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cost import COST

from headstart.audio.augmentation import STANDARD as STANDARD_SOUNDS
from headstart.errors import OptionError
from headstart.images.augmentation import Augmentation
from headstart.training.plan import HEAD, STRATEGIES, Plan
from headstart.transfer.depths import Depth
from headstart.transfer.evidence import ENOUGH_EACH, ENOUGH_ITEMS, SIMILAR, Evidence
from headstart.transfer.planner import ENLARGED, FEWEST_EPOCHS, MISSING, SPARE, plan, thawed

BLOCKS = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "head")
NAMES = dict(zip(BLOCKS, range(len(BLOCKS)), strict=True))
CHEAP = replace(
    COST,
    train=dict.fromkeys(BLOCKS, 2e-3),
    forward=dict.fromkeys(BLOCKS, 5e-4),
)


def evidence(
    *,
    items: int = 2000,
    each: float = 200.0,
    accuracies: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8),
    distance: float | None = 0.01,
    **changes: Any,
) -> Evidence:
    depths = [
        Depth(block, 10, accuracy, 0.01, accuracy - 1, 1.0)
        for block, accuracy in zip(BLOCKS, accuracies, strict=True)
    ]
    distances = {} if distance is None else {name: distance * (1 + n) for name, n in NAMES.items()}
    given = {
        "backbone": "toy", "blocks": BLOCKS, "size": 224, "items": items, "classes": 10, "each": each,
        "imbalance": 1.0, "depths": depths, "measured_on": min(items, 2000), "distances": distances,
        "side": 500, "row_bytes": dict.fromkeys(BLOCKS, 50_000), "val": items // 5,
    }  # fmt: skip
    return Evidence(**{**given, **changes})


LARGE_SIMILAR = evidence(distance=SIMILAR / 4)
LARGE_DIFFERENT = evidence(distance=4 * SIMILAR)
MIDDLE_BEST = (0.3, 0.4, 0.6, 0.7, 0.65, 0.6, 0.55)


@pytest.mark.parametrize(
    ("measured", "strategy"),
    [
        (evidence(items=ENOUGH_ITEMS - 1, each=40, distance=SIMILAR / 4), "freeze-all"),
        (LARGE_SIMILAR, "fine-tune-late"),
        (
            evidence(items=ENOUGH_ITEMS - 1, each=40, distance=4 * SIMILAR, accuracies=MIDDLE_BEST),
            "cut-early",
        ),
        (LARGE_DIFFERENT, "fine-tune-all"),
    ],
)
def test_the_four_quadrants(measured: Evidence, strategy: str) -> None:
    assert plan(measured, CHEAP).strategy == strategy


def test_the_probe_is_told_in_the_words_of_what_it_learned() -> None:
    found = {}
    for target in ("label", "labels", "number"):
        told = plan(evidence(distance=SIMILAR / 4, target=target), CHEAP).evidence
        assert told["target"] == target
        found[target] = " ".join(told["reasons"])
    assert "comes to 80.0% right" in found["label"]
    assert "80.0% of the mistakes avoided" in found["labels"]
    assert "an R² of 0.80" in found["number"]
    assert "right" not in found["number"]
    assert "of a class" not in found["number"]


def test_few_items_of_each_class_are_few() -> None:
    assert plan(evidence(each=ENOUGH_EACH - 1), CHEAP).strategy == "freeze-all"


def test_where_hardly_anything_is_wrong_nothing_is_trained() -> None:
    good = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1 - MISSING / 2)
    assert plan(evidence(accuracies=good), CHEAP).strategy == "freeze-all"
    reasons = plan(evidence(accuracies=good), CHEAP).evidence["reasons"]
    assert any("hardly anything left to gain" in reason for reason in reasons)


def test_without_statistics_the_best_depth_says_how_alike_the_data_are() -> None:
    assert evidence(distance=None).similar
    assert not evidence(distance=None, accuracies=MIDDLE_BEST).similar
    assert plan(evidence(distance=None), CHEAP).strategy == "fine-tune-late"


def test_equal_depths_leave_the_network_whole() -> None:
    """Within a standard error the last block counts as the best."""
    near = (0.3, 0.4, 0.5, 0.6, 0.7, 0.805, 0.8)
    assert evidence(accuracies=near).best.block == "head"
    assert plan(evidence(items=100, accuracies=near), CHEAP).strategy == "freeze-all"


def test_a_cut_is_where_the_probe_does_best() -> None:
    made = plan(evidence(items=100, accuracies=MIDDLE_BEST), CHEAP)
    assert (made.strategy, made.cut) == ("cut-early", "stage3")
    assert not made.phases


any_evidence = st.builds(
    lambda items, each, distance, accuracies, side, imbalance: evidence(
        items=items,
        each=each,
        distance=distance,
        accuracies=tuple(accuracies),
        side=side,
        imbalance=imbalance,
    ),
    st.integers(4, 100_000),
    st.floats(1, 5000),
    st.none() | st.floats(0, 2),
    st.lists(st.floats(0, 1), min_size=len(BLOCKS), max_size=len(BLOCKS)),
    st.none() | st.integers(8, 4000),
    st.floats(1, 100),
)


@settings(deadline=None, max_examples=60)
@given(
    measured=any_evidence,
    minutes=st.none() | st.floats(0.01, 500),
    strategy=st.none() | st.sampled_from(STRATEGIES),
    seed=st.integers(0, 5),
)
def test_every_plan_is_whole(measured: Evidence, minutes: float | None, strategy: Any, seed: int) -> None:
    made = plan(measured, CHEAP, minutes=minutes, strategy=strategy, seed=seed)
    made.check("toy", BLOCKS)
    text = json.dumps(made.to_json(), allow_nan=False)
    assert Plan.from_json(json.loads(text)) == Plan.from_json(made.to_json())
    assert made.seed == seed
    assert made.size <= measured.size
    assert len(made.evidence["reasons"]) >= 3 - (strategy is not None)
    assert all(reason.endswith(".") for reason in made.evidence["reasons"])
    if strategy is not None:
        assert made.strategy == strategy
    elif minutes is not None and made.phases:
        assert made.minutes is not None
        assert made.minutes <= SPARE * minutes + 0.01
    for phase in made.phases:
        assert phase.epochs >= FEWEST_EPOCHS
        if made.strategy != "scratch":
            rates = [phase.rates[name] for name in phase.trainable]
            assert rates == sorted(rates)  # the earlier, the slower
            assert phase.rates[HEAD] >= max(rates)


@settings(deadline=None, max_examples=30)
@given(minutes=st.floats(0.5, 300))
def test_more_time_never_gives_less(minutes: float) -> None:
    """More time means no fewer epochs and no smaller pictures of the same strategy."""
    less, more = (plan(LARGE_DIFFERENT, COSTLY, minutes=each) for each in (minutes, 2 * minutes))
    order = ["freeze-all", "fine-tune-late", "fine-tune-all"]
    assert order.index(less.strategy) <= order.index(more.strategy)
    if less.strategy == more.strategy:
        assert (less.size, less.epochs) <= (more.size, more.epochs)


COSTLY = replace(CHEAP, train=dict.fromkeys(BLOCKS, 2e-2), forward=dict.fromkeys(BLOCKS, 5e-3))


def test_short_time_says_what_it_costs() -> None:
    free = plan(LARGE_DIFFERENT, COSTLY)
    short = plan(LARGE_DIFFERENT, COSTLY, minutes=0.4 * (free.minutes or 0))
    assert short.strategy == "fine-tune-all"
    assert (short.size, short.epochs) < (free.size, free.epochs)
    assert any("To end in time" in reason for reason in short.evidence["reasons"])
    shortest = plan(LARGE_DIFFERENT, COSTLY, minutes=0.1)
    assert shortest.strategy == "freeze-all"
    said = " ".join(shortest.evidence["reasons"])
    assert "no time for fine-tune-all" in said
    assert "nothing takes less" in said


def test_small_pictures_are_not_enlarged_without_end() -> None:
    made = plan(replace(LARGE_DIFFERENT, side=32), CHEAP)
    assert made.size == ENLARGED * 32
    assert plan(replace(LARGE_DIFFERENT, side=None), CHEAP).size == 224
    assert plan(evidence(items=100, side=32), CHEAP).size == 224  # features are cheap at the network's own


def test_what_is_thawed_follows_the_distances() -> None:
    late = {name: (0.2 if n >= 5 else 0.01) for name, n in NAMES.items()}
    assert thawed("fine-tune-late", evidence(distances=late))[0] == ("stage5", "head")
    everywhere = dict.fromkeys(BLOCKS, 0.2)
    assert thawed("fine-tune-late", evidence(distances=everywhere))[0] == ("stage4", "stage5", "head")
    assert thawed("fine-tune-late", evidence(distances={}))[0] == ("stage4", "stage5", "head")
    assert thawed("fine-tune-all", LARGE_SIMILAR)[0] == BLOCKS


def test_frozen_blocks_are_cached_within_the_disk() -> None:
    roomy = plan(LARGE_SIMILAR, CHEAP).phases[0]
    assert roomy.views > 1
    assert plan(LARGE_SIMILAR, CHEAP, disk=1000).phases[0].views == 0
    assert plan(LARGE_DIFFERENT, CHEAP).phases[0].views == 0  # nothing is frozen


def test_rare_classes_weigh_more() -> None:
    assert plan(replace(LARGE_SIMILAR, imbalance=5.0), CHEAP).settings.class_weight == "balanced"
    assert plan(LARGE_SIMILAR, CHEAP).settings.class_weight is None


def test_only_what_looks_like_photographs_is_mirrored() -> None:
    for measured, mirrored in ((LARGE_SIMILAR, True), (LARGE_DIFFERENT, False)):
        augment = plan(measured, CHEAP).phases[0].augment
        assert isinstance(augment, Augmentation)
        assert (augment.flip > 0) == mirrored


def test_what_is_asked_for_is_done_and_said() -> None:
    made = plan(LARGE_SIMILAR, CHEAP, strategy="scratch")
    assert made.strategy == "scratch"
    assert set(made.phases[0].rates) == {*BLOCKS, HEAD}
    assert any("was asked for; the evidence says fine-tune-late" in r for r in made.evidence["reasons"])


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_no_time_is_refused(minutes: float) -> None:
    with pytest.raises(OptionError, match="more than 0 minutes"):
        plan(LARGE_SIMILAR, CHEAP, minutes=minutes)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(OptionError, match=r"freeze-all.*'melt'"):
        plan(LARGE_SIMILAR, CHEAP, strategy="melt")  # type: ignore[arg-type]


def texts(**changes: Any) -> Evidence:
    return evidence(size=128, distance=None, side=None, tokens=300, longest=256, **changes)


def test_texts_are_planned_in_passages() -> None:
    made = plan(texts(), replace(CHEAP, size=128, passages=2.4))
    assert (made.modality, made.size) == ("text", 256)
    assert all(phase.augment is None for phase in made.phases)
    said = " ".join([made.words(), *made.evidence["reasons"]])
    assert "passages of 256 tokens" in said
    assert not {"pixels", "picture", "pictures", "norms"} & set(said.replace(".", "").split())


@pytest.mark.parametrize(
    ("tokens", "longest", "expected"), [(300, 256, 256), (300, 128, 128), (150, 512, 256), (40, 512, 128)]
)
def test_a_passage_is_what_most_texts_fit_into(tokens: int, longest: int, expected: int) -> None:
    measured = replace(texts(), tokens=tokens, longest=longest)
    assert plan(measured, replace(CHEAP, size=128, passages=1.0), strategy="fine-tune-all").size == expected


def test_transformers_learn_slowly() -> None:
    rates = plan(texts(), replace(CHEAP, size=128, passages=2.4), strategy="fine-tune-all").phases[0].rates
    blocks = [rates[name] for name in BLOCKS]
    assert blocks == sorted(blocks)
    assert 1e-5 < blocks[0] < blocks[-1] <= 2e-4


def test_in_a_hurry_passages_are_shorter() -> None:
    cost = replace(CHEAP, size=128, passages=2.4)
    whole = plan(texts(), cost, strategy="fine-tune-all")
    assert whole.minutes is not None
    short = plan(texts(), cost, strategy="fine-tune-all", minutes=whole.minutes / 3)
    assert short.size < whole.size or short.epochs < whole.epochs
    assert any("To end in time" in reason for reason in short.evidence["reasons"])


def test_of_texts_the_head_takes_the_best_depth_itself() -> None:
    made = plan(texts(items=100, accuracies=MIDDLE_BEST), replace(CHEAP, size=128, passages=2.4))
    assert made.strategy == "freeze-all"


def test_sounds_are_planned_in_words_of_sounds() -> None:
    heard = evidence(patches=3.2, side=None, size=96, distance=None, accuracies=MIDDLE_BEST)
    assert heard.modality == "audio"
    made = plan(heard, CHEAP)
    assert made.strategy == "fine-tune-all"
    assert made.size == 96
    assert made.cut == "stage3"  # where the probe does best, by far
    assert made.phases[0].trainable == BLOCKS[: BLOCKS.index("stage3") + 1]
    assert "blocks behind stage3 are left out" in " ".join(made.evidence["reasons"])
    assert plan(replace(heard, patches=None), CHEAP).cut == "head"
    assert made.phases[0].augment == STANDARD_SOUNDS
    told = " ".join([made.words(), *made.evidence["reasons"]])
    assert "every sound is distorted anew" in told
    assert not any(word in told for word in ("picture", "pixel", "enlarg", "mirror"))
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    short = plan(heard, CHEAP, minutes=0.7)
    assert "pixel" not in " ".join(short.evidence["reasons"])
    assert all(phase.epochs < made.phases[0].epochs for phase in short.phases)
