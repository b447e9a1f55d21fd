"""Optimizers of a classifying network, with one meaning of weight decay for all of them."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import nn

Optimizer = Literal["adamw", "sgd"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
MOMENTUM = 0.9


def fused(parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
    """Return the arguments that make torch update all parameters in one kernel, where their device has one."""
    return {"fused": all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)}


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    nesterov: bool = True,
) -> torch.optim.Optimizer:
    """Return the optimizer of that name.

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
    parameters = list(parameters)
    arguments: dict[str, Any] = {
        "lr": learning_rate,
        "weight_decay": weight_decay / learning_rate,
        **fused(parameters),
    }
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=MOMENTUM, nesterov=nesterov, **arguments)
    return torch.optim.AdamW(parameters, **arguments)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Let all parameters of the optimizer have this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
