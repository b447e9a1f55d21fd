"""The results of a runs folder as Parquet: a row a metric, each with its birth certificate.

The store is the folder ``<runs folder>/results``, with one file a finished run. A file's name follows from what the
run is (its recipe, data, code and seed), so that the same run written twice is the same file; no file is ever changed,
and each appears when it is complete. What a run generates may be scored at any time later, so every result of that is a
file of its own. Which rows still hold is not written down: it is found when the store is read (`stale`).
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from latentover.files import replacing
from latentover.places import as_path
from latentover.runs.collection import run_folders
from latentover.runs.folder import GENERATION
from latentover.runs.reading import PER_CLASS, SHARES
from latentover.runs.stale import Made, stale
from latentover.text import line

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALL_CLASSES",
    "FORMAT",
    "GENERATED",
    "MEMORIZATION",
    "PER_CLASS_METRICS",
    "SCHEMA",
    "STORE",
    "TRAIN",
    "append",
    "append_missing",
    "read",
    "store_folder",
]

STORE = "results"
"""Name of the store in a runs folder."""
FORMAT = 1
"""Version of the columns below; a store of another version is not read."""
GENERATED, TRAIN = "generated", "train"
"""Splits that are none: scores of generated samples, and the samples of each class that a run was trained on."""
MEMORIZATION = "memorization_"
"""Before the names of the scores that say whether generated samples are copies."""
ALL_CLASSES = (*SHARES, "brier")
"""Scores of all classes together."""
PER_CLASS_METRICS = (*PER_CLASS, "support")
"""Scores that each class has."""
PACKAGES = ("latentover", "torch", "scikit-learn", "imbalanced-learn", "numpy", "scipy")
_TEXTS = (
    "recipe_sha256",
    "data",
    "data_hash",
    "code",
    "commit",
    "hardware",
    "device",
    "precision",
    "python",
    "weights",
)
_COUNTS = ("n_train", "n_test")
_NAME_LETTERS = 40
_FORMAT_KEY = b"latentover_results"


def _schema() -> pa.Schema:
    text, count = pa.string(), pa.int64()
    fields = [("run", text), ("recipe", text), ("title", text), ("group", text), ("seed", count)]
    fields += [("split", text), ("label", text), ("metric", text), ("value", pa.float64())]
    fields += [("features", text), ("n", count), ("k", count), ("scored", pa.timestamp("ms"))]
    fields += [(name, text) for name in _TEXTS]
    fields += [(name.replace("-", "_"), text) for name in PACKAGES]
    fields += [(name, count) for name in _COUNTS]
    fields += [("fit_seconds", pa.float64()), ("date", pa.timestamp("ms")), ("test_reads", count)]
    return pa.schema(fields, metadata={_FORMAT_KEY: str(FORMAT)})


SCHEMA = _schema()
"""The columns of every file and their types, with the number of the format as metadata."""


# ---- Writing ---------------------------------------------------------------------------------------------------------


def store_folder(place: str | os.PathLike[str]) -> Path:
    """Return the store that a path means: itself if Parquet files lie there, else that of a runs folder."""
    place = as_path(place)
    return place if any(place.glob("*.parquet")) else place / STORE


def append(
    folder: str | os.PathLike[str], metrics: Mapping[str, Any], generation: Iterable[Mapping[str, Any]] = ()
) -> list[Path]:
    """Add a finished run to the store of its runs folder.

    Parameters
    ----------
    folder : path
        The runs folder; its ``results`` is made if need be.
    metrics : mapping
        The content of the run's ``metrics.json``, of which the certificate names recipe and seed.
    generation : iterable of mapping
        Results of `latentover.metrics.generation_scores`, the values of the run's ``generation.json``.

    Returns
    -------
    list of Path
        The files of the run, those that were there before among them: nothing that is in a store is written again.

    Raises
    ------
    ValueError
        If the certificate does not name recipe and seed.
    OSError
        If the folder cannot be written to.
    """
    certificate = metrics.get("certificate") or {}
    if not certificate.get("recipe") or not isinstance(certificate.get("seed"), int):
        raise ValueError(
            "Expected the certificate in *metrics* to name the recipe and the seed, but got "
            f"{certificate.get('recipe')!r} and {certificate.get('seed')!r}; pass the content of a run's metrics.json."
        )
    head, name = _head(metrics), _name(metrics)
    tables = {name: [*_scores(metrics)]}
    tables |= {f"{name}-generated-{_short_hash(result)}": [*_generation(result)] for result in generation}
    paths = []
    for stem, rows in tables.items():
        path = as_path(folder) / STORE / f"{stem}.parquet"
        if not path.exists():
            with replacing(path) as temporary:
                pq.write_table(_table([head | row for row in rows]), temporary)
        paths.append(path)
    return paths


def append_missing(folder: str | os.PathLike[str]) -> list[Path]:
    """Add the finished runs of a folder that its store lacks.

    A process that ends between a run and its place in the store leaves one behind, and older runs have none.

    Parameters
    ----------
    folder : path
        A runs folder.

    Returns
    -------
    list of Path
        The files that were added. Damaged runs and damaged ``generation.json`` are left out.
    """
    before = set((as_path(folder) / STORE).glob("*.parquet"))
    added = list[Path]()
    for run, seed in run_folders(as_path(folder)):
        if run.metrics is None or run.state != "finished":
            continue
        named = {**run.certificate, "recipe": run.recipe, "seed": seed}  # by the folders, as the report does
        files = append(folder, {**run.metrics, "certificate": named}, run.content(GENERATION) or ())
        added += [file for file in files if file not in before]
    return added


def _name(metrics: Mapping[str, Any]) -> str:
    """Name of a run's file, without the suffix: the same for the same recipe, data, code and seed, and for no other."""
    certificate = metrics["certificate"]
    keys = ("group", "recipe", "recipe_sha256", "data_hash", "code", "seed")
    identity = [certificate.get(key) for key in keys]
    return f"{certificate['recipe'][:_NAME_LETTERS]}-seed-{certificate['seed']}-{_short_hash(identity)}"


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _head(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What all rows of a run have: who it is, and its birth certificate."""
    certificate = metrics["certificate"]
    versions = certificate.get("versions") or {}
    return {
        "run": _name(metrics),
        "recipe": certificate["recipe"],
        "title": _text(certificate.get("title")) or certificate["recipe"],
        "group": _text(certificate.get("group")),
        "seed": certificate["seed"],
        **{name: _text(certificate.get(name)) for name in _TEXTS},
        **{name.replace("-", "_"): _text(versions.get(name)) for name in PACKAGES},
        **{name: _count(certificate.get(name)) for name in _COUNTS},
        "fit_seconds": certificate.get("fit_seconds"),
        "date": _date(certificate.get("date")),
        "test_reads": _count(metrics.get("test_reads")),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _date(text: Any) -> datetime | None:
    """The moment in UTC, without a zone, which every reader of Parquet takes alike."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _scores(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The scores of a run on every split; what has no value has no row."""
    splits = metrics.get("splits") or {metrics.get("split", ""): metrics}
    for split, scores in splits.items():
        for metric in ALL_CLASSES:
            yield from _row(split, None, metric, scores.get(metric))
        for metric in PER_CLASS_METRICS:
            for label, value in zip(scores.get("classes") or (), scores.get(metric) or (), strict=False):
                yield from _row(split, str(label), metric, value)
    for label, count in (metrics.get("train_counts") or {}).items():
        yield from _row(TRAIN, str(label), "support", count)


def _generation(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The scores of what a run generated: of all classes together, and of each."""
    scored = _date((result.get("environment") or {}).get("date"))
    said = {"features": result["features"], "n": result["n"], "k": result["k"], "scored": scored}
    parts: list[tuple[str | None, str, Mapping[str, Any]]] = [
        (None, "", result.get("pooled") or {}),
        (None, MEMORIZATION, result.get("memorization") or {}),
        *((str(label), "", scores) for label, scores in (result.get("classes") or {}).items()),
    ]
    for label, prefix, scores in parts:
        for name, score in scores.items():
            value = score.get("value") if isinstance(score, Mapping) else score
            if isinstance(value, int | float):
                for row in _row(GENERATED, label, f"{prefix}{name}", value):
                    yield said | row


def _row(split: str, label: str | None, metric: str, value: float | None) -> Iterator[dict[str, Any]]:
    if value is not None:
        yield {"split": split, "label": label, "metric": metric, "value": float(value)}


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


# ---- Reading ---------------------------------------------------------------------------------------------------------


def read(places: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """Read one store or several.

    Parameters
    ----------
    places : path or sequence of paths
        Runs folders, or stores.

    Returns
    -------
    DataFrame
        The columns of `SCHEMA` and four more: ``store`` and ``file``, where the row stands; ``stale``, whether a newer
        run has taken its place; ``stale_reason``, why, empty where it has not. Rows are in the order of stores, groups,
        recipes and seeds.

        Of the runs of a group those hold that were made with the recipe of the newest run of the same name, then with
        its data, and with the code of the newest run of the group. Of scores of generated samples the newest result for
        the same features holds.

    Raises
    ------
    ValueError
        If a place has no results that can be read.

    Warns
    -----
    UserWarning
        Naming the files that are damaged or of another format; they are left out.
    """
    import pandas as pd

    listed: list[Any] = list(places) if isinstance(places, list | tuple) else [places]
    stores = dict.fromkeys(map(store_folder, listed))
    if not stores:
        raise ValueError("Expected one runs folder or more, but got none; name a folder that a benchmark wrote to.")
    frames = [_read_store(store) for store in stores]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _read_store(store: Path) -> pd.DataFrame:
    import pandas as pd

    tables, damaged = list[pa.Table](), dict[str, str]()
    for path in sorted(store.glob("*.parquet")):
        try:
            table = _read_file(path)
        except (OSError, ValueError, pa.ArrowException) as error:
            damaged[path.name] = line(error)
        else:
            tables.append(table.append_column("file", pa.array([path.name] * len(table), pa.string())))
    told = f": {'; '.join(f'{name} {reason}' for name, reason in damaged.items())}" if damaged else ""
    if not tables:
        runs = store.parent if store.name == STORE else store
        raise ValueError(
            f"Expected {runs} to be a runs folder or a store of results, but it holds none that can be read{told}; run "
            "a benchmark first, and name the folder that it writes to."
        )
    if damaged:
        warnings.warn(
            f"Expected files that can be read in {store}, but left out {told[2:]}; delete what is damaged, and the "
            "finished runs that are still there are added again.",
            stacklevel=1,
        )
    frame = pa.concat_tables(tables).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    order = ["group", "recipe", "seed"]  # of files of one run the rows keep their order
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    reasons = _stale_reasons(frame)
    return frame.assign(store=str(store), stale=reasons != "", stale_reason=reasons)


def _read_file(path: Path) -> pa.Table:
    """Return the rows of a file of the format, or raise ValueError or OSError with what is wrong with it."""
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        said = (file.schema_arrow.metadata or {}).get(_FORMAT_KEY)
        if said != str(FORMAT).encode():
            known = "no" if said is None else said.decode("utf-8", "replace")
            raise ValueError(f"is of format {line(known, 40)} and not {FORMAT}: another version of latentover reads it")
        if not file.schema_arrow.equals(SCHEMA):
            raise ValueError("has other columns than its format says")
        table = file.read()
    table.validate(full=True)  # of texts too, that they are UTF-8
    return table


OLDER_SCORES = "scored anew with the same features"


def _stale_reasons(frame: pd.DataFrame) -> pd.Series:
    """Why each row of a store no longer holds; empty where it does."""
    import pandas as pd

    runs = frame.drop_duplicates("run").astype(object).where(lambda cells: cells.notna(), None)
    made = [
        Made(
            row["run"],
            row["group"] or "",
            row["recipe"],
            row["recipe_sha256"],
            row["data_hash"],
            row["code"],
            "" if row["date"] is None else str(row["date"]),
        )
        for _, row in runs.iterrows()
    ]
    why = stale(made)
    reasons = pd.Series([why.get(run, "") for run in frame["run"]], index=frame.index, dtype=object)
    generated = frame[(reasons == "") & (frame["split"] == GENERATED)]
    for _, rows in generated.groupby(["run", "features"], sort=False):
        newest = rows.sort_values(["scored", "file"], na_position="first")["file"].iloc[-1]
        reasons[rows.index[rows["file"] != newest]] = OLDER_SCORES
    return reasons
