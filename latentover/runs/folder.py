"""The folder of one run: which files it holds, in which formats, and how they are read, written and locked."""

from __future__ import annotations

import glob
import json
import os
import re
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from latentover.files import (
    check_writable,
    locked,
    read_json,
    remove_left_over,
    replacing_folder,
    sha256_of,
    write_json,
    write_text,
)
from latentover.places import EXPIRY, HEARTBEAT, as_path, is_local, lock_of
from latentover.runs.reading import (
    FORMAT,
    attempt,
    read_curves,
    read_generation,
    read_history,
    read_map,
    read_metrics,
    read_object,
    read_panels,
    read_png,
    read_text,
)
from latentover.text import line
from latentover.training.checkpoints import PARTS
from latentover.training.progress import listening

__all__ = ["FORMAT", "READERS", "Failure", "Identity", "Progress", "RunFolder", "State"]

PROGRESS_SECONDS = 1.0
"""At least so long between two words on how far a run has got."""
State = Literal["free", "finished", "failed", "unfinished"]

METRICS = "metrics.json"
"""Scores and certificate; a run is finished when it is there, and it is written last."""
ENVIRONMENT = "environment.json"
RECIPE = "recipe.yaml"
CARD = "README.md"
HISTORY, SAMPLER_HISTORY = "history.csv", "history_sampler.csv"
MAP, PICTURE, PANELS = "tsne.csv", "samples.png", "samples.npz"
CURVES = "curves.json"
"""By split, what `latentover.metrics.operating_points` says of the probabilities."""
GENERATION = "generation.json"
"""From the name of a feature extractor to the result of `latentover.metrics.generation_scores`; added later."""
FAILURE = "failure.json"
"""Why, where and when a run failed, and which one it was; the next success replaces the folder."""
READERS: Mapping[str, Callable[[Path], Any]] = {
    HISTORY: read_history,
    SAMPLER_HISTORY: read_history,
    MAP: read_map,
    PICTURE: read_png,
    PANELS: read_panels,
    RECIPE: read_text,
    CURVES: read_curves,
    GENERATION: read_generation,
}
"""Of the files beside ``metrics.json``; what is drawn from one is left out where it is missing or damaged."""
_WRITTEN_AGAIN = {METRICS, RECIPE, CARD, GENERATION, FAILURE}
"""Files whose hashes are not kept: they say what changes nothing about the training."""
_SEED = re.compile(r"seed-(\d+)")


class Identity(NamedTuple):
    """What makes a run the one it is: two with the same identity have the same scores.

    Attributes
    ----------
    recipe_sha256 : str
        Of the resolved recipe, without what is for people alone.
    code : str
        Version of latentover and hash of the sources that a number depends on.
    seed : int
    data_hash : str or None
        Of all splits; None where the data has not been read.
    """

    recipe_sha256: str
    code: str
    seed: int
    data_hash: str | None = None


@dataclass(frozen=True)
class Failure:
    """How a run failed.

    Attributes
    ----------
    message : str
        The error, on one line.
    traceback : str
        Where it came from; may be empty.
    title : str
        Of its recipe.
    recipe_sha256, code, date : str
        Of the run that failed; empty where that was not recorded.
    """

    message: str
    traceback: str = ""
    title: str = ""
    recipe_sha256: str = ""
    code: str = ""
    date: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return what is to be said of an exception, as text: itself it would keep the tensors of a run alive."""
        return cls(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


class Progress(NamedTuple):
    """How far a run has got.

    Attributes
    ----------
    host, pid : str, int
        Who makes it.
    phase : str
        What is trained, in words.
    step, n_steps : int
        Of the training that is going on: a run may have several.
    started, time : float
        When it was begun or gone on with, and when this was said, in seconds since 1970.
    score : str
        The score that matters so far, in words.
    """

    host: str
    pid: int
    phase: str
    step: int
    n_steps: int
    started: float
    time: float
    score: str = ""

    def elsewhere(self) -> str:
        """Return where it is made, if that is another machine."""
        return "" if self.host == socket.gethostname() else f"on {self.host}"


class RunFolder:
    """The folder of a run, ``<runs folder>/<recipe>/seed-<seed>``.

    What it holds is read when it is asked for, strictly, and once; make a new `RunFolder` to look again.

    Parameters
    ----------
    place : str or path
        Where it is, or is to be; a URL of any file system that fsspec knows will do.

    Attributes
    ----------
    path : Path
    recipe : str
        Name of the recipe's folder.
    damaged : dict of str to str
        The files that could not be read so far, by name, and what is wrong with them.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self.path = as_path(place)
        self.recipe = self.path.parent.name
        self.damaged: dict[str, str] = {}
        self._contents: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The recipe and the seed: ``"rae/seed-0"``."""
        return f"{self.recipe}/{self.path.name}"

    @property
    def seed(self) -> int | None:
        """The seed that its name says, None for a folder of another name."""
        found = _SEED.fullmatch(self.path.name)
        return int(found[1]) if found else None

    # ---- Reading -----------------------------------------------------------------------------------------------------

    @cached_property
    def state(self) -> State:
        """Whether nothing is there, a finished run, the account of a failure, or neither of the two."""
        if self.has(FAILURE):
            return "failed"
        if self.has(METRICS):
            return "finished"
        return "unfinished" if self.path.is_dir() else "free"

    def has(self, file: str) -> bool:
        """Return whether it holds a file of this name."""
        return (self.path / file).is_file()

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """The content of ``metrics.json``; None if it is missing or damaged."""
        found, reason = attempt(read_metrics, self.path / METRICS) if self.has(METRICS) else (None, "")
        if reason:
            self.damaged[METRICS] = reason
        return found

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Where the numbers come from: recipe, data, hardware, versions; empty without them."""
        return (self.metrics or {}).get("certificate") or {}

    @property
    def class_names(self) -> dict[str, str]:
        """What people call the classes, by the labels as text; empty where labels are names, and of older runs."""
        return (self.metrics or {}).get("class_names") or {}

    @property
    def identity(self) -> Identity | None:
        """Which run it holds; None where none is finished."""
        if self.metrics is None:
            return None
        found = self.certificate
        recipe, code = (str(found.get(key) or "") for key in ("recipe_sha256", "code"))
        return Identity(recipe, code, found.get("seed", -1), found.get("data_hash"))

    @cached_property
    def failure(self) -> Failure | None:
        """Why the run failed, or None if it did not."""
        if self.state != "failed":
            return None
        account = attempt(read_object, self.path / FAILURE)[0] or {}
        text = {key: value for key, value in account.items() if isinstance(value, str)}
        return Failure(
            line(text.get("message") or f"its {FAILURE} does not say why"),
            text.get("traceback", "")[-20_000:].strip(),
            *(text.get(key, "") for key in ("title", "recipe_sha256", "code", "date")),
        )

    def content(self, file: str) -> Any:
        """Return what one of the files of `READERS` holds; ``None`` if it is missing or damaged."""
        if file not in self._contents:
            path = self.path / file
            found, reason = attempt(READERS[file], path) if path.exists() else (None, "")
            self._contents[file] = found
            if reason:
                self.damaged[file] = reason
        return self._contents[file]

    def is_whole(self) -> bool:
        """Return whether all files are there as they were written; those that can be written again need not be."""
        known = (self.metrics or {}).get("files")
        if not isinstance(known, dict):
            return False
        return all(self.has(name) and sha256_of(self.path / name) == sha256 for name, sha256 in known.items())

    # ---- Writing -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise PermissionError or NotADirectoryError unless a run can be written here."""
        check_writable(self.path.parent)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(
                f"Expected {self.path} to be a folder or a free name, but it is a file; move it away."
            )

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Keep all other processes from making this run at the same time; see `latentover.files.locked`.

        What one that was killed has left is removed.
        """
        with locked(self.path, wait=wait):
            remove_left_over(self.path)
            yield

    @contextmanager
    def replacing(self) -> Iterator[Path]:
        """Yield a new local folder, which takes the place of this one if nothing was raised; see `complete`."""
        if is_local(self.path):
            with replacing_folder(self.path) as folder:
                yield folder
        else:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
                self._upload(Path(folder))
        self._forget()

    def _upload(self, folder: Path) -> None:
        """Put all files of a local folder here, so that a run is there when its scores are: these go last."""
        if self.path.exists():
            (self.path / METRICS).unlink(missing_ok=True)
            (self.path / FAILURE).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        files = sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.name == METRICS)
        for file in files:
            target = self.path.joinpath(*file.relative_to(folder).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())

    @staticmethod
    def write_curves(folder: Path, curves: Mapping[str, Any]) -> None:
        """Write operating points by split into the folder of `replacing`."""
        write_text(folder / CURVES, json.dumps({"format": FORMAT, "splits": curves}, allow_nan=False) + "\n")

    @staticmethod
    def complete(folder: Path, metrics: dict[str, Any], *, recipe: str, card: str) -> dict[str, Any]:
        """Write what is written last into the folder of `replacing`, with the hashes of all that lies there already.

        Parameters
        ----------
        folder : Path
        metrics : dict
            Scores and certificate.
        recipe : str
            The resolved recipe as YAML.
        card : str
            The model card as Markdown.

        Returns
        -------
        dict
            What ``metrics.json`` holds.
        """
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name not in _WRITTEN_AGAIN}
        metrics = {"format": FORMAT, **metrics, "files": files}
        write_text(folder / RECIPE, recipe)
        write_text(folder / CARD, card)
        write_json(folder / METRICS, metrics)
        return metrics

    def update(self, metrics: dict[str, Any], *, recipe: str | None = None, card: str | None = None) -> None:
        """Write the labels of a finished run anew: what changes nothing about its training."""
        for file, text in ((RECIPE, recipe), (CARD, card)):
            if text is not None:
                write_text(self.path / file, text)
        write_json(self.path / METRICS, metrics)
        self._forget()

    def record_generation(self, result: Mapping[str, Any]) -> Path:
        """Add scores of generated samples; earlier ones with the same features go. Return their file."""
        path = self.path / GENERATION
        return write_json(path, {**read_json(path), result["features"]: result})

    def record_failure(self, failure: Failure) -> None:
        """Leave word of a failure, where the report finds it; the next success replaces the folder."""
        account = {
            "format": FORMAT,
            "title": failure.title,
            "seed": self.seed,
            "recipe_sha256": failure.recipe_sha256,
            "code": failure.code,
            "message": _storable(failure.message),
            "traceback": _storable(failure.traceback),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # it has been said, and a full disk is not to end the other runs
            write_json(self.path / FAILURE, account)
        self._forget()

    def forget_failure(self) -> None:
        """Remove the account of a failure."""
        (self.path / FAILURE).unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        """Let what has been read be read anew."""
        for name in ("state", "metrics", "failure"):
            self.__dict__.pop(name, None)
        self._contents.clear()
        self.damaged.clear()

    # ---- Progress ----------------------------------------------------------------------------------------------------

    @property
    def _running(self) -> Path:
        return self.path.with_name(f".{self.path.name}.running")

    @contextmanager
    def telling_progress(self) -> Iterator[None]:
        """Say now and then, in a file beside the folder, how far the trainings inside have got; see `progress`."""
        every = PROGRESS_SECONDS if is_local(self.path) else HEARTBEAT
        start, last = time.time(), time.time()

        def write(phase: str, step: int, n_steps: int, score: str) -> None:
            nonlocal last
            if time.time() - last < every:
                return
            last = time.time()
            told = Progress(socket.gethostname(), os.getpid(), phase, step, n_steps, start, last, score)
            with suppress(OSError):  # nothing depends on it
                write_json(self._running, told._asdict())

        try:
            with listening(write):
                yield
        finally:
            with suppress(OSError):
                self._running.unlink(missing_ok=True)

    def progress(self) -> Progress | None:
        """Return how far the run has got, or None where nobody is making it, or has said nothing of it yet."""
        found = read_json(self._running)
        try:
            told = Progress(**found)
            return told if time.time() - told.time < EXPIRY else None
        except TypeError:
            return None

    # ---- Checkpoints -------------------------------------------------------------------------------------------------

    def checkpoint(self, step: str = "") -> Path:
        """Return where the checkpoint of a step of the run's pipeline lies: beside the folder, which comes last."""
        return self.path.with_name(".".join(filter(None, [self.path.name, step, "checkpoint"])))

    def remove_checkpoints(self) -> None:
        """Remove the checkpoints beside a finished run that are older than it: it was made from them."""
        with suppress(OSError):  # where that cannot be done, the run is finished all the same
            made = (self.path / ENVIRONMENT).stat().st_mtime
            for pattern in (".*checkpoint", *(f".*checkpoint.{part}" for part in PARTS)):
                for path in self.path.parent.glob(f"{glob.escape(self.path.name)}{pattern}"):
                    if path.stat().st_mtime <= made:
                        path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a process that was killed at the very end has left beside a finished run."""
        self.remove_checkpoints()
        if lock_of(self.path).exists():
            with suppress(OSError), self.locked(wait=False):  # which removes it, where nobody has it
                pass


def _storable(text: str) -> str:
    """Return a text that UTF-8 can hold: paths may have bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
