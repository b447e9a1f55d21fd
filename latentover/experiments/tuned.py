"""What searches found: the best recipes, each with an account of its search, and a page of all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentover.experiments.recipe import load_recipe
from latentover.experiments.study import LOWER_IS_BETTER, RECIPE, Study, overrides_of
from latentover.files import write_text
from latentover.report.tables import SideTable, metric_title, percent, side_markdown
from latentover.runs.comparison import Cell
from latentover.text import inline_code, line, markdown

PAGE = "tune.md"


@dataclass(frozen=True)
class Search:
    """What the search of one recipe found.

    Attributes
    ----------
    name, title : str
        Of the recipe.
    best : Path or None
        The best recipe, resolved, with an account of the search above it; None where no trial ran to its end.
    value, default : float or None
        Of the best trial and of the recipe as it is, on validation data.
    settings : dict
        What the best trial changes, from dotted keys; empty where nothing was better than the recipe as it is.
    number : int or None
        Of the best trial.
    finished, pruned, failed : int
        Trials that ran to their end, were ended because others did better, and failed.
    failures : dict of int to str
        From the number of a trial that failed to why.
    data_hash : str
    n_validation : int
    """

    name: str
    title: str
    best: Path | None
    value: float | None
    default: float | None
    settings: dict[str, Any]
    number: int | None
    finished: int
    pruned: int
    failed: int
    failures: dict[int, str]
    data_hash: str
    n_validation: int


def write_best(study: Study, folder: Path) -> Search:
    """Write the best recipe that a study found to a folder, and return what there is to say.

    Parameters
    ----------
    study : Study
        With a trial at least.
    folder : Path
    """
    states = Counter(trial.state.name for trial in study.trials())
    best, first = study.best(), study.trials()[0]
    search = Search(
        name=study.recipe.name,
        title=study.recipe.title,
        best=None if best is None else folder / f"{study.recipe.name}.yaml",
        value=None if best is None else best.value,
        default=first.value if first.state.name == "COMPLETE" else None,
        settings={} if best is None else study.settings(best),
        number=None if best is None else best.number,
        finished=states["COMPLETE"],
        pruned=states["PRUNED"],
        failed=states["FAIL"],
        failures={t.number: t.user_attrs["failure"] for t in study.trials() if t.state.name == "FAIL"},
        data_hash=study.conditions["data_hash"],
        n_validation=study.conditions["n_validation"],
    )
    if search.best is not None:
        changed = load_recipe(study.folder / RECIPE, overrides_of(search.settings), trust_modules=study.trust_modules)
        write_text(search.best, _account(study, search) + changed.text)
    return search


def _account(study: Study, search: Search) -> str:
    """Return, as comments, how a recipe was found."""
    known = study.conditions
    lines = [
        f"The best of {_trials(search)} trials of {search.name} on validation data, trial {search.number}: "
        f"{metric_title(known['metric'])} {search.value:.6g}; the recipe as it was: {_plain(search.default)}.",
        *(f"Searched: {key} in {values}" for key, values in study.space.items()),
        *(f"Changed: {key} to {value!r}" for key, value in search.settings.items()),
        f"Trials: {search.finished} finished, {search.pruned} ended early, {search.failed} failed.",
        f"Training seeds of each trial: {', '.join(map(str, known['seeds']))}. Seed of the search: "
        f"{known['search_seed']}.",
        f"Validation samples: {search.n_validation}. Data hash: {known['data_hash']}. SHA-256 of the recipe as it was: "
        f"{known['recipe_sha256']}.",
        "No test data was scored.",
    ]
    return "".join(f"# {line(text)}\n" for text in lines)


def _plain(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"


def _trials(search: Search) -> int:
    return search.finished + search.pruned + search.failed


def table_of(searches: Sequence[Search], metric: str) -> str:
    """Return a row for each recipe, as Markdown."""
    title = metric_title(metric)
    rows = [
        (
            search.title,
            [
                percent(Cell(search.value, None, 1)),
                percent(Cell(search.default, None, 1)),
                markdown(_settings_text(search)),
                f"{search.finished} / {search.pruned} / {search.failed}",
            ],
        )
        for search in searches
    ]
    columns = [
        f"{title} of the best, validation (%)",
        f"{title} as it is, validation (%)",
        "Best settings",
        "Trials finished / ended early / failed",
    ]
    direction = "Less is better. " if metric in LOWER_IS_BETTER else ""
    note = (
        f"{direction}Each recipe has a search of its own with the same budget: the classifier's settings were searched "
        "anew for each sampler. The best of many trials on one validation part is optimistic."
    )
    return side_markdown(SideTable("The best trial of each recipe on validation data", columns, rows, note))


def _settings_text(search: Search) -> str:
    if search.number is None:
        return "n/a"
    changes = [f"{key.replace('.init_args.', '.')} = {_short(value)}" for key, value in search.settings.items()]
    return ", ".join(changes) or "as it is"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else line(value)


def write_page(studies: Sequence[Study], searches: Sequence[Search], folder: Path) -> Path:
    """Write what all searches found, and how, as a page of Markdown in the folder."""
    known = studies[0].conditions
    seeds = ", ".join(dict.fromkeys(str(seed) for study in studies for seed in study.conditions["seeds"]))
    ended = (
        "A training whose validation score was below the median of the others at the same part of it was ended early."
        if known["pruning"]
        else "No training was ended early."
    )
    blocks = [
        "# Tuned on validation data",
        table_of(searches, known["metric"]),
        f"Trial 0 is the recipe as it is; the others were chosen by Optuna's TPE with seed {known['search_seed']}. A "
        f"trial's value is the mean over the training seeds ({seeds}) of {metric_title(known['metric'])} on the "
        f"validation part. {ended} No test data was scored: `latentover benchmark {folder}` trains the best recipes "
        "and reads it once.",
    ]
    for study, search in zip(studies, searches, strict=True):
        lines = [f"- {inline_code(key)} in {inline_code(str(values))}" for key, values in study.space.items()]
        lines += [f"- trial {number} failed: {markdown(line(why))}" for number, why in search.failures.items()]
        found = f"the best, trial {search.number}, is {inline_code(search.best.name)}" if search.best else "none ended"
        about = f"{search.n_validation} validation samples, data hash {search.data_hash}"
        blocks += [f"## {markdown(search.title)}", f"{_trials(search)} trials, {found}; {about}.", "\n".join(lines)]
    return write_text(folder / PAGE, "\n\n".join(blocks) + "\n")
