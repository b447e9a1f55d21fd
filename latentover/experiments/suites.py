"""Suites: one file for many recipes on many data sets, such as all tables of a paper.

A suite says each method once and each data set once; every pair of them becomes a recipe, read as strictly as one of a
file. A part of a suite is a data set with its imbalance: a runs folder of its own.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from latentover.data import DataConfig
from latentover.data.reading import missing_source
from latentover.estimators import BaseDeepEstimator
from latentover.experiments.benchmark import Outcome, benchmark
from latentover.experiments.generation import CLASSIFIER, evaluate_generation, record_generation
from latentover.experiments.recipe import (
    Recipe,
    check_composed,
    check_seeds,
    checked_name,
    flat_settings,
    load_composed,
    make_data_config,
    naming,
    read_mapping,
    read_overrides,
    read_variants,
)
from latentover.experiments.run import RUNS, Machine, run_folder
from latentover.experiments.strict import nearest_hint
from latentover.files import read_json
from latentover.places import as_path
from latentover.runs.folder import GENERATION, RunFolder
from latentover.runs.store import append_missing
from latentover.training import parallel, resolve_device

_PARTS = "parts"
"""The key that makes a file a suite and not a recipe."""
_KEYS = ("title", "notes", "seeds", "evaluation", "generation", "methods", _PARTS)
_PART_KEYS = ("title", "data", "methods", "settings", "published", "generation", "get")
_METHOD_KEYS = ("title", "sampler", "method", "variants")
_FILE_KEYS = (*_METHOD_KEYS, "data", "evaluation", "seeds", "published")
_GENERATION_KEYS = ("features", "n")
_SPLITS = ("test_balanced", "test_imbalanced")
_FEATURES = ("pixels", "inception")


@dataclass(frozen=True)
class Generation:
    """How the samples of a part's generators are scored.

    Attributes
    ----------
    features : tuple of str
        Each as for `latentover.experiments.generation.evaluate_generation`.
    n : int or None
        Samples of each class, real and generated; None: as many as the test split has of its smallest class.
    """

    features: tuple[str, ...]
    n: int | None = None


@dataclass(frozen=True)
class Part:
    """One data set with its imbalance, and the methods that are compared on it.

    Attributes
    ----------
    name : str
        That of its runs folder.
    title : str
        For people.
    data : DataConfig
    generation : Generation or None
    get : str or None
        Where its data comes from, for people who do not have it.
    makers : dict of str to callable
        From the name of each recipe to what makes it.
    """

    name: str
    title: str
    data: DataConfig
    generation: Generation | None
    get: str | None
    makers: "dict[str, partial[Recipe]]"

    @cached_property
    def recipes(self) -> list[Recipe]:
        """Its recipes, one for each method or variant; making them takes a part of a second each.

        Raises
        ------
        ValueError
            For a value of another type or out of its range; keys and classes have been checked before.
        """
        return [make() for make in self.makers.values()]

    def missing(self, root: str | Path | None = None, *, download: bool = False) -> str | None:
        """Return how to get the data where it is not there, or None; parameters as for `load_splits`."""
        why = missing_source(self.data.source, root=root, download=download)
        return why if why is None or self.get is None else f"{why} {self.get}"


@dataclass(frozen=True)
class Suite:
    """A suite that was read.

    Attributes
    ----------
    name : str
        That of its file.
    title : str
        For people.
    notes : str or None
        What it leaves out, and why.
    parts : list of Part
    """

    name: str
    title: str
    notes: str | None
    parts: list[Part]

    def choose(self, parts: Sequence[str] | None = None, methods: Sequence[str] | None = None) -> "Suite":
        """Return the suite with some parts and methods alone, in its own order.

        Parameters
        ----------
        parts, methods : sequence of str, optional
            None: all. A method stands for its variants too; parts that have none of the methods go.

        Raises
        ------
        ValueError
            For a name that the suite does not have, with the nearest one.
        """
        _check_names(parts or (), [part.name for part in self.parts], f"a part of the suite {self.name}")
        chosen = [part for part in self.parts if parts is None or part.name in parts]
        if methods is not None:
            rows = list(dict.fromkeys(row for part in chosen for row in part.makers))
            _check_names([name for name in methods if not _rows_of(name, rows)], rows, f"a method of {self.name}")
            kept = [{row for name in methods for row in _rows_of(name, part.makers)} for part in chosen]
            chosen = [
                replace(part, makers={row: make for row, make in part.makers.items() if row in rows})
                for part, rows in zip(chosen, kept, strict=True)
                if rows
            ]
        return replace(self, parts=chosen)


@dataclass(frozen=True)
class PartOutcome:
    """What became of a part.

    Attributes
    ----------
    part : Part
    folder : Path
        Its runs folder.
    outcome : Outcome or None
        That of its runs; None where it was skipped.
    missing : str or None
        Why it was skipped: how to get its data.
    unscored : dict of str to str
        From the name of a run whose samples could not be scored to the reason.
    """

    part: Part
    folder: Path
    outcome: Outcome | None
    missing: str | None
    unscored: dict[str, str]


# ---- Running one -----------------------------------------------------------------------------------------------------


def run_suite(
    suite: Suite,
    machine: Machine,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] | None = None,
    trust_modules: Sequence[str] = (),
    **how: Any,
) -> Iterator[PartOutcome]:
    """Make the runs of a suite, part by part, and score what is generated; what is finished is not made again.

    A part whose data is missing is skipped. All other recipes are made before anything is trained.

    Parameters
    ----------
    suite : Suite
    machine : Machine
    out : path, optional
        Each part's runs lie in ``<out>/<part>``; by default below ``runs/<suite>``.
    seeds, trust_modules, **how
        As for `latentover.experiments.benchmark.benchmark`.

    Yields
    ------
    PartOutcome
        Of each part, as it ends.
    """
    missing = {part.name: part.missing(machine.data_root, download=machine.download) for part in suite.parts}
    for part in suite.parts:
        if missing[part.name] is None:
            _ = part.recipes
    for part in suite.parts:
        folder = part_folder(suite, part, out)
        if missing[part.name] is not None:
            yield PartOutcome(part, folder, None, missing[part.name], {})
            continue
        outcome = benchmark(
            part.recipes, machine, out=folder, seeds=seeds, trust_modules=trust_modules, refuse=False, **how
        )
        unscored = score_part(part, folder, machine, seeds=seeds, trust_modules=trust_modules)
        if parallel.rank() == 0:
            append_missing(folder)
        yield PartOutcome(part, folder, outcome, None, unscored)


def part_folder(suite: Suite, part: Part, out: str | os.PathLike[str] | None = None) -> Path:
    """Return the runs folder of a part: ``<out>/<part>``, by default below ``runs/<suite>``."""
    return (RUNS / suite.name if out is None else as_path(out)) / part.name


def score_part(
    part: Part,
    folder: Path,
    machine: Machine,
    *,
    seeds: Sequence[int] | None = None,
    trust_modules: Collection[str] = (),
) -> dict[str, str]:
    """Score the samples of a part's finished runs that generate, and leave the scores where the report finds them.

    Parameters
    ----------
    part : Part
        Without ``generation`` nothing is done.
    folder : Path
        Its runs folder.
    machine : Machine
    seeds : sequence of int, optional
        Instead of the recipes' own.
    trust_modules : collection of str

    Returns
    -------
    dict of str to str
        From the name of a run that could not be scored, with the features, to the reason.
    """
    unscored: dict[str, str] = {}
    # The other processes of torchrun go on to the next part, and would wait there for this one.
    if part.generation is None or parallel.n_processes() > 1:
        return unscored
    generators = filter(_generates, part.recipes)
    runs = [run_folder(recipe, s, folder) for recipe in generators for s in (recipe.seeds if seeds is None else seeds)]
    for run in runs:
        known = read_json(run / GENERATION)
        for features in part.generation.features if RunFolder(run).state == "finished" else ():
            if _is_scored(known.get(features), part.generation.n):
                continue
            try:
                _score(run, features, part.generation.n, machine, trust_modules)
            except Exception as error:  # scores that fail must not cost the other runs
                unscored[f"{part.name}/{run.parent.name}/{run.name}, {features}"] = f"{type(error).__name__}: {error}"
    return unscored


def _generates(recipe: Recipe) -> bool:
    """Return whether a finished run of the recipe generates: samplers without networks need their training rows."""
    steps = (recipe.sampler, recipe.method)
    return any(isinstance(step, BaseDeepEstimator) and hasattr(step, "sample") for step in steps)


def _is_scored(result: Any, n: int | None) -> bool:
    """Return whether there is a result with as many samples of each class as are asked for."""
    if not isinstance(result, dict):
        return False
    return n is None or all(scores.get("n") == n for scores in result.get("classes", {}).values())


def _score(run: Path, features: str, n: int | None, machine: Machine, trust_modules: Collection[str]) -> None:
    result = evaluate_generation(
        run,
        features,
        n=n,
        device=str(resolve_device(machine.device)),
        root=machine.data_root,
        download=machine.download,
        trust_modules=trust_modules,
    )
    record_generation(run, result)


# ---- Reading one -----------------------------------------------------------------------------------------------------


def is_suite(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a suite, by its key ``parts``; raise ValueError for one that is no mapping in YAML."""
    with naming(path):
        return _PARTS in read_mapping(Path(path))


def load_suite(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, trust_modules: Collection[str] = ()
) -> Suite:
    """Read a suite strictly.

    Parameters
    ----------
    path : path
    overrides : sequence of str
        Dotted, as for `latentover.experiments.recipe.load_recipe`; they are set in every recipe, above all else.
    trust_modules : collection of str
        As for `load_recipe`.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a method's recipe is not there.
    ValueError
        For a file that is no suite, an unknown key, method, setting or class (naming the nearest known one), and
        published numbers of a method that a part does not have.

    Examples
    --------
    >>> from latentover.experiments.recipe import recipe_folder
    >>> suite = load_suite(recipe_folder() / "suites" / "digits.yaml")
    >>> [part.name for part in suite.parts]
    ['long_tailed', 'step']
    """
    path = Path(path)
    with naming(path):
        content = read_mapping(path)
        if _PARTS not in content:
            raise ValueError(f"Expected a suite, but got a file without the key {_PARTS!r}, such as a recipe.")
        _check_keys(content, _KEYS, "a suite")
        methods = _mapping(content.get("methods"), "methods", "from names to recipes", may_be_empty=False)
        reader = _Reader(
            methods={checked_name(name, "a method"): _method(given, name, path) for name, given in methods.items()},
            common={key: content[key] for key in ("seeds", "evaluation") if content.get(key) is not None},
            generation=_generation(content.get("generation"), "generation"),
            overrides=tuple(overrides),
            trust_modules=tuple(trust_modules),
        )
        check_seeds(reader.common.get("seeds", [0]))
        parts = _mapping(content[_PARTS], _PARTS, "from names to data sets", may_be_empty=False)
        return Suite(
            name=path.stem,
            title=content.get("title") or path.stem.replace("_", " "),
            notes=content.get("notes"),
            parts=[reader.part(checked_name(name, "a part"), part) for name, part in parts.items()],
        )


@dataclass(frozen=True)
class _Reader:
    """What all parts of a suite share."""

    methods: dict[str, dict[str, Any]]
    common: dict[str, Any]
    generation: Generation | None
    overrides: tuple[str, ...]
    trust_modules: tuple[str, ...]

    def part(self, name: str, given: Any) -> Part:
        where = f"part {name}"
        given = _mapping(given, where, "with the key data")
        _check_keys(given, _PART_KEYS, where)
        chosen = given.get("methods", list(self.methods))
        if isinstance(chosen, list):
            chosen = dict.fromkeys(map(str, chosen))
        chosen = _mapping(chosen, f"{where}: methods", "from names to settings, or a list of names")
        _check_keys(chosen, tuple(self.methods), f"{where}: methods")
        settings = flat_settings(given.get("settings") or {}, f"{where}: settings")
        with naming(where):
            data = make_data_config(given.get("data"), read_overrides(self.overrides))
        published = _Published(given.get("published"), where)
        makers = {}
        for method, own in chosen.items():
            for variant, changes in self._rows(method, own, where):
                row = method if variant is None else f"{method}-{variant}"
                more = {"data": given["data"]} | published.of(row)
                makers[row] = self._maker(name, method, variant, more, settings | changes)
        published.check_all_used()
        generation = _generation(given["generation"], where) if "generation" in given else self.generation
        title = given.get("title") or name.replace("_", " ")
        return Part(name, title, data, generation, given.get("get"), makers)

    def _rows(self, method: str, own: Any, where: str) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Yield variant and settings of each row of a method: its own variants, or those that a part has for it."""
        own = dict(_mapping(own or {}, f"{where}: {method}", "from dotted settings to values"))
        variants = read_variants(own.pop("variants", self.methods[method].get("variants")))
        settings = flat_settings(own, f"{where}: {method}")
        if not variants:
            yield None, settings
        for variant, changes in variants.items():
            yield variant, settings | changes

    def _maker(
        self, part: str, method: str, variant: str | None, more: dict[str, Any], changes: dict[str, Any]
    ) -> partial[Recipe]:
        """Return what makes a recipe, whose keys and classes are checked here and now."""
        content = {k: v for k, v in self.methods[method].items() if k != "variants"} | self.common | more
        trusted = self.trust_modules
        how: dict[str, Any] = {"variant": variant, "changes": changes, "overrides": self.overrides}
        check_composed(content, method, part, trust_modules=trusted, **how)
        return partial(load_composed, content, method, part, trust_modules=trusted, **how)


class _Published:
    """A paper's numbers of one part: a source and, for each test split, a table from methods to scores."""

    def __init__(self, given: Any, where: str) -> None:
        self.where = f"{where}: published"
        given = dict(_mapping(given or {}, self.where, "with source and tables"))
        _check_keys(given, ("source", *_SPLITS), self.where)
        self.source = given.get("source")
        self.tables = {
            split: _mapping(given[split], f"{self.where}.{split}", "from methods to scores")
            for split in _SPLITS
            if split in given
        }
        self.asked = list[str]()

    def of(self, method: str) -> dict[str, Any]:
        """Return the key ``published`` of a method's recipe; nothing where the paper has no numbers of it."""
        self.asked.append(method)
        scores = {split: table[method] for split, table in self.tables.items() if method in table}
        return {"published": {"source": self.source} | scores} if scores else {}

    def check_all_used(self) -> None:
        """Raise ValueError for numbers of a method that the part does not have."""
        for split, table in self.tables.items():
            _check_keys(table, tuple(self.asked), f"{self.where}.{split}")


def _method(given: Any, name: str, suite: Path) -> dict[str, Any]:
    """Return the recipe of a method without its data: a section, or a file beside the suite."""
    if not isinstance(given, str):
        given = _mapping(given, f"method {name}", "with the key method, or the path of a recipe")
        _check_keys(given, _METHOD_KEYS, f"method {name}")
        return given
    path = suite.parent / given
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected method {name} of {suite} to be a section or the path of a recipe from the suite's folder, but "
            f"got {given!r}, and {path} is not a file; name a .yaml file."
        )
    with naming(path):
        content = read_mapping(path)
        _check_keys(content, _FILE_KEYS, "a recipe")
        return {key: content[key] for key in (*_METHOD_KEYS, "evaluation") if key in content}


def _generation(given: Any, where: str) -> Generation | None:
    if given is None:
        return None
    given = _mapping(given, where, "with the key features")
    _check_keys(given, _GENERATION_KEYS, where)
    features = given.get("features")
    features = [features] if isinstance(features, str) else features
    if not isinstance(features, list) or not features or not all(isinstance(name, str) for name in features):
        raise ValueError(f"Expected {where}.features to be a name or a list of names, but got {features!r}.")
    for name in features:
        if name not in _FEATURES and not name.startswith(CLASSIFIER):
            hint = nearest_hint(name, [*_FEATURES, CLASSIFIER])
            raise ValueError(
                f"Expected {where}.features to be pixels, inception or {CLASSIFIER}<bundle>, but got {name!r}{hint}"
            )
    n = given.get("n")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise ValueError(f"Expected {where}.n to be a whole number of at least 1, but got {n!r}.")
    return Generation(tuple(features), n)


def _mapping(value: Any, where: str, kind: str, *, may_be_empty: bool = True) -> dict[str, Any]:
    if not isinstance(value, dict) or not (value or may_be_empty):
        raise ValueError(f"Expected {where} to be a mapping {kind}, but got {value!r}; write it as one.")
    return value


def _rows_of(method: str, rows: Iterable[str]) -> list[str]:
    """Return a row and those of its variants."""
    return [row for row in rows if row == method or row.startswith(f"{method}-")]


def _check_names(names: Iterable[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            hint = nearest_hint(name, known, f"; it has {', '.join(known)}.")
            raise ValueError(f"Expected {what}, but got {name!r}{hint}")


def _check_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            hint = nearest_hint(str(key), known, f"; known are {', '.join(known)}.")
            raise ValueError(f"Expected known keys in {where}, but got {key!r}{hint}")
