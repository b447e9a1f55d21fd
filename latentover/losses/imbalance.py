"""Classification losses that know the class counts."""

from torch import Tensor


def inverse_frequency_weights(class_counts: Tensor) -> Tensor:
    r"""Return class weights :math:`N / (C n_c)`, under which every class has the same total weight.

    Parameters
    ----------
    class_counts : Tensor of shape (C,)
        Training samples n_c of each class, all positive.

    Examples
    --------
    >>> import torch
    >>> inverse_frequency_weights(torch.tensor([30, 10]))
    tensor([0.6667, 2.0000])
    """
    counts = class_counts.float()
    return counts.sum() / (len(counts) * counts)


def adjusted_logits(logits: Tensor, class_counts: Tensor, tau: float = 1.0) -> Tensor:
    r"""Return :math:`f_c(x) + \tau \log \pi_c`, to be trained with cross-entropy.

    A network trained through it has plain logits whose argmax is fair to all classes: with tau = 1 its error is
    consistent for the balanced error.

    Parameters
    ----------
    logits : Tensor of shape (B, C)
    class_counts : Tensor of shape (C,)
        Or anything proportional to the priors :math:`\pi_c`.
    tau : float
        Strength; 0 changes nothing.

    References
    ----------
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, Eq. 10.
    """
    priors = class_counts.float() / class_counts.sum()
    return logits + tau * priors.log()
