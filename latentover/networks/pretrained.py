"""Weights of networks from files: found, read and fitted to a network, and networks of which a part does not learn."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

CACHE = "cache"
FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
"""Endings of files of weights; any other path is a bundle, a folder."""
_BUNDLED = "model.safetensors"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
"""Under which checkpoints of a training keep the weights."""
_COUNTERS = "num_batches_tracked"
"""Of batch normalisation, which old files lack and nothing here needs."""
_NAMED = 4
"""Weights that a message names."""


def is_bundle(weights: str | os.PathLike[str]) -> bool:
    """Return whether weights come from a bundle, and with them the size and scale of images that they know.

    Examples
    --------
    >>> is_bundle("runs/animals/seed-0"), is_bundle("resnet18.pth"), is_bundle("cache")
    (True, False, False)
    """
    return os.fspath(weights) != CACHE and Path(weights).suffix.lower() not in FILES


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file or a bundle by their names; nothing that a file holds is executed.

    Parameters
    ----------
    path : path
        A state dict of torch (``.pt``, ``.pth``, ``.bin``, ``.ckpt``), a ``.safetensors`` file, or a bundle.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If it holds anything but tensors.
    """
    file = Path(path) / _BUNDLED if is_bundle(path) else Path(path)
    if not file.is_file():
        kinds = f"a file of weights ({', '.join(FILES)}) or the folder of a bundle"
        raise FileNotFoundError(f"Expected encoder_weights to be {kinds}, but there is no {file}; correct the path.")
    try:
        found: Any = (
            load_file(file)
            if file.suffix.lower() == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise ValueError(_no_weights(path, str(error).splitlines()[0])) from error
    except Exception as error:  # pickle's own, for classes that are not trusted
        raise ValueError(_no_weights(path, f"{type(error).__name__}, objects other than tensors")) from error
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)} if found else {}
    if not tensors:
        raise ValueError(_no_weights(path, f"a {type(found).__name__} without tensors"))
    return tensors


def _no_weights(path: str | os.PathLike[str], found: str) -> str:
    return (
        f"Expected encoder_weights to hold tensors and nothing else, but got {os.fspath(path)}: {found}; save them "
        "with torch.save(network.state_dict(), path)."
    )


def fit_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | os.PathLike[str],
    *,
    head: str = "",
    dropped: tuple[str, ...] = (),
) -> None:
    """Give a network weights of the same network, perhaps part of a larger one, or with another last layer.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    weights : mapping of str to Tensor
        Their names may all stand behind one prefix (``module.``, ``encoder.``), and others beside it.
    source : path
        Of the weights, for messages.
    head : str
        The name of a layer of the network that keeps its own weights where the file's have another shape.
    dropped : tuple of str
        Names of layers that the file may have and the network does not.

    Raises
    ------
    ValueError
        Naming what is missing, left over, or of another shape; the network is as it was then.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(_COUNTERS)}
    prefix = _prefix(own, weights)
    given = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix) and not name.endswith(_COUNTERS)
    }
    other_head = [
        name for name in own if head and name.startswith(f"{head}.") and _shape(given.get(name)) != _shape(own[name])
    ]
    if other_head:
        given = {name: tensor for name, tensor in given.items() if not name.startswith(f"{head}.")}
        own = {name: tensor for name, tensor in own.items() if not name.startswith(f"{head}.")}
    left_out = [f"{name}." for name in dropped]
    given = {name: tensor for name, tensor in given.items() if not name.startswith(tuple(left_out))}
    problems = [f"lacks {_some([name for name in own if name not in given])}"] if own.keys() - given.keys() else []
    if given.keys() - own.keys():
        problems.append(f"has {_some([name for name in given if name not in own])} beside them")
    wrong = [name for name in own if name in given and _shape(own[name]) != _shape(given[name])]
    if wrong:
        shapes = f"{_shape(given[wrong[0]])} where the network has {_shape(own[wrong[0]])}"
        problems.append(f"has other shapes at {_some(wrong)}: {shapes}")
    if problems:
        raise ValueError(
            f"Expected encoder_weights to be those of the encoder, but {os.fspath(source)} {'; it '.join(problems)}. "
            "Name the network that they are of, with the channels and the size that it had."
        )
    network.load_state_dict({name: given[name] for name in own}, strict=False)


def _prefix(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Return what stands before the names of a network in a file: the one under which most of them are found."""
    ends = {*list(own)[:1], *list(own)[-1:]}
    found = {name[: -len(end)] for end in ends for name in weights if name.endswith(end)}
    found = {prefix for prefix in found if not prefix or prefix[-1] in "./"} | {""}
    return max(sorted(found), key=lambda prefix: sum(f"{prefix}{name}" in weights for name in own))


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


class Frozen(nn.Module):
    """A network that keeps its weights and its running statistics, but for one layer that may learn.

    Gradients pass through it to its inputs.

    Parameters
    ----------
    network : nn.Module
    learns : str
        The name of the layer that learns; empty for none.
    """

    def __init__(self, network: nn.Module, learns: str = "") -> None:
        super().__init__()
        self.network, self.learns = network.requires_grad_(requires_grad=False), learns
        if learns:
            network.get_submodule(learns).requires_grad_()
        self.train(self.training)

    def train(self, mode: bool = True) -> "Frozen":
        """Let the layer that learns be in that mode; the rest is always in evaluation mode."""
        super().train(mode)
        self.network.eval()
        if self.learns:
            self.network.get_submodule(self.learns).train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs as the network does."""
        return self.network(x)
