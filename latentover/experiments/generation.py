"""Scores of generated samples: of a finished run, or of any two folders or arrays of images."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentover.bundle import find_bundle, load
from latentover.data.folders import find_images
from latentover.data.pictures import IMAGE_SUFFIXES, open_images
from latentover.estimators import BaseDeepEstimator, ImageFormat
from latentover.experiments.environment import environment
from latentover.experiments.evaluate import PRIMARY_SPLIT, generator_of, open_run
from latentover.files import read_json
from latentover.metrics import (
    FeatureExtractor,
    as_extractor,
    check_comparable,
    equal_samples,
    generation_scores,
    module_features,
)
from latentover.runs.folder import RunFolder

CLASSIFIER = "classifier:"
ROWS = "rows"


def evaluate_generation(
    run: str | os.PathLike[str],
    features: Any = "pixels",
    *,
    n: int | None = None,
    device: str = "cpu",
    root: str | Path | None = None,
    download: bool = False,
    trust_modules: Collection[str] = (),
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Score what a finished run generates against the real samples of its balanced test split.

    Parameters
    ----------
    run : path
        A run whose method generates.
    features : str, FeatureExtractor, nn.Module or callable, default="pixels"
        See `find_features`; of tables ``"rows"``, the standardised columns, which ``"pixels"`` means there too.
    n : int, optional
        Samples of each class, real and generated. By default as many as the test split has of its smallest class.
    device : str, default="cpu"
        Where networks of features run.
    root, download
        As for `latentover.data.load_splits`; *download* is also the permission to fetch the Inception weights.
    trust_modules : collection of str, default=()
        As for `latentover.experiments.evaluate.evaluate_run`.
    seed : int, default=0
        Of samples, subsets and resamples.
    **options
        Of `latentover.metrics.generation_scores`.

    Returns
    -------
    dict
        That of `generation_scores`, with ``source``, ``seed``, ``extractor`` and ``environment``.

    Raises
    ------
    ValueError
        If the run only classifies, or the test split has fewer than *n* samples of a class.
    FileNotFoundError
        If the folder is not a run, or data or weights are missing.
    """
    estimator, splits = open_run(run, root=root, download=download, trust_modules=trust_modules)
    generator = generator_of(estimator)
    if generator is None:
        raise ValueError(f"Expected a run whose method generates samples, but {run} only classifies; try a run of RAE.")
    X_test, y_test = splits.tests[PRIMARY_SPLIT]
    known = np.flatnonzero(np.isin(y_test, generator.classes_))
    labels, available = np.unique(y_test[known], return_counts=True)
    if n is None:
        n = int(available.min())
    if n < 1:
        raise ValueError(f"Expected n to be at least 1, but got {n}; ask for one sample or more.")
    if short := [(label, got) for label, got in zip(labels.tolist(), available.tolist(), strict=True) if got < n]:
        raise ValueError(
            f"Expected at least {n} real samples of class {short[0][0]!r}, but got {short[0][1]}; ask for fewer."
        )
    y_fake = np.repeat(labels, n)
    rows, y_real, *_ = equal_samples(known, y_test[known], y_fake, y_fake, n=n, random_state=seed)
    extract, said = _extraction(generator, features, device=device, download=download)
    fake = np.concatenate([extract(generator.sample(n, y=label, random_state=seed)) for label in labels])
    scores = generation_scores(
        extract(X_test.iloc[rows] if hasattr(X_test, "iloc") else X_test[rows]),
        fake,
        y_real,
        y_fake,
        features=said["name"],
        train=extract(splits.X_train),
        random_state=seed,
        **options,
    )
    return {**scores, "source": str(run), "seed": seed, "extractor": said, "environment": environment(device)}


def record_generation(run: str | os.PathLike[str], result: dict[str, Any]) -> Path:
    """Keep a result in the run's folder, where the report finds it; an earlier one with the same features goes.

    Returns
    -------
    Path
        The run's ``generation.json``.
    """
    return RunFolder(run).record_generation(result)


def evaluate_folders(
    real: str | os.PathLike[str],
    fake: str | os.PathLike[str],
    features: Any = "pixels",
    *,
    n: int | None = None,
    image_size: Sequence[int] | None = None,
    device: str = "cpu",
    download: bool = False,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Score generated images against real ones, whoever made them.

    Parameters
    ----------
    real, fake : path
        Each a folder of images or of class folders, an ``.npy`` file of images, or an ``.npz`` file with images X and,
        if you like, labels y. Where both have classes of the same names, classes are scored as well.
    features : str, FeatureExtractor, nn.Module or callable, default="pixels"
        See `find_features`.
    n : int, optional
        Samples of each kind: of each class where there are classes, in all otherwise. By default as many as the smaller
        set has.
    image_size : sequence of (height, width), optional
        Size that the images of folders are given; None: they are of one size already.
    device, download, seed, **options
        See `evaluate_generation`.

    Returns
    -------
    dict
        That of `generation_scores`, with ``source``, ``seed``, ``extractor`` and ``environment``.

    Raises
    ------
    ValueError
        If images cannot be read, have different shapes, or there are fewer than *n*.
    FileNotFoundError
        If there is nothing at a path, or weights are missing.
    """
    (X_real, y_real), (X_fake, y_fake) = read_images(real, fake, image_size=image_size)
    note = []
    if y_real is None or y_fake is None or not len(np.intersect1d(y_real, y_fake)):
        y_real, y_fake, labelled = np.zeros(len(X_real), int), np.zeros(len(X_fake), int), False
    else:
        labelled = True
        left_out = np.setxor1d(y_real, y_fake).tolist()
        note = [f"classes that only one side has are left out: {left_out}."] if left_out else []
    X_real, y_real, X_fake, y_fake = equal_samples(X_real, y_real, X_fake, y_fake, n=n, random_state=seed)
    extractor, said = find_features(features, device=device, download=download)
    labels: dict[str, Any] = {"y_real": y_real, "y_fake": y_fake} if labelled else {}
    scores = generation_scores(
        extractor(X_real), extractor(X_fake), **labels, features=said["name"], random_state=seed, **options
    )
    scores["notes"] = note + scores["notes"]
    source = f"{os.fspath(fake)} against {os.fspath(real)}"
    return {**scores, "source": source, "seed": seed, "extractor": said, "environment": environment(device)}


def find_features(
    features: Any, *, device: str = "cpu", download: bool = False
) -> tuple[FeatureExtractor, dict[str, Any]]:
    """Return the extractor that something means, and what a certificate says about it.

    Parameters
    ----------
    features : str, FeatureExtractor, nn.Module or callable
        ``"pixels"``, ``"inception"``, ``"classifier:<bundle>"``, or what `latentover.metrics.as_extractor` takes. A
        bundle is a folder, or the name of a shipped one: ``classifier:digits`` is ``models/classifier-digits``.
    device : str, default="cpu"
    download : bool, default=False
        Whether missing Inception weights may be fetched.

    Returns
    -------
    extractor : FeatureExtractor
    certificate : dict
        ``name``, and for a bundle the SHA-256 of its weights.

    Raises
    ------
    ValueError
        If it is none of these.
    FileNotFoundError
        If there is no such bundle, or the Inception weights are missing.
    """
    if isinstance(features, str) and features.startswith(CLASSIFIER):
        return classifier_features(features.removeprefix(CLASSIFIER), device=device)
    try:
        extractor = as_extractor(features, device=device, download=download)
    except ValueError as error:
        if not isinstance(features, str):
            raise
        raise ValueError(
            f"Expected features to be pixels, inception or {CLASSIFIER}<bundle>, but got {features!r}; see `latentover "
            "evaluate --help`."
        ) from error
    return extractor, {"name": extractor.name}


def classifier_features(bundle: str, *, device: str = "cpu") -> tuple[FeatureExtractor, dict[str, Any]]:
    """Return the extractor ``classifier:<bundle>``: what a trained classifier's last layer sees.

    Parameters
    ----------
    bundle : str
        A folder, or the name of a shipped classifier (``digits`` is ``models/classifier-digits``).
    device : str, default="cpu"

    Returns
    -------
    extractor : FeatureExtractor
        Of images of the size and channels that the classifier was trained on.
    certificate : dict
        ``name`` and ``sha256`` of the weights.
    """
    folder = Path(bundle)
    if not folder.exists():
        candidates = [find_bundle(Path("models", name)) for name in (f"classifier-{bundle}", bundle)]
        folder = next((candidate for candidate in candidates if candidate.is_dir()), folder)
    estimator = load(folder)
    if not isinstance(estimator, BaseDeepEstimator) or not isinstance(estimator.format_, ImageFormat):
        raise ValueError(f"Expected {folder} to be a classifier of images, but got {type(estimator).__name__}.")
    name, shape = CLASSIFIER + bundle.removeprefix("models/").removeprefix("classifier-"), estimator.format_.shape
    network = module_features(estimator.networks_.encoder, name, device=device)

    def extract(images: NDArray[np.float32]) -> Any:
        if images.shape[1:] != shape:
            raise ValueError(
                f"Expected images of shape {shape} (channels, height, width), which {name} was trained on, but got "
                f"{images.shape[1:]}; convert them, or use other features."
            )
        return network.function(images)

    return FeatureExtractor(name, extract), {"name": name, "sha256": read_json(folder / "config.json").get("sha256")}


def read_images(
    *sources: str | os.PathLike[str], image_size: Sequence[int] | None = None
) -> list[tuple[NDArray[np.uint8], NDArray | None]]:
    """Read sets of images and give all folders among them one shape.

    Parameters
    ----------
    *sources : path
        See `evaluate_folders`.
    image_size : sequence of (height, width), optional

    Returns
    -------
    list of (images, labels)
        uint8 of shape (n, channels, height, width), and labels (n,) or None.

    Raises
    ------
    ValueError, FileNotFoundError
        See `evaluate_folders`.
    """
    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"Expected a folder of images or an .npy or .npz file, but there is no {path}.")
    listed = {path: _list_folder(path) for path in paths if path.is_dir()}
    opened = open_images(*(files for files, _ in listed.values()), image_size=image_size) if listed else []
    folders = dict(zip(listed, opened, strict=True))
    found = [
        (folders[path][np.arange(len(folders[path]))], listed[path][1]) if path in folders else _read_array(path)
        for path in paths
    ]
    shapes = {images.shape[1:] for images, _ in found}
    if len(shapes) > 1:
        raise ValueError(
            f"Expected images of one shape (channels, height, width), but got {sorted(shapes)}; set the image size of "
            "folders, or convert the arrays."
        )
    return found


def generation_text(results: Sequence[dict[str, Any]]) -> str:
    """Return a table for a terminal of one or more results of one kind.

    Raises
    ------
    ValueError
        If the results cannot be compared; see `latentover.metrics.check_comparable`.
    """
    check_comparable(results)
    first = results[0]
    name = first["features"]
    head = ["source and class", "n", f"FID[{name}]", "FID[n=inf]", "KID", "density", "coverage", "precision", "recall"]
    rows = [[*head, "diversity"]]
    for result in results:
        for label, scores in (("all", result["pooled"]), *result["classes"].items()):
            rows.append(
                [
                    f"{_source(result)} {label}",
                    str(scores["n"]),
                    _interval(scores["fid"], ".3f"),
                    _number(scores["fid_infinity"], ".3f"),
                    _interval(scores["kid"], ".3g"),
                    _interval(scores["density"], ".2f"),
                    _interval(scores["coverage"], ".2f"),
                    *(_number(scores[key], ".2f") for key in ("precision", "recall", "diversity")),
                ]
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"features {name} ({first['dimension']} dimensions), n = {first['n']} real and {first['n']} generated samples, "
        f"k = {first['k']}; {100 * first['level']:.0f} % intervals",
        "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]
    for result in results:
        found = result["memorization"]
        if found:
            lines += [
                "",
                f"{_source(result)}: {found['copies']} copies of training samples; distance to the training data "
                f"{_number(found['distance_ratio'], '.2f')} of that of held-out samples; "
                f"{found['nearer_to_training']:.0%} nearer to training than to held-out data",
            ]
        lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines)


def _extraction(generator: Any, features: Any, *, device: str, download: bool) -> tuple[Any, dict[str, Any]]:
    """Return a function from samples of a generator to features, and what a certificate says about it."""
    layout = generator.format_

    def encoded(X: Any) -> NDArray:
        return layout.network_input(layout.encode(X)).numpy()

    if not isinstance(layout, ImageFormat):
        if features not in ("pixels", ROWS):
            raise ValueError(
                f"Expected features of a table to be {ROWS}, its columns, but got {features!r}; name that."
            )
        return encoded, {"name": ROWS}
    extractor, said = find_features(features, device=device, download=download)
    # Held-out images of floating point can leave the range of the training data by a hair.
    return (lambda X: extractor(encoded(X).clip(0, 1), value_range=(0, 1))), said


def _list_folder(folder: Path) -> tuple[list[Path], NDArray | None]:
    if any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        found = find_images(folder, at_least=1)
        paths = [path for files in found.values() for path in files]
        return paths, np.repeat(list(found), [len(files) for files in found.values()])
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(
            f"Expected {folder} to hold images ({', '.join(sorted(IMAGE_SUFFIXES))}), but got none; point to the "
            "folder that holds them."
        )
    return files, None


def _read_array(path: Path) -> tuple[NDArray[np.uint8], NDArray | None]:
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(f"Expected a folder of images or an .npy or .npz file, but got {path}.")
    content = np.load(path, allow_pickle=False)
    labels = None
    if path.suffix == ".npz":
        if "X" not in content:
            raise ValueError(f"Expected {path} to hold images X, but got {', '.join(content.files)}.")
        content, labels = content["X"], content.get("y")
    images = content[:, None] if content.ndim == 3 else content
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"Expected {path} to hold uint8 images (n, channels, height, width), but got {images.dtype} of shape "
            f"{content.shape}; convert them to 0..255."
        )
    return images, labels


def _source(result: dict[str, Any]) -> str:
    path = Path(result["source"].split(" against ")[0])
    return "/".join(path.parts[-2:])[-22:]


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else f"{value:{form}}"


def _interval(estimate: dict[str, float | None] | None, form: str) -> str:
    if estimate is None or estimate["value"] is None:
        return "n/a"
    value, low, high = (_number(part, form) for part in estimate.values())
    return value if estimate["low"] is None else f"{value} ({low}..{high})"
