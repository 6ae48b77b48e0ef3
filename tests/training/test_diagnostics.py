"""Runs that went well or wrong in one way each, and what is said about them; damaged folders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError, StorageError
from headstart.training.diagnosis_page import diagnosis_html
from headstart.training.diagnostics import Diagnosis, diagnose, read, read_run
from headstart.training.plan import HEAD, Phase, Plan

RATES = {"block4": 1e-4, "block5": 3e-4, HEAD: 1e-3}
PLAN = Plan(
    "fine-tune-late", "vgg16", "block5", 64, (Phase("head", 2, {HEAD: 1e-3}), Phase("late", 6, RATES))
)
Write = Callable[..., Path]


def falling(epoch: int) -> float:
    return 0.7 * 0.85**epoch


def healthy(
    train: Callable[[int], float | None] = falling,
    val: Callable[[int], float | None] = lambda epoch: 0.65 * 0.9 ** min(epoch, 7) + 0.02 * (epoch == 8),
    step_loss: Callable[[int], float | None] | None = None,
    updates: Callable[[str, int], float] = lambda block, step: 1e-3,
    extra: Callable[[int], dict[str, Any]] = lambda epoch: {},
) -> list[dict[str, Any]]:
    """Two epochs of the head and six of the last blocks, each of fifty steps, every tenth in the history."""
    lines: list[dict[str, Any]] = []
    for epoch in range(1, 9):
        name, rates = ("head", {HEAD: 1e-3}) if epoch <= 2 else ("late", RATES)
        for step in range((epoch - 1) * 50 + 1, epoch * 50, 10):
            loss = falling(epoch) if step_loss is None else step_loss(step)
            line = {"phase": name, "epoch": epoch, "step": step, "loss": loss, "rates": dict(rates)}
            line |= {"gradients": dict.fromkeys(rates, 1.0)}
            lines.append({**line, "updates": {block: updates(block, step) for block in rates}})
        line = {"phase": name, "epoch": epoch, "step": epoch * 50, "train_loss": train(epoch)}
        loss = val(epoch)
        line |= {"val_loss": loss, "val_accuracy": None if loss is None else 1 - loss / 2}
        lines.append(line | extra(epoch))
    return lines


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function (lines, why it stopped) → the folder of a run."""

    def make(lines: list[dict[str, Any]], stopped: str | None = "done", end: str = "\n") -> Path:
        folder = tmp_path / "run"
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_text(json.dumps(PLAN.to_json()))
        (folder / "history.jsonl").write_text("\n".join(map(json.dumps, lines)) + end)
        for number, why in ((1, None), (2, stopped)):
            notes = {"notes": {"stopped": why}}
            (folder / "checkpoints" / f"{number:08d}.json").write_text(json.dumps(notes))
        return folder

    return make


def said(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.kind: finding.sentence for finding in diagnosis.findings}


def test_a_healthy_run_is_called_so(write: Write) -> None:
    diagnosis = read(write(healthy()))
    assert not diagnosis.hurts
    assert list(said(diagnosis)) == ["healthy", "best"]
    assert (
        "The best epoch was 7 of 8 (phase late): validation loss 0.311, accuracy 0.845."
        in said(diagnosis)["best"]
    )


def test_a_loss_that_becomes_no_number(write: Write) -> None:
    why = "the training loss became nan in phase 'late', epoch 3, step 130, at a learning rate of 1.0e-01"
    found = read(write(healthy()[:20], why))
    assert found.findings[0].kind == "blown-up"
    assert "step 130" in found.findings[0].sentence
    assert "by 3" in found.findings[0].sentence
    assert "stopped" not in said(found)


@pytest.mark.parametrize("after", [4.0, 1e30, None])
def test_a_loss_that_blows_up(write: Write, after: float | None) -> None:
    found = said(read(write(healthy(step_loss=lambda step: 0.7 - step / 1000 if step < 130 else after))))
    assert "blew up at step 131 (phase late): lower the learning rates by 3" in found["blown-up"]


def test_one_bad_batch_is_no_blow_up(write: Write) -> None:
    found = said(read(write(healthy(step_loss=lambda step: 9.0 if step == 131 else 0.5))))
    assert "blown-up" not in found


def test_noise_near_zero_is_no_blow_up(write: Write) -> None:
    found = said(read(write(healthy(step_loss=lambda step: 0.7 if step < 40 else 0.01 + 0.1 * (step > 200)))))
    assert "blown-up" not in found


def test_overfitting(write: Write) -> None:
    found = read(write(healthy(val=lambda epoch: 0.5 + 0.05 * abs(epoch - 4))))
    assert found.findings[0].kind == "overfitting"
    text = found.findings[0].sentence
    assert "worse since epoch 4" in text
    assert "while training improves: overfitting" in text
    assert "weight decay" in text
    assert "weights of epoch 4 were kept" in text
    assert "label smoothing" not in text


def test_overfitting_whose_accuracy_rises_is_overconfidence(write: Write) -> None:
    lines = healthy(
        val=lambda epoch: 0.5 + 0.05 * abs(epoch - 4), extra=lambda epoch: {"val_accuracy": epoch / 10}
    )
    assert "label smoothing" in said(read(write(lines)))["overfitting"]


def test_validation_and_training_that_both_get_worse_are_not_overfitting(write: Write) -> None:
    found = said(
        read(write(healthy(train=lambda e: 0.5 + 0.1 * abs(e - 4), val=lambda e: 0.5 + 0.05 * abs(e - 4))))
    )
    assert "overfitting" not in found


def test_a_run_that_still_improved(write: Write) -> None:
    lines = healthy(val=falling)
    assert "train longer" in said(read(write(lines)))["still-improving"]
    assert "train longer" in said(read(write(lines, "time was up")))["still-improving"]
    assert "still-improving" not in said(read(write(lines, None)))  # it goes on anyway


def test_a_loss_that_does_not_fall(write: Write) -> None:
    found = said(
        read(write(healthy(train=lambda epoch: 0.693 + 0.001 * (epoch % 2), val=lambda epoch: 0.693)))
    )
    assert "does not fall: 0.694 in the first epoch" in found["not-falling"]
    assert "overfitting" not in found


def test_a_handful_of_steps_is_too_few_to_tell(write: Write) -> None:
    lines = [{"phase": "late", "epoch": n, "step": 3 * n, "train_loss": 0.1 * n} for n in (1, 2, 3)]
    diagnosis = read(write([{**line, "val_loss": 0.2, "val_accuracy": 0.9} for line in lines]))
    assert not diagnosis.hurts
    assert "9 steps, too few to tell" in said(diagnosis)["few-steps"]


def test_losses_beyond_all_measure_are_short_and_drawn_by_magnitude(write: Write) -> None:
    lines = [
        line for line in healthy(val=lambda epoch: 2.194016e14, train=lambda epoch: 1.0) if line["epoch"] == 1
    ]
    diagnosis = read(write(lines, stopped="the training loss became nan in phase 'late'"))
    assert "2.2e+14" in said(diagnosis)["best"]
    assert not any(finding.severity == "good" for finding in diagnosis.findings)
    assert "1e+10" in diagnosis_html(diagnosis)  # one epoch: a warning of matplotlib's would be an error


def test_dead_units_that_were_looked_at_once_have_one_column(write: Write) -> None:
    lines = healthy(extra=lambda epoch: {"dead": {"block5": 0.25}} if epoch == 8 else {})
    assert diagnosis_html(read(write(lines))).count(">epoch 8</th>") == 1


def test_a_block_that_stands_still(write: Write) -> None:
    found = read(write(healthy(updates=lambda block, _: 1e-8 if block == "block5" else 1e-3)))
    text = said(found)["not-learning"]
    assert "In phase late the head is learning, block5 is not: raise its rate" in text
    assert found.hurts


def test_the_last_block_of_some_backbones_is_not_the_head(write: Write) -> None:
    folder = write(healthy(updates=lambda block, _: 1e-8 if block == "block5" else 1e-3))
    for name in ("plan.json", "history.jsonl"):
        (folder / name).write_text((folder / name).read_text().replace("block5", "head"))
    assert "the head is learning, block head is not" in said(read(folder))["not-learning"]


def test_everything_stands_still(write: Write) -> None:
    diagnosis = read(write(healthy(updates=lambda *_: 0.0)))
    texts = [finding.sentence for finding in diagnosis.findings if finding.kind == "not-learning"]
    assert len(texts) == 4  # the head in both phases, and both blocks
    assert all("is not learning" in text for text in texts)


def test_a_block_that_is_thrown_about(write: Write) -> None:
    found = said(read(write(healthy(updates=lambda block, _: 0.3 if block == "block4" else 1e-3))))
    assert "changes block4 by 30% of its size" in found["thrown-about"]


def test_a_few_large_steps_are_fine(write: Write) -> None:
    found = read(write(healthy(updates=lambda _, step: 0.3 if step % 50 == 1 else 1e-3)))
    assert not found.hurts


def test_half_of_the_units_are_dead(write: Write) -> None:
    lines = healthy(extra=lambda e: {"dead": {"block2": 0.9, "block4": 0.06 * e, "block5": 0.1}})
    found = read(write(lines))
    text = said(found)["dead-units"]
    assert text.startswith("Half of the units of block4 are dead (48%, 6% at the first look)")
    assert "block2" not in " ".join(said(found).values())  # frozen: nothing to do about it
    assert found.hurts


def test_units_that_were_dead_from_the_start_are_only_noted(write: Write) -> None:
    found = read(write(healthy(extra=lambda e: {"dead": {"block4": 0.5, "block5": 0.1}})))
    assert "dead-units" in said(found)
    assert not found.hurts


def test_ill_conditioned(write: Write) -> None:
    lines = healthy(
        train=lambda e: 0.9 - 0.1 * min(e, 3),
        val=lambda e: 0.6,
        extra=lambda e: {"squared_gradient": 2.0**e, "curvature": 1.0},
    )
    found = said(read(write(lines)))
    assert (
        "In phase late the gradient grows (32-fold, squared) while the loss does not fall"
        in found["ill-conditioned"]
    )
    falling_too = healthy(extra=lambda e: {"squared_gradient": 2.0**e, "curvature": 1.0})
    assert "ill-conditioned" not in said(read(write(falling_too)))


def test_a_phase_that_made_nothing_better(write: Write) -> None:
    found = said(read(write(healthy(val=lambda epoch: 0.5 if epoch <= 2 else 0.52))))
    assert "Phase late made nothing better" in found["useless-phase"]


def test_a_run_that_was_cut_off_or_stopped(write: Write) -> None:
    assert "--resume" in said(read(write(healthy()[:30], None)))["unfinished"]
    assert "time was up" in said(read(write(healthy(), "time was up")))["stopped"]


def test_one_step_is_enough(write: Write) -> None:
    diagnosis = read(write(healthy()[:1], None))
    assert said(diagnosis).keys() == {"unfinished", "healthy"}
    assert diagnosis.to_json()["best"] is None
    assert "<svg" in diagnosis_html(diagnosis)


def test_numbers_have_an_error_instead_of_an_accuracy(write: Write) -> None:
    lines = [
        {("val_rmse" if key == "val_accuracy" else key): value for key, value in line.items()}
        for line in healthy()
    ]
    diagnosis = read(write(lines))
    assert ", error 0.845" in said(diagnosis)["best"]
    assert "validation accuracy" not in diagnosis_html(diagnosis)


def test_the_worst_comes_first_and_all_is_json(write: Write) -> None:
    diagnosis = read(write(healthy(val=lambda e: 0.5 + 0.05 * abs(e - 4)), "time was up"))
    order = [finding.severity for finding in diagnosis.findings]
    assert order == sorted(order, key=["hurts", "note", "good"].index)
    value = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))
    assert value["hurts"] is True
    assert value["run"] == "run"
    assert len(value["epochs"]) == 8


def test_the_page_has_pictures_first(write: Write) -> None:
    lines = healthy(
        extra=lambda e: {"squared_gradient": 1.0, "curvature": -1.0, "dead": {"block5": 0.25, "<b>": 0.0}}
    )
    page = diagnosis_html(read(write(lines)))
    headings = [
        "Training curves",
        "Findings",
        "What each step changes",
        "Learning rates",
        "Gradient",
        "Dead units",
    ]
    places = [page.index(f">{heading}", page.index("<main>")) for heading in headings]
    assert places == sorted(places)
    assert page.count("<svg") == 4
    assert "mathdefault" not in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_page_of_a_run_without_numbers(write: Write) -> None:
    page = diagnosis_html(
        read(write(healthy(train=lambda e: None, val=lambda e: None, step_loss=lambda s: None)))
    )
    assert "not a number" in page


def test_a_long_run_has_a_page_of_bounded_size(write: Write) -> None:
    lines = [line for line in healthy() if "loss" in line]
    many = [{**line, "step": 1 + number * 10} for number, line in enumerate(lines * 100)]
    assert len(diagnosis_html(read(write([*many, *healthy()])))) < 400_000


@pytest.mark.parametrize("rest", ['{"phase": "late", "ep', '{"phase": "late"', "{", '"a', "\xff"])
def test_a_last_line_that_is_cut_off_does_no_harm(write: Write, rest: str) -> None:
    whole = read_run(write(healthy()))
    assert read_run(write(healthy(), end="\n" + rest)) == whole


@pytest.mark.parametrize("line", ["{", "3", "[]", '{"loss": 1}', "null", "\x00\x00"])
def test_a_damaged_line_is_named(write: Write, line: str) -> None:
    folder = write(healthy())
    history = folder / "history.jsonl"
    text = history.read_text().split("\n")
    history.write_text("\n".join([*text[:4], line, *text[4:]]))
    with pytest.raises(StorageError, match=r"line 5 of .*history.jsonl"):
        read(folder)


def test_an_empty_history(write: Write) -> None:
    folder = write(healthy(), None)
    for content in ("", "\n\n", '{"phase'):
        (folder / "history.jsonl").write_text(content)
        with pytest.raises(OptionError, match="has begun"):
            read(folder)


def test_a_folder_that_is_no_run(tmp_path: Path, write: Write) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OptionError, match="the folder of a training run"):
            read(folder)
    folder = write(healthy())
    (folder / "history.jsonl").unlink()
    with pytest.raises(OptionError, match=r"history\.jsonl"):
        read(folder)


def test_a_damaged_plan_and_one_of_another_version(write: Write) -> None:
    folder = write(healthy())
    (folder / "plan.json").write_text("{")
    with pytest.raises(StorageError, match="a plan"):
        read(folder)
    (folder / "plan.json").write_text(json.dumps({**PLAN.to_json(), "new": 1}))
    with pytest.raises(OptionError, match="'new'"):
        read(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"notes": 3}'])
def test_a_damaged_checkpoint_does_not_hinder(write: Write, content: str) -> None:
    folder = write(healthy())
    (folder / "checkpoints" / "00000003.json").write_text(content)
    assert read_run(folder).stopped is None


numbers = st.none() | st.floats(0, 1e6)


@settings(deadline=None, max_examples=40)
@given(
    train=st.lists(numbers, min_size=8, max_size=8),
    val=st.lists(numbers, min_size=8, max_size=8),
    steps=st.lists(numbers, min_size=1, max_size=5),
    ratio=numbers,
    share=numbers,
    count=st.integers(1, 48),
    stopped=st.sampled_from([None, "done", "time was up"]),
)
def test_any_numbers_can_be_put_into_words(
    train: list[Any],
    val: list[Any],
    steps: list[Any],
    ratio: Any,
    share: Any,
    count: int,
    stopped: str | None,
) -> None:
    from headstart.training.diagnostics import Run

    lines = healthy(
        train=lambda e: train[e - 1],
        val=lambda e: val[e - 1],
        step_loss=lambda s: steps[s % len(steps)],
        updates=lambda *_: ratio,
        extra=lambda e: {"squared_gradient": share, "curvature": ratio, "dead": {"block5": 0.3}},
    )[:count]
    epochs = tuple(line for line in lines if "val_loss" in line)
    run = Run("run", PLAN, tuple(line for line in lines if "val_loss" not in line), epochs, stopped)
    diagnosis = diagnose(run)
    assert diagnosis.findings
    assert all("nan" not in finding.sentence for finding in diagnosis.findings)
    json.dumps(diagnosis.to_json(), allow_nan=False)


def test_reading_a_run_loads_no_torch(write: Write) -> None:
    code = (
        "import sys; from pathlib import Path; from headstart.training.diagnostics import read;"
        "read(Path(sys.argv[1])); print([m for m in ('torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, write(healthy())], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
