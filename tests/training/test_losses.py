"""Losses against scikit-learn, torch and formulas in NumPy; extreme logits; gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from headstart.errors import OptionError
from headstart.training import losses
from headstart.training.plan import Settings

CLASSES: tuple[Any, ...] = ("cross-entropy", "binary", "hinge", "kl")
NUMBERS: tuple[Any, ...] = ("mse", "mae", "mape")
few = settings(deadline=None, max_examples=25)


def drawn(
    n: int, k: int, scale: float = 3.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits [n, k], class indices [n], soft targets [n, k]."""
    generator = np.random.default_rng(seed)
    logits = torch.from_numpy(generator.normal(0, scale, (n, k)).astype(np.float32))
    y = torch.from_numpy(generator.integers(0, k, n))
    soft = torch.from_numpy(generator.dirichlet(np.ones(k), n).astype(np.float32))
    return logits, y, soft


def softmax(logits: torch.Tensor) -> Any:
    return torch.softmax(logits.double(), 1).numpy()


def test_cross_entropy_is_scikit_learns_log_loss() -> None:
    logits, y, _ = drawn(40, 5)
    expected = metrics.log_loss(y.numpy(), softmax(logits), labels=range(5))
    assert float(losses.cross_entropy(logits, y)) == pytest.approx(expected, rel=1e-5)


def test_class_weights_are_scikit_learns_sample_weights() -> None:
    logits, y, _ = drawn(40, 3)
    weights = torch.tensor([0.2, 1.0, 3.0])
    each = weights.numpy()[y.numpy()]
    # scikit-learn divides by the sum of the weights; the loss by the number of items.
    expected = metrics.log_loss(y.numpy(), softmax(logits), labels=range(3), sample_weight=each) * each.mean()
    assert float(losses.cross_entropy(logits, y, weights)) == pytest.approx(expected, rel=1e-5)


def test_balanced_weights_make_large_and_small_classes_count_the_same() -> None:
    logits, y = torch.zeros(100, 2), torch.tensor([0] * 90 + [1] * 10)
    logits.requires_grad_()
    weights = torch.tensor([100 / 180, 100 / 20])
    losses.cross_entropy(logits, y, weights).backward()
    assert logits.grad is not None
    by_class = [float(logits.grad[y == label].abs().sum()) for label in (0, 1)]
    assert by_class[0] == pytest.approx(by_class[1])


def test_soft_targets_are_the_mean_over_what_they_mix() -> None:
    logits, _, soft = drawn(30, 4)
    expected = -(soft.double().numpy() * np.log(softmax(logits))).sum(1).mean()
    assert float(losses.cross_entropy(logits, soft)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 0.1])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_indices_are_the_same_as_one_hot_targets(name: Any, weights: Any, smoothing: float) -> None:
    logits, y, _ = drawn(16, 4)
    criterion = losses.loss(Settings(loss=name, label_smoothing=smoothing), weights)
    one_hot = torch.eye(4)[y]
    torch.testing.assert_close(criterion(logits, y), criterion(logits, one_hot))


def test_label_smoothing_is_torchs() -> None:
    logits, y, _ = drawn(16, 4)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(logits, y)
    torch.testing.assert_close(losses.loss(Settings(label_smoothing=0.1))(logits, y), expected)
    weighed = losses.loss(Settings(label_smoothing=0.1), torch.ones(4))(logits, y)
    torch.testing.assert_close(weighed, expected)


def test_smoothing_keeps_the_sum_of_the_targets() -> None:
    _, _, soft = drawn(8, 5)
    torch.testing.assert_close(losses.smooth(soft, 0.3).sum(1), torch.ones(8))
    assert losses.smooth(soft, 0.0) is soft


def test_binary_cross_entropy_is_scikit_learns() -> None:
    logits, y, _ = drawn(50, 1)
    y = y + (logits[:, 0] > 0)  # some of both
    expected = metrics.log_loss(y.numpy(), torch.sigmoid(logits.double())[:, 0].numpy(), labels=[0, 1])
    criterion = losses.loss(Settings(loss="binary"))
    for targets in (y, y.float(), y.float()[:, None]):
        assert float(criterion(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_several_labels_are_the_mean_of_one_yes_or_no_each() -> None:
    logits, _, soft = drawn(20, 3)
    held = (soft > 0.3).float()
    criterion = losses.loss(Settings(loss="binary"))
    each = [criterion(logits[:, [label]], held[:, label]) for label in range(3)]
    torch.testing.assert_close(criterion(logits, held), torch.stack(each).mean())


def test_binary_class_weights_weigh_the_positives() -> None:
    logits, held = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    weights = torch.tensor([3.0, 7.0])
    weighed = losses.loss(Settings(loss="binary"), weights)(logits, held)
    assert float(weighed) == pytest.approx((3 + 1) * np.log(2) / 2)


def test_binary_smoothing_moves_towards_a_half() -> None:
    logits = torch.tensor([[50.0]])
    criterion = losses.loss(Settings(loss="binary", label_smoothing=0.2))
    assert float(criterion(logits, torch.ones(1))) == pytest.approx(0.1 * 50)


@pytest.mark.parametrize("k", [2, 5])
def test_hinge_is_scikit_learns(k: int) -> None:
    logits, y, _ = drawn(60, k)
    if k == 2:  # scikit-learn's two classes have one score, with the margin 1
        difference = (logits[:, 1] - logits[:, 0]).numpy()
        expected = metrics.hinge_loss(y.numpy(), difference)
    else:
        expected = metrics.hinge_loss(y.numpy(), logits.numpy(), labels=range(k))
    assert float(losses.loss(Settings(loss="hinge"))(logits, y)) == pytest.approx(expected, rel=1e-5)


def test_hinge_of_one_score() -> None:
    logits, _, _ = drawn(60, 1)
    y = (torch.arange(60) % 2).long()
    expected = metrics.hinge_loss(y.numpy() * 2 - 1, logits[:, 0].numpy())
    assert float(losses.hinge(logits, y)) == pytest.approx(expected, rel=1e-5)


def test_hinge_is_zero_only_beyond_the_margin() -> None:
    y = torch.tensor([1])
    assert float(losses.hinge(torch.tensor([[0.0, 1.0, -2.0]]), y)) == 0
    assert float(losses.hinge(torch.tensor([[0.0, 0.9, -2.0]]), y)) == pytest.approx(0.1)
    assert float(losses.hinge(torch.tensor([[1.0, 1.0, 1.0]]), y)) == 1  # a tie is no lead


def test_hinge_of_soft_targets_is_the_expected_one() -> None:
    logits, _, soft = drawn(10, 3)
    each = torch.stack([losses.hinge(logits[[i]], torch.tensor([c])) for i in range(10) for c in range(3)])
    torch.testing.assert_close(losses.hinge(logits, soft), (each.view(10, 3) * soft).sum(1).mean())


def test_kl_is_scipys() -> None:
    from scipy.stats import entropy

    logits, _, soft = drawn(20, 4)
    expected = entropy(soft.double().numpy(), softmax(logits), axis=1).mean()
    assert float(losses.loss(Settings(loss="kl"))(logits, soft)) == pytest.approx(expected, rel=1e-4)


def test_kl_is_cross_entropy_without_what_cannot_be_learned() -> None:
    logits, _, soft = drawn(20, 4)
    unavoidable = -torch.xlogy(soft, soft).sum(1).mean()
    torch.testing.assert_close(
        losses.kl_divergence(logits, soft) + unavoidable, losses.cross_entropy(logits, soft)
    )
    assert float(losses.kl_divergence(soft.log(), soft)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_formula(temperature: float) -> None:
    student, _, _ = drawn(12, 5)
    teacher, _, _ = drawn(12, 5, seed=1)
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    expected = (p * np.log(p / q)).sum(1).mean() * temperature**2
    found = losses.distillation(student, teacher, temperature)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_temperature_keeps_the_size_of_the_gradient() -> None:
    student, _, _ = drawn(50, 5, scale=0.5)
    teacher, _, _ = drawn(50, 5, scale=0.5, seed=1)
    sizes = []
    for temperature in (1.0, 10.0):
        logits = student.clone().requires_grad_()
        losses.distillation(logits, teacher, temperature).backward()
        assert logits.grad is not None
        sizes.append(float(logits.grad.norm()))
    assert 0.5 < sizes[1] / sizes[0] < 2


@pytest.mark.parametrize(
    ("name", "reference", "scale"),
    [
        ("mse", metrics.mean_squared_error, 1),
        ("mae", metrics.mean_absolute_error, 1),
        ("mape", metrics.mean_absolute_percentage_error, 100),
    ],
)
@pytest.mark.parametrize("k", [1, 3])
def test_losses_of_numbers_are_scikit_learns(
    name: Any, reference: Callable[..., float], scale: int, k: int
) -> None:
    outputs, _, soft = drawn(30, k)
    wanted = soft * 10 + 1
    criterion = losses.loss(Settings(loss=name))
    expected = scale * reference(wanted.numpy(), outputs.numpy())
    assert float(criterion(outputs, wanted)) == pytest.approx(expected, rel=1e-5)
    if k == 1:
        assert float(criterion(outputs, wanted[:, 0])) == pytest.approx(expected, rel=1e-5)


def test_a_percentage_of_zero_is_large_and_finite() -> None:
    outputs = torch.ones(2, 1, requires_grad=True)
    found = losses.percentage_error(outputs, torch.zeros(2))
    found.backward()
    assert torch.isfinite(found)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


@few
@given(
    name=st.sampled_from(CLASSES),
    k=st.integers(2, 6),
    n=st.integers(1, 5),
    scale=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
    soft=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1]),
    weighed=st.booleans(),
    low_precision=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_logits_give_a_finite_loss_and_gradient(
    name: Any,
    k: int,
    n: int,
    scale: float,
    soft: bool,
    smoothing: float,
    weighed: bool,
    low_precision: bool,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    signs = torch.from_numpy(generator.choice([-1.0, 0.0, 1.0], (n, k)))
    logits = (signs * scale).to(torch.bfloat16 if low_precision else torch.float32).requires_grad_()
    _, y, distribution = drawn(n, k, seed=seed)
    weights = torch.from_numpy(generator.uniform(0, 3, k)) if weighed else None  # float64 is fine as well
    criterion = losses.loss(Settings(loss=name, label_smoothing=smoothing), weights)
    found = criterion(logits, distribution if soft else y)
    found.backward()
    assert found.dtype == torch.float32
    assert torch.isfinite(found)
    assert found >= -1e-5
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@few
@given(name=st.sampled_from(["cross-entropy", "binary", "kl"]), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_gradients_are_those_of_finite_differences(name: Any, k: int, seed: int) -> None:
    logits, _, soft = drawn(4, k, seed=seed)
    logits = logits.requires_grad_()
    criterion = losses.loss(Settings(loss=name))
    criterion(logits, soft).backward()
    assert logits.grad is not None
    step = 1e-2 * torch.nn.functional.normalize(
        torch.randn(4, k, generator=torch.Generator().manual_seed(seed))
    )
    with torch.no_grad():
        rise = criterion(logits + step, soft) - criterion(logits - step, soft)
    assert float(rise) == pytest.approx(2 * float((logits.grad * step).sum()), abs=1e-4)


@few
@given(name=st.sampled_from(CLASSES), seed=st.integers(0, 99))
def test_a_right_answer_costs_less_than_a_wrong_one(name: Any, seed: int) -> None:
    _, y, _ = drawn(5, 3, seed=seed)
    criterion = losses.loss(Settings(loss=name))
    right = 4 * torch.nn.functional.one_hot(y, 3).float()
    assert criterion(right, y) < criterion(right, (y + 1) % 3)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_no_class_weights(name: Any) -> None:
    with pytest.raises(OptionError, match="class weights"):
        losses.loss(Settings(loss=name), torch.ones(2))


@pytest.mark.parametrize("targets", [torch.zeros(4, 2), torch.zeros(4), torch.zeros(4, 3, 1)])
def test_targets_of_another_width_are_refused(targets: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="targets for 3 outputs"):
        losses.loss(Settings(loss="mse"))(torch.zeros(4, 3), targets)
