"""From images to the features that distances between sets of them are computed on.

Which features decides what a distance sees, so every extractor has a name that goes with each number: ``inception``,
``pixels``, ``classifier:<bundle>`` (see `latentover.experiments`), or the one you give your own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "FeatureExtractor",
    "as_extractor",
    "callable_features",
    "inception_features",
    "module_features",
    "pixel_features",
    "unit_images",
]

_BATCH = 64


@dataclass(frozen=True)
class FeatureExtractor:
    """A named function from images to features.

    Parameters
    ----------
    name : str
        Goes into every result and table.
    function : callable
        Takes images (n, channels, height, width) as float32 in [0, 1], returns features (n, d).

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import pixel_features
    >>> pixel_features()(np.zeros((5, 1, 8, 8), dtype=np.uint8)).shape
    (5, 64)
    """

    name: str
    function: Callable[[NDArray[np.float32]], ArrayLike]

    def __call__(self, images: ArrayLike, *, value_range: tuple[float, float] | None = None) -> NDArray:
        """Return the features (n, d) of images.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            uint8 in 0..255, or floating-point with its *value_range*.
        value_range : tuple of (low, high), optional
            The values that are black and white; for floating-point images only.

        Raises
        ------
        ValueError
            If images have another shape, no or a wrong range, or the function does not return one row an image.
        """
        features = self.function(unit_images(images, value_range))
        features = np.asarray(features.detach().cpu() if hasattr(features, "detach") else features)
        if features.ndim < 2 or len(features) != len(np.asarray(images)):
            raise ValueError(
                f"Expected the features {self.name!r} to be one row an image, but got shape {features.shape} for "
                f"{len(np.asarray(images))} images; return an array of shape (n, d)."
            )
        return features.reshape(len(features), -1)


def unit_images(images: ArrayLike, value_range: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Return images as float32 in [0, 1], or say what is wrong with them.

    Parameters
    ----------
    images : array-like of shape (n, channels, height, width)
        uint8 in 0..255, or floating-point with its *value_range*.
    value_range : tuple of (low, high), optional
        For floating-point images; never guessed, for a wrong guess changes every distance.

    Raises
    ------
    ValueError
        If the shape is another one, floating-point images come without a range, or values lie outside it.

    Examples
    --------
    >>> import numpy as np
    >>> from latentover.metrics import unit_images
    >>> unit_images(np.full((1, 1, 1, 2), -1.0), value_range=(-1, 1)).tolist()
    [[[[0.0, 0.0]]]]
    """
    array = np.asarray(images)
    if array.ndim != 4 or not len(array):
        raise ValueError(
            f"Expected images of shape (n, channels, height, width), but got {array.shape}; add a channel axis with "
            "images[:, None], or move channels forward with np.moveaxis(images, -1, 1)."
        )
    if array.dtype == np.uint8:
        if value_range is not None and tuple(value_range) != (0, 255):
            raise ValueError(f"Expected uint8 images to have the range 0..255, but got {value_range}; leave it out.")
        return array.astype(np.float32) / np.float32(255)
    if value_range is None:
        raise ValueError(
            f"Expected uint8 images or a *value_range*, but got {array.dtype} without one; say which values are black "
            "and white, such as (0, 1) or (-1, 1)."
        )
    low, high = value_range
    least, most = float(array.min()), float(array.max())
    if not (low <= least and most <= high):
        raise ValueError(
            f"Expected images in the range {low}..{high}, but got values from {least:.6g} to {most:.6g}; give the "
            "right *value_range* or clip them."
        )
    return ((array.astype(np.float64) - low) / (high - low)).astype(np.float32)


def pixel_features() -> FeatureExtractor:
    """Return the extractor ``pixels``: the values themselves, in [0, 1], as one row an image."""
    return FeatureExtractor("pixels", lambda images: images.reshape(len(images), -1))


def callable_features(
    function: Callable[[NDArray[np.float32]], ArrayLike], name: str | None = None
) -> FeatureExtractor:
    """Return an extractor of your own.

    Parameters
    ----------
    function : callable
        Takes images (n, channels, height, width) as float32 in [0, 1], returns features (n, d).
    name : str, optional
        By default the function's own.
    """
    return FeatureExtractor(name or str(getattr(function, "__name__", type(function).__name__)), function)


def module_features(
    module: nn.Module, name: str | None = None, *, device: str = "cpu", batch_size: int = _BATCH
) -> FeatureExtractor:
    """Return the extractor that a PyTorch module is, in evaluation mode, in float32 and in batches.

    Parameters
    ----------
    module : nn.Module
        Maps images (B, channels, height, width) in [0, 1] to features (B, ...), which are flattened.
    name : str, optional
        By default the class of the module.
    device : str, default="cpu"
    batch_size : int, default=64
    """
    import torch

    def features(images: NDArray[np.float32]) -> ArrayLike:
        was_training = module.training
        module.eval().to(device)
        try:
            with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
                batches = torch.from_numpy(images).split(batch_size)
                return torch.cat([module(batch.to(device)).flatten(1).float().cpu() for batch in batches]).numpy()
        finally:
            module.train(was_training)

    return FeatureExtractor(name or type(module).__name__, features)


def inception_features(
    weights_path: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    device: str = "cpu",
    batch_size: int = _BATCH,
) -> FeatureExtractor:
    """Return the extractor ``inception``: pytorch-fid's network, 2048 features, as published FID values use it.

    Images are resized to 299 x 299 by pytorch-fid itself (bilinear); grey ones are repeated to three channels.

    Parameters
    ----------
    weights_path : path, optional
        The file ``pt_inception-2015-12-05-6726825d.pth``. By default it is looked for in the cache of torch.hub.
    download : bool, default=False
        Fetch it if it is not there; without, nothing touches the network.
    device : str, default="cpu"
    batch_size : int, default=64

    Returns
    -------
    FeatureExtractor

    Raises
    ------
    FileNotFoundError
        If the weights are not there and *download* is False.
    ValueError
        If the file is damaged: its SHA-256 does not begin as its name says.

    References
    ----------
    Heusel et al., NeurIPS 2017 (the features); pytorch-fid (https://github.com/mseitzer/pytorch-fid), Apache-2.0.
    """
    import torch

    path = _find_weights(weights_path, download=download)
    network = _inception_network(torch.load(path, map_location="cpu", weights_only=True))

    class Pooled(torch.nn.Module):
        """The last block's features of images with one or three channels."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[1] not in (1, 3):
                raise ValueError(f"Expected images of 1 or 3 channels for inception, but got {images.shape[1]}.")
            return self.network(images.expand(-1, 3, -1, -1))[0]

    return module_features(Pooled(), "inception", device=device, batch_size=batch_size)


def as_extractor(features: Any, *, device: str = "cpu", download: bool = False) -> FeatureExtractor:
    """Return the extractor that something means.

    Parameters
    ----------
    features : FeatureExtractor, nn.Module, callable or {"pixels", "inception"}
    device : str, default="cpu"
        Where networks run.
    download : bool, default=False
        See `inception_features`.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> from latentover.metrics import as_extractor
    >>> as_extractor("pixels").name
    'pixels'
    """
    if isinstance(features, FeatureExtractor):
        return features
    if features == "pixels":
        return pixel_features()
    if features == "inception":
        return inception_features(device=device, download=download)
    if hasattr(features, "state_dict") and callable(features):
        return module_features(features, device=device)
    if callable(features):
        return callable_features(features)
    raise ValueError(
        f"Expected features to be 'pixels', 'inception', a module or a function of images, but got {features!r}."
    )


def _weights_url() -> str:
    from pytorch_fid.inception import FID_WEIGHTS_URL

    return FID_WEIGHTS_URL


def _find_weights(weights_path: str | os.PathLike[str] | None, *, download: bool) -> Path:
    import torch

    url = _weights_url()
    name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir(), "checkpoints", name) if weights_path is None else Path(weights_path)
    if not path.is_file():
        if weights_path is not None or not download:
            raise FileNotFoundError(
                f"Expected the weights of the Inception network at {path}, but there is no such file; put {name} of "
                "pytorch-fid's releases there (or anywhere, and give weights_path), allow the download, or use "
                "features that need none: pixels, or a classifier trained on the data."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=_hash_prefix(name), progress=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(_hash_prefix(name)):
        raise ValueError(
            f"Expected {path} to be {name}, whose SHA-256 begins with {_hash_prefix(name)}, but got one that begins "
            f"with {digest[:8]}; delete the file and get it again."
        )
    return path


def _hash_prefix(name: str) -> str:
    """Return the start of the SHA-256 that torch.hub writes into names: ``name-<8 digits>.pth``."""
    return name.rsplit("-", 1)[-1].removesuffix(".pth")


def _inception_network(state: dict[str, Any]) -> nn.Module:
    from pytorch_fid import inception

    # pytorch-fid fetches its weights while it builds the network; it is handed the checked ones in place of that.
    fetch = inception.load_state_dict_from_url
    inception.load_state_dict_from_url = lambda *_, **__: state
    try:
        return inception.InceptionV3()
    finally:
        inception.load_state_dict_from_url = fetch
