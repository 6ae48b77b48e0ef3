"""Losses from logits: class indices, soft targets, several labels, numbers; finite for finite logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.errors import OptionError
from headstart.training.plan import Settings

Criterion = Callable[[Tensor, Tensor], Tensor]
"""From logits [n, k] and targets to one number, the mean over the batch."""

_SMALLEST = 1e-7  # what a percentage error divides by at least, as in Keras


def loss(settings: Settings, class_weights: Tensor | None = None) -> Criterion:
    """Return the loss that the settings name.

    The targets of the function that is returned are class indices (int64 [n]), soft targets or several labels
    (float [n, k]), or numbers (float [n] or [n, k]). It computes in float32, whatever the logits are.

    Args:
        settings: Of these `loss` and `label_smoothing` are used.
        class_weights: Weight of the items of each class, float [k]; the sum is still divided by the number of
            items, so weights whose mean over the items is 1 leave the scale as it is. With "binary" they
            weigh the positives of each label. Defaults to None, all alike.

    Returns:
        A function (logits [n, k], targets) → Tensor [], the mean over the batch.

    Raises:
        OptionError: Class weights for a loss of numbers.

    Example:
        >>> cross_entropy = loss(Settings(label_smoothing=0.1))
        >>> round(float(cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))), 4)
        0.2269
    """
    smoothing = settings.label_smoothing
    if settings.loss in ("mse", "mae", "mape"):
        if class_weights is not None:
            fix = "leave class_weight out, or use cross-entropy"
            raise OptionError(f"class weights with a loss of classes, not {settings.loss}", "weights", fix)
        numbers = {"mse": squared_error, "mae": absolute_error, "mape": percentage_error}
        return numbers[settings.loss]
    if settings.loss == "distillation":
        if class_weights is not None:
            raise OptionError("distillation without class weights", "weights", "leave class_weight out")
        return lambda logits, targets: distillation(logits, targets, settings.temperature, settings.alpha)
    if settings.loss == "binary":
        return lambda logits, targets: binary_cross_entropy(logits, targets, class_weights, smoothing)
    classes = {"cross-entropy": cross_entropy, "hinge": hinge, "kl": kl_divergence}[settings.loss]
    return lambda logits, targets: classes(logits, targets, class_weights, smoothing)


def cross_entropy(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the categorical cross-entropy with the softmax of the logits.

    Args:
        logits: float [n, k].
        targets: Class indices int64 [n], or probabilities float [n, k].
        class_weights: float [k]. Defaults to None.
        smoothing: Share of each target that is spread over all classes (Szegedy et al. 2016). Defaults to 0.

    Returns:
        The mean over the items, Tensor [].

    Example:
        >>> float(cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1])))
        20000.0
    """
    if class_weights is None:
        wanted = targets if _are_indices(targets) else targets.float()
        return F.cross_entropy(logits.float(), wanted, label_smoothing=smoothing)
    soft = smooth(dense(targets, logits.shape[1]), smoothing)
    return F.cross_entropy(logits.float(), soft, class_weights.to(soft))


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, positive_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the binary cross-entropy with the sigmoid of the logits, for each label by itself.

    Args:
        logits: float [n, k] (k = 1 for one yes or no).
        targets: 1 where a label holds, float [n, k]; with k = 1 also [n]; class indices int64 [n].
        positive_weights: Weight of the positives of each label, float [k]. Defaults to None.
        smoothing: How far targets are moved towards 1/2, float. Defaults to 0.

    Returns:
        The mean over items and labels, Tensor [].

    Example:
        >>> round(float(binary_cross_entropy(torch.zeros(2, 1), torch.tensor([0, 1]))), 4)
        0.6931
    """
    wanted = dense(targets, logits.shape[1])
    wanted = wanted * (1 - smoothing) + smoothing / 2
    weights = None if positive_weights is None else positive_weights.to(wanted)
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, pos_weight=weights)


def hinge(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the categorical hinge loss: by how much the right class fails to lead all others by 1.

    Paper: Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines",
    JMLR 2, 2001. For one logit it is the ordinary hinge loss with the signs ±1.

    Args:
        logits: float [n, k].
        targets: Class indices int64 [n], or probabilities float [n, k] (the loss is then the expected one).
        class_weights: float [k]. Defaults to None.
        smoothing: As for `cross_entropy`. Defaults to 0.

    Returns:
        The mean over the items, Tensor [].

    Example:
        >>> float(hinge(torch.tensor([[2.0, 1.5, -3.0]]), torch.tensor([0])))
        0.5
    """
    scores = logits.float()
    if scores.shape[1] == 1:
        sign = 2 * dense(targets, 1) - 1
        return (1 - sign * scores).clamp(min=0).mean()
    wanted = smooth(dense(targets, scores.shape[1]), smoothing)
    if class_weights is not None:
        wanted = wanted * class_weights.to(wanted)
    best, place = scores.topk(2, dim=1)
    leads = torch.arange(scores.shape[1], device=scores.device) == place[:, :1]
    rival = torch.where(leads, best[:, 1:], best[:, :1])  # the best score among the other classes
    return (wanted * (1 + rival - scores).clamp(min=0)).sum(1).mean()


def kl_divergence(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the Kullback-Leibler divergence of the softmax of the logits from the targets.

    Args:
        logits: float [n, k].
        targets: Probabilities float [n, k], or class indices int64 [n].
        class_weights: float [k]. Defaults to None.
        smoothing: As for `cross_entropy`. Defaults to 0.

    Returns:
        The mean over the items, Tensor [], in nats; 0 where the two agree.

    Example:
        >>> float(kl_divergence(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]])))
        0.0
    """
    wanted = smooth(dense(targets, logits.shape[1]), smoothing)
    parts = torch.xlogy(wanted, wanted) - wanted * F.log_softmax(logits.float(), dim=1)
    if class_weights is None:
        return parts.sum(1).mean()
    # An item as a whole is weighed: the parts of a divergence may be negative, the sum is not.
    return (parts.sum(1) * (wanted @ class_weights.to(wanted))).mean()


def distillation(logits: Tensor, targets: Tensor, temperature: float = 4.0, alpha: float = 0.0) -> Tensor:
    """Return how far a student is from its teacher's softened answers and from the labels that are known.

    Paper: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
    https://arxiv.org/abs/1503.02531. The square of the temperature keeps the size of the gradients.

    Args:
        logits: The student's, float [n, k].
        targets: The teacher's logits, float [n, k]; or with the labels beside them, [n, 2 k]: 1 in the column
            of the label, 0 everywhere where it is not known.
        temperature: What both are divided by, float. Defaults to 4.
        alpha: Share of the label in the loss of an item whose label is known, float. Defaults to 0.

    Returns:
        (1 − alpha) × temperature² × KL divergence + alpha × cross-entropy, for items without a label
        temperature² × KL divergence; mean over the items, Tensor [].

    Example:
        >>> float(distillation(torch.ones(1, 3), torch.ones(1, 3)))
        0.0
        >>> teacher_and_label = torch.tensor([[1.0, 1.0, 0.0, 1.0]])
        >>> round(float(distillation(torch.ones(1, 2), teacher_and_label, alpha=0.5)), 4)  # log(2) / 2
        0.3466
    """
    k = logits.shape[1]
    teacher, labels = targets[:, :k].float(), targets[:, k:].float()
    soft = F.softmax(teacher / temperature, dim=1)
    student = F.log_softmax(logits.float() / temperature, dim=1)
    found = (torch.xlogy(soft, soft) - soft * student).sum(1) * temperature**2
    if labels.shape[1]:
        hard = -(labels * F.log_softmax(logits.float(), dim=1)).sum(1)
        found = (1 - alpha * labels.sum(1)) * found + alpha * hard
    return found.mean()


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of outputs [n, k] and numbers [n, k] (or [n] with k = 1)."""
    return F.mse_loss(outputs.float(), dense(targets, outputs.shape[1]))


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error of outputs [n, k] and numbers [n, k] (or [n] with k = 1)."""
    return F.l1_loss(outputs.float(), dense(targets, outputs.shape[1]))


def percentage_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute percentage error of outputs [n, k] and numbers [n, k] (or [n] with k = 1)."""
    wanted = dense(targets, outputs.shape[1])
    return 100 * ((outputs.float() - wanted).abs() / wanted.abs().clamp(min=_SMALLEST)).mean()


def dense(targets: Tensor, width: int) -> Tensor:
    """Return targets as float [n, width].

    Args:
        targets: Class indices int64 [n] (one column each, or 0 and 1 where width is 1), or numbers [n] or
            [n, width].
        width: Number of columns, int.

    Returns:
        float32 [n, width].

    Raises:
        OptionError: Targets of another shape.

    Example:
        >>> dense(torch.tensor([1, 0]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if _are_indices(targets) and width > 1:
        return F.one_hot(targets, width).float()
    wanted = targets.float().view(-1, 1) if targets.ndim == 1 and width == 1 else targets.float()
    if wanted.ndim != 2 or wanted.shape[1] != width:
        fix = "give class indices, or as many columns as the head has outputs"
        raise OptionError(f"targets for {width} outputs", f"the shape {tuple(targets.shape)}", fix)
    return wanted


def smooth(soft: Tensor, smoothing: float) -> Tensor:
    """Return soft targets [n, k] of which a share is spread evenly over all classes."""
    return soft if smoothing == 0 else soft * (1 - smoothing) + smoothing / soft.shape[1]


def _are_indices(targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point()
