"""The training loop on a network that takes milliseconds."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_training import ALL, LATE, ONLY_HEAD, Pictures, toy_backbone, toy_data, toy_network, toy_plan

from headstart.errors import DataError, OptionError, StorageError
from headstart.training.data import TrainingData, class_weights
from headstart.training.loop import NO_GOOD_EPOCH, Trained, train
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Phase, Plan

pytestmark = pytest.mark.usefixtures("one_thread")

LONG = Phase("long", 12, {"one": 0.02, "two": 0.02, "head": 0.02, HEAD: 0.02})


def run(plan: Plan, data: TrainingData | None = None, **options: Any) -> tuple[Network, Trained]:
    network = toy_network(plan)
    return network, train(network, plan, data or toy_data(plan), **options)


def same_weights(first: Network, second: Network) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in first.state_dict().items())


def logits(network: Network, data: TrainingData, plan: Plan) -> np.ndarray:
    inputs = data.inputs(replace(plan.phases[-1]))
    with torch.no_grad():
        return network(inputs.batch(data.val, None), inputs.start).numpy()


def test_it_learns_and_the_network_holds_the_best_weights() -> None:
    plan = toy_plan(LONG)
    data = toy_data(plan)
    said: list[str] = []
    network, trained = run(plan, data, say=said.append)
    assert trained.val_accuracy == 1.0
    assert trained.stopped == "done"
    losses = [line["val_loss"] for line in trained.history]
    assert len(losses) == 12
    assert trained.val_loss == min(losses)
    assert trained.epoch == losses.index(min(losses)) + 1
    assert trained.val_rmse is None
    np.testing.assert_allclose(trained.val_logits, logits(network, data, plan), atol=1e-5)
    assert not network.training
    assert len(said) == 12
    assert said[0].startswith("long, epoch 1 of 12: loss 1.")


def test_phases_see_what_they_are_meant_to_see() -> None:
    plan = toy_plan(batch=16)
    made: list[Pictures] = []
    data = toy_data(plan)
    plain = data.inputs
    _, trained = run(plan, replace(data, inputs=lambda phase: made.append(plain(phase)) or made[-1]))
    assert [inputs.start for inputs in made] == [HEAD, "head", None]
    for inputs, phase, first in zip(made, plan.phases, (0, 2, 5), strict=True):
        trained_on = [(items, epoch) for items, epoch in inputs.asked if epoch is not None]
        views = sorted({epoch for _, epoch in trained_on})
        assert views == list(range(first, first + phase.epochs))  # no view of another phase again
        for view in views:
            seen = sorted(item for items, epoch in trained_on if epoch == view for item in items)
            assert seen == data.train.tolist()
        plain_items = {item for items, epoch in inputs.asked if epoch is None for item in items}
        assert plain_items == set(data.val.tolist())
    assert [line["phase"] for line in trained.history] == ["the head"] * 2 + ["late"] * 3 + ["all"] * 2
    assert [line["epoch"] for line in trained.history] == list(range(1, 8))


def test_frozen_blocks_stay_what_they_were() -> None:
    plan = toy_plan(ONLY_HEAD, LATE)
    network, _ = run(plan)
    before, after = toy_backbone().state_dict(), network.backbone.state_dict()
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head"}


def test_two_runs_are_the_same_and_another_seed_is_not(tmp_path: Path) -> None:
    plan = toy_plan(LATE, ALL, mixup=0.2, ema=0.9)
    first, _ = run(plan)
    torch.rand(7)
    second, _ = run(plan, run=tmp_path, every=0)
    assert same_weights(first, second)
    third, _ = run(plan.replace(seed=4))
    assert not torch.equal(first.head[1].weight, third.head[1].weight)


def test_random_numbers_and_settings_of_the_caller_are_left_alone() -> None:
    plan = toy_plan(ONLY_HEAD, precision="bf16")
    network, data = toy_network(plan), toy_data(plan)
    before = torch.get_rng_state()
    train(network, plan, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    def weights(batch: int, accumulate: int) -> torch.Tensor:
        plan = toy_plan(ONLY_HEAD, batch=batch, accumulate=accumulate, dropout=0.0, clip=0.0, optimiser="sgd")
        return run(plan)[0].head[1].weight

    torch.testing.assert_close(weights(25, 2), weights(50, 1))
    torch.testing.assert_close(weights(17, 3), weights(50, 1))  # batches of 17, 17 and 16
    assert not torch.allclose(weights(25, 1), weights(50, 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "sgd"},
        {"optimiser": "rmsprop", "schedule": "cosine"},
        {"optimiser": "adagrad", "schedule": "constant"},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"sampling": "balanced", "l1": 1e-4, "clip": 0.5},
        {"mixup": 0.3, "loss": "kl"},
        {"ema": 0.95, "loss": "hinge", "schedule": "plateau"},
        {"precision": "bf16", "dropout": 0.5},
        {"loss": "binary"},
    ],
    ids=str,
)
def test_every_setting_can_be_trained_with(changes: dict[str, Any]) -> None:
    plan = toy_plan(ONLY_HEAD, LATE, **changes)
    _, trained = run(plan)
    assert trained.stopped == "done"
    assert math.isfinite(trained.val_loss)
    assert 0 <= (trained.val_accuracy or 0) <= 1


def test_settings_make_a_difference() -> None:
    def head(**changes: Any) -> torch.Tensor:
        return run(toy_plan(ONLY_HEAD, **changes))[0].head[1].weight

    plain = head()
    for changes in (
        {"l1": 0.1},
        {"clip": 0.01, "optimiser": "sgd"},
        {"label_smoothing": 0.3},
        {"ema": 0.9},
        {"mixup": 0.4},
        {"dropout": 0.7},
        {"schedule": "constant"},
        {"sampling": "balanced"},
    ):
        assert not torch.equal(plain, head(**changes)), changes
    assert head(l1=3.0, optimiser="sgd", clip=0.0).abs().mean() < 0.5 * plain.abs().mean()


def test_numbers_and_several_labels() -> None:
    plan = toy_plan(LONG, loss="mse", dropout=0.0)
    data = toy_data(plan)
    numbers = replace(data, y=(data.y * 2.0).astype(np.float32), classes=1, labels=())
    network = Network(toy_backbone(), make_head(plan, 8, 1))
    trained = train(network, plan, numbers)
    assert trained.val_accuracy is None
    assert trained.val_rmse is not None
    assert trained.val_rmse < np.std(numbers.y)
    assert trained.val_rmse == pytest.approx(math.sqrt(trained.val_loss), rel=1e-4)

    plan = toy_plan(LONG, loss="binary", class_weight="balanced")
    several = replace(data, y=np.stack([data.y > 0, data.y != 1, data.y < 9], 1).astype(np.float32))
    _, trained = run(plan, several)
    assert trained.val_accuracy is not None
    assert trained.val_accuracy > 0.8


def test_soft_targets_are_learned() -> None:
    plan = toy_plan(LONG, loss="kl")
    data = toy_data(plan)
    soft = replace(data, y=(np.eye(3)[data.y] * 0.7 + 0.1).astype(np.float32))
    _, trained = run(plan, soft)
    assert trained.val_accuracy == 1.0


def test_patience_ends_a_phase_and_the_next_starts_from_the_best() -> None:
    hopeless = replace(LATE, name="hopeless", epochs=30, rates={"head": 1e-12, HEAD: 1e-12})
    plan = toy_plan(hopeless, ALL, patience=2, schedule="constant", optimiser="sgd")
    _, trained = run(plan)
    in_first = [line for line in trained.history if line["phase"] == "hopeless"]
    assert 3 <= len(in_first) < 30
    assert trained.history[-1]["phase"] == "all"
    assert trained.stopped == "done"


def test_reduce_on_plateau_lowers_the_rate_and_is_written_down(tmp_path: Path) -> None:
    flat = replace(LATE, epochs=8, rates={"head": 1e-12, HEAD: 1e-12})
    plan = toy_plan(flat, schedule="plateau", optimiser="sgd")
    run(plan, run=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    rates = [line["rates"][HEAD] for line in lines if "rates" in line]
    assert rates[0] == 1e-12
    assert rates[-1] < 0.5e-12


def test_the_history_is_what_diagnose_reads(tmp_path: Path) -> None:
    plan = toy_plan(batch=4)
    _, trained = run(plan, run=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    steps, epochs = ([line for line in lines if key in line] for key in ("rates", "val_loss"))
    assert [line["step"] for line in steps] == list(range(1, 13 * 7 + 1, 10))
    assert all({"phase", "epoch", "loss", "gradients", "updates"} <= line.keys() for line in steps)
    assert steps[-1]["gradients"].keys() == {"one", "two", "head", HEAD} == steps[-1]["updates"].keys()
    assert all({"phase", "train_loss", "val_accuracy", "step"} <= line.keys() for line in epochs)
    assert [("dead" in line) for line in epochs] == [False, True, False, False, True, False, True]
    assert [line["step"] for line in epochs] == [13 * n for n in range(1, 8)]
    assert epochs == trained.history
    assert Plan.from_json(json.loads((tmp_path / "plan.json").read_text())) == plan


# Stopping.


class Exploding(Pictures):
    """Gives what is no number, from one batch of the training on."""

    start = HEAD
    left = 10

    def batch(self, items: np.ndarray, epoch: int | None) -> torch.Tensor:
        x = torch.rand(len(items), 8, generator=torch.Generator().manual_seed(int(items[0])))
        if epoch is not None:
            self.left -= 1
        return x * math.nan if self.left < 0 else x


def exploding(plan: Plan, left: int) -> TrainingData:
    def inputs(phase: Phase) -> Exploding:
        found = Exploding(torch.zeros(0), 0)
        found.left = left
        return found

    return replace(toy_data(plan), inputs=inputs)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_best(tmp_path: Path) -> None:
    plan = toy_plan(replace(ONLY_HEAD, epochs=5), schedule="constant")
    said: list[str] = []
    network, trained = run(plan, exploding(plan, 10), run=tmp_path, say=said.append)
    where = (
        "the training loss became nan in phase 'the head', epoch 2, step 11, at a learning rate of 2.0e-02"
    )
    assert trained.stopped == where
    assert said[-1] == f"Training stopped: {where}."
    assert trained.epoch == 1
    assert all(torch.isfinite(weight).all() for weight in network.state_dict().values())
    again, resumed = run(plan, exploding(plan, 10), run=tmp_path, resume=True)
    assert resumed.stopped == where
    assert torch.equal(again.head[1].weight, network.head[1].weight)
    run(plan, exploding(plan, 99), run=tmp_path)  # a new run may take the folder


def test_a_loss_that_is_no_number_from_the_start_is_an_error(tmp_path: Path) -> None:
    plan = toy_plan(ONLY_HEAD)
    with pytest.raises(OptionError, match=r"epoch 1, step 3.*lower learning rate") as caught:
        run(plan, exploding(plan, 2), run=tmp_path)
    assert caught.value.expected == NO_GOOD_EPOCH


class Slow(Pictures):
    """Takes its time."""

    seconds = 0.02

    def batch(self, items: np.ndarray, epoch: int | None) -> torch.Tensor:
        time.sleep(self.seconds)
        return super().batch(items, epoch)


def slow(plan: Plan) -> TrainingData:
    pixels = toy_data(plan).inputs(ALL).pixels  # type: ignore[attr-defined]
    return replace(toy_data(plan), inputs=lambda phase: Slow(pixels, plan.seed))


def test_with_little_time_there_are_fewer_epochs_and_the_schedule_comes_to_its_end() -> None:
    plan = toy_plan(replace(ALL, epochs=40), optimiser="nesterov", schedule="one-cycle")
    said: list[str] = []
    deadline = time.monotonic() + 3
    network, trained = run(plan, slow(plan), deadline=deadline, say=said.append)
    assert time.monotonic() < deadline + 0.5  # a step can be slower than those before it
    assert 1 <= len(trained.history) < 40
    assert any("as the time allows" in line for line in said)
    np.testing.assert_allclose(trained.val_logits, logits(network, toy_data(plan), plan), atol=1e-5)


def test_a_run_whose_time_was_up_can_go_on(tmp_path: Path) -> None:
    plan = toy_plan(replace(ALL, epochs=2), optimiser="nesterov", batch=2)
    reference, _ = run(plan)
    _, trained = run(plan, slow(plan), run=tmp_path, deadline=time.monotonic() + 0.5)
    assert trained.stopped == "time was up"
    finished, trained = run(plan, run=tmp_path, resume=True)
    assert trained.stopped == "done"
    assert torch.equal(finished.head[1].weight, reference.head[1].weight)


def test_part_of_an_epoch_is_validated_when_time_is_up() -> None:
    plan = toy_plan(replace(ALL, epochs=1), batch=2)
    _, trained = run(plan, slow(plan), deadline=time.monotonic() + 0.5)
    assert trained.stopped == "time was up"
    assert len(trained.history) == 1
    assert trained.history[0]["step"] < 25


def test_no_time_at_all() -> None:
    with pytest.raises(OptionError, match="time was up") as caught:
        run(toy_plan(ALL), deadline=time.monotonic() - 1)
    assert caught.value.expected == NO_GOOD_EPOCH


# Resuming.


class Killed(Exception):
    pass


def cut_off(plan: Plan, folder: Path, batches: int, data: TrainingData | None = None) -> None:
    """Start a run and end it without ceremony after some batches."""
    data, left = data or toy_data(plan), batches
    plain = data.inputs

    def inputs(phase: Phase) -> Any:
        given = plain(phase)
        batch = given.batch

        def counted(items: np.ndarray, epoch: int | None) -> torch.Tensor:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return batch(items, epoch)

        given.batch = counted  # type: ignore[method-assign]
        return given

    with pytest.raises(Killed):
        run(plan, replace(data, inputs=inputs), run=folder, every=0)


@settings(deadline=None, max_examples=5)
@given(batches=st.integers(2, 55), patience=st.integers(0, 1))
def test_resumed_anywhere_the_result_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, batches: int, patience: int
) -> None:
    plan = toy_plan(ema=0.8, schedule="plateau", patience=patience, class_weight="balanced")
    folder = tmp_path_factory.mktemp("run")
    reference, expected = run(plan, run=folder / "reference")
    cut_off(plan, folder / "cut", batches)
    network, trained = run(plan, run=folder / "cut", resume=True)
    assert same_weights(reference, network)
    np.testing.assert_array_equal(trained.val_logits, expected.val_logits)
    assert replace(trained, val_logits=expected.val_logits) == expected


def test_a_finished_run_that_is_resumed_answers_at_once(tmp_path: Path) -> None:
    plan = toy_plan(ONLY_HEAD, LATE)
    network, trained = run(plan, run=tmp_path)
    data = replace(toy_data(plan), inputs=lambda phase: pytest.fail("trained again"))
    again, resumed = run(plan, data, run=tmp_path, resume=True)
    assert torch.equal(again.head[1].weight, network.head[1].weight)
    assert (resumed.epoch, resumed.val_loss, resumed.history) == (
        trained.epoch,
        trained.val_loss,
        trained.history,
    )


def test_a_damaged_newest_checkpoint_costs_a_step_and_nothing_else(tmp_path: Path) -> None:
    plan = toy_plan(ONLY_HEAD, LATE)
    reference, _ = run(plan)
    cut_off(plan, tmp_path, 25)
    newest = max((tmp_path / "checkpoints").glob("0*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-7])
    network, _ = run(plan, run=tmp_path, resume=True)
    assert torch.equal(network.head[1].weight, reference.head[1].weight)


def test_another_number_of_threads_is_mentioned(tmp_path: Path) -> None:
    plan = toy_plan(LATE)
    cut_off(plan, tmp_path, 5)
    threads, said = torch.get_num_threads(), []
    torch.set_num_threads(threads + 1)
    try:
        run(plan, run=tmp_path, resume=True, say=said.append)
    finally:
        torch.set_num_threads(threads)
    assert said[0] == f"The run had {threads} threads until now: the last bits may differ."


def test_a_run_that_was_cut_off_is_not_overwritten(tmp_path: Path) -> None:
    plan = toy_plan(LATE)
    cut_off(plan, tmp_path, 5)
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    with pytest.raises(OptionError, match="add --resume"):
        run(plan, run=tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == before


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    plan = toy_plan(LATE)
    with pytest.raises(OptionError, match="a run to resume"):
        run(plan, resume=True)
    with pytest.raises(OptionError, match="a run to resume"):
        run(plan, run=tmp_path / "nothing here", resume=True)
    cut_off(plan, tmp_path, 5)
    data = toy_data(plan)
    for other, with_data, message in (
        (plan, replace(data, digest="other"), "the data other"),
        (plan, replace(data, labels=("x", "g", "b")), "the labels x, g, b"),
        (toy_plan(ALL), data, "the plan"),
    ):
        with pytest.raises(OptionError, match=message):
            run(other, with_data, run=tmp_path, resume=True)
    for path in (tmp_path / "checkpoints").glob("0*.json"):
        path.write_text("{}")
    with pytest.raises(StorageError, match="damaged"):
        run(plan, run=tmp_path, resume=True)


def test_what_learns_is_the_same_after_resuming(tmp_path: Path) -> None:
    plan = toy_plan(batch=16)

    def watched(network: Network, seen: dict[tuple[str, int], Any], left: int) -> TrainingData:
        data = toy_data(plan)
        plain = data.inputs

        def inputs(phase: Phase) -> Any:
            given, batch = plain(phase), plain(phase).batch

            def look(items: np.ndarray, epoch: int | None) -> torch.Tensor:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                if epoch is not None:
                    learning = {name: weight.requires_grad for name, weight in network.named_parameters()}
                    modes = {name: part.training for name, part in network.named_modules()}
                    seen[(phase.name, epoch)] = (learning, modes)
                return batch(items, epoch)

            given.batch = look
            return given

        return replace(data, inputs=inputs)

    reference, expected = toy_network(plan), {}
    train(reference, plan, watched(reference, expected, 999))
    assert len({str(value) for value in expected.values()}) == 3
    for number, left in enumerate((3, 13, 22, 34)):  # in each of the phases
        folder, network, seen = tmp_path / str(number), toy_network(plan), {}
        with pytest.raises(Killed):
            train(network, plan, watched(network, seen, left), run=folder, every=0)
        resumed, later = toy_network(plan), {}
        train(resumed, plan, watched(resumed, later, 999), run=folder, resume=True)
        assert later
        assert later == {key: expected[key] for key in later}
        assert {**seen, **later} == expected


# Bad input.


def test_a_plan_for_another_backbone() -> None:
    plan = toy_plan(LATE)
    with pytest.raises(OptionError, match="vgg16"):
        train(toy_network(plan), plan.replace(backbone="vgg16"), toy_data(plan))


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    said: list[str] = []
    small, large = toy_plan(LATE, batch=50), toy_plan(LATE, batch=500)
    network, _ = run(large, say=said.append)
    assert said[0] == "A batch of 500 is more than there is: all 50 items make one."
    assert torch.equal(network.head[1].weight, run(small)[0].head[1].weight)


def test_classes_missing_on_one_side_are_mentioned() -> None:
    plan = toy_plan(LATE)
    data, said = toy_data(plan), []
    val = data.val[data.y[data.val] != 1]
    train_items = data.train[data.y[data.train] != 2]
    run(plan, replace(data, val=val, train=train_items), say=said.append)
    assert said[:2] == ["Not among the validation items: g.", "Not among the training items: b."]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train": np.array([], np.int64)}, DataError, "items to train on"),
        ({"val": np.array([], np.int64)}, DataError, "items to validate on"),
        ({"y": np.zeros((60, 2), np.float32)}, DataError, "3 columns"),
        ({"y": np.arange(60) % 4}, DataError, "below 3, received 3"),
        ({"y": np.arange(9)}, DataError, "each item, received 9"),
    ],
    ids=["no train", "no val", "columns", "classes", "too few targets"],
)
def test_data_that_cannot_be_trained_on(changes: dict[str, Any], error: type, message: str) -> None:
    plan = toy_plan(LATE)
    with pytest.raises(error, match=message):
        run(plan, replace(toy_data(plan), **changes))


def test_a_plan_without_phases() -> None:
    plan = toy_plan().replace(phases=())
    with pytest.raises(OptionError, match="phases"):
        run(plan)


def test_class_weights_have_mean_one_over_the_items() -> None:
    plan = toy_plan(LATE)
    data = replace(toy_data(plan), y=np.repeat([0, 1, 2], [30, 12, 18]), train=np.arange(42))
    weights = class_weights(data)
    assert weights[data.y[data.train]].mean() == pytest.approx(1.0)
    assert weights[1] / weights[0] == pytest.approx(30 / 12)
    several = replace(data, y=np.eye(3, dtype=np.float32)[data.y])
    assert class_weights(several)[1] == pytest.approx(30 / 12)
