"""Classification losses that know the class counts."""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from latentover.losses.reductions import Reduction
from latentover.losses.targets import as_class_values, as_outputs, reduce_over


def inverse_frequency_weights(class_counts: Any) -> Tensor:
    r"""Return class weights :math:`N / (C n_c)`, under which every class has the same total weight.

    Parameters
    ----------
    class_counts : numbers of shape (C,)
        Training samples n_c of each class, all positive.

    Examples
    --------
    >>> import torch
    >>> inverse_frequency_weights(torch.tensor([30, 10]))
    tensor([0.6667, 2.0000])
    """
    counts = as_class_values("class_counts", class_counts, positive=True).float()
    return counts.sum() / (len(counts) * counts)


def class_balanced_weights(class_counts: Any, beta: float = 0.9999) -> Tensor:
    r"""Return class weights inverse to the effective number of samples :math:`(1 - \beta^{n_c}) / (1 - \beta)`.

    Parameters
    ----------
    class_counts : numbers of shape (C,)
        Training samples n_c of each class, all positive.
    beta : float in [0, 1), default=0.9999
        0 weights all classes equally; towards 1 the weights become inverse to the counts.

    Returns
    -------
    Tensor of shape (C,)
        They sum to C.

    References
    ----------
    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, Eq. 2.

    Examples
    --------
    >>> import torch
    >>> class_balanced_weights(torch.tensor([5000, 500, 50]))
    tensor([0.0341, 0.2752, 2.6907])
    """
    if not 0 <= beta < 1:
        raise ValueError(f"Expected beta to be at least 0 and below 1, but got {beta!r}; near 1 is 1/n_c.")
    counts = as_class_values("class_counts", class_counts, positive=True).double()
    log_beta = math.log(beta) if beta > 0 else -math.inf
    inverse = 1 / -(log_beta * counts).expm1()  # the factor 1 - beta drops out
    return (inverse * len(counts) / inverse.sum()).float()


def adjusted_logits(logits: Any, class_counts: Any, tau: float = 1.0) -> Tensor:
    r"""Return :math:`f_c(x) + \tau \log \pi_c`, to be trained with cross-entropy.

    A network trained through it has plain logits whose argmax is fair to all classes: with tau = 1 its error is
    consistent for the balanced error.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    class_counts : numbers of shape (C,)
        Or anything proportional to the priors :math:`\pi_c`.
    tau : float
        Strength; 0 changes nothing.

    References
    ----------
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, Eq. 10.
    """
    logits = as_outputs("logits", logits)
    counts = as_class_values("class_counts", class_counts, logits.shape[1], logits.device)
    priors = counts.float() / counts.sum()
    return logits + tau * priors.log()


def balanced_softmax_loss(
    logits: Any,
    labels: Any,
    class_counts: Any,
    tau: float = 1.0,
    weight: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return the cross-entropy of `adjusted_logits`; with tau = 1 that is the balanced softmax.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    labels : integers of shape (B,), numbers of shape (B, C), or Mixed
        See `latentover.losses.reduce_over`.
    class_counts : numbers of shape (C,)
    tau : float, default=1.0
        Strength of the adjustment.
    weight : numbers of shape (C,), optional
        Class weights.
    reduction : {"mean", "weighted_mean", "sum", "none"}, default="mean"
        See `latentover.losses.reduce_losses`.

    References
    ----------
    Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020; with tau, Menon et al.,
    "Long-tail learning via logit adjustment", ICLR 2021.
    """
    adjusted = adjusted_logits(logits, class_counts, tau)
    return reduce_over(
        lambda known: F.cross_entropy(adjusted, known, reduction="none"), adjusted, labels, weight, reduction
    )


def post_hoc_logits(logits: Any, class_counts: Any, tau: float = 1.0) -> Tensor:
    r"""Return :math:`f_c(x) - \tau \log \pi_c`: plainly trained logits, made fair afterwards.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
        Of a network trained with plain cross-entropy on the imbalanced data.
    class_counts : numbers of shape (C,)
        Of the data that it was trained on.
    tau : float, default=1.0
        Strength; 0 changes nothing.

    References
    ----------
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, Eq. 9.

    Examples
    --------
    >>> import torch
    >>> post_hoc_logits(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([90, 10])).softmax(dim=1)
    tensor([[0.5000, 0.5000]])
    """
    return adjusted_logits(logits, class_counts, -tau)
