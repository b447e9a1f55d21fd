"""Recipes: what an experiment is, as YAML that is read strictly against the constructors' own signatures."""

import contextlib
import difflib
import hashlib
import importlib
import inspect
import json
import os
import re
from argparse import ArgumentError
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from imblearn.base import SamplerMixin
from imblearn.pipeline import make_pipeline
from jsonargparse import ArgumentParser, Namespace
from sklearn.base import BaseEstimator, ClassifierMixin, clone

import latentover
import latentover.methods
from latentover.data import DataConfig, Imbalance

_KEYS = ("title", "data", "sampler", "method", "evaluation", "seeds")
_NOT_IN_RECIPES = {"device", "precision", "random_state", "verbose"}


@dataclass(frozen=True)
class Evaluation:
    """What a run shows besides its scores.

    Attributes
    ----------
    grid_samples : int
        Samples of each class in the grid of minority samples; 0 makes no grid.
    tsne_points : int
        Latents in the t-SNE picture; 0 makes no picture.
    """

    grid_samples: int = 4
    tsne_points: int = 600


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe.

    Attributes
    ----------
    name, group : str
        Names of its file and of the folder it lies in.
    title : str
        For people.
    data : DataConfig
    sampler : over-sampler or None
        Goes before the method in an imbalanced-learn pipeline.
    method : classifier
    evaluation : Evaluation
    seeds : list of int
    text : str
        The resolved recipe as YAML.
    """

    name: str
    group: str
    title: str
    data: DataConfig
    sampler: Any
    method: Any
    evaluation: Evaluation
    seeds: list[int]
    text: str

    def estimator(self, seed: int, **machine: Any) -> BaseEstimator:
        """Return a fresh estimator with every ``random_state`` set to `seed`.

        Parameters
        ----------
        seed : int
        **machine : Any
            What it runs on (device, precision, verbose), set on every step that has such a parameter.
        """
        steps = [clone(step) for step in (self.sampler, self.method) if step is not None]
        for step in steps:
            parameters = step.get_params(deep=False)
            step.set_params(**{k: v for k, v in {"random_state": seed, **machine}.items() if k in parameters})
        return steps[0] if len(steps) == 1 else make_pipeline(*steps)

    @property
    def sha256(self) -> str:
        """Identifies what is trained: the resolved recipe without its title and its list of seeds."""
        content = {k: v for k, v in yaml.safe_load(self.text).items() if k not in ("title", "seeds")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def recipe_folder() -> Path:
    """Return the folder of the shipped recipes: inside the wheel, or beside the package in a checkout."""
    inside = Path(str(files(latentover) / "configs"))
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def find_recipes(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the recipe files that files and folders name, folders sorted by name.

    A place that does not exist here is looked for among the recipes that ship with the project, with or without a
    leading ``configs/``.

    Raises
    ------
    FileNotFoundError
        Naming the nearest recipe or folder there is.
    """
    found: list[Path] = []
    for place in places:
        path = _existing(Path(place))
        recipes = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not recipes:
            raise FileNotFoundError(f"Expected {path} to hold recipes (*.yaml), but it holds none.")
        found += recipes
    return found


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    shipped = recipe_folder()
    parts = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
    if not path.is_absolute() and (shipped.joinpath(*parts)).exists():
        return shipped.joinpath(*parts)
    known = [str(Path("configs") / p.relative_to(shipped)) for p in [*shipped.glob("*"), *shipped.glob("*/*.yaml")]]
    raise FileNotFoundError(
        f"Expected a recipe or a folder of recipes, but {path} does not exist here nor among the shipped ones"
        f"{_nearest(str(path), known)}."
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe strictly.

    Parameters
    ----------
    path : path
    overrides : sequence of str
        Dotted, as on the command line: ``["--method.init_args.latent_dim", "32"]``.

    Raises
    ------
    FileNotFoundError
    ValueError
        For YAML that is none, an unknown key or method (naming the nearest known one), or a value of another type.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a recipe, but {path} is not a file.")
    content = _read_yaml(path)
    parser = _parser()
    try:
        config = parser.parse_args(["--config", str(path), *overrides])
        made = parser.instantiate(config)
    except (ArgumentError, ValueError, TypeError) as error:  # jsonargparse's own, and those of constructors
        raise ValueError(f"{path}: {_with_nearest(str(error), _known_keys(content))}") from error
    return Recipe(
        name=path.stem,
        group=path.resolve().parent.name,
        title=made.title or path.stem.replace("_", " "),
        data=made.data,
        sampler=made.sampler,
        method=made.method,
        evaluation=made.evaluation,
        seeds=made.seeds,
        text=_dump(parser, config),
    )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--title", type=str | None, default=None)
    parser.add_argument("--data", type=DataConfig)
    parser.add_argument("--sampler", type=SamplerMixin | None, default=None)
    parser.add_argument("--method", type=ClassifierMixin, required=True)
    parser.add_argument("--evaluation", type=Evaluation, default=Evaluation())
    parser.add_argument("--seeds", type=list[int], default=[0, 1, 2])
    return parser


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a recipe; raise ValueError unless it is a mapping of known keys."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"Expected {path} to be YAML, but it is not: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"Expected {path} to hold a mapping with the keys {', '.join(_KEYS)}, but got {content!r}.")
    for key in content:
        if key not in _KEYS:
            raise ValueError(f"{path}: unknown key {key!r}{_nearest(str(key), _KEYS)}; known are {', '.join(_KEYS)}.")
    return content


def _known_keys(content: dict[str, Any]) -> set[str]:
    """Return every key and class that could stand in this recipe, for guessing what a misspelt one meant."""
    known = {*_KEYS, "class_path", "init_args", *(f"latentover.{name}" for name in latentover.methods.__all__)}
    for cls in (DataConfig, Imbalance, Evaluation):
        known |= {f.name for f in fields(cls)}
    for part in (content.get("method"), content.get("sampler")):
        module, _, name = str((part or {}).get("class_path") if isinstance(part, dict) else part).rpartition(".")
        with contextlib.suppress(ImportError, ValueError):
            known |= set(inspect.signature(getattr(importlib.import_module(module), name, object)).parameters)
    return known


def _with_nearest(message: str, known: Iterable[str]) -> str:
    """Return the parser's message; where it complains of a word, with the nearest known one."""
    match = re.search(
        r"[Oo]ption '(?P<a>[\w.]+)'|arguments: --(?P<b>[\w.]+)|class_path '(?P<c>[\w.]+)':\s+No ", message
    )
    if match is None:
        return message
    word = next(group for group in match.groups() if group)
    return message + _nearest(word if match["c"] else word.split(".")[-1], known)


def _dump(parser: ArgumentParser, config: Namespace) -> str:
    """Return the resolved recipe as YAML, without what belongs to the machine or is set for each run."""
    content = yaml.safe_load(parser.dump(config, skip_none=False))
    for part in ("method", "sampler"):
        arguments = (content.get(part) or {}).get("init_args", {})
        for name in _NOT_IN_RECIPES & arguments.keys():
            del arguments[name]
    content.pop("config", None)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
