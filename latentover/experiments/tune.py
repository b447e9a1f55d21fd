"""Searching for better settings of recipes on validation data: each recipe for itself, with the same budget.

The test data takes no part: trials are scored on the validation part, and only what is made of the best recipes
afterwards, by ``train`` or ``benchmark``, reads it.
"""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentover import notebook
from latentover.experiments.backends.here import run_here
from latentover.experiments.jobs import Backend, Busy, forget_splits, shared_splits
from latentover.experiments.recipe import Recipe, check_seed, check_seeds, load_recipe, load_recipes
from latentover.experiments.run import RUNS, Machine
from latentover.experiments.space import Space
from latentover.experiments.strict import nearest_hint
from latentover.experiments.study import Study, overrides_of, value_of
from latentover.experiments.tuned import Search, table_of, write_best, write_page
from latentover.files import check_writable, locked
from latentover.report.tables import METRIC_TITLES, metric_title
from latentover.runs.folder import Failure
from latentover.training.progress import progress_bar

"""Called with tasks, which it asks for one by one, a machine and ``wait``; yields each task with its outcome."""
STUDIES = "searches"
"""Folder of what a search goes on from."""
_SEARCHED = ("sampler", "method")


@dataclass(frozen=True)
class Tuned:
    """What a search of several recipes found.

    Attributes
    ----------
    searches : list of Search
        In the order of the recipes.
    page : Path
        Where it is written.
    table : str
        The table of it, in Markdown.
    """

    searches: list[Search]
    page: Path
    table: str

    def _repr_html_(self) -> str:
        def percent(value: float | None) -> str:
            return "n/a" if value is None else f"{100 * value:.2f}"

        rows = [
            (
                search.title,
                ", ".join(f"{key} = {value}" for key, value in search.settings.items()) or "as it is",
                percent(search.default),
                percent(search.value),
                f"{search.finished:,}",
                f"{search.failed:,}",
            )
            for search in self.searches
        ]
        head = ("recipe", "best settings", "as it is (%)", "best (%)", "trials", "failed")
        told = "Scores on validation data; the best of many is better there than elsewhere."
        return notebook.page(notebook.table(head, rows, words=2), notebook.note(told), notebook.note(self.page))


def tune(
    recipes: Iterable[Path],
    space: Space,
    machine: Machine,
    *,
    trials: int = 50,
    metric: str = "acsa",
    seeds: Sequence[int] | None = None,
    seed: int = 0,
    pruning: bool = True,
    out: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    trust_modules: Sequence[str] = (),
    backend: Backend = run_here,
) -> Tuned:
    """Search each recipe's space for the settings with the best score on validation data.

    The first trial of each is the recipe as it is; the others are chosen by Optuna's TPE, which learns from those that
    have ended. Where all is there already that is asked for, nothing is trained; where a search was interrupted, it
    goes on, and trials that had begun are run again.

    Parameters
    ----------
    recipes : iterable of Path
        Each variant counts as a recipe. Each has a search of its own, in which all keys that it has are searched anew.
    space : Space
        See `latentover.experiments.space.read_space`. Keys of ``method`` have to exist in every recipe; those of
        ``sampler`` count where the recipe has them.
    machine : Machine
    trials : int, default=50
        Of each recipe, those that are ended early or fail among them.
    metric : str, default="acsa"
        One of `latentover.report.tables.METRIC_TITLES`; of ``ece`` and ``brier`` less is better.
    seeds : sequence of int, optional
        Training seeds of each trial, whose mean counts; by default the first one of the recipe.
    seed : int, default=0
        Of the search: the same one makes the same trials, where they run one after the other.
    pruning : bool, default=True
        Whether a training is ended whose validation score is below the median of the others at the same part of it.
    out : path, optional
        Folder of the best recipes, the page and the searches; by default ``runs/tune/<group>``.
    overrides : sequence of str
        Dotted overrides for every recipe.
    trust_modules : sequence of str
        Modules whose networks the recipes may name too; importing them runs their code.
    backend : callable
        How trials are run.

    Raises
    ------
    FileNotFoundError, ValueError
        If a recipe, a key, a value, the metric or a number is not as expected, a recipe has no validation data, or the
        folder holds a search of something else; nothing has been trained then.
    PermissionError, NotADirectoryError
        If the folder cannot be written to.
    BlockingIOError
        If another process searches in the same folder.
    """
    _check_numbers(trials, metric, seeds, seed)
    machine.check()
    trusted = tuple(trust_modules)
    loaded = [(path, recipe) for path in recipes for recipe in load_recipes(path, overrides, trust_modules=trusted)]
    spaces = _checked_spaces(loaded, space, tuple(overrides), trusted)
    folder = RUNS / "tune" / loaded[0][1].group if out is None else Path(out)
    check_writable(folder)
    with locked(folder / STUDIES, wait=False), _surroundings():
        studies = []
        for (_, recipe), keys in zip(loaded, spaces, strict=True):
            conditions = _conditions(recipe, keys, machine, metric, seeds, seed, pruning=pruning)
            studies.append(Study(folder / STUDIES / recipe.name, recipe, keys, conditions, trusted))
        _run_all(studies, trials, machine, backend)
        searches = [write_best(study, folder) for study in studies]
        return Tuned(searches, write_page(studies, searches, folder), table_of(searches, metric))


# ---- Before ----------------------------------------------------------------------------------------------------------


def _check_numbers(trials: int, metric: str, seeds: Sequence[int] | None, seed: int) -> None:
    if trials < 1:
        raise ValueError(f"Expected the number of trials to be at least 1, but got {trials}; 50 is a start.")
    if metric not in METRIC_TITLES:
        known = ", ".join(METRIC_TITLES)
        raise ValueError(
            f"Expected the metric to be one of {known}, but got {metric!r}{nearest_hint(metric, METRIC_TITLES)}"
        )
    check_seed(seed)
    if seeds is not None:
        check_seeds(seeds)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("Expected one process that searches, but torchrun started several; start it without torchrun.")


def _checked_spaces(
    loaded: Sequence[tuple[Path, Recipe]], space: Space, overrides: tuple[str, ...], trusted: tuple[str, ...]
) -> list[Space]:
    """Return the part of the space that each recipe has; every corner of it has been read as strictly as a recipe."""
    twice = [name for name, times in Counter(recipe.name for _, recipe in loaded).items() if times > 1]
    if twice:
        raise ValueError(f"Expected recipes with names of their own, but got {twice[0]!r} twice; rename one.")
    for path, recipe in loaded:
        if recipe.data.validation_fraction == 0:
            raise ValueError(
                f"Expected data.validation_fraction to be above 0, for settings are chosen on validation data, but got "
                f"0 in {path}; add --data.validation_fraction 0.2."
            )
    spaces = [{key: values for key, values in space.items() if _counts(recipe, key)} for _, recipe in loaded]
    if unknown := [key for key in space if not any(key in keys for keys in spaces)]:
        known = [f"sampler.init_args.{name}" for _, recipe in loaded for name in _sampler_settings(recipe)]
        otherwise = f"; known are {', '.join(dict.fromkeys(known))}." if known else "; they have no sampler's settings."
        raise ValueError(
            f"Expected a setting that the sampler of one of the recipes has, but got {unknown[0]}"
            + nearest_hint(unknown[0], known, otherwise)
        )
    for (path, recipe), keys in zip(loaded, spaces, strict=True):
        for key, values in keys.items():
            for value in values.corners():
                changed = (*overrides, *overrides_of({key: value}))
                load_recipe(path, changed, variant=recipe.variant, trust_modules=trusted)
            if key.split(".")[0] not in _SEARCHED:
                raise ValueError(
                    f"Expected a setting of the method or the sampler, but got {key}; what is compared is trained and "
                    f"scored on the same data: set it for all trials with --{key}."
                )
        if not keys:
            raise ValueError(f"Expected a space with settings that {path} has, but it has none of them; add one.")
    return spaces


def _counts(recipe: Recipe, key: str) -> bool:
    """Return whether a key is searched for a recipe: settings of a sampler only where it has them."""
    parts = key.split(".")
    return parts[:2] != ["sampler", "init_args"] or parts[2:3] == [] or parts[2] in _sampler_settings(recipe)


def _sampler_settings(recipe: Recipe) -> dict[str, Any]:
    return value_of(recipe, "sampler.init_args") or {}


def _conditions(
    recipe: Recipe,
    space: Space,
    machine: Machine,
    metric: str,
    seeds: Sequence[int] | None,
    seed: int,
    *,
    pruning: bool,
) -> dict[str, Any]:
    """Return all that the values of trials depend on."""
    splits = shared_splits(recipe.data, machine)
    assert splits.y_validation is not None  # of a fraction above 0
    return {
        "recipe_sha256": recipe.sha256,
        "space": {key: str(values) for key, values in space.items()},
        "metric": metric,
        "seeds": list(recipe.seeds[:1] if seeds is None else seeds),
        "data_hash": splits.data_hash,
        "n_validation": len(splits.y_validation),
        "pruning": pruning,
        "search_seed": seed,
    }


@contextmanager
def _surroundings() -> Iterator[None]:
    """Keep Optuna from telling on stderr what this command tells itself, and let the data go in the end."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
        forget_splits()


# ---- Trials ----------------------------------------------------------------------------------------------------------


def _run_all(studies: Sequence[Study], trials: int, machine: Machine, backend: Backend) -> None:
    """Run what is missing of every study, telling on stderr how it goes."""
    total = sum(study.todo(trials) for study in studies)
    if not total:
        return
    by_name = {study.recipe.name: study for study in studies}
    tasks = (task for study in studies for task in study.tasks(trials))
    with (
        closing(backend(tasks, replace(machine, verbose=0), wait=True)) as outcomes,
        progress_bar(total, "search", unit="trial", shown=bool(machine.verbose)) as bar,
    ):
        for number, (task, outcome) in enumerate(outcomes, start=1):
            assert not isinstance(outcome, Busy)  # a trial has no other process that could make it
            by_name[task.study].tell(task, outcome)
            if machine.verbose and (bar.disable or isinstance(outcome, Failure)):
                said = _said(by_name[task.study], outcome)
                bar.write(f"[{number}/{total}] {task.name}: {said}", file=sys.stderr)
            bar.set_postfix_str(_best(by_name[task.study]), refresh=False)
            bar.update()


def _said(study: Study, outcome: dict[str, Any] | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"failed: {outcome.message}"
    if outcome["pruned"]:
        return f"ended early, {outcome['seconds']:.1f} s"
    value = sum(outcome["scores"]) / len(outcome["scores"])
    said = f"{100 * value:.2f} {metric_title(study.conditions['metric'])}", _best(study), f"{outcome['seconds']:.1f} s"
    return ", ".join(filter(None, said))


def _best(study: Study) -> str:
    """Return the best score of a search so far, in words; empty before the first."""
    best = study.best()
    return "" if best is None or best.value is None else f"best {100 * best.value:.2f}"
