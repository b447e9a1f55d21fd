"""The files of a run, read with suspicion: size, form and ranges are checked, so that what is drawn from them is sound.

A disk that was full, a copy that broke off or somebody else's folder may put anything there. Every reader here returns
content that the rest of the report need not doubt, or raises; `attempt` turns that into a reason.
"""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from latentover.text import line, short_name, without_guard

__all__ = [
    "Curve",
    "DamageError",
    "Map",
    "Png",
    "attempt",
    "number",
    "read_curves",
    "read_generation",
    "read_history",
    "read_map",
    "read_metrics",
    "read_object",
    "read_panels",
    "read_png",
    "read_text",
]

T = TypeVar("T")
Curve = tuple[list[float], list[float]]

FORMAT = 1
MB = 2**20
LARGEST_FLOAT = 3.4028235e38
"""Of float32, in which everything is computed that a run writes."""
MAX_BRACKETS = 1_000_000
MAX_DEPTH = 500
MAX_COLUMNS = 50_000
MAX_POINTS = 100_000
MAX_PIXELS = 50_000_000
MAX_ARRAYS = 256 * MB
LABELS = "labels"
"""Of the rows, beside the panels in a file of samples."""


class DamageError(ValueError):
    """What is wrong with a file, in words that follow its name: "ends in the middle of a line"."""


@dataclass(frozen=True)
class Map:
    """Points of a picture of latents: places, classes, and whether they are real or synthetic."""

    x: list[float]
    y: list[float]
    labels: list[str]
    kinds: list[str]


@dataclass(frozen=True)
class Png:
    """A picture as its file, with its size in pixels."""

    content: bytes
    width: int
    height: int


def attempt(read: Callable[[Path], T], path: Path) -> tuple[T | None, str]:
    """Return what a file holds and an empty reason, or None and the reason why it cannot be read."""
    try:
        return read(path), ""
    except DamageError as error:
        return None, line(error)
    except RecursionError:
        return None, "is nested too deeply"
    except Exception as error:
        return None, line(f"cannot be read: {str(error) or type(error).__name__}")


def _bytes(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise DamageError("is no file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DamageError(f"is larger than {limit // MB} MB")
    return content


def read_text(path: Path) -> str:
    """Return a small text in UTF-8."""
    return _bytes(path, MB).decode("utf-8").strip()


# ---- JSON ------------------------------------------------------------------------------------------------------------


def read_object(path: Path, limit: int = 8 * MB) -> dict[str, Any]:
    """Return a mapping of JSON, without the numbers that are none."""
    content = _bytes(path, limit)
    if content.count(b"[") + content.count(b"{") > MAX_BRACKETS:
        raise DamageError("is nested beyond reason")
    try:
        found = json.loads(content.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise DamageError(f"is no JSON: {error}") from error
    if _depth(content) > MAX_DEPTH:  # which some versions of Python read
        raise DamageError("is nested beyond reason")
    if not isinstance(found, dict):
        raise DamageError(f"is a {type(found).__name__} where a mapping is expected")
    return found


def _depth(content: bytes) -> int:
    """Return how deep brackets, those in texts included, are nested at the most."""
    letters = np.frombuffer(content, dtype=np.uint8)
    steps = np.isin(letters, list(b"[{")).astype(np.int8) - np.isin(letters, list(b"]}")).astype(np.int8)
    return int(steps.cumsum(dtype=np.int64).max(initial=0))


def _no_number(text: str) -> float:
    raise DamageError(f"holds the number {text}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _is_number(value: object, low: float = -LARGEST_FLOAT, high: float = LARGEST_FLOAT) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise DamageError(f"is not as expected: {what}")


def _mapping(parent: Mapping[str, Any], key: str, where: str = "") -> Mapping[str, Any]:
    """Return a mapping in a mapping; empty if it is not there."""
    value = parent.get(key)
    if value is None:
        return {}
    _check(isinstance(value, dict), f"{where}{key} is no mapping")
    return value


SHARES = ("acsa", "macro_f1", "gm_a", "gm_b", "gm_c", "top1", "mauprc_ova", "ece")
PER_CLASS = ("recall", "precision", "f1")


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the content of a run's ``metrics.json``; every score that the report shows is in its range."""
    metrics = read_object(path, 64 * MB)
    if metrics.get("format") != FORMAT or isinstance(metrics["format"], bool):
        raise DamageError(
            f"is of format {line(metrics.get('format'), 40)} and not {FORMAT}; read it with the version of latentover "
            "that wrote it"
        )
    _check(isinstance(metrics.get("split", ""), str), "split is no text")
    _check("acsa" in metrics, "it has no acsa")
    _check_scores(metrics, "")
    splits = _mapping(metrics, "splits")
    for split in splits:
        _check_scores(_mapping(splits, split), f"{split}.")
    best = _mapping(metrics, "validation_best")
    if best:
        _check(_is_count(best.get("epoch")), "validation_best.epoch is no count")
        splits = _mapping(best, "splits", "validation_best.")
        for split in splits:
            _check_scores(_mapping(splits, split), f"validation_best.{split}.")
    counts = _mapping(metrics, "train_counts")
    _check(all(map(_is_count, counts.values())), "train_counts holds what is no count")
    names = _mapping(metrics, "class_names").values()
    _check(all(isinstance(name, str) for name in names), "class_names holds what is no text")
    _check(metrics.get("test_reads") is None or _is_count(metrics["test_reads"]), "test_reads is no count")
    _check_certificate(_mapping(metrics, "certificate"))
    return metrics


def _check_scores(scores: Mapping[str, Any], where: str) -> None:
    for name in (*SHARES, "brier"):
        value, high = scores.get(name), 2 if name == "brier" else 1
        _check(value is None or _is_number(value, -1e-6, high + 1e-6), f"{where}{name} is not from 0 to {high}")
    classes = scores.get("classes")
    _check(
        classes is None
        or (isinstance(classes, list) and all(isinstance(c, str) for c in classes) and len({*classes}) == len(classes)),
        f"{where}classes are no different texts",
    )
    for name in (*PER_CLASS, "support"):
        values = scores.get(name)
        if values is None:
            continue
        _check(
            isinstance(values, list) and len(values) == len(classes or ()), f"{where}{name} has not one value a class"
        )
        fits = _is_count if name == "support" else lambda value: value is None or _is_number(value, -1e-6, 1 + 1e-6)
        _check(all(map(fits, values)), f"{where}{name} holds what is none")
    matrix = scores.get("confusion")
    if matrix is not None:
        n = len(classes or ())
        _check(
            isinstance(matrix, list)
            and len(matrix) == n
            and all(isinstance(row, list) and len(row) == n and all(map(_is_count, row)) for row in matrix),
            f"{where}confusion is no table of counts with a row and a column a class",
        )


def _check_certificate(certificate: Mapping[str, Any]) -> None:
    for name, value in certificate.items():
        plain = value is None or isinstance(value, str | bool) or _is_number(value)
        _check(plain or name in ("versions", "published"), f"certificate.{name} is neither a text nor a number")
    for name in ("fit_seconds", "processes"):
        value = certificate.get(name)
        _check(value is None or _is_number(value, 0), f"certificate.{name} is no number of at least 0")
    versions = _mapping(certificate, "versions", "certificate.")
    _check(all(isinstance(version, str) for version in versions.values()), "certificate.versions holds what is no text")
    published = _mapping(certificate, "published", "certificate.")
    for split in published:
        if split == "source":
            continue
        scores = _mapping(published, split, "certificate.published.")
        values = [*(v for k, v in scores.items() if k != "sd"), *_mapping(scores, "sd").values()]
        _check(all(_is_number(value, 0, 100) for value in values), f"certificate.published.{split} holds no percentage")


def read_curves(path: Path) -> dict[str, dict[str, Any]]:
    """Return by split what `latentover.metrics.operating_points` said, as a run's ``curves.json`` holds it."""
    found = read_object(path, 4 * MB)
    if found.get("format") != FORMAT or isinstance(found["format"], bool):
        raise DamageError(f"is of format {line(found.get('format'), 40)} and not {FORMAT}")
    splits = dict(_mapping(found, "splits"))
    for split in splits:
        points = _mapping(splits, split)
        _check(_is_count(points.get("n")), f"{line(split, 40)}.n is no count")
        _check_bins(_mapping(points, "reliability"))
        classes = points.get("classes")
        _check(isinstance(classes, list) and len(classes) <= MAX_COLUMNS, "classes are no list")
        for one in classes or []:
            _check(isinstance(one, dict) and isinstance(one.get("label"), str), "a class has no label")
            _check_points(one, points["n"])
    return splits


def _check_bins(bins: Mapping[str, Any]) -> None:
    n = bins.get("n")
    _check(isinstance(n, list) and all(map(_is_count, n)), "reliability.n holds what is no count")
    for name in ("confidence", "accuracy"):
        values = bins.get(name)
        _check(
            isinstance(values, list) and len(values) == len(n or ()) and all(_is_number(v, 0, 1) for v in values),
            f"reliability.{name} holds what is not from 0 to 1",
        )


def _check_points(one: Mapping[str, Any], n: int) -> None:
    thresholds, found, false = (one.get(name) for name in ("thresholds", "found", "false"))
    lists = [values for values in (thresholds, found, false) if isinstance(values, list)]
    _check(len(lists) == 3 and len({*map(len, lists)}) == 1 and bool(lists[0]), "thresholds and counts do not fit")
    rising = all(_is_number(value, 0, 1) for value in lists[0]) and lists[0] == sorted({*lists[0]})
    _check(rising, "thresholds do not rise from 0 to 1")
    _check(_is_count(one.get("n")) and one["n"] <= n, "n of a class is no count within that of all")
    for values, most in zip(lists[1:], (one["n"], n - one["n"]), strict=True):
        falling = all(_is_count(value) and value <= most for value in values) and values == sorted(values)[::-1]
        _check(falling, "counts do not fall with the threshold")


def read_generation(path: Path) -> list[dict[str, Any]]:
    """Return the results of `latentover.metrics.generation_scores` that a run's ``generation.json`` holds."""
    results = list(read_object(path).values())
    for result in results:
        _check(isinstance(result, dict), "a result is no mapping")
        _check(isinstance(result.get("features"), str), "features is no text")
        _check(_is_count(result.get("n")) and _is_count(result.get("k")), "n or k is no count")
        for name, score in _mapping(result, "pooled").items():
            value = score.get("value") if isinstance(score, dict) else score
            plain = value is None or isinstance(value, bool) or _is_number(value)  # whether it collapsed is a bool
            _check(plain, f"{line(name, 40)} is no number")
        classes = _mapping(result, "classes")
        for label in classes:
            collapsed = _mapping(classes, label).get("collapsed")
            _check(collapsed is None or isinstance(collapsed, bool), "collapsed is neither true nor false")
        known = _mapping(result, "memorization")
        _check(all(known.get(key) is None or _is_count(known[key]) for key in ("copies", "n")), "copies is no count")
        ratio = known.get("distance_ratio")
        _check(ratio is None or _is_number(ratio, 0), "distance_ratio is no number of at least 0")
    return results


# ---- CSV -------------------------------------------------------------------------------------------------------------


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns and the rows of a CSV file that is whole."""
    text = _bytes(path, 32 * MB).decode("utf-8")
    if not text.endswith("\n"):
        raise DamageError("ends in the middle of a line")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    if not rows:
        raise DamageError("is empty")
    names = rows[0]
    if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
        raise DamageError(f"has more than {MAX_COLUMNS:,} columns, or two of one name")
    short = next((i for i, row in enumerate(rows, start=1) if len(row) != len(names)), None)
    if short:
        raise DamageError(f"has {len(rows[short - 1])} cells in line {short} for {len(names)} columns")
    return names, rows[1:]


def number(text: object, default: float = math.nan) -> float:
    """Return the number that a text is, or `default`."""
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return default


def read_history(path: Path) -> dict[str, Curve]:
    """Return for each loss or metric the steps at which it was written and its values; empty cells are left out."""
    names, rows = _table(path)
    places = [place for place, name in enumerate(names) if name and name not in ("step", "seconds")]
    at = names.index("step") if "step" in names else None
    curves: dict[str, Curve] = {}
    for count, row in enumerate(rows):
        step = float(count) if at is None else number(row[at], float(count))
        for place in places:
            value = number(row[place])
            if not math.isfinite(value):
                continue
            if abs(value) > LARGEST_FLOAT or not 0 <= step <= 2**53:
                raise DamageError(f"holds {value:.3g} at step {step:.3g}, which no training writes")
            steps, values = curves.setdefault(names[place], ([], []))
            steps.append(step)
            values.append(value)
    return curves


def read_map(path: Path) -> Map:
    """Return the points of a run's ``tsne.csv``."""
    names, rows = _table(path)
    if not {"x", "y", "label", "kind"} <= {*names}:
        raise DamageError("lacks one of the columns x, y, label, kind")
    if len(rows) > MAX_POINTS:
        raise DamageError(f"has more than {MAX_POINTS:,} points")
    x, y, labels, kinds = ([row[names.index(name)] for row in rows] for name in ("x", "y", "label", "kind"))
    places = [[number(text) for text in axis] for axis in (x, y)]
    if not all(abs(value) <= 1e9 for axis in places for value in axis):
        raise DamageError("has points without a place")
    if not {*kinds} <= {"real", "synthetic"}:
        raise DamageError("has points that are neither real nor synthetic")
    short = {label: short_name(without_guard(label)) for label in {*labels}}
    return Map(places[0], places[1], [short[label] for label in labels], kinds)


# ---- Pictures --------------------------------------------------------------------------------------------------------


def read_png(path: Path) -> Png:
    """Return a picture that can be shown."""
    from PIL import Image

    content = _bytes(path, 32 * MB)
    for check in ("verify", "load"):  # sums of the parts; then the pixels, from the start
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DamageError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}")
            getattr(image, check)()
    return Png(content, width, height)


def read_panels(path: Path) -> tuple[dict[str, NDArray[np.float16]], list[str]]:
    """Read the panels of a minority grid and the labels of its rows.

    Parameters
    ----------
    path : Path
        The ``.npz`` that `save_minority_grid` wrote.

    Returns
    -------
    (dict of str to ndarray of shape (n_classes, k, channels, height, width), list of n_classes str)
        As `minority_grid` takes them: in [0, 1], empty places ``nan``.
    """
    with zipfile.ZipFile(io.BytesIO(_bytes(path, 64 * MB))) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_ARRAYS:
            raise DamageError(f"unpacks to more than {MAX_ARRAYS // MB} MB")
        arrays = {
            member.filename.removesuffix(".npy"): _array(archive.read(member), member.filename)
            for member in archive.infolist()
        }
    labels = arrays.pop(LABELS, np.empty(0))
    if labels.ndim != 1 or labels.dtype.kind != "U" or not {"Real", "Synthetic"} <= arrays.keys():
        raise DamageError("lacks labels, real or synthetic images")
    shapes: set[Sequence[int]] = {(len(images), *images.shape[2:]) for images in arrays.values() if images.ndim == 5}
    if any(images.ndim != 5 or images.dtype != np.float16 or not images.size for images in arrays.values()):
        raise DamageError("has panels that are no images")
    if len(shapes) > 1 or next(iter(shapes))[0] != len(labels) or next(iter(shapes))[1] not in (1, 3):
        raise DamageError("has panels of different classes or sizes")
    for images in arrays.values():
        if not ((images >= 0) & (images <= 1) | np.isnan(images)).all():
            raise DamageError("has pixels that are not from 0 to 1")
    return arrays, labels.tolist()


def _array(content: bytes, name: str) -> NDArray[Any]:
    """Return the array in a ``.npy`` file; its header may not promise more than there is."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise DamageError(f"holds {line(name, 40)}, which is not what its header says")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
