"""What there is by name: methods, samplers, mixing rules and losses, and the models that ship with the project."""

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imblearn.base import SamplerMixin

from latentover import losses, methods, mixing
from latentover.bundle import CONFIG, find_class
from latentover.estimators import BaseDataEstimator
from latentover.files import shipped_folder
from latentover.mixing import MixingRule

_LOSS = re.compile(r"(Loss|_loss|_entropy)$")


@dataclass(frozen=True)
class Entry:
    """Something that a recipe or a program can name.

    Attributes
    ----------
    kind : {"classifier", "sampler", "mixing rule", "loss"}
    name : str
        As a recipe and Python have it.
    data : str
        Which data it takes: "tables and images", "that of its estimator", or "tensors".
    text : str
        What it is, in a line.
    """

    kind: str
    name: str
    data: str
    text: str


@dataclass(frozen=True)
class Model:
    """A model that ships with the project.

    Attributes
    ----------
    name : str
        Takes the place of a run in ``generate`` and ``predict``.
    method, data : str
        Its class, and what it was trained on.
    classes : int
    shape : list of int
        Of a sample: channels, height and width, or columns.
    generates : bool
    scores : dict of str to float
        On the balanced test data.
    bytes : int
        All its files together.
    """

    name: str
    method: str
    data: str
    classes: int
    shape: list[int]
    generates: bool
    scores: dict[str, float]
    bytes: int


def list_methods() -> list[Entry]:
    """Return all methods by kind and name.

    Examples
    --------
    >>> [entry.name for entry in list_methods() if entry.kind == "mixing rule"][:2]
    ['latentover.mixing.AMMixup', 'latentover.mixing.BoundaryMix']
    """
    found = []
    for name in methods.__all__:
        cls = getattr(methods, name)
        kind = "sampler" if issubclass(cls, SamplerMixin) else "classifier"
        data = "tables and images" if issubclass(cls, BaseDataEstimator) else "that of its estimator"
        found.append(Entry(kind, f"latentover.{name}", data, _first_line(cls)))
    for name in mixing.__all__:
        value = getattr(mixing, name)
        if inspect.isclass(value) and issubclass(value, MixingRule) and value is not MixingRule:
            found.append(Entry("mixing rule", f"latentover.mixing.{name}", "tensors", _first_line(value)))
    for name in filter(_LOSS.search, losses.__all__):
        found.append(Entry("loss", f"latentover.losses.{name}", "tensors", _first_line(getattr(losses, name))))
    kinds = ("classifier", "sampler", "mixing rule", "loss")
    return sorted(found, key=lambda entry: (kinds.index(entry.kind), entry.name))


def _first_line(value: Any) -> str:
    """Return the first sentence of a documentation, in plain text."""
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()).removeprefix("Return ")
    text = re.sub(r":math:|[`\\]", "", text.replace("\\,", " "))
    return text[:1].upper() + text[1:]


def list_models() -> list[Model]:
    """Return the models that ship with the project, by name.

    Examples
    --------
    >>> [model.name for model in list_models() if model.generates]
    ['rae-digits', 'rae-fashion-mnist']
    """
    folders = sorted(path.parent for path in shipped_folder("models").glob(f"*/{CONFIG}"))
    return [_read_model(folder) for folder in folders]


def _read_model(folder: Path) -> Model:
    described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["estimator"]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    method = described["class"]
    return Model(
        name=folder.name,
        method=method,
        data=metrics["certificate"]["data"],
        classes=len(metrics["classes"]),
        shape=list(described["state"]["format"]["shape"]),
        generates=hasattr(find_class(method), "sample") and described["parameters"].get("decoder") is not False,
        scores={name: metrics[name] for name in ("acsa", "macro_f1")},
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
    )
