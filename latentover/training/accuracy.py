"""The accuracy on the training batches of an epoch, for methods that go by it."""

import torch
from torch import Tensor

from latentover.training import parallel
from latentover.training.program import Losses


def right_share(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the share of samples with outputs (B, C) and labels (B,) that are classified rightly."""
    return (outputs.detach().argmax(dim=1) == labels).float().mean()


class TrainingAccuracy:
    """The accuracy on the batches of the epoch before, kept on the device and in its place."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2, device=device)
        self.of_last_epoch = torch.zeros((), device=device)

    def update(self, losses: Losses, n: int) -> None:
        """Count a batch of n samples by its ``accuracy``, where it has one."""
        if "accuracy" in losses:
            self.sums.add_(n * torch.stack([losses["accuracy"], torch.ones_like(losses["accuracy"])]))

    def end_epoch(self) -> None:
        """Begin to count anew."""
        parallel.average([self.sums])
        self.of_last_epoch.copy_(self.sums[0] / self.sums[1].clamp(min=1))
        self.sums.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Return what has been counted."""
        return {"sums": self.sums, "of_last_epoch": self.of_last_epoch}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on counting from there."""
        self.sums.copy_(state["sums"])
        self.of_last_epoch.copy_(state["of_last_epoch"])
