"""Augmentation of what a critic sees, as often as its scores of the real images ask for.

A critic that sees few images learns them by heart. The chain of flip, translation, rotation, zoom, brightness,
saturation, contrast and cutout hides that: it is applied to real and generated images alike, with a probability that
rises while the critic is too sure of the real ones, and it is differentiable, so that the generator learns through it.

References
----------
Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (the adaptive probability);
Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020 (colours and cutout).
The ranges are those of the authors' code of the class-preserving regularized autoencoder; its paper does not augment.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentover.training.augment import patch_mask
from latentover.training.capture import host_may_look

TRANSLATION = 0.125
ROTATION_TURNS = 0.125
ZOOM = 0.25
BRIGHTNESS = 0.5
SATURATION = 1.0
CONTRAST = 0.5
CUTOUT_FRACTION = 0.5
DRAWS_PER_IMAGE = 11  # uniform numbers: one for the flip, two for translation, zoom and cutout each, one for the others


class AdaptiveAugment(nn.Module):
    r"""Augment images with a probability that follows the critic's scores of the real ones.

    Each image gets the whole chain, see `augment_chain`, or stays as it is. After each critic step

    .. math:: p \leftarrow \min(1, \max(0, p + (a - a_{target}) \, s))

    with :math:`a` the share of real images with a positive score, where a score of 0 counts half. The same
    `probability` serves for real and generated images.

    Parameters
    ----------
    target : float in [0, 1], default 0.85
        The share of positive scores to aim at.
    step : float, default 1/1000
        How fast the probability moves, per call of `update` and unit of the share's deviation.

    Attributes
    ----------
    probability : Tensor of shape ()
        In [0, 1], at first 0. A buffer, which ``state_dict`` and ``load_state_dict`` carry. On a GPU the host never
        reads it, so that nothing has to be waited for.

    Examples
    --------
    >>> import torch
    >>> augment, generator = AdaptiveAugment(), torch.Generator().manual_seed(0)
    >>> images = torch.rand(4, 1, 28, 28)
    >>> augment(images, generator) is images
    True
    >>> augment.update(positive_share(torch.tensor([2.0, 1.0, 0.5, 3.0])))
    >>> round(augment.probability.item(), 6)
    0.00015
    """

    probability: Tensor

    def __init__(self, target: float = 0.85, step: float = 1 / 1000) -> None:
        super().__init__()
        self.target, self.step = target, step
        self.register_buffer("probability", torch.zeros(()))

    def forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return images, each augmented with the current probability.

        Parameters
        ----------
        x : Tensor of shape (B, c, h, w)
            Float, usually in [0, 1]; the chain may leave that range.
        generator : torch.Generator
            On the device of x.

        Returns
        -------
        Tensor of shape (B, c, h, w)
            Differentiable with respect to x. Where no image is chosen on the CPU, x itself.
        """
        return self.augmented(x, torch.rand(len(x), 1 + DRAWS_PER_IMAGE, generator=generator, device=x.device))

    def augmented(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return images (B, c, h, w), augmented with uniform draws (B, 12): whether at all, and those of the chain."""
        chosen, draws = draws[:, 0] < self.probability, draws[:, 1:]
        if not host_may_look(x.device):
            return torch.where(chosen[:, None, None, None], augment_chain(x, draws), x)
        rows = chosen.nonzero().flatten()
        if len(rows) == 0:
            return x
        return x.index_copy(0, rows, augment_chain(x[rows], draws[rows]))

    @torch.no_grad()
    def update(self, positive: Tensor) -> None:
        """Move the probability, in its place, towards the wanted share of real images with a positive score.

        Parameters
        ----------
        positive : scalar Tensor
            `positive_share` of the critic's scores of real images.
        """
        self.probability.add_((positive - self.target) * self.step).clamp_(0, 1)


def positive_share(scores: Tensor) -> Tensor:
    """Return the share of scores (of any shape) above 0; one of exactly 0 counts half.

    Examples
    --------
    >>> import torch
    >>> positive_share(torch.tensor([2.0, 0.0, -1.0, 3.0]))
    tensor(0.6250)
    """
    return ((scores.sign() + 1) / 2).float().mean()


def augment_chain(x: Tensor, draws: Tensor) -> Tensor:
    r"""Flip, move, turn, zoom, recolour and cut each image, differentiably with respect to its pixels.

    1. flip from left to right with probability 1/2;
    2. translation by up to an eighth of each side, rounded to whole pixels;
    3. rotation by up to an eighth of a turn (45 degrees) either way;
    4. zoom into the middle, height and width each to 0.75 to 1 of their sides;
    5. brightness: one number in [-0.5, 0.5] is added;
    6. saturation: a pixel's deviations from the mean of its channels are scaled by [0, 2];
    7. contrast: deviations from the mean of the image are scaled by [0.5, 1.5];
    8. cutout: half of each side is set to 0, around a uniform place and cut off at the border.

    Steps 1 to 4 are one bilinear warp, reflected beyond the border (``d c b a | a b c d | d c b a``). One after the
    other, the usual way, they would blur twice and reflect an already reflected image; the places are the same.

    Parameters
    ----------
    x : Tensor of shape (B, c, h, w)
        Float, of any number of channels; sides may be odd or unequal. Half precision is computed in float32.
    draws : Tensor of shape (B, 11)
        Uniform in [0, 1), what the eight steps take of their ranges.

    Returns
    -------
    Tensor of shape (B, c, h, w)
        In the dtype of x, not clipped to the range of x.
    """
    images = x.to(torch.promote_types(x.dtype, torch.float32))
    flip, up, left, turn, high, wide, brightness, saturation, contrast, top, side = draws.to(images.dtype).unbind(1)
    images = _warp(images, flip, _symmetric(up), _symmetric(left), _symmetric(turn), high, wide)
    # Not kornia.enhance: its saturation and contrast clip to [0, 1], where no gradient flows.
    images = images + BRIGHTNESS * _symmetric(brightness)[:, None, None, None]
    images = _scale_deviation(images, 1 + SATURATION * _symmetric(saturation), dim=(1,))
    images = _scale_deviation(images, 1 + CONTRAST * _symmetric(contrast), dim=(1, 2, 3))
    return _cut(images, top, side).to(x.dtype)


def _symmetric(draw: Tensor) -> Tensor:
    """Turn uniform [0, 1) into uniform [-1, 1)."""
    return 2 * draw - 1


def _warp(x: Tensor, flip: Tensor, up: Tensor, left: Tensor, turn: Tensor, high: Tensor, wide: Tensor) -> Tensor:
    """Take each output pixel from where zoom, rotation, translation and flip, undone in this order, lead.

    All arguments but x have shape (B,); `up`, `left` and `turn` are in [-1, 1), the others in [0, 1).
    """
    height, width = x.shape[2:]
    high, wide = 1 - ZOOM * high, 1 - ZOOM * wide
    angle = 2 * math.pi * ROTATION_TURNS * turn
    # Coordinates run from -1 to 1 over either side, so a rotation of pixels needs the ratio of the sides.
    ratio = height / width
    mirror = torch.where(flip < 0.5, -1.0, 1.0).to(x.dtype)
    shift_x = (TRANSLATION * width * left).round() * 2 / width
    shift_y = (TRANSLATION * height * up).round() * 2 / height
    theta_x = torch.stack([wide * angle.cos(), -ratio * high * angle.sin(), -shift_x], dim=1) * mirror[:, None]
    theta_y = torch.stack([wide * angle.sin() / ratio, high * angle.cos(), -shift_y], dim=1)
    # Not kornia's warp_affine, whose pixel positions at align_corners=False differ between the versions allowed here.
    grid = F.affine_grid(torch.stack([theta_x, theta_y], dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _scale_deviation(x: Tensor, factor: Tensor, dim: tuple[int, ...]) -> Tensor:
    mean = x.mean(dim, keepdim=True)
    return mean + (x - mean) * factor[:, None, None, None]


def _cut(x: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Set a patch of half of each side to 0, around places uniform over the pixels; `top` and `left` in [0, 1)."""
    height, width = x.shape[2:]
    patch = (int(CUTOUT_FRACTION * height + 0.5), int(CUTOUT_FRACTION * width + 0.5))
    first = [
        # A patch of even length lies around the border between two pixels, of which there is one more.
        (draw * (side + 1 - length % 2)).floor().long() - length // 2
        for draw, side, length in zip((top, left), (height, width), patch, strict=True)
    ]
    return x.masked_fill(patch_mask(first[0], first[1], patch, (height, width)), 0)
