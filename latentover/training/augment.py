"""Augmentation of image batches on their device, a draw per image."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.training.policies import rand_augment, trivial_augment

Augment = Literal[
    "none",
    "flip",
    "shift",
    "flip_shift",
    "shift_cutout",
    "flip_shift_cutout",
    "pad_crop_flip",
    "trivial",
    "shift_trivial",
    "shift_trivial_cutout",
    "flip_shift_trivial",
    "flip_shift_trivial_cutout",
    "pad_crop_flip_trivial",
    "pad_crop_flip_trivial_cutout",
    "rand",
    "shift_rand",
    "shift_rand_cutout",
    "flip_shift_rand",
    "flip_shift_rand_cutout",
    "pad_crop_flip_rand",
    "pad_crop_flip_rand_cutout",
]
AUGMENTS: tuple[str, ...] = get_args(Augment)
"""Names of the augmentations of images."""
SHIFT_FRACTION = 1 / 14
CROP_FRACTION = 1 / 8
CUTOUT_FRACTION = 1 / 4


def augment_images(x: Tensor, augment: str, generator: torch.Generator) -> Tensor:
    """Return images, each moved and perhaps mirrored or cut on its own; anything but images comes back as it is.

    Whole pixels are moved by index operations instead of an interpolation, so that no value changes but by the
    operations of a policy.

    Parameters
    ----------
    x : Tensor of shape (B, c, h, w)
    augment : one of `AUGMENTS`
        ``"flip"`` mirrors an image from left to right with probability 1/2; ``"shift"`` moves it by up to a fourteenth
        of its sides (2 pixels of 28) in each direction, filled with 0; ``"flip_shift"`` does both. With ``"_cutout"``
        half of the images then lose a square, set to 0 (DeVries and Taylor, arXiv:1708.04552): a quarter of the shorter
        side (7 pixels of 28), anywhere inside the image. ``"pad_crop_flip"`` is what residual networks are usually
        trained with (He et al., CVPR 2016): zeros around the image, an eighth of its sides (4 pixels of 32, 8 of 64), a
        random crop of the old size, and mirrored with probability 1/2. With ``"trivial"`` or ``"rand"`` in the name,
        alone or behind one of these, each image then gets one or two random operations
        (`latentover.training.policies`), before a square is cut: ``"flip_shift_trivial_cutout"``,
        ``"pad_crop_flip_rand"``.
    generator : torch.Generator
        On the device of x.

    Returns
    -------
    Tensor of shape (B, c, h, w)

    Raises
    ------
    ValueError
        If `augment` is none of these.

    Examples
    --------
    >>> import torch
    >>> images = torch.rand(16, 3, 32, 32)
    >>> augment_images(images, "pad_crop_flip", torch.Generator().manual_seed(0)).shape
    torch.Size([16, 3, 32, 32])
    """
    if augment not in AUGMENTS:
        raise ValueError(f"Expected augment to be one of {AUGMENTS}, but got {augment!r}.")
    if augment == "none" or x.dim() != 4:
        return x
    if "flip" in augment:
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    if "crop" in augment or "shift" in augment:
        x = _shift(x, CROP_FRACTION if "crop" in augment else SHIFT_FRACTION, generator)
    if "trivial" in augment:
        x = trivial_augment(x, generator)
    if "rand" in augment:
        x = rand_augment(x, generator)
    return _cut_half_of_the_images(x, generator) if "cutout" in augment else x


def patch_mask(top: Tensor, left: Tensor, patch: tuple[int | Tensor, int | Tensor], size: tuple[int, int]) -> Tensor:
    """Return where a patch lies in each image; what would lie outside is cut off.

    Parameters
    ----------
    top, left : Tensor of shape (B,)
        First row and column of each patch, integers, perhaps negative.
    patch : tuple of int, or of Tensors of shape (B,)
        Height and width of the patches.
    size : tuple of int
        Height and width of the images.

    Returns
    -------
    Tensor of shape (B, 1, h, w)
        Boolean.
    """
    rows, columns = (
        (places >= first[:, None]) & (places < (first + length)[:, None])
        for places, first, length in (
            (torch.arange(size[0], device=top.device), top, patch[0]),
            (torch.arange(size[1], device=top.device), left, patch[1]),
        )
    )
    return rows[:, None, :, None] & columns[:, None, None, :]


def _shift(x: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Move each image by up to this fraction of its sides, filled with 0."""
    n, channels, height, width = x.shape
    rows, up = _moved(height, n, fraction, generator)
    columns, left = _moved(width, n, fraction, generator)
    padded = F.pad(x, (left, left, up, up))
    images = torch.arange(n, device=x.device)[:, None, None, None]
    planes = torch.arange(channels, device=x.device)[None, :, None, None]
    return padded[images, planes, rows[:, None, :, None], columns[:, None, None, :]]


def _moved(side: int, n: int, fraction: float, generator: torch.Generator) -> tuple[Tensor, int]:
    """Return for each image which padded rows (n, side) it shows, and the padding on either side."""
    most = max(1, round(side * fraction))
    offsets = torch.randint(0, 2 * most + 1, (n, 1), generator=generator, device=generator.device)
    return offsets + torch.arange(side, device=generator.device), most


def _cut_half_of_the_images(x: Tensor, generator: torch.Generator) -> Tensor:
    n, _, height, width = x.shape
    side = max(1, round(CUTOUT_FRACTION * min(height, width)))
    top = torch.randint(0, height - side + 1, (n,), generator=generator, device=x.device)
    left = torch.randint(0, width - side + 1, (n,), generator=generator, device=x.device)
    chosen = torch.rand(n, 1, 1, 1, generator=generator, device=x.device) < 0.5
    return x.masked_fill(patch_mask(top, left, (side, side), (height, width)) & chosen, 0)
