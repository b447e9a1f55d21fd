"""The learning-rate schedule of the long-tailed benchmarks: a warm-up, a constant, and steps down."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepDecay:
    """A factor on the learning rate that changes between epochs, as fractions of a training of any length.

    Parameters
    ----------
    warmup : float, default=0.025
        Fraction of the epochs over which the learning rate rises in equal steps to its full value; 5 of 200.
    milestones : tuple of float, default=(0.8, 0.9)
        Fractions of the epochs after which it falls; 160 and 180 of 200.
    factor : float, default=0.01
        By which it is multiplied at each milestone.

    References
    ----------
    Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019, Section 4.

    Examples
    --------
    >>> [StepDecay().at(epoch, 200) for epoch in (0, 4, 159, 160)]
    [0.2, 1.0, 1.0, 0.01]
    """

    warmup: float = 0.025
    milestones: tuple[float, ...] = (0.8, 0.9)
    factor: float = 0.01

    def __post_init__(self) -> None:
        fractions = (self.warmup, *self.milestones)
        if not all(0 <= fraction <= 1 for fraction in fractions) or list(self.milestones) != sorted(self.milestones):
            raise ValueError(
                "Expected warmup and milestones to be rising fractions of the training in [0, 1], but got "
                f"{self.warmup!r} and {self.milestones!r}; divide epochs by their number."
            )
        if not 0 < self.factor <= 1:
            raise ValueError(f"Expected factor to be above 0 and at most 1, but got {self.factor!r}.")

    def at(self, epoch: int, n_epochs: int) -> float:
        """Return the factor in an epoch, counted from 0, of a training of `n_epochs`."""
        warmup, *milestones = (int(fraction * n_epochs + 0.5) for fraction in (self.warmup, *self.milestones))
        if epoch < warmup:
            return (epoch + 1) / warmup
        return self.factor ** sum(epoch >= milestone for milestone in milestones)
