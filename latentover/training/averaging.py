"""An exponential moving average of weights, running statistics included."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    r"""Follows a network: :math:`\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta` after each update.

    Parameters
    ----------
    network : nn.Module
    decay : float in [0, 1)
        The d; with 0 nothing is averaged and the network itself is used.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.averaged = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay > 0 else None
        )

    def update(self) -> None:
        """Take in the present weights; the first update takes them as they are."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    @property
    def module(self) -> nn.Module:
        """The averaged network, or the network itself where nothing is averaged."""
        return self.network if self.averaged is None else self.averaged.module

    def state_dict(self) -> dict:
        """Return the averages."""
        return {} if self.averaged is None else self.averaged.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Go on averaging from there."""
        if self.averaged is not None:
            self.averaged.load_state_dict(state)
