"""What happens at each report of a training: the validation score, early stopping, and a look at what is predicted."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from latentover.estimators.parameters import Interval, PositiveInt
from latentover.metrics import acsa
from latentover.training import ConstantPrediction, EarlyStopping, parallel


@dataclass(kw_only=True, eq=False, repr=False)
class StoppableTraining:
    """Parameters of estimators that can stop early.

    Parameters
    ----------
    early_stopping : bool, default=False
        Whether part of the training data is set aside, scored by ACSA at every report, and training stops when the
        score has not risen for long; the weights that scored best are used.
    validation_fraction : float in (0, 1), default=0.1
        The part of every class that is set aside, rounded up; a class with fewer than 4 samples gives none.
    n_iter_no_change : int, default=10
        Reports without a rise after which training stops; a fit has about 50.
    """

    early_stopping: bool = False
    validation_fraction: Annotated[float, Interval(0, 1, closed="neither")] = 0.1
    n_iter_no_change: PositiveInt = 10


def validation_rows(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return the rows that are set aside, sorted: of each class the `fraction`, rounded up, or none of a tiny one."""
    rows = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().squeeze(1)
        if len(members) >= 4:
            order = torch.randperm(len(members), generator=generator, device=labels.device)
            rows.append(members[order[: min(math.ceil(fraction * len(members)), len(members) - 2)]])
    if not rows:
        raise ValueError(
            "Expected a class of at least 4 samples to set some aside for validation, but there is none; pass "
            "early_stopping=False."
        )
    return torch.cat(rows).sort().values


class TrainingWatch:
    """Looks at each new row of the history and says whether training is to stop.

    Parameters
    ----------
    networks : nn.Module
        As they would be used if training stopped now.
    logits : callable
        Maps a batch of network inputs to logits.
    validation : iterable of (inputs, labels), optional
        Batches set aside; without them nothing is scored.
    patience : int
    """

    def __init__(
        self,
        networks: nn.Module,
        logits: Callable[[Tensor], Tensor],
        validation: Any,
        patience: int,
    ) -> None:
        self.networks, self.logits, self.validation = networks, logits, validation
        self.stopping = EarlyStopping(networks, patience)
        self.constant = ConstantPrediction()

    def __call__(self, row: dict[str, float]) -> bool:
        """Add the validation score to the row and return whether to stop."""
        if "predicted_classes" in row:
            self.constant.update(int(row["step"]), row["predicted_classes"])
        if self.validation is None:
            return False
        parallel.average_buffers(self.networks)
        row["validation_acsa"] = self._score()
        return self.stopping.update(row["validation_acsa"])

    @torch.no_grad()
    def _score(self) -> float:
        modes = {module: module.training for module in self.networks.modules()}
        self.networks.eval()
        predicted, labels = [], []
        for inputs, truth in self.validation():
            predicted.append(self.logits(inputs).argmax(dim=1))
            labels.append(truth)
        for module, mode in modes.items():
            module.training = mode
        return float(acsa(torch.cat(labels).cpu().numpy(), torch.cat(predicted).cpu().numpy()))

    def parts(self) -> dict[str, Any]:
        """Return what belongs into a checkpoint."""
        return {"stopping": self.stopping, "constant": self.constant}
