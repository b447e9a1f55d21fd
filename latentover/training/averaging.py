"""An exponential moving average of weights, running statistics included."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage:
    r"""Follows a network: :math:`\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta` after each update.

    The average stays where it is in memory, so that its updates can be recorded.

    Parameters
    ----------
    network : nn.Module
    decay : float in (0, 1)
        The d.

    Attributes
    ----------
    module : nn.Module
        The averaged network.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.module = copy.deepcopy(network)
        self.n_averaged = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present weights; the first update takes them as they are."""
        ours = [*self.module.parameters(), *self.module.buffers()]
        theirs = [*self.network.parameters(), *self.network.buffers()]
        decays = [tensor.is_floating_point() and self.n_averaged > 0 for tensor in ours]
        averaged, followed = ([t for t, d in zip(each, decays, strict=True) if d] for each in (ours, theirs))
        taken, counted = ([t for t, d in zip(each, decays, strict=True) if not d] for each in (ours, theirs))
        if averaged:
            torch._foreach_lerp_(averaged, followed, 1 - self.decay)
        if taken:
            torch._foreach_copy_(taken, counted)
        self.n_averaged += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"module": self.module.state_dict(), "n_averaged": self.n_averaged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on averaging from there."""
        self.module.load_state_dict(state["module"])
        self.n_averaged = state["n_averaged"]


def with_children(network: Network, children: Mapping[str, nn.Module]) -> Network:
    """Return a network that shares all with another one but these children; the other one itself where there are none.

    Its own parameters and buffers, if it has any, are shared too.
    """
    if not children:
        return network
    copied = copy.copy(network)
    copied._modules = {**network._modules, **children}
    return copied
