"""Augmentation policies whose operations are drawn for each image: TrivialAugment and RandAugment, on the device.

Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021 (its wide space), and
Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", CVPR Workshops 2020.

Every image has an operation of its own, and all those of a kind are made at once: one `grid_sample` moves pixels, one
blend changes brightness, contrast, colour and sharpness. On the CPU only the images are touched for which an operation
was drawn; where the host may not look, all are and one of them is chosen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latentover.training.capture import host_may_look

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
LEVELS = 30
"""The strongest level of an operation; 0 leaves most of them without an effect."""
_MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_BLENDS = ("brightness", "color", "contrast", "sharpness")
_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
_GRAY = (0.299, 0.587, 0.114)  # ITU-R 601-2 luma of red, green and blue


@dataclass(frozen=True)
class Strengths:
    """What the operations do at the highest level.

    Attributes
    ----------
    shear : float
        Pixels to the side for each pixel up or down.
    translate : float
        Of the image's side.
    degrees : float
    blend : float
        By how much brightness, contrast, colour and sharpness are raised above 1 or lowered below it.
    posterize : int
        Bits of 8 that are lost.
    """

    shear: float
    translate: float
    degrees: float
    blend: float
    posterize: int


WIDE = Strengths(shear=0.99, translate=1.0, degrees=135.0, blend=0.99, posterize=6)
"""Of TrivialAugment's wide space; 32 pixels of images of side 32."""
STANDARD = Strengths(shear=0.3, translate=150 / 331, degrees=30.0, blend=0.9, posterize=4)
"""Of RandAugment; 150 pixels of images of side 331."""


def trivial_augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (B, c, h, w) in [0, 1], each changed by one operation at a level from 0 to 30, all drawn alike.

    Examples
    --------
    >>> import torch
    >>> trivial_augment(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """
    kinds, signs = _drawn(x, generator)
    levels = torch.randint(0, LEVELS + 1, (len(x),), generator=generator, device=x.device)
    return apply_operations(x, kinds, levels, signs, WIDE)


def rand_augment(x: Tensor, generator: torch.Generator, n_operations: int = 2, level: int = 9) -> Tensor:
    """Return images (B, c, h, w) in [0, 1], each changed by operations that are drawn for it, one after the other.

    Examples
    --------
    >>> import torch
    >>> rand_augment(torch.rand(8, 1, 28, 28), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """
    for _ in range(n_operations):
        kinds, signs = _drawn(x, generator)
        x = apply_operations(x, kinds, torch.full_like(kinds, level), signs, STANDARD)
    return x


def _drawn(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return an operation (B,) and a sign (B,), -1 or 1, for each image."""
    kinds = torch.randint(0, len(OPERATIONS), (len(x),), generator=generator, device=x.device)
    signs = 2 * torch.randint(0, 2, (len(x),), generator=generator, device=x.device) - 1
    return kinds, signs


def apply_operations(x: Tensor, kinds: Tensor, levels: Tensor, signs: Tensor, strengths: Strengths) -> Tensor:
    """Return each image with its operation at its level.

    Parameters
    ----------
    x : Tensor of shape (B, c, h, w)
        In [0, 1]; what operations on 8 bits do (posterize, equalize) is done to the nearest of 256 levels.
    kinds : integer Tensor of shape (B,)
        Places in `OPERATIONS`.
    levels : integer Tensor of shape (B,)
        From 0 to `LEVELS`.
    signs : Tensor of shape (B,)
        -1 or 1: to which side images are moved or turned, and whether a blend is weakened or strengthened.
    strengths : Strengths

    Returns
    -------
    Tensor of shape (B, c, h, w)
        Pixels that come from outside of an image are 0. Where an operation was not drawn no value is touched.
    """
    share = levels.to(x.dtype) / LEVELS
    amount = share * signs

    def change(x: Tensor, names: tuple[str, ...], operation: Callable[..., Tensor], *values: Tensor) -> Tensor:
        chosen = torch.zeros_like(kinds, dtype=torch.bool)
        for name in names:
            chosen = chosen | (kinds == _NUMBER[name])
        if not host_may_look(x.device):
            return torch.where(chosen.view(-1, 1, 1, 1), operation(x, *values), x)
        rows = chosen.nonzero().squeeze(1)
        return x.index_copy(0, rows, operation(x[rows], *(value[rows] for value in values))) if len(rows) else x

    x = change(x, _MOVES, lambda x, *drawn: _moved(x, drawn[0], drawn[1], strengths), kinds, amount)
    x = change(x, _BLENDS, _blended, kinds, 1 + strengths.blend * amount)
    x = change(x, ("posterize",), _posterized, (share * strengths.posterize).round())
    x = change(x, ("solarize",), _solarized, share)
    x = change(x, ("autocontrast",), _stretched)
    return change(x, ("equalize",), _equalized)


def _moved(x: Tensor, kinds: Tensor, amount: Tensor, strengths: Strengths) -> Tensor:
    """Return images (B, c, h, w) sheared, moved or turned by `amount` (B,) in [-1, 1].

    Pixels are taken as they are, so that nothing is blurred.
    """

    def of(name: str, most: float) -> Tensor:
        return ((kinds == _NUMBER[name]) * amount * most).view(-1, 1, 1)

    height, width = x.shape[-2:]
    angle = of("rotate", math.radians(strengths.degrees))
    cos, sin = angle.cos(), angle.sin()
    # Centres of the pixels of the result, counted from the corner, and from the middle where they are turned.
    across = (torch.arange(width, device=x.device) + 0.5).to(x.dtype).view(1, 1, -1)
    down = (torch.arange(height, device=x.device) + 0.5).to(x.dtype).view(1, -1, 1)
    u, v = across - width / 2, down - height / 2
    from_u = cos * u - sin * v + width / 2
    from_v = sin * u + cos * v + height / 2
    from_u = from_u + of("shear_x", strengths.shear) * down - of("translate_x", strengths.translate * width).trunc()
    from_v = from_v + of("shear_y", strengths.shear) * across - of("translate_y", strengths.translate * height).trunc()
    grid = torch.stack([2 * from_u / width - 1, 2 * from_v / height - 1], dim=-1)
    return F.grid_sample(x, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _blended(x: Tensor, kinds: Tensor, factor: Tensor) -> Tensor:
    """Return f times images and 1 - f times others: black, their grey, the mean of it or what is smoothed."""
    kinds, factor, gray = kinds.view(-1, 1, 1, 1), factor.view(-1, 1, 1, 1), _gray(x)
    other = (kinds == _NUMBER["color"]) * (gray if x.shape[1] == 3 else x)  # others than three channels have no colour
    other = other + (kinds == _NUMBER["contrast"]) * gray.mean(dim=(1, 2, 3), keepdim=True)
    other = other + (kinds == _NUMBER["sharpness"]) * _smoothed(x)
    return torch.lerp(other, x, factor).clamp(0, 1)


def _gray(x: Tensor) -> Tensor:
    """Return the brightness (B, 1, h, w) of images: of three channels as the eye sees it, else their mean."""
    if x.shape[1] == 3:
        return sum(share * x[:, i : i + 1] for i, share in enumerate(_GRAY))  # type: ignore[return-value]
    return x.mean(dim=1, keepdim=True)


def _smoothed(x: Tensor) -> Tensor:
    """Return images smoothed by (1 1 1, 1 5 1, 1 1 1) / 13; the pixels of the border stay."""
    height, width = x.shape[-2:]
    if height < 3 or width < 3:
        return x
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    inner = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * x[..., 1:-1, 1:-1]) / 13
    out = x.clone()
    out[..., 1:-1, 1:-1] = inner
    return out


def _posterized(x: Tensor, lost: Tensor) -> Tensor:
    """Return images whose pixels keep the highest bits of 8 alone, `lost` (B,) being gone."""
    step = lost.exp2().view(-1, 1, 1, 1)
    return ((x * 255).round() / step).floor() * step / 255


def _solarized(x: Tensor, share: Tensor) -> Tensor:
    """Return images inverted where they are above a threshold, which falls from white to black with `share` (B,)."""
    # In levels of 255, where rounding leaves no doubt on which side of the threshold a pixel lies.
    bright = (x * 255).round() >= (255 * (1 - share)).view(-1, 1, 1, 1)
    return torch.where(bright, 1 - x, x)


def _stretched(x: Tensor) -> Tensor:
    """Return images whose channels go from 0 to 1; those of one value stay."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1e-6), x)


def _equalized(x: Tensor) -> Tensor:
    """Return images each of whose channels has its 256 levels spread so that they are used alike, in whole numbers."""
    values = (x * 255).round().long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=x.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    brightest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - brightest) // 255
    below = counts.cumsum(dim=2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    levels = table.gather(2, values).view_as(x)
    return torch.where(step.view(*x.shape[:2], 1, 1) > 0, levels.to(x.dtype) / 255, x)
