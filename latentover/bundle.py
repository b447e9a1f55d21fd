"""A fitted estimator as a folder: ``model.safetensors`` for tensors, ``config.json`` for the rest, no pickle.

Opening a folder executes nothing that it holds: classes come from latentover and imbalanced-learn alone, and from
modules that whoever opens it trusts by name; tensors are read as numbers. It opens on the CPU whatever it was trained
on, and holds no row of the training data.
"""

import difflib
import hashlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from inspect import isabstract
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imblearn.base import SamplerMixin
from imblearn.pipeline import Pipeline
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

import latentover
from latentover.estimators import BaseDataEstimator
from latentover.estimators.base import OF_THE_TRAINING_ALONE
from latentover.estimators.formats import ImageFormat
from latentover.estimators.validation import check_parameters
from latentover.files import check_writable, locked, sha256_of, shipped_folder, write_json, write_whole
from latentover.methods.rae import RAEClassifier, RAESampler
from latentover.tables.values import VALUE_KINDS, from_json, to_json

FORMAT = 3
"""Since 2 tables are described by the kinds of their columns; of a bundle before, images alone are read. Since 3 an RAE
of many images has another encoder by itself than the paper's."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_BEFORE = {"decoder_upsampling": "transposed"}
"""What parameters were in bundles that do not name them, being older than these."""
_NEXT = ".model.safetensors.next"
"""New weights, until the configuration that goes with them is there."""
_PIPELINE = "imblearn.pipeline.Pipeline"
_VALUE_MODULES = ("latentover.mixing", "latentover.training", "latentover.losses")
"""Where the frozen dataclasses live that parameters may be made of, or are derived from: mixing rules, schedules and
latent augmentations."""


_OWN_STEPS = (BaseDataEstimator, SamplerMixin)
"""What a class of somebody's own has to derive from, to be a step of what a bundle holds."""
_UNLESS = ", unless trust_modules (of a command: --trust-modules) names its module, whose code it runs"


def save(estimator: BaseEstimator, folder: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator of ours, or an imbalanced-learn pipeline that ends in one, to a folder.

    Parameters
    ----------
    estimator : RAEClassifier, RAESampler, DeepClassifier, ... or imblearn Pipeline
    folder : path
        Made if need be; a bundle in it is replaced. Whatever happens meanwhile, a full disk or the end of the process,
        the folder opens as the old bundle or as the new one.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        See `check_storable`; also for labels and names of columns that JSON cannot hold. Nothing has been written then.
    sklearn.exceptions.NotFittedError
        If the estimator, or one of ours in a pipeline, is not fitted.
    PermissionError, NotADirectoryError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    check_storable(estimator)
    tensors: dict[str, Tensor] = {}
    description = _describe(estimator, "", tensors)
    # Copies: safetensors refuses weights that are shared between two layers.
    weights = dump_tensors({k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()})
    config = {
        "format": FORMAT,
        "latentover": latentover.__version__,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "tensors": _shapes(tensors),
        "estimator": description,
    }
    try:
        config["config_sha256"] = _config_hash(config)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Expected labels and names of columns to be numbers or text, which JSON can hold, but got others: "
            f"{error}; turn them into text before fit."
        ) from error
    check_writable(folder)
    with locked(folder / CONFIG):
        _settle(folder)
        write_whole(folder / _NEXT, weights)
        write_json(folder / CONFIG, config)  # from here on it is the new bundle
        (folder / _NEXT).replace(folder / WEIGHTS)
    return folder


def _settle(folder: Path) -> None:
    """Finish a `save` that was cut short: its weights take their place if the configuration is theirs."""
    if not (folder / _NEXT).is_file():
        return
    if is_whole(folder) and sha256_of(folder / _NEXT) == _read_config(folder)["sha256"]:
        (folder / _NEXT).replace(folder / WEIGHTS)
    else:
        (folder / _NEXT).unlink()


def is_whole(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder holds a bundle whose files are those that were saved together."""
    try:
        config = _read_config(Path(folder))
        _check_config_hash(Path(folder), config)
        _find_weights(Path(folder), config)
    except (OSError, ValueError):
        return False
    return True


def _find_weights(folder: Path, config: dict[str, Any]) -> Path:
    """Return the file of weights that belongs to a configuration; raise ValueError if there is none."""
    for path in (folder / WEIGHTS, folder / _NEXT):
        if path.is_file() and sha256_of(path) == config["sha256"]:
            return path
    raise ValueError(
        f"Expected {folder / WEIGHTS} to be the file that was saved, but it is damaged (its SHA-256 differs from "
        f"{CONFIG}'s); copy it again."
    )


def _config_hash(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration without its own."""
    content = {key: value for key, value in config.items() if key != "config_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _check_config_hash(folder: Path, config: dict[str, Any]) -> None:
    if "config_sha256" in config and config["config_sha256"] != _config_hash(config):
        raise ValueError(
            f"Expected {folder / CONFIG} to be the file that was saved, but it is damaged (its own SHA-256 differs); "
            "copy it again."
        )


def _shapes(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {name: [str(tensor.dtype).removeprefix("torch."), *tensor.shape] for name, tensor in sorted(tensors.items())}


def load(folder: str | os.PathLike[str], *, trust_modules: Collection[str] = (), **modules: nn.Module) -> Any:
    """Return the fitted estimator that `save` wrote; on the CPU it predicts the same to the bit.

    Samplers of imbalanced-learn in a pipeline come back with their parameters and unfitted: predicting skips them.

    Parameters
    ----------
    folder : path
        A run folder or any other bundle; ``models/<name>`` that does not exist here is a model that ships with the
        project.
    trust_modules : collection of str
        Python modules whose estimators, samplers and mixing rules the bundle may name too; importing them runs their
        code.
    **modules : nn.Module
        A module of your own that was given as a parameter, under that parameter's name: bundles hold no code.

    Raises
    ------
    FileNotFoundError
        If the folder is not a bundle.
    ValueError
        If it is damaged, of a newer format, or names a class that is not to be trusted; and if `modules` lacks a
        module that it needs, or has one that does not fit.
    """
    folder = find_bundle(Path(folder))
    config = _read_config(folder)
    data = _find_weights(folder, config).read_bytes()
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise ValueError(
            f"Expected {folder / WEIGHTS} to be a safetensors file, but it is not: {error}; copy it again."
        ) from error
    _check_tensors(folder, tensors, config.get("tensors"))
    reader = _Reader(tensors, modules, trust_modules, config["format"])
    try:
        estimator = reader.estimator(config["estimator"])
    except ValueError:
        raise
    except Exception as error:  # of whatever kind: what is read may be anything
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"Expected {folder / CONFIG} and {WEIGHTS} to describe a fitted estimator"
            f"{' with the modules that were given' if modules else ''}, but {problem}; copy the folder again, or open "
            "it with the version of latentover that wrote it."
        ) from error
    _check_config_hash(folder, config)  # last, for what is wrong in detail is more of a help
    if unused := modules.keys() - reader.used:
        raise ValueError(
            f"Expected modules for parameters that hold one in {folder}, but got {', '.join(sorted(unused))}; leave "
            "that out."
        )
    return estimator


def _check_tensors(folder: Path, tensors: dict[str, Tensor], shapes: Any) -> None:
    """Raise ValueError for tensors that are not those that were saved, or not numbers."""
    problem = None
    if shapes is not None and shapes != _shapes(tensors):
        wrong = sorted(shapes.keys() ^ tensors.keys()) if isinstance(shapes, dict) else []
        wrong = wrong or [name for name, shape in _shapes(tensors).items() if shape != shapes[name]]
        problem = f"the tensor {wrong[0]} is missing, too many, or of another type or shape"
    for name, tensor in tensors.items():
        if tensor.is_complex() or (tensor.is_floating_point() and not tensor.isfinite().all()):
            problem = f"the tensor {name} has values that are not finite numbers"
    if problem is not None:
        raise ValueError(
            f"Expected {folder / CONFIG} and {WEIGHTS} to describe a fitted estimator, but {problem}; copy the folder "
            "again."
        )


def check_storable(estimator: Any) -> None:
    """Raise TypeError unless `save` can write the estimator once it is fitted.

    It has to be one of latentover's, or an imbalanced-learn pipeline of such and of imbalanced-learn's samplers that
    ends in one of latentover's; it must not need training rows to do its work; and its parameters have to be numbers,
    text, lists, dicts, modules, mixing rules and schedules of latentover, or estimators such as it is. A class of
    somebody's own that derives from one of these is stored by its name, if a module can be imported that has it.
    """
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    if isinstance(steps[-1], BaseDataEstimator) and not _does_without_rows(steps[-1]):
        raise TypeError(
            f"Expected an estimator that needs no training rows once it is fitted, but got {type(steps[-1]).__name__}, "
            "which makes new rows from them, and a bundle holds none; keep its parameters and the data, or put it "
            "before a classifier of latentover in a pipeline."
        )
    if not isinstance(steps[-1], BaseDataEstimator):
        raise TypeError(
            "Expected an estimator of latentover, or an imbalanced-learn pipeline that ends in one, but got "
            f"{type(steps[-1]).__name__}{' at its end' if isinstance(estimator, Pipeline) else ''}; other estimators "
            "have their own ways of being saved."
        )
    for step in steps:
        _class_path(type(step))
        _parameters(step)


def _does_without_rows(estimator: Any) -> bool:
    """Whether a fitted estimator can be kept without training rows; of an unfitted one whether that can be."""
    return hasattr(estimator, "_fitted_tensors") and not (
        hasattr(estimator, "classes_") and hasattr(estimator, "_keeps_rows") and estimator._keeps_rows()
    )


def is_trusted(path: str, trusted: Collection[str]) -> bool:
    """Return whether a class path leads into one of these modules, or into one below."""
    return any(path.startswith(f"{module}.") for module in trusted)


def import_trusted(path: str, kinds: tuple[type, ...], where: str) -> type:
    """Return a class of a module that is trusted, which is imported; raise ValueError if it is of none of these kinds.

    Parameters
    ----------
    path : str
        For which `is_trusted` has been asked.
    kinds : tuple of type
    where : str
        The place that names it, for the message.
    """
    module, _, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ValueError(
            f"Expected {where} to be a class that can be imported, but got {path!r}: {error}; put its file where "
            "Python can import it, for example with PYTHONPATH=. in front of the command."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, kinds)):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"Expected {where} to be a class of kind {names}, but got {path!r}; name another.")
    return cls


def find_class(path: str, trusted: Collection[str] = ()) -> type[BaseEstimator]:
    """Return the class of an estimator of latentover or imbalanced-learn; nothing else is imported or looked up.

    Parameters
    ----------
    path : str
        Its public path, such as ``"latentover.RAEClassifier"`` or ``"imblearn.over_sampling.SMOTE"``.
    trusted : collection of str
        Modules from which estimators and samplers may come too.

    Raises
    ------
    ValueError
    """
    if is_trusted(str(path), trusted):
        return import_trusted(path, _OWN_STEPS, "the class of an estimator")
    module, _, name = str(path).rpartition(".")
    cls = None
    if module == "latentover" and name in latentover.__all__:
        cls = getattr(latentover, name)
    elif module.split(".")[0] == "imblearn" and module.count(".") == 1 and not module.split(".")[1].startswith("_"):
        try:
            cls = getattr(importlib.import_module(module), name, None)
        except ImportError:
            cls = None
    if not (isinstance(cls, type) and issubclass(cls, BaseEstimator) and _public_path(cls) == path):
        raise ValueError(
            f"Expected the public path of an estimator of latentover or imbalanced-learn, but got {path!r}; no other "
            f"class is trusted{_UNLESS}."
        )
    return cls


def find_bundle(folder: Path) -> Path:
    """Return the folder, or where there is none the shipped model of that name, ``<name>`` or ``models/<name>``."""
    names = folder.parts[1:] if folder.parts[:1] == ("models",) else folder.parts
    shipped = shipped_folder("models").joinpath(*names)
    return shipped if not folder.exists() and len(names) == 1 and shipped.is_dir() else folder


def _nearest_model(folder: Path) -> str:
    """Return the end of a message about a folder that is not there: the shipped model that may have been meant."""
    known = [path.parent.name for path in shipped_folder("models").glob(f"*/{CONFIG}")]
    near = [] if folder.exists() else difflib.get_close_matches(folder.name, known, n=1)
    return f"; did you mean the shipped model {near[0]}?" if near else "."


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file() and not (name == WEIGHTS and (folder / _NEXT).is_file()):
            raise FileNotFoundError(
                f"Expected {folder} to be a run (a folder with {CONFIG} and {WEIGHTS}), but {name} is missing; copy "
                f"the whole folder, or train the recipe again{_nearest_model(folder)}"
            )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"Expected {folder / CONFIG} to be JSON, but it is damaged: {error}; copy it again."
        ) from error
    if not (
        isinstance(config, dict)
        and {"format", "sha256", "estimator"} <= config.keys()
        and type(config["format"]) is int
        and config["format"] >= 1
    ):
        raise ValueError(
            f"Expected {folder / CONFIG} to describe an estimator, but it lacks the keys of a bundle; copy it again."
        )
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
    if hasattr(estimator, "_fitted_tensors"):
        check_is_fitted(estimator)
        description["state"] = None  # of a step of a pipeline that needs training rows: its parameters alone
    if _does_without_rows(estimator):
        weights, others = estimator._fitted_tensors()
        tensors |= {f"{prefix}networks/{name}": tensor for name, tensor in weights.items()}
        tensors |= {f"{prefix}tensors/{name}": tensor for name, tensor in others.items()}
        description["state"] = estimator._state()
        parts: dict[str, Any] = getattr(estimator, "_fitted_parts", dict)()
        if parts:
            description["parts"] = {name: _describe(part, f"{prefix}{name}/", tensors) for name, part in parts.items()}
    return description


def _class_path(cls: type) -> str:
    path = _public_path(cls)
    if path is not None:
        return path
    if not issubclass(cls, _OWN_STEPS):
        raise TypeError(
            f"Expected an estimator of latentover, or an imbalanced-learn pipeline of such and of imbalanced-learn's "
            f"samplers, but got {cls.__name__} of {cls.__module__}; a bundle holds no code that could bring it back."
        )
    return _own_path(cls)


def _own_path(cls: type) -> str:
    """Return by which name a class of somebody's own can be imported again; raise TypeError if it cannot be."""
    path = f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__ == "__main__" or getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is not cls:
        raise TypeError(
            f"Expected a class that can be imported, but got {path}; a bundle holds no code that could bring it "
            "back: put it into a module of its own."
        )
    return path


def _public_path(cls: type) -> str | None:
    """Return the public path of a class of ours or imbalanced-learn's, and None for any other."""
    package, *modules = cls.__module__.split(".")
    if package == "latentover":
        return f"latentover.{cls.__name__}"
    if package == "imblearn":
        public = [part for part in modules if not part.startswith("_")]
        return ".".join([package, *public[:1], cls.__name__])
    return None


def _parameters(estimator: BaseEstimator) -> dict[str, Any]:
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        try:
            parameters[name] = None if name in OF_THE_TRAINING_ALONE else _to_json(value)
        except TypeError as error:
            raise TypeError(
                f"Expected parameter {name} of {type(estimator).__name__} to be writable as JSON, but got {value!r}; "
                "give it a number, text, a list or a dict."
            ) from error
    return parameters


def _to_json(value: Any) -> Any:
    """Return a parameter's value as JSON can hold it; `_Reader.parameter` is the way back."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.random.RandomState | np.random.Generator):
        return None  # a state that was advanced by the fit would not repeat it
    if isinstance(value, nn.Module):
        return {"module": f"{type(value).__module__}.{type(value).__qualname__}"}
    if isinstance(value, tuple):
        return {"tuple": [_to_json(item) for item in value]}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):  # as pairs, for the keys of a sampling_strategy are labels of any type
        return {"dict": [[_to_json(key), _to_json(item)] for key, item in value.items()]}
    if isinstance(value, FrozenEstimator):
        return {"frozen": _to_json(value.estimator)}
    if isinstance(value, BaseEstimator):
        return {"estimator": {"class": _class_path(type(value)), "parameters": _parameters(value)}}
    if _is_value_class(type(value)):
        public = (f"{module}.{type(value).__name__}" for module in _VALUE_MODULES)
        path = next((path for path in public if _value_class(path) is type(value)), None) or _own_path(type(value))
        content = {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
        return {"value": {"class": path, "fields": content}}
    return to_json(value)


def _is_value_class(cls: Any) -> bool:
    """Whether a class is a frozen dataclass of latentover that parameters may be made of, or derives from one."""
    if not (isinstance(cls, type) and is_dataclass(cls)) or isabstract(cls):
        return False
    ours = any(base.__module__.startswith(f"{module}.") for base in cls.__mro__ for module in _VALUE_MODULES)
    return ours and getattr(cls, "__dataclass_params__").frozen  # noqa: B009


def _value_class(path: str) -> Any:
    """Return the public frozen dataclass of latentover with that path; None for anything else."""
    module, _, name = path.rpartition(".")
    if module not in _VALUE_MODULES or name not in (public := importlib.import_module(module)).__all__:
        return None
    cls = getattr(public, name)
    return cls if _is_value_class(cls) else None


class _Reader:
    """Rebuilds estimators from descriptions, tensors and the user's own modules; `used` names those it needed.

    Classes are those of latentover and imbalanced-learn, and those of the Python modules `trusted`. `version` is the
    format of the bundle.
    """

    def __init__(
        self, tensors: dict[str, Tensor], modules: dict[str, nn.Module], trusted: Collection[str], version: int
    ) -> None:
        self.tensors, self.trusted, self.version = tensors, trusted, version
        self.modules = modules
        self.used: set[str] = set()

    def estimator(self, description: dict[str, Any], prefix: str = "") -> BaseEstimator:
        """Return the estimator that `_describe` described."""
        if description["class"] == _PIPELINE:
            return Pipeline([(name, self.estimator(step, f"{prefix}{name}/")) for name, step in description["steps"]])
        estimator = self.unfitted(description)
        if hasattr(estimator, "_fitted_tensors") and description["state"] is not None:
            networks, others = self.tensors_under(f"{prefix}networks/"), self.tensors_under(f"{prefix}tensors/")
            estimator._restore(description["state"], networks, others)
            for name, part in description.get("parts", {}).items():
                estimator._restore_part(name, self.estimator(part, f"{prefix}{name}/"))
        return estimator

    def unfitted(self, description: dict[str, Any]) -> BaseEstimator:
        """Return an estimator with the parameters that were described."""
        cls = find_class(description["class"], self.trusted)
        parameters = {name: self.parameter(name, value) for name, value in description["parameters"].items()}
        known = inspect.signature(cls).parameters
        parameters = {name: value for name, value in _BEFORE.items() if name in known} | parameters
        state = description.get("state") or {}
        of_images = "format" in state and state["format"]["kind"] == ImageFormat.kind
        of_before = self.version < 3 and of_images and issubclass(cls, RAEClassifier | RAESampler)
        if of_before and parameters["encoder"] == "auto":
            parameters["encoder"] = "conv"
        estimator = cls(**parameters)
        if getattr(estimator, "checkpoint", None) is not None:
            raise ValueError(
                f"Expected no checkpoint in a bundle, but got {estimator.checkpoint!r}, which a new fit would write "
                "to; copy the folder again."
            )
        if isinstance(estimator, BaseDataEstimator):
            check_parameters(estimator)
        return estimator

    def parameter(self, name: str, value: Any) -> Any:
        """Return the value that `_to_json` wrote."""
        if isinstance(value, list):
            return [self.parameter(name, item) for item in value]
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tuple":
            return tuple(self.parameter(name, item) for item in content)
        if kind == "dict":
            return {self.parameter(name, key): self.parameter(name, item) for key, item in content}
        if kind == "value":
            cls = self.value_class(name, content["class"])
            return cls(**{field: self.parameter(name, item) for field, item in content["fields"].items()})
        if kind == "estimator":
            return self.unfitted(content)
        if kind == "frozen":
            return FrozenEstimator(self.parameter(name, content))
        if kind in VALUE_KINDS:
            return from_json(value)
        if name not in self.modules:
            raise ValueError(
                f"Expected a module for parameter {name}, for bundles hold no code; call load(folder, {name}=...) with "
                f"a {content}."
            )
        self.used.add(name)
        return self.modules[name]

    def value_class(self, name: str, path: str) -> Any:
        """Return the frozen dataclass that a parameter is made of."""
        known = f"a class of {' or '.join(_VALUE_MODULES)}"
        if not is_trusted(path, self.trusted):
            cls = _value_class(path)
            if cls is None:
                raise ValueError(
                    f"Expected {name} to be {known}, but got {path!r}; no other class is trusted{_UNLESS}."
                )
            return cls
        cls = import_trusted(path, (object,), f"parameter {name}")
        if not _is_value_class(cls):
            raise ValueError(f"Expected {name} to be {known}, or to derive from one, but got {path!r}; name another.")
        return cls

    def tensors_under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names start with `prefix`, without it."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
