"""Optimizers: Adam for players of a game, one meaning of weight decay for classifying networks, and their rates."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

Optimizer = Literal["adamw", "sgd"]
MOMENTUM = 0.9


def fused(parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
    """Return the arguments that make torch update all parameters in one kernel, where their device has one."""
    return {"fused": all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)}


def adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Return Adam for those of the parameters that are not frozen, in one kernel where the device has one."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, **fused(parameters))


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    nesterov: bool = True,
) -> torch.optim.Optimizer:
    """Return the optimizer of that name for those of the parameters that are not frozen.

    Parameters
    ----------
    name : {"adamw", "sgd"}
        ``"sgd"`` has momentum 0.9.
    parameters : iterable of nn.Parameter
    learning_rate : float
    weight_decay : float
        The fraction by which weights shrink in a step at the full learning rate. AdamW shrinks them apart from the
        gradient; for SGD it is the usual L2 term of strength ``weight_decay / learning_rate``.
    nesterov : bool, default=True
        Whether the momentum of SGD is Nesterov's.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    arguments: dict[str, Any] = {
        "lr": learning_rate,
        "weight_decay": weight_decay / learning_rate,
        **fused(parameters),
    }
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=MOMENTUM, nesterov=nesterov, **arguments)
    return torch.optim.AdamW(parameters, **arguments)


class LearningRates:
    """Sets the learning rates of optimizers before each step.

    Parameters
    ----------
    optimizers : mapping of str to torch.optim.Optimizer
        Each with its learning rate at the height of its schedule.
    factors : mapping of str to callable
        From a step, counted from 0, to the factor on it; where there is none the learning rate stays.
    as_tensors : bool
        Whether updates are recorded, which freezes plain numbers: then learning rates are tensors that are filled in
        place, and Adam counts its steps on the device.
    """

    def __init__(
        self,
        optimizers: Mapping[str, torch.optim.Optimizer],
        factors: Mapping[str, Callable[[int], float]],
        *,
        as_tensors: bool,
    ) -> None:
        self.optimizers, self.factors = optimizers, factors
        self.highest = {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()}
        self.tensors: dict[str, Tensor] = {}
        if as_tensors:
            for name, rate in self.highest.items():
                device = optimizers[name].param_groups[0]["params"][0].device
                # The kernels of CUDA read float32, those of the CPU whatever there is.
                dtype = torch.float64 if device.type == "cpu" else torch.float32
                self.tensors[name] = torch.tensor(rate, dtype=dtype, device=device)
        self.install()

    def install(self) -> None:
        """Give the optimizers their rates, again where they have taken those of a checkpoint."""
        for name, tensor in self.tensors.items():
            for group in self.optimizers[name].param_groups:
                group["lr"] = tensor
                if "capturable" in group:
                    group["capturable"] = tensor.device.type == "cuda"
            # Torch would warn that the first steps are not recorded, which is as it should be.
            self.optimizers[name]._warned_capturable_if_run_uncaptured = True

    def set(self, step: int) -> None:
        """Let the optimizers have their learning rates of a step, counted from 0."""
        for name, factor in self.factors.items():
            rate = self.highest[name] * factor(step)
            if name in self.tensors:
                self.tensors[name].fill_(rate)
            else:
                for group in self.optimizers[name].param_groups:
                    group["lr"] = rate
