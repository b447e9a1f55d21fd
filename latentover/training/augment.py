"""Augmentation of image batches on their device, a draw per image."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Augment = Literal["none", "shift", "flip_shift"]
AUGMENTS: tuple[str, ...] = get_args(Augment)
SHIFT_FRACTION = 1 / 14


def augment_images(x: Tensor, augment: str, generator: torch.Generator) -> Tensor:
    """Return images, each moved and perhaps mirrored on its own; anything but images comes back as it is.

    Whole pixels are moved, so that no value changes: two index operations a batch instead of an interpolation.

    Parameters
    ----------
    x : Tensor of shape (B, c, h, w)
    augment : {"none", "shift", "flip_shift"}
        ``"shift"`` moves an image by up to a fourteenth of its sides (2 pixels of 28) in each direction, filled with 0;
        ``"flip_shift"`` mirrors it from left to right too, with probability 1/2.
    generator : torch.Generator
        On the device of x.

    Returns
    -------
    Tensor of shape (B, c, h, w)
    """
    if augment not in AUGMENTS:
        raise ValueError(f"Expected augment to be one of {AUGMENTS}, but got {augment!r}.")
    if augment == "none" or x.dim() != 4:
        return x
    if augment == "flip_shift":
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    n, channels, height, width = x.shape
    rows, up = _moved(height, n, generator)
    columns, left = _moved(width, n, generator)
    padded = F.pad(x, (left, left, up, up))
    images = torch.arange(n, device=x.device)[:, None, None, None]
    planes = torch.arange(channels, device=x.device)[None, :, None, None]
    return padded[images, planes, rows[:, None, :, None], columns[:, None, None, :]]


def _moved(side: int, n: int, generator: torch.Generator) -> tuple[Tensor, int]:
    """Return for each image which padded rows (n, side) it shows, and the padding on either side."""
    most = max(1, round(side * SHIFT_FRACTION))
    offsets = torch.randint(0, 2 * most + 1, (n, 1), generator=generator, device=generator.device)
    return offsets + torch.arange(side, device=generator.device), most
