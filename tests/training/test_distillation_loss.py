"""The loss of a distillation: the teacher's softened answers, and the labels that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_training import toy_data, toy_network, toy_plan, with_other

from headstart.errors import DataError, OptionError
from headstart.training.loop import train
from headstart.training.losses import distillation, loss
from headstart.training.plan import HEAD, Phase, Settings
from headstart.training.validation import scores

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(n: int, k: int, seed: int, labelled: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of a student and of a teacher, and labels of the first items as 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 3 * torch.randn(2, n, k, generator=generator)
    labels = torch.zeros(n, k)
    labels[torch.arange(labelled), torch.randint(k, (labelled,), generator=generator)] = 1
    return student, teacher, labels


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 6),
    k=st.integers(2, 5),
    seed=st.integers(0, 99),
    temperature=st.floats(0.5, 20),
    alpha=st.floats(0, 1),
    share=st.floats(0, 1),
)
def test_each_item_counts_as_hinton_et_al_say(
    n: int, k: int, seed: int, temperature: float, alpha: float, share: float
) -> None:
    labelled = round(share * n)
    student, teacher, labels = drawn(n, k, seed, labelled)
    expected = 0.0
    for item in range(n):
        soft = F.kl_div(
            F.log_softmax(student[item] / temperature, 0),
            F.log_softmax(teacher[item] / temperature, 0),
            reduction="sum",
            log_target=True,
        )
        own = temperature**2 * float(soft)
        if item < labelled:
            hard = float(F.cross_entropy(student[item : item + 1], labels[item].argmax().view(1)))
            own = (1 - alpha) * own + alpha * hard
        expected += own / n
    found = float(distillation(student, torch.cat([teacher, labels], 1), temperature, alpha))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_student_that_says_what_its_teacher_says_has_no_gradient() -> None:
    _, teacher, labels = drawn(4, 3, 0, 0)
    student = (teacher + 2.5).requires_grad_()  # softmax does not see a shift
    distillation(student, torch.cat([teacher, labels], 1), 3.0, 0.7).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_alpha_one_learns_from_labels_alone_and_from_nothing_else() -> None:
    student, teacher, labels = drawn(6, 3, 1, 4)
    alone = distillation(student[:4], torch.cat([teacher, labels], 1)[:4], 4.0, 1.0)
    torch.testing.assert_close(alone, F.cross_entropy(student[:4], labels[:4].argmax(1)))
    other = distillation(student[:4], torch.cat([-teacher, labels], 1)[:4], 4.0, 1.0)
    torch.testing.assert_close(alone, other)


def test_the_settings_choose_temperature_and_alpha() -> None:
    student, teacher, labels = drawn(5, 4, 2, 3)
    targets = torch.cat([teacher, labels], 1)
    found = loss(Settings(loss="distillation", temperature=2.0, alpha=0.3))(student, targets)
    assert float(found) == float(distillation(student, targets, 2.0, 0.3))
    with pytest.raises(OptionError, match="class weights"):
        loss(Settings(loss="distillation"), torch.ones(4))


def test_accuracy_is_about_the_labels_not_about_the_teacher() -> None:
    logits = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
    targets = torch.tensor([[-5.0, 5.0, 1.0, 0.0], [5.0, -5.0, 0.0, 1.0]])
    found = scores(lambda x, y: distillation(x, y), logits, targets, binary=False)
    assert found["val_accuracy"] == 0.5
    assert (
        scores(lambda x, y: distillation(x, y), logits, targets[:1].repeat(2, 1), False)["val_accuracy"] == 1
    )


def test_the_loop_learns_from_a_teacher_what_no_label_says() -> None:
    plan = toy_plan(
        Phase("all", 5, {"one": 0.01, "two": 0.01, "head": 0.01, HEAD: 0.02}),
        loss="distillation",
        temperature=2.0,
        alpha=0.0,
    )
    data = toy_data(plan, 90)
    logits = np.full((90, 3), -2.0, np.float32)
    logits[np.arange(90), data.y] = 2.0
    labels = np.zeros_like(logits)
    labels[data.val, data.y[data.val]] = 1  # only those that are checked have labels
    taught = with_other(data, y=np.hstack([logits, labels]))
    network = toy_network(plan)
    trained = train(network, plan, taught, progress=False)
    assert trained.val_accuracy is not None
    assert trained.val_accuracy > 0.8
    odd = with_other(data, y=np.hstack([logits, labels, labels]))
    with pytest.raises(DataError, match="targets with 3 columns"):
        train(toy_network(plan), plan, odd, progress=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": float("inf")},
        {"alpha": -0.1},
        {"alpha": 1.1},
        {"loss": "distillation", "mixup": 0.2},
        {"loss": "distillation", "cutmix": 0.2},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"temperature|alpha|mixup"):
        Settings(**wrong)  # type: ignore[arg-type]
