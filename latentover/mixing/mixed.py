"""What a mixing rule returns, and the steps that all rules share: weights, partners, mixed inputs."""

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from latentover.training.capture import host_may_look

Space = Literal["input", "hidden", "features"]
SPACES: tuple[str, ...] = get_args(Space)
Partners = tuple[Tensor, Tensor]
"""Inputs (B, ...) and labels (B,) of the samples j, where they do not come from the batch itself."""


@dataclass(frozen=True)
class Mixed:
    """A batch of mixed samples; each is made of a sample i and its partner j.

    Attributes
    ----------
    inputs : Tensor of shape (B, ...)
        Mixed inputs.
    labels, partners : integer Tensor of shape (B,)
        Classes of sample i and of sample j.
    label_weight : Tensor of shape (B,)
        Weight of the class of sample i in the mixed label, in [0, 1]; the class of sample j has the rest.
    partner_rows : integer Tensor of shape (B,), optional
        Which sample of the batch each j is; None where partners were given, and j is the one beside i.
    """

    inputs: Tensor
    labels: Tensor
    partners: Tensor
    label_weight: Tensor
    partner_rows: Tensor | None = None

    def soft_labels(self, n_classes: int) -> Tensor:
        """Return the mixed labels (B, n_classes), whose rows sum to 1.

        Examples
        --------
        >>> import torch
        >>> mixed = Mixed(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([2]), torch.tensor([0.25]))
        >>> mixed.soft_labels(3)
        tensor([[0.2500, 0.0000, 0.7500]])
        """
        weight = self.label_weight.unsqueeze(1)
        soft = weight.new_zeros(len(weight), n_classes)
        soft.scatter_(1, self.labels.unsqueeze(1), weight)
        return soft.scatter_add_(1, self.partners.unsqueeze(1), 1 - weight)


@dataclass(frozen=True, kw_only=True)
class MixingRule(ABC):
    """What all rules are: called with a batch, they return it mixed.

    A rule is a frozen dataclass whose fields are numbers, choices or other rules, so that recipes can write it and
    bundles can store it.

    Parameters
    ----------
    space : {"input", "hidden", "features"}, default="input"
        What a training calls the rule with: inputs, the activations behind one of `layers`, which is drawn anew for
        each batch, or an encoder's output.
    layers : tuple of int, default=(0, 1, 2)
        With ``space="hidden"``: behind which stages of the network mixing may happen; 0 is the input, 1 behind the
        first stage.
    """

    space: Space = "input"
    layers: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        default, said = type(self).__dataclass_fields__["space"].default, type(self).space
        if self.space == default != said:  # a subclass may say it as a plain class attribute
            object.__setattr__(self, "space", said)
        if self.space not in SPACES:
            raise ValueError(f"Expected space to be one of {SPACES}, but got {self.space!r}.")
        whole = all(isinstance(layer, int) and layer >= 0 for layer in self.layers)
        if len(self.layers) == 0 or not whole:
            raise ValueError(
                f"Expected layers to be whole numbers of at least 0, but got {self.layers!r}; 0 is the input."
            )

    def draw_layer(self, generator: torch.Generator) -> int:
        """Return one of `layers`, each with the same probability."""
        drawn = torch.randint(len(self.layers), (), generator=generator, device=generator.device)
        return self.layers[int(drawn)]

    @abstractmethod
    def __call__(self, inputs: Tensor, labels: Tensor, class_counts: Tensor, generator: torch.Generator) -> Mixed:
        """Mix a batch.

        Parameters
        ----------
        inputs : Tensor of shape (B, ...)
            Of the space that `space` names; gradients flow through both samples of a mixture.
        labels : integer Tensor of shape (B,)
        class_counts : Tensor of shape (C,)
            Training samples of each class.
        generator : torch.Generator
            On the device of the inputs; the only source of randomness.
        """


def as_batch(inputs: Any, labels: Any, class_counts: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a rule is called with as Tensors on the device of the inputs: decimal inputs, int64 labels, counts.

    Raises
    ------
    ValueError
        For labels that are no whole numbers, or not one for each sample, and counts that are not one for each class
        or say that there is none of a class that is there.
    """
    inputs = torch.as_tensor(inputs)
    labels, counts = (torch.as_tensor(values, device=inputs.device) for values in (labels, class_counts))
    if labels.shape != inputs.shape[:1] or labels.is_floating_point():
        raise ValueError(
            f"Expected labels to be a class number for each of {len(inputs)} inputs, but got shape "
            f"{tuple(labels.shape)} of {str(labels.dtype).removeprefix('torch.')}; pass whole numbers (B,)."
        )
    if counts.dim() != 1:
        raise ValueError(
            f"Expected class_counts to have one number for each class, but got shape {tuple(counts.shape)}; pass (C,)."
        )
    looks = host_may_look(labels.device) and len(labels) > 0
    if looks and not 0 <= int(labels.min()) <= int(labels.max()) < len(counts):
        raise ValueError(
            f"Expected labels to be class numbers from 0 to {len(counts) - 1}, for there are {len(counts)} "
            f"class_counts, but got some from {int(labels.min())} to {int(labels.max())}; number the classes "
            "with np.unique(y, return_inverse=True)."
        )
    if looks and len(uncounted := labels[counts[labels.long()] <= 0]):
        label = int(uncounted[0])
        raise ValueError(
            f"Expected class_counts to be positive for the classes of the labels, but got {counts[label].item()} for "
            f"class {label}; pass the counts of the whole training set, as labels.bincount() gives them."
        )
    return inputs if inputs.is_floating_point() else inputs.float(), labels.long(), counts


def draw_mixing_weights(alpha: float, n: int, generator: torch.Generator, *, per_sample: bool = False) -> Tensor:
    """Draw weights from Beta(alpha, alpha): one for all n samples, or one for each.

    Parameters
    ----------
    alpha : float
        Positive; 1 is the uniform distribution, less prefers weights near 0 and 1, more prefers 1/2.
    n : int
    generator : torch.Generator
        On the device of the weights.
    per_sample : bool, default=False

    Returns
    -------
    Tensor of shape (n,)
        In [0, 1], float32.
    """
    size = n if per_sample else 1
    device = generator.device
    if alpha == 1:
        weights = torch.rand(size, generator=generator, device=device)
    else:
        # In float64, for with a small alpha both gamma draws can be too small for float32 and their ratio undefined.
        shape = torch.full((2, size), float(alpha), dtype=torch.float64, device=device)
        first, second = torch._standard_gamma(shape, generator=generator)
        weights = (first / (first + second)).float()
    return weights.expand(n)


def mix_inputs(inputs: Tensor, partner_inputs: Tensor, weight: Tensor) -> Tensor:
    r"""Return :math:`\lambda x_i + (1 - \lambda) x_j`, exactly :math:`x_i` at 1 and :math:`x_j` at 0.

    Parameters
    ----------
    inputs, partner_inputs : Tensor of shape (B, ...)
    weight : Tensor of shape (B,)
        The weight of `inputs`.

    Examples
    --------
    >>> import torch
    >>> mix_inputs(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0.25]))
    tensor([[0.2500, 1.5000]])
    """
    weight = weight.to(inputs.dtype).view(-1, *[1] * (inputs.dim() - 1))
    return torch.lerp(partner_inputs, inputs, weight)


def check_number(
    name: str, value: float, low: float, high: float = math.inf, *, above: bool = False, whole: bool = False
) -> None:
    """Raise ValueError unless `value` is a finite number from `low` (or `above` it) to `high`."""
    typed = isinstance(value, numbers.Integral if whole else numbers.Real) and not isinstance(value, bool)
    if typed and math.isfinite(value) and (low < value if above else low <= value) and value <= high:
        return
    noun = "a whole number" if whole else "a number"
    bound = f"{'above' if above else 'of at least'} {low:g}" + ("" if math.isinf(high) else f" and at most {high:g}")
    raise ValueError(f"Expected {name} to be {noun} {bound}, but got {value!r}.")
