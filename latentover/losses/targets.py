"""What all losses take: outputs, labels in any of three forms, class counts and weights, as tensors, arrays or lists.

What does not fit is said by the name of the argument. Values are looked at only where that costs nothing: on the CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.losses.reductions import Reduction, reduce_losses
from latentover.mixing.mixed import Mixed
from latentover.training.capture import host_may_look

_LABELS = "labels to be class numbers (B,), soft labels (B, C) or a Mixed"


def as_outputs(name: str, outputs: Any) -> Tensor:
    """Return what a network says of a batch as a Tensor (B, C) of decimal numbers; `name` is the argument's.

    Raises
    ------
    ValueError
        For another shape.
    """
    outputs = as_numbers(name, outputs)
    if outputs.dim() != 2:
        raise ValueError(
            f"Expected {name} to have shape (B, C), a row for each sample and a column for each class, but got shape "
            f"{tuple(outputs.shape)}; pass a batch."
        )
    return outputs if outputs.is_floating_point() else outputs.float()


def as_class_values(
    name: str, values: Any, n_classes: int | None = None, device: torch.device | None = None, *, positive: bool = False
) -> Tensor:
    """Return one number for each class as a Tensor (C,), on a device; `name` is the argument's.

    Raises
    ------
    ValueError
        For another shape, or another number of classes than `n_classes`; with `positive` for values that are not.
    """
    values = as_numbers(name, values, device)
    if values.dim() != 1 or n_classes not in (None, len(values)):
        wanted = "each class" if n_classes is None else f"each of {n_classes} classes"
        raise ValueError(
            f"Expected {name} to have one number for {wanted}, but got shape {tuple(values.shape)}; pass them in the "
            "order of the classes."
        )
    if positive and host_may_look(values.device) and not bool((values > 0).all()):
        raise ValueError(
            f"Expected {name} to be positive, but got {values.tolist()}; leave classes without samples out."
        )
    return values


def as_soft_labels(labels: Any, outputs: Tensor) -> Tensor:
    """Return labels of any form as soft ones (B, C), in the type of the outputs (B, C).

    Raises
    ------
    ValueError
        As `reduce_over`.
    """
    if isinstance(labels, Mixed):
        return labels.soft_labels(outputs.shape[1]).to(outputs.dtype)
    labels = as_numbers("labels", labels, outputs.device)
    if labels.dim() != 2:
        labels = _class_numbers(labels, outputs)
        with _naming(labels, outputs):
            return F.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    if labels.shape != outputs.shape:
        raise ValueError(
            f"Expected {_LABELS}, with B, C = {tuple(outputs.shape)}, but got shape {tuple(labels.shape)}; pass "
            "class numbers as labels.ravel()."
        )
    if host_may_look(labels.device) and not bool(((labels.sum(dim=1) - 1).abs() < 1e-2).all()):
        raise ValueError(
            "Expected rows of soft labels to sum to 1, but got others; divide each by its sum. Several classes at once "
            "are not a matter of these losses."
        )
    return labels.to(outputs.dtype)


def reduce_over(
    losses: Callable[[Tensor], Tensor],
    outputs: Tensor,
    labels: Any,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the loss of a batch for labels of any form: of a soft label :math:`\sum_c w_c t_c L_c`.

    Parameters
    ----------
    losses : callable
        From class numbers (B,) to the loss :math:`L_c` of each sample (B,), if it were of that class.
    outputs : Tensor of shape (B, C)
        To which the labels belong.
    labels : integers of shape (B,), numbers of shape (B, C), or Mixed
        Class numbers; soft labels t, whose rows sum to 1; or what a mixing rule returned.
    weight : numbers of shape (C,), optional
        Class weights :math:`w_c`.
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"
        See `reduce_losses`; the weight of a sample is :math:`\sum_c w_c t_c`.

    Raises
    ------
    ValueError
        For labels of another shape, type or range, and weights of another number of classes.
    """
    n_classes = outputs.shape[1]
    weights = None if weight is None else as_class_values("weight", weight, n_classes, outputs.device)
    if isinstance(labels, Mixed):
        parts = [(labels.labels, labels.label_weight), (labels.partners, 1 - labels.label_weight)]
    else:
        labels = as_numbers("labels", labels, outputs.device)
        if labels.dim() != 2:
            labels = _class_numbers(labels, outputs)
            with _naming(labels, outputs):
                return reduce_losses(losses(labels), None if weights is None else weights[labels], reduction)
        soft = as_soft_labels(labels, outputs)
        everywhere = torch.zeros(len(soft), dtype=torch.int64, device=soft.device)
        parts = [(everywhere + c, soft[:, c]) for c in range(n_classes)]
    total, shares = torch.zeros((), device=outputs.device), torch.zeros((), device=outputs.device)
    for known, part in parts:
        share = part if weights is None else part * weights[known]
        total, shares = total + share * losses(known), shares + share
    if weights is None or reduction != "weighted_mean":
        return reduce_losses(total, None, reduction)
    return total.sum() / shares.sum().clamp(min=torch.finfo(shares.dtype).tiny)


def as_numbers(name: str, values: Any, device: torch.device | None = None) -> Tensor:
    """Return numbers in any container as a Tensor; `name` is the argument's."""
    hint = "; number classes with np.unique(y, return_inverse=True)" if name == "labels" else ""
    try:
        return torch.as_tensor(values, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"Expected {name} to be numbers (a Tensor, an array or lists of one length), but got "
            f"{type(values).__name__} that is none: {error}{hint}."
        ) from error


def _class_numbers(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return plain labels as int64 (B,); their range is said by what fails on them."""
    if labels.shape != outputs.shape[:1]:
        raise ValueError(
            f"Expected {_LABELS}, with B = {len(outputs)} as many as outputs, but got shape {tuple(labels.shape)}; "
            "pass one for each sample."
        )
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"Expected {_LABELS}, but got class numbers of type {str(labels.dtype).removeprefix('torch.')}; pass whole "
            "numbers."
        )
    return labels.long()


@contextmanager
def _naming(labels: Tensor, outputs: Tensor) -> Iterator[None]:
    """Say it by their name where a loss fails for labels that are no classes."""
    try:
        yield
    except (IndexError, RuntimeError) as error:
        n_classes = outputs.shape[1]
        wrong = [] if labels.device.type != "cpu" else labels[(labels < 0) | (labels >= n_classes)].tolist()
        if not wrong:
            raise
        raise ValueError(
            f"Expected labels to be class numbers from 0 to {n_classes - 1}, for there are {n_classes} outputs, but "
            f"got {wrong[0]}; number the classes with np.unique(y, return_inverse=True)."
        ) from error
