"""Which runs are stale: made with another recipe, other data or other code than the newest ones beside them."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

OTHER_RECIPE = "made with another recipe than the newest run beside it"
OTHER_DATA = "made with other data than the newest run beside it"
OTHER_CODE = "made with another version of the code than the newest run"


class Made(NamedTuple):
    """How a run was made.

    Attributes
    ----------
    key : hashable
        Which run it is.
    group, recipe : str
        Names: runs of a recipe are averaged, those of a group compared.
    recipe_sha256, data_hash, code : str or None
        What it was made with; data and code are not asked of a run that failed.
    date : str
        When, in ISO 8601; runs without one are the oldest.
    failed : bool
    """

    key: Hashable
    group: str
    recipe: str
    recipe_sha256: str | None
    data_hash: str | None
    code: str | None
    date: str
    failed: bool = False


def stale(runs: Iterable[Made]) -> dict[Hashable, str]:
    """Return the stale ones by their keys, and why.

    Of each recipe those hold that were made with the recipe of the newest run, then with the data of the newest of
    these; of a group those with the code of its newest run.
    """
    left, reasons = list(runs), dict[Hashable, str]()
    ways: list[tuple[Callable[[Made], Hashable], Callable[[Made], Hashable], str]] = [
        (lambda run: (run.group, run.recipe), lambda run: run.recipe_sha256, OTHER_RECIPE),
        (lambda run: (run.group, run.recipe), lambda run: run.data_hash, OTHER_DATA),
        (lambda run: run.group, lambda run: run.code, OTHER_CODE),
    ]
    for among, kind, reason in ways:
        reasons |= dict.fromkeys(_outdated(left, among, kind), reason)
        left = [run for run in left if run.key not in reasons and not run.failed]
    return reasons


def _outdated(
    runs: Iterable[Made], among: Callable[[Made], Hashable], kind: Callable[[Made], Hashable]
) -> list[Hashable]:
    """Return the keys of runs that are not of the same kind as the newest one among which they are."""
    groups: dict[Hashable, dict[Hashable, list[Made]]] = {}
    for run in runs:
        groups.setdefault(among(run), {}).setdefault(kind(run), []).append(run)
    outdated = list[Hashable]()
    for kinds in groups.values():
        current = max(kinds.values(), key=lambda group: (max(run.date for run in group), len(group)))
        outdated += [run.key for group in kinds.values() if group is not current for run in group]
    return outdated
