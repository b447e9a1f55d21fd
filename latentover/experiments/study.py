"""A search as it lies in a folder: its trials, which of them are told to whom, and what a trial does.

Where the search stands is a journal, a file to which lines are appended (Optuna's). Its lock is one that the system
takes from a process that ends, however it ends, and whoever appends cuts off what a process that was killed has half
written: so a journal that was killed at any moment can be gone on with, at once and by several processes.
"""

import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from latentover.data import Splits
from latentover.experiments.evaluate import score_splits
from latentover.experiments.jobs import naming_warnings, shared_splits
from latentover.experiments.recipe import Recipe, as_option, load_recipe
from latentover.experiments.run import Machine, final_step, untrained
from latentover.experiments.space import Space
from latentover.files import locked, write_text
from latentover.runs.folder import Failure
from latentover.training import Callback

try:
    import optuna
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise ImportError(
        'Expected Optuna, which searches, but it is not installed; pip install "latentover[tune]".'
    ) from error

RECIPE, JOURNAL = "recipe.yaml", "journal.log"
LOWER_IS_BETTER = ("ece", "brier")
MARKS = 20
"""Of a training, at which its validation score is compared with those of other trials."""
WARM_UP = 5
"""Marks at the start of a trial at which it is not ended yet."""


# ---- The journal -----------------------------------------------------------------------------------------------------


class _Lock(JournalFileOpenLock):
    """Held while somebody appends to a journal; see `latentover.files.locked`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path, self._held = path, ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock, and cut off the half of a line that a process has left that was killed."""
        self._held.enter_context(locked(self.path))
        _cut_half_a_line(self.path)
        return True

    def release(self) -> None:
        """Give it back."""
        self._held.close()


def _cut_half_a_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _storage(folder: Path) -> JournalStorage:
    path = folder / JOURNAL
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))


def _pruner(*, pruning: bool) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_warmup_steps=WARM_UP) if pruning else optuna.pruners.NopPruner()


# ---- A trial, where it runs ------------------------------------------------------------------------------------------


class _Pruned(Exception):  # noqa: N818
    """Ends the training of a trial that does worse than others did."""


@dataclass(frozen=True)
class Trial:
    """One try of a search: the recipe with some settings changed, trained with each seed and scored on validation data.

    Attributes
    ----------
    folder : Path
        Of the search, which other processes have to see too.
    study : str
        Its name.
    number : int
        Counted from 0, which is the recipe as it is.
    overrides : tuple of str
        What is changed: ``"--method.init_args.latent_dim=8"``.
    seeds : tuple of int
    metric : str
    pruning : bool
        Whether it may be ended early.
    data_hash : str
        Of the data on which all trials are made.
    trust_modules : tuple of str
    """

    folder: Path
    study: str
    number: int
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    metric: str
    pruning: bool
    data_hash: str
    trust_modules: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.study}, trial {self.number}"

    def run(self, machine: Machine, *, wait: bool) -> dict[str, Any]:
        """Train and score, wherever this is called; nothing is waited for, for the number is this trial's alone.

        Returns
        -------
        dict
            ``scores``, one a seed on the validation data, and ``seconds``; with ``pruned`` those of the seeds before
            the one in which it was ended.
        """
        with naming_warnings(self.name):
            recipe = load_recipe(self.folder / RECIPE, self.overrides, trust_modules=self.trust_modules)
            splits = without_tests(shared_splits(recipe.data, machine))
            if splits.data_hash != self.data_hash:
                raise ValueError(
                    f"Expected the data that the search began with (hash {self.data_hash}), but got other data (hash "
                    f"{splits.data_hash}); search anew with another --out."
                )
            start, scores = time.perf_counter(), list[float]()
            judge = _Judge(self) if self.pruning else None
            try:
                for seed in self.seeds:
                    scores.append(self._score(recipe, seed, machine, splits, judge, scores))
            except _Pruned:
                return {"pruned": True, "scores": scores, "seconds": time.perf_counter() - start}
            return {"pruned": False, "scores": scores, "seconds": time.perf_counter() - start}

    def _score(
        self,
        recipe: Recipe,
        seed: int,
        machine: Machine,
        splits: Splits,
        judge: "_Judge | None",
        before: Sequence[float],
    ) -> float:
        """Return the score of a seed; `judge` looks at the training, knowing the scores of the seeds before."""
        estimator = untrained(recipe, seed, machine, splits)
        final = final_step(estimator)
        if judge is not None and final.predicts_while_trained:
            final.set_params(callbacks=_Marks(judge, splits, self.metric, before))
        estimator.fit(splits.X_train, splits.y_train)
        return validation_score(estimator, splits, self.metric)


class _Marks(Callback):
    """Has a training judged at each mark, by the mean of its score and those of the seeds `before`."""

    def __init__(self, judge: "_Judge", splits: Splits, metric: str, before: Sequence[float]) -> None:
        self.judge, self.splits, self.metric, self.before = judge, splits, metric, tuple(before)
        self.n_steps, self.last = 0, 0

    def on_fit_begin(self, estimator: Any, n_steps: int) -> None:
        """See `Callback`."""
        self.n_steps = n_steps

    def on_report(self, estimator: Any, row: dict[str, float]) -> None:
        """See `Callback`."""
        mark = int(MARKS * row["step"] // self.n_steps)
        if self.last < mark < MARKS:
            self.last = mark
            value = float(np.mean([*self.before, validation_score(estimator, self.splits, self.metric)]))
            self.judge.look(len(self.before) * MARKS + mark, value)


class _Judge:
    """Tells the journal how a trial stands, and ends it where the pruner says so."""

    def __init__(self, trial: Trial) -> None:
        self.storage = _storage(trial.folder)
        pruner = _pruner(pruning=trial.pruning)
        self.study = optuna.load_study(study_name=trial.study, storage=self.storage, pruner=pruner)
        study_id = self.storage.get_study_id_from_name(trial.study)
        self.trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)

    def look(self, mark: int, value: float) -> None:
        """Take the value at a mark; raise `_Pruned` if that is too bad to go on."""
        # Of a trial that runs again after an interruption the value is there, and written over.
        self.storage.set_trial_intermediate_value(self.trial_id, mark, value)
        if self.study.pruner.prune(self.study, self.storage.get_trial(self.trial_id)):
            raise _Pruned


def without_tests(splits: Splits) -> Splits:
    """Return the splits without the test data, which no search may look at."""
    return replace(splits, tests={})


def validation_score(estimator: Any, splits: Splits, metric: str) -> float:
    """Return a score on the validation data; raise ValueError where it is not defined."""
    value = score_splits(estimator, without_tests(splits))["validation"][metric]
    if value is None or not math.isfinite(value):
        raise ValueError(f"Expected {metric} to be defined on the validation data, but got {value}; search by another.")
    return value


# ---- A search, where it is decided -----------------------------------------------------------------------------------


class Study:
    """The search of one recipe.

    Parameters
    ----------
    folder : Path
        Made if need be; a search that is there is gone on with.
    recipe : Recipe
    space : Space
        The keys that this recipe has.
    conditions : dict
        All that the values of trials depend on, as JSON-able values; ``seeds``, ``metric``, ``pruning``, ``data_hash``
        and ``search_seed`` among them.
    trust_modules : tuple of str

    Raises
    ------
    ValueError
        If the folder holds a search under other conditions.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        space: Space,
        conditions: dict[str, Any],
        trust_modules: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.recipe, self.space, self.conditions = folder, recipe, space, conditions
        self.trust_modules = trust_modules
        folder.mkdir(parents=True, exist_ok=True)
        self._storage = _storage(folder)
        if recipe.name not in optuna.get_all_study_names(self._storage):
            optuna.create_study(
                study_name=recipe.name,
                storage=self._storage,
                direction="minimize" if conditions["metric"] in LOWER_IS_BETTER else "maximize",
            )
        self._study = optuna.load_study(study_name=recipe.name, storage=self._storage)
        self._check_conditions()
        write_text(folder / RECIPE, recipe.text)

    def _check_conditions(self) -> None:
        known = self._study.user_attrs.get("conditions")
        if known is None:
            self._study.set_user_attr("conditions", self.conditions)
        elif changed := [name for name in self.conditions if known.get(name) != self.conditions[name]]:
            was, now = (json.dumps(each.get(changed[0]), ensure_ascii=False) for each in (known, self.conditions))
            raise ValueError(
                f"Expected the search in {self.folder} to go on as it began, but its {', '.join(changed)} changed "
                f"(from {was} to {now}); give the same command, or another --out for another search."
            )

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that have begun, by number."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def best(self) -> FrozenTrial | None:
        """Return the best trial that ran to its end, of equal ones the first; None where there is none."""
        sign = -1.0 if self.conditions["metric"] in LOWER_IS_BETTER else 1.0
        ended = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return max(ended, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def todo(self, n_trials: int) -> int:
        """Return how many trials are to be made until there are so many."""
        trials = self.trials()
        running = sum(trial.state == TrialState.RUNNING for trial in trials)
        return running + max(0, n_trials - len(trials))

    def tasks(self, n_trials: int) -> Iterator[Trial]:
        """Yield the trials that were interrupted, and then new ones until there are `n_trials`.

        Each new one is chosen when it is asked for, by what has been told by then.
        """
        for trial in self.trials():
            if trial.state == TrialState.RUNNING:  # nobody runs it: one process at a time has the search
                yield self._task(trial)
        while len(trials := self.trials()) < n_trials:
            if not trials and not self._study.get_trials(deepcopy=False):
                self._study.enqueue_trial(self._as_it_is())
            number = self._study.ask().number
            yield self._task(self.trials()[number])

    def _as_it_is(self) -> dict[str, Any]:
        """Return the recipe's own values, as Optuna keeps them, of the keys whose range or choices hold them."""
        own = {key: value_of(self.recipe, key) for key in self.space}
        return {key: self.space[key].stored(value) for key, value in own.items() if value in self.space[key]}

    def _task(self, trial: FrozenTrial) -> Trial:
        self._choose(trial)
        trial = self.trials()[trial.number]
        return Trial(
            folder=self.folder,
            study=self.recipe.name,
            number=trial.number,
            overrides=overrides_of(self.settings(trial)),
            seeds=tuple(self.conditions["seeds"]),
            metric=self.conditions["metric"],
            pruning=self.conditions["pruning"],
            data_hash=self.conditions["data_hash"],
            trust_modules=self.trust_modules,
        )

    def _choose(self, trial: FrozenTrial) -> None:
        """Give a trial a value for every key; one that goes on after an interruption keeps those that it has.

        The sampler has a stream for each number and key, so that a search that goes on chooses as one in a go.
        """
        # Of the recipe as it is, what the search can learn from: it may have values beyond the space.
        keys = list(self.space) if trial.number > 0 else list(self._as_it_is())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            asked = optuna.trial.Trial(self._study, trial._trial_id)
            for position, key in enumerate(keys):
                stream = np.random.SeedSequence([self.conditions["search_seed"], trial.number, position])
                seed = int(stream.generate_state(1)[0])
                self._study.sampler = TPESampler(seed=seed, multivariate=False, constant_liar=True)
                self.space[key].suggest(asked, key)

    def settings(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return what a trial that has begun changes about the recipe; nothing, if that is the first."""
        return {key: values.suggest(trial, key) for key, values in self.space.items()} if trial.number > 0 else {}

    def tell(self, trial: Trial, outcome: dict[str, Any] | Failure) -> None:
        """Write down how a trial ended."""
        trial_id = self.trials()[trial.number]._trial_id
        if isinstance(outcome, Failure):
            self._storage.set_trial_user_attr(trial_id, "failure", outcome.message)
            self._study.tell(trial.number, state=TrialState.FAIL)
            return
        for name in ("scores", "seconds"):
            self._storage.set_trial_user_attr(trial_id, name, outcome[name])
        if outcome["pruned"]:
            self._study.tell(trial.number, state=TrialState.PRUNED)
        else:
            self._study.tell(trial.number, float(np.mean(outcome["scores"])))


def overrides_of(settings: dict[str, Any]) -> tuple[str, ...]:
    """Return settings as dotted options of a command."""
    return tuple(f"--{key}={as_option(value)}" for key, value in settings.items())


def value_of(recipe: Recipe, key: str) -> Any:
    """Return the value that a resolved recipe has at a dotted key; None where there is nothing."""
    value: Any = recipe.content
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
