"""A fitted estimator as a folder: ``model.safetensors`` for tensors, ``config.json`` for the rest, no pickle.

Opening a folder executes nothing that it holds: classes come from latentover and imbalanced-learn alone, and tensors
are read as numbers. It opens on the CPU whatever it was trained on, and holds no row of the training data.
"""

import hashlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from imblearn.pipeline import Pipeline
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

import latentover
from latentover.estimators import BaseDeepEstimator
from latentover.files import write_json, write_whole

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_PIPELINE = "imblearn.pipeline.Pipeline"


def save(estimator: BaseEstimator, folder: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator of ours, or an imbalanced-learn pipeline that ends in one, to a folder.

    Parameters
    ----------
    estimator : RAEClassifier, RAESampler, DeepClassifier, ... or imblearn Pipeline
    folder : path
        Made if need be; a bundle in it is replaced.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        If a step is neither ours nor imbalanced-learn's, or a parameter cannot be written as JSON.
    sklearn.exceptions.NotFittedError
    """
    folder = Path(folder)
    tensors: dict[str, Tensor] = {}
    description = _describe(estimator, "", tensors)
    weights = dump_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    write_whole(folder / WEIGHTS, weights)
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "latentover": latentover.__version__,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "estimator": description,
        },
    )
    return folder


def load(folder: str | os.PathLike[str], **modules: nn.Module) -> Any:
    """Return the fitted estimator that `save` wrote; on the CPU it predicts the same to the bit.

    Parameters
    ----------
    folder : path
    **modules : nn.Module
        A module of your own that was given as a parameter, under that parameter's name: bundles hold no code.

    Raises
    ------
    FileNotFoundError
        If the folder is not a bundle.
    ValueError
        If it is damaged, of a newer format, or names a class that is not to be trusted.
    """
    folder = Path(folder)
    config = _read_config(folder)
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != config["sha256"]:
        raise ValueError(
            f"Expected {folder / WEIGHTS} to be the file that was saved, but it is damaged (its SHA-256 differs from "
            f"{CONFIG}'s); copy it again."
        )
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise ValueError(f"Expected {folder / WEIGHTS} to be a safetensors file, but it is not: {error}.") from error
    return _rebuild(config["estimator"], "", tensors, modules)


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"Expected {folder} to be a run (a folder with {CONFIG} and {WEIGHTS}), but {name} is missing."
            )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Expected {folder / CONFIG} to be JSON, but it is damaged: {error}.") from error
    if not isinstance(config, dict) or not {"format", "sha256", "estimator"} <= config.keys():
        raise ValueError(f"Expected {folder / CONFIG} to describe an estimator, but it lacks the keys of a bundle.")
    if config["format"] > FORMAT:
        raise ValueError(
            f"Expected a bundle of format {FORMAT} or older, but {folder} has format {config['format']}; upgrade "
            "latentover."
        )
    return config


def _describe(estimator: Any, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if isinstance(estimator, Pipeline):
        steps = [[name, _describe(step, f"{prefix}{name}/", tensors)] for name, step in estimator.steps]
        return {"class": _PIPELINE, "steps": steps}
    description: dict[str, Any] = {"class": _class_path(type(estimator)), "parameters": _parameters(estimator)}
    if isinstance(estimator, BaseDeepEstimator) and hasattr(estimator, "networks_"):
        weights, others = estimator._fitted_tensors()
        tensors |= {f"{prefix}networks/{name}": tensor for name, tensor in weights.items()}
        tensors |= {f"{prefix}tensors/{name}": tensor for name, tensor in others.items()}
        description["state"] = estimator._state()
    elif not prefix:
        check_is_fitted(estimator)
    return description


def _class_path(cls: type) -> str:
    """Return the public path of a class of ours or imbalanced-learn's."""
    package = cls.__module__.split(".")[0]
    if package == "latentover":
        return f"latentover.{cls.__name__}"
    if package == "imblearn":
        public = [part for part in cls.__module__.split(".") if not part.startswith("_")]
        return ".".join([*public[:2], cls.__name__])
    raise TypeError(
        f"Expected an estimator of latentover, or an imbalanced-learn pipeline of such and of imbalanced-learn's "
        f"samplers, but got {cls.__name__} of {cls.__module__}."
    )


def _find_class(path: str) -> type:
    module, _, name = path.rpartition(".")
    cls = None
    if module == "latentover" and name in latentover.__all__:
        cls = getattr(latentover, name)
    elif module.split(".")[0] == "imblearn" and not any(part.startswith("_") for part in path.split(".")):
        cls = getattr(importlib.import_module(".".join(module.split(".")[:2])), name, None)
    if not (isinstance(cls, type) and issubclass(cls, BaseEstimator)):
        raise ValueError(f"Expected the class of an estimator of latentover or imbalanced-learn, but got {path!r}.")
    return cls


def _parameters(estimator: BaseEstimator) -> dict[str, Any]:
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        if isinstance(value, np.random.RandomState):
            value = None  # a state that was advanced by the fit would not repeat it
        elif isinstance(value, nn.Module):
            value = {"module": f"{type(value).__module__}.{type(value).__qualname__}"}
        elif isinstance(value, np.generic):
            value = value.item()
        try:
            parameters[name] = json.loads(json.dumps(value))
        except TypeError as error:
            raise TypeError(
                f"Expected parameter {name} of {type(estimator).__name__} to be writable as JSON, but got {value!r}."
            ) from error
    return parameters


def _rebuild(
    description: dict[str, Any], prefix: str, tensors: dict[str, Tensor], modules: dict[str, nn.Module]
) -> BaseEstimator:
    if description["class"] == _PIPELINE:
        return Pipeline(
            [(name, _rebuild(step, f"{prefix}{name}/", tensors, modules)) for name, step in description["steps"]]
        )
    parameters = dict(description["parameters"])
    for name, value in parameters.items():
        if isinstance(value, dict) and set(value) == {"module"}:
            if name not in modules:
                raise ValueError(
                    f"Expected a module for parameter {name}, for bundles hold no code; call load(folder, {name}=...) "
                    f"with a {value['module']}."
                )
            parameters[name] = modules[name]
        elif name == "image_shape" and value is not None:
            parameters[name] = tuple(value)
    estimator = _find_class(description["class"])(**parameters)
    if "state" in description:
        weights = _under(tensors, f"{prefix}networks/")
        estimator._restore(description["state"], weights, _under(tensors, f"{prefix}tensors/"))
    return estimator


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
