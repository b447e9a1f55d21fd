"""Recipes: what an experiment is, as YAML that is read strictly against the constructors' own signatures."""

import hashlib
import inspect
import json
import os
import re
from argparse import ArgumentError
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from imblearn.base import SamplerMixin
from imblearn.pipeline import make_pipeline
from jsonargparse import ArgumentParser, Namespace
from sklearn.base import BaseEstimator, clone

from latentover.bundle import check_storable, find_class, import_trusted, is_trusted
from latentover.data import DataConfig, Imbalance, TableOptions
from latentover.estimators import BaseClassifier, BaseDataEstimator
from latentover.estimators.validation import check_parameters
from latentover.experiments.strict import (
    OR_TRUSTED,
    check_classes,
    known_classes,
    nearest_hint,
    parameter_annotations,
    parse_yaml,
)
from latentover.experiments.wording import as_typed, of_steps
from latentover.files import shipped_folder
from latentover.report.tables import METRIC_TITLES

_KEYS = ("title", "data", "sampler", "method", "evaluation", "seeds", "published", "variants")
_LABELS = ("title", "seeds", "published")
"""Keys of a recipe that change nothing about what is trained."""
MACHINE = {  # parameters that say where and how loudly something is trained, not what; and who sets them
    "device": "the option --device of the command",
    "precision": "the option --precision of the command",
    "random_state": "the recipe's own seeds or the option --seed of the command",
    "verbose": "the option --quiet of the command",
    "capture": "a constructor's, in Python",
    "compile": "a constructor's, in Python",
    "callbacks": "a constructor's, in Python",
    "checkpoint": "the option --checkpoint-every of the command",
    "checkpoint_every": "the option --checkpoint-every of the command",
}


MAX_SEED = 2**32 - 1
"""The largest that numpy and scikit-learn take."""


@dataclass(frozen=True)
class Evaluation:
    """What a run shows besides its scores.

    Attributes
    ----------
    grid_samples : int
        Samples of each class in the grid of minority samples, at most 1000; 0 makes no grid.
    tsne_points : int
        Latents in the t-SNE picture, at most 100,000; 0 makes no picture.
    """

    grid_samples: int = 4
    tsne_points: int = 600

    def __post_init__(self) -> None:
        for name, most in (("grid_samples", 1000), ("tsne_points", 100_000)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(
                    f"Expected evaluation.{name} to be from 0 to {most}, but got {getattr(self, name)}; 0 makes none."
                )


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
    published : dict or None
        Scores from a paper for the report to show beside ours: ``source`` in words and, for ``test_balanced`` and
        ``test_imbalanced``, metrics in percent, with their standard deviations under ``sd``.
    variant : str or None
        Which variant of the file this is; its name then ends in it.
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
    published: dict[str, Any] | None
    variant: str | None
    text: str

    @property
    def steps(self) -> dict[str, Any]:
        """What is fitted one after the other, by its part of the recipe."""
        parts = {"sampler": self.sampler, "method": self.method}
        return {part: step for part, step in parts.items() if step is not None}

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
    def content(self) -> dict[str, Any]:
        """The resolved recipe as nested mappings."""
        return yaml.safe_load(self.text)

    @cached_property
    def sha256(self) -> str:
        """Identifies what is trained: the resolved recipe without title, list of seeds and published numbers."""
        content = {k: v for k, v in self.content.items() if k not in _LABELS}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# ---- Finding recipes -------------------------------------------------------------------------------------------------


def recipe_folder() -> Path:
    """Return the folder of the shipped recipes: inside the wheel, or beside the package in a checkout."""
    return shipped_folder("configs")


def find_recipes(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the recipe files that files and folders name, folders sorted by name, each file once.

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
            inner = sorted(folder.parent.name for folder in path.glob("*/*.yaml"))
            hint = f"; name one of its folders: {', '.join(dict.fromkeys(inner))}." if inner else "."
            raise FileNotFoundError(f"Expected {path} to hold recipes (*.yaml), but it holds none{hint}")
        found += recipes
    return list({path.resolve(): path for path in reversed(found)}.values())[::-1]


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    shipped = recipe_folder()
    parts = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
    if not path.is_absolute() and shipped.joinpath(*parts).exists():
        return shipped.joinpath(*parts)
    known = [str(Path("configs") / p.relative_to(shipped)) for p in [*shipped.glob("*"), *shipped.glob("*/*.yaml")]]
    raise FileNotFoundError(
        f"Expected a recipe or a folder of recipes, but {path} does not exist here nor among the shipped ones"
        + nearest_hint(str(path), known)
    )


# ---- Reading one -----------------------------------------------------------------------------------------------------


def load_recipe(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    variant: str | None = None,
    trust_modules: Collection[str] = (),
) -> Recipe:
    """Read a recipe strictly.

    Parameters
    ----------
    path : path
    overrides : sequence of str
        Dotted, as on the command line: ``["--method.init_args.latent_dim", "32"]``.
    variant : str, optional
        Which of the file's variants; needed if it has any. See `load_recipes` for all of them.
    trust_modules : collection of str
        Modules whose classes the recipe may name too (networks, mixing rules, samplers, methods); importing them runs
        their code.

    Raises
    ------
    FileNotFoundError
    ValueError
        For YAML that is none, an unknown key or method (naming the nearest known one), a value of another type or out
        of its range, a key that belongs to the machine, a class where none is expected or that is neither known nor
        trusted, and a variant that the file does not have. Nothing is imported or made then.
    """
    path = _checked_file(path)
    with naming(path):
        content, variants = _read_recipe(path)
        if variant is None and variants:
            raise ValueError(f"Expected one recipe, but the file has the variants {', '.join(variants)}; choose one.")
        if variant is not None and variant not in variants:
            raise ValueError(f"Expected a variant of the recipe, but got {variant!r}{nearest_hint(variant, variants)}")
        changes = variants.get(variant or "", {})
        return _load(path, content, variant, changes, read_overrides(overrides), trust_modules)


def load_recipes(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, trust_modules: Collection[str] = ()
) -> list[Recipe]:
    """Read all that a file holds: one recipe, or one for each of its variants, in their order.

    Parameters
    ----------
    path : path
    overrides : sequence of str
        As for `load_recipe`; they go before the settings of the variants.
    trust_modules : collection of str
        As for `load_recipe`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_recipe`; the message names the variant.
    """
    path = _checked_file(path)
    with naming(path):
        content, variants = _read_recipe(path)
        settings = read_overrides(overrides)
    if not variants:
        return [load_recipe(path, overrides, trust_modules=trust_modules)]
    recipes = []
    for name, changes in variants.items():
        with naming(f"{path}, variant {name}"):
            recipes.append(_load(path, content, name, changes, settings, trust_modules))
    return recipes


@contextmanager
def naming(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever is wrong with a recipe into a ValueError of one line that begins with its place."""
    try:
        yield
    except (ArgumentError, ValueError, TypeError) as error:  # jsonargparse's own, and those of constructors
        raise ValueError(f"{place}: {_one_line(str(error))}") from error


def _load(
    path: Path,
    content: dict[str, Any],
    variant: str | None,
    changes: Mapping[str, Any],
    settings: Mapping[str, str],
    trusted: Collection[str],
) -> Recipe:
    """Return the recipe that a file's content becomes with the changes of a variant and, above them, overrides."""
    return _resolved(str(path), content, path.stem, path.resolve().parent.name, variant, changes, settings, trusted)


def load_composed(
    content: dict[str, Any],
    name: str,
    group: str,
    *,
    variant: str | None = None,
    changes: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Collection[str] = (),
) -> Recipe:
    """Read a recipe that was put together, as strictly as one of a file.

    Parameters
    ----------
    content : dict
        What would stand in the file ``<group>/<name>.yaml``, without variants.
    name, group : str
    variant : str, optional
        Its name; that of the recipe then ends in it.
    changes : mapping, optional
        From dotted names to values, set above the content.
    overrides, trust_modules
        As for `load_recipe`; overrides are set above the changes.

    Raises
    ------
    ValueError
        As `load_recipe`.
    """
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    with naming(_place(name, group, variant)):
        settings = read_overrides(overrides)
        return _resolved(text, content, name, group, variant, changes or {}, settings, trust_modules)


def check_composed(
    content: dict[str, Any],
    name: str,
    group: str,
    *,
    variant: str | None = None,
    changes: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Collection[str] = (),
) -> None:
    """Raise ValueError for a key or class that is not known, as `load_composed` would; it makes nothing."""
    with naming(_place(name, group, variant)):
        if content.get("method") is None:
            raise ValueError("Expected a value for method, but got none; add it.")
        _check_content(content, changes or {}, read_overrides(overrides), trust_modules)


def _place(name: str, group: str, variant: str | None) -> str:
    return f"part {group}, method {name}" + ("" if variant is None else f", variant {variant}")


def _resolved(
    source: str,
    content: dict[str, Any],
    stem: str,
    group: str,
    variant: str | None,
    changes: Mapping[str, Any],
    settings: Mapping[str, str],
    trusted: Collection[str],
) -> Recipe:
    """Return the recipe of `source`, a path or YAML, whose content is given too; see `_load`."""
    title = content.get("title")
    words = (variant or stem).replace("_", " ")
    name = stem if variant is None else f"{stem}-{variant}"
    _check_content(content, changes, settings, trusted)
    parser = _parser()
    options = {**{name: as_option(value) for name, value in changes.items()}, **settings}
    config = parser.parse_args(["--config", source, *(f"--{name}={value}" for name, value in options.items())])
    if variant is not None and "title" not in options:
        config.title = f"{title}: {words}" if title else words
    made = parser.instantiate(config)
    check_seeds(made.seeds)
    _check_published(made.published)
    _check_steps({part: getattr(made, part) for part in ("sampler", "method") if getattr(made, part) is not None})
    return Recipe(
        name=name,
        group=group,
        title=made.title or words,
        data=made.data,
        sampler=made.sampler,
        method=made.method,
        evaluation=made.evaluation,
        seeds=made.seeds,
        published=made.published,
        variant=variant,
        text=_dump(parser, config),
    )


def as_option(value: Any) -> str:
    """Return a value of YAML as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def load_data_config(path: str | os.PathLike[str]) -> DataConfig:
    """Return the data section of a recipe; nothing else in the file is looked at, no class is imported.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_recipe`.
    """
    path = _checked_file(path)
    with naming(path):
        return make_data_config(read_mapping(path).get("data"))


def make_data_config(section: Any, settings: Mapping[str, str] | None = None) -> DataConfig:
    """Return what a data section says, with those of some dotted overrides that are about data.

    Raises
    ------
    ValueError
        As `load_recipe`.
    """
    _check_levels({"data": section}, {level: keys for level, keys in _LEVELS.items() if level.startswith("data")})
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--data", type=DataConfig)
    options = [f"--{name}={value}" for name, value in (settings or {}).items() if name.split(".")[0] == "data"]
    return parser.instantiate(parser.parse_args(["--config", yaml.safe_dump({"data": section}), *options])).data


def load_sampler(
    sampler: str | Mapping[str, Any], overrides: Sequence[str] = (), *, trust_modules: Collection[str] = ()
) -> Any:
    """Return the over-sampler that a class path or a section of YAML names, read as strictly as that of a recipe.

    Parameters
    ----------
    sampler : str or mapping
        ``latentover.RAESampler``, the path of a ``.yaml`` file with ``class_path`` and ``init_args``, or its content.
    overrides : sequence of str
        Dotted, as on the command line: ``["--sampler.init_args.latent_dim", "32"]``.
    trust_modules : collection of str
        As for `load_recipe`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_recipe`.

    Examples
    --------
    >>> load_sampler("latentover.RAESampler", ["--sampler.init_args.max_steps", "50"]).max_steps
    50
    """
    is_file = isinstance(sampler, str) and Path(sampler).suffix in (".yaml", ".yml")
    path = _checked_file(sampler) if isinstance(sampler, str) and is_file else None
    with naming(path or "--sampler"):
        content = read_mapping(path) if path else sampler
        given = {"class_path": content} if isinstance(content, str) else dict(content)
        settings = read_overrides(overrides)
        _check_content({"sampler": given}, {}, settings, trust_modules)
        parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
        parser.add_argument("--sampler", type=SamplerMixin, required=True)
        options = {name: as_option(value) for name, value in flat_settings({"sampler": given}, "").items()}
        made = parser.instantiate(parser.parse_args([f"--{k}={v}" for k, v in {**options, **settings}.items()])).sampler
        if isinstance(made, BaseDataEstimator):
            check_parameters(made)
        return made


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed out of its range."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"Expected seed to be a whole number from 0 to {MAX_SEED}, but got {seed}; take 0.")


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise ValueError unless there is at least one seed, and none is out of range or there twice."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"Expected seeds to be one or more different whole numbers of at least 0, but got {list(seeds)}; "
            "give for example 0 1 2."
        )
    if max(seeds) > MAX_SEED:
        raise ValueError(f"Expected seeds to be at most {MAX_SEED}, but got {max(seeds)}; give for example 0 1 2.")


def _checked_file(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a recipe, but {path} is not a file; name a .yaml file.")
    return path


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--title", type=str | None, default=None)
    parser.add_argument("--data", type=DataConfig)
    parser.add_argument("--sampler", type=SamplerMixin | None, default=None)
    parser.add_argument("--method", type=BaseClassifier, required=True)
    parser.add_argument("--evaluation", type=Evaluation, default=Evaluation())
    parser.add_argument("--seeds", type=list[int], default=[0, 1, 2])
    parser.add_argument("--published", type=_untouched, default=None)
    parser.add_argument("--variants", type=_untouched, default=None)  # was read before
    return parser


def _untouched(value: Any) -> Any:
    """Return what YAML says; as a type of jsonargparse, which makes objects of mappings with a class_path in an Any."""
    return yaml.safe_load(value) if isinstance(value, str) else value


def _read_recipe(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the content of a recipe without its variants, and from the name of each variant to its dotted settings."""
    content = read_mapping(path)
    if "parts" in content:
        raise ValueError("Expected a recipe, but got a suite of many; `latentover benchmark` runs it.")
    variants = read_variants(content.pop("variants", None))
    if variants and content.get("published") is not None:
        raise ValueError(
            "Expected published numbers inside the variant that they belong to, but got them for all; move them there."
        )
    return content, variants


def read_variants(variants: Any) -> dict[str, dict[str, Any]]:
    """Return from the name of each variant to its dotted settings; nothing for None."""
    if variants is None:
        return {}
    if not isinstance(variants, dict) or not variants:
        raise ValueError(
            f"Expected variants to be a mapping from names to dotted settings, but got {variants!r}; write for example "
            "{small: {method.init_args.latent_dim: 8}}."
        )
    return {checked_name(name): flat_settings(changes or {}, f"variant {name}") for name, changes in variants.items()}


def checked_name(name: Any, what: str = "a variant") -> str:
    """Return a name that can be that of a folder; raise ValueError for another."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", str(name)):
        raise ValueError(
            f"Expected the name of {what} to be letters, digits, '_', '-' and '.', but got {name!r}; it becomes a "
            "part of the folder of its runs, and `title` is for people."
        )
    return str(name)


def flat_settings(changes: Any, what: str) -> dict[str, Any]:
    """Return settings by dotted names; sections may be written as mappings too."""
    if not isinstance(changes, dict):
        raise ValueError(
            f"Expected {what} to be a mapping from dotted settings to values, but got {changes!r}; write for example "
            "{method.init_args.latent_dim: 8}."
        )
    flat: dict[str, Any] = {}
    for name, value in changes.items():
        if isinstance(value, dict) and name in _SECTIONS:
            inner = {f"{name}.{key}": item for key, item in value.items()}
            flat |= flat_settings(inner, what)
        else:
            flat[str(name)] = value
    return flat


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a recipe or a suite; raise ValueError unless it is a mapping."""
    content = parse_yaml(_text_of(path), "the recipe")
    if not isinstance(content, dict):
        raise ValueError(f"Expected the recipe to be a mapping with the keys {', '.join(_KEYS)}, but got {content!r}.")
    return content


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected the recipe to be YAML, but it is not: {error}.") from error


def read_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Return dotted names and values of ``["--a.b", "1", "--c=2"]``."""
    settings, words = {}, list(overrides)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise ValueError(
                f"Expected overrides like --method.init_args.latent_dim 32, but got {word!r} without a name."
            )
        if not equals:
            if not words:
                raise ValueError(f"Expected a value after {word}, but there is none; add one.")
            value = words.pop(0)
        settings[name] = value
    return settings


# ---- Keys and values -------------------------------------------------------------------------------------------------

_PUBLISHED_SPLITS = ("test_balanced", "test_imbalanced")
_LEVELS: dict[str, tuple[str, ...]] = {
    "": _KEYS,
    "data": tuple(field.name for field in fields(DataConfig)),
    "data.imbalance": tuple(field.name for field in fields(Imbalance)),
    "data.imbalanced_test": tuple(field.name for field in fields(Imbalance)),
    "data.table": tuple(field.name for field in fields(TableOptions)),
    "evaluation": tuple(field.name for field in fields(Evaluation)),
    "method": ("class_path", "init_args"),
    "sampler": ("class_path", "init_args"),
    "published": ("source", *_PUBLISHED_SPLITS),
    **{f"published.{split}": (*METRIC_TITLES, "sd") for split in _PUBLISHED_SPLITS},
    **{f"published.{split}.sd": tuple(METRIC_TITLES) for split in _PUBLISHED_SPLITS},
}
"""The keys that may stand at each place of a recipe; those of init_args depend on the class."""
_SECTIONS = {
    *("data", "data.imbalance", "data.imbalanced_test", "data.table", "evaluation"),
    *("method", "method.init_args", "sampler", "sampler.init_args"),
}
"""Where a mapping holds settings and is none itself."""


def _check_content(
    content: dict[str, Any], changes: Mapping[str, Any], settings: Mapping[str, str], trusted: Collection[str]
) -> None:
    """Raise ValueError for a key or a class that is not known, in the recipe, its variant or in an override."""
    classes: dict[str, list[type]] = {}
    levels = dict(_LEVELS)
    for part in ("sampler", "method"):
        given = content.get(part)
        path = given.get("class_path") if isinstance(given, dict) else given
        if isinstance(given, dict) and path is None:
            raise ValueError(f"Expected {part} to have a class_path, but got {given!r}; add one.")
        classes[part] = [] if path is None else [_find_step(part, path, trusted)]
        levels[f"{part}.init_args"] = _parameter_names(classes[part])
    _check_levels(content, levels)
    _check_step_classes(content, classes, trusted)
    levels[""] = tuple(key for key in _KEYS if key != "variants")
    for options, dashes in ((changes, ""), (settings, "--")):
        for part in ("sampler", "method"):
            path = options.get(f"{part}.class_path", options.get(part))
            if path == "null":
                levels[f"{part}.init_args"] = ()
            elif path:
                classes[part].append(_find_step(part, path, trusted))
                levels[f"{part}.init_args"] = _parameter_names(classes[part][-1:])
        for dotted, value in options.items():
            parts = dotted.split(".")
            for depth, key in enumerate(parts):
                _check_key(".".join(parts[:depth]), key, levels, option=dashes + dotted)
            one: Any = _parsed(value, dotted) if dashes else value
            for key in reversed(parts):
                one = {key: one}
            _check_levels(one, levels)
            _check_step_classes(one, classes, trusted)


def _parsed(text: str, name: str) -> Any:
    """Return what an override says, as YAML, or text that is none."""
    try:
        yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return text
    return parse_yaml(text, name)


def _check_step_classes(content: dict[str, Any], classes: Mapping[str, list[type]], trusted: Collection[str]) -> None:
    """Raise ValueError for a class that stands where none is expected, or that a recipe may not name."""
    for key, value in content.items():
        if key not in classes or not isinstance(value, dict):
            check_classes(value, str if key in _LABELS or isinstance(value, str) else Any, key)
            continue
        for name, item in (value.get("init_args") or {}).items():
            for cls in classes[key]:
                if name in (annotations := parameter_annotations(cls)):
                    check_classes(item, annotations[name], f"{key}.init_args.{name}", trusted)


def _check_levels(content: dict[str, Any], levels: Mapping[str, tuple[str, ...]]) -> None:
    for where, known in levels.items():
        value: Any = content
        for key in where.split(".") if where else ():
            value = value.get(key) if isinstance(value, dict) else None
        if value is None or (isinstance(value, str) and where in ("method", "sampler")):
            continue
        if not isinstance(value, dict):
            raise ValueError(f"Expected {where} to be a mapping with keys like {known[0]}, but got {value!r}.")
        for key in value:
            _check_key(where, key, levels)


def _check_key(where: str, key: Any, levels: Mapping[str, tuple[str, ...]], option: str | None = None) -> None:
    if where not in levels or key in levels[where]:
        return
    got = option or repr(key)
    place = where or "a recipe"
    if key in MACHINE and where.split(".")[-1] in ("", "init_args"):
        raise ValueError(
            f"Expected {place} to say what is trained, but got {got}, which belongs to where it is trained; that is "
            f"{MACHINE[key]}."
        )
    inner = [f"init_args.{name}" for name in levels.get(f"{where}.init_args", ())]
    hint = nearest_hint(str(key), [*levels[where], *inner], otherwise=f"; known are {', '.join(levels[where])}.")
    below = [name for name in levels if name and key in levels[name] and name.rpartition(".")[0] == where]
    if below:  # a key that stands one level too high
        hint = f"; did you mean '{below[0].removeprefix(f'{where}.')}.{key}'?"
    if option and not where:
        raise ValueError(f"Expected an option of the command or a setting of the recipe, but got {got}{hint}")
    raise ValueError(f"Expected known keys in {place}, but got {got}{hint}")


def _find_step(part: str, class_path: Any, trusted: Collection[str]) -> type:
    """Return the class of a method or sampler; raise ValueError for one that is neither known nor trusted."""
    kind = SamplerMixin if part == "sampler" else BaseClassifier
    if is_trusted(str(class_path), trusted):
        return import_trusted(class_path, (kind,), f"the class of {part}")
    try:
        cls = find_class(class_path)
    except ValueError:
        cls = BaseEstimator
    if not issubclass(cls, kind):
        names = list(known_classes((kind,)))
        ours = ", ".join(name for name in names if name.startswith("latentover."))
        raise ValueError(
            f"Expected the class of {part} to be {'a classifier' if part == 'method' else 'a sampler'} of latentover "
            f"({ours}){' or of imbalanced-learn' if part == 'sampler' else ''}{OR_TRUSTED}, but got {class_path!r}"
            + nearest_hint(str(class_path), names)
        )
    return cls


def _parameter_names(classes: Sequence[type]) -> tuple[str, ...]:
    """Return the parameters that a recipe may set."""
    return tuple(name for cls in classes for name in inspect.signature(cls).parameters if name not in MACHINE)


def _check_steps(steps: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for a parameter out of its range, or one that a bundle cannot hold."""
    for part, step in steps.items():
        if isinstance(step, BaseDataEstimator):
            try:
                check_parameters(step)
            except ValueError as error:
                raise ValueError(as_typed(str(error), of_steps({part: step}))) from error
    check_storable(make_pipeline(*steps.values()))


def _check_published(published: Mapping[str, Any] | None) -> None:
    """Raise ValueError unless published numbers name their source and are percentages of known metrics."""
    if published is None:
        return
    _check_levels({"published": published}, {k: v for k, v in _LEVELS.items() if k.startswith("published")})
    source = published.get("source")
    if not isinstance(source, str) or not source.strip():
        raise ValueError(
            f"Expected published.source to say where the numbers are from, but got {source!r}; name paper and table."
        )
    splits = {split: published[split] or {} for split in _PUBLISHED_SPLITS if split in published}
    if not any(splits.values()):
        raise ValueError(
            f"Expected published to have numbers for {' or '.join(_PUBLISHED_SPLITS)}, but got none; add for example "
            "test_balanced: {acsa: 84.79}."
        )
    for split, scores in splits.items():
        sd = scores.get("sd") or {}
        for name, value in [*((k, v) for k, v in scores.items() if k != "sd"), *((f"sd.{k}", sd[k]) for k in sd)]:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
                raise ValueError(
                    f"Expected published.{split}.{name} to be a percentage from 0 to 100, but got {value!r}; write it "
                    "as the paper does, in percent."
                )
        if missing := [name for name in sd if name not in scores]:
            raise ValueError(
                f"Expected published.{split}.sd to belong to metrics beside it, but got {missing[0]!r} alone; add the "
                "mean."
            )


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "a mapping",
    "NoneType": "null",
}


def _one_line(message: str) -> str:
    """Return jsonargparse's account of a wrong value, or any other message, as one line."""
    if required := re.search(r"arguments are required: (.+)", message):
        return f"Expected a value for {required[1]}, but got none; add it."
    if own := re.search(r"Expected `.+", message):  # a constructor's, inside the account
        return own[0]
    account, _, rest = re.sub(r"Given value: ", "Got value: ", message).partition("Got value: ")
    keys = re.findall(r'Parser key "([\w.]+)"', account)
    choices = re.findall(r"'([^']*)'", " ".join(re.findall(r"typing\.Literal\[.*?\]", account)))
    kinds = [_KINDS.get(kind, kind) for kind in re.findall(r"Expected a <class '([\w.]+)'>", account)]
    expected = [repr(choice) for choice in choices] + sorted(kinds, key="null".__eq__)  # null last in all its versions
    if not keys or not expected or not rest:
        return " ".join(message.split())
    name = ".".join(keys)
    for part in ("method", "sampler"):
        name = re.sub(rf"^{part}\.", f"{part}.init_args.", name)
    if module := re.search(r"- Problem with given class_path '([^']*)':\s+(?!\s|Parser key)(.+)", account):
        return (
            f"Expected {name} to be a module that can be made, but got {module[1]!r}: {module[2]}; put its file where "
            "Python can import it, for example with PYTHONPATH=. in front of the command."
        )
    got = rest.splitlines()[0].strip()
    return f"Expected {name} to be {' or '.join(dict.fromkeys(expected))}, but got {got!r}{nearest_hint(got, choices)}"


def _dump(parser: ArgumentParser, config: Namespace) -> str:
    """Return the resolved recipe as YAML, without what belongs to the machine or is set for each run."""
    # With what is None and with defaults, and not validated once more, which would take most of the time: by their
    # places, for jsonargparse's versions have different keywords.
    content = yaml.safe_load(parser.dump(config, "yaml", False, False, True))  # noqa: FBT003
    for part in ("method", "sampler"):
        arguments = (content.get(part) or {}).get("init_args", {})
        for name in MACHINE.keys() & arguments.keys():
            del arguments[name]
    for name in ("config", "variants", *(["published"] if config.published is None else [])):
        content.pop(name, None)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
