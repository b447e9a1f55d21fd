"""All randomness of a fit flows from one ``random_state``, and the caller's generators are left as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from latentover.seeds import as_random_state
from latentover.training.ownership import global_generators


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed for torch: the same for the same integer, a new one for None or a generator."""
    return int(as_random_state(random_state).randint(2**31 - 1))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[torch.Generator]:
    """Seed torch's global generators, from which initialisation and dropout draw, and restore them afterwards.

    The process has one of each, so that other threads wait to enter until this one has left: fits and samplings in a
    pool of threads come one after the other. Trainings in turns (`latentover.training.turns`) hold them in turns.

    Parameters
    ----------
    seed : int
    device : torch.device or str
        Where the fit runs; its generator is forked too.

    Yields
    ------
    torch.Generator
        A generator on `device` for everything that is drawn explicitly (batches, noise, mixing weights).
    """
    device = torch.device(device)
    forked = [device] if device.type == "cuda" else []
    with global_generators, torch.random.fork_rng(devices=forked):
        # Not torch.manual_seed, which seeds devices too whose generators are not restored.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield torch.Generator(device=device).manual_seed(seed)


class Randomness:
    """The state of all generators that a fit draws from, to be kept in a checkpoint."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the states of the explicit generator and of torch's global ones."""
        state = {"explicit": self.generator.get_state(), "cpu": torch.default_generator.get_state()}
        if self.generator.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.generator.device)
        return state

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on drawing from there."""
        self.generator.set_state(state["explicit"])
        torch.default_generator.set_state(state["cpu"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.generator.device)
