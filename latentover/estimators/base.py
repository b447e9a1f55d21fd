"""What every estimator does, whatever its method; what those with networks do; and what every classifier does.

A deep method writes two hooks, `_build_networks` and `_program`, and a third one for what it is used for: `_logits` to
classify, `_generate` to sample. The public verbs are final here and in `latentover.estimators.sampler`.
"""

import copy
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor, nn

from latentover.data.pictures import ImageFiles, are_pictures, is_picture, open_images
from latentover.estimators.containers import Container
from latentover.estimators.formats import Format, ImageFormat, format_from_dict, learn_format
from latentover.estimators.labels import check_labels, check_sample_weight, without_nullable
from latentover.estimators.parameters import Expected, NonNegativeInt, PositiveInt
from latentover.estimators.validation import (
    check_class_count,
    check_images,
    check_parameters,
    check_plain_numbers,
    naming,
    naming_values,
    warn_of_transparency,
)
from latentover.estimators.watch import StoppableTraining, Told, validation_acsa, validation_rows
from latentover.networks import check_input_shape
from latentover.tables.checks import check_dense_size, check_table, warn_user
from latentover.tables.format import Missing, Numbers, TableFormat
from latentover.tables.identifiers import NewIdentifiers
from latentover.tables.values import labels_from_json, labels_to_json
from latentover.training import (
    Checkpoint,
    Engine,
    Program,
    draw_seed,
    parallel,
    resolve_device,
    resolve_precision,
    seeded,
)
from latentover.training.callbacks import are_callbacks
from latentover.training.device import Precision
from latentover.training.engine import History

PREDICT_BATCH = 1024
_CPU_BATCH = {"images": 32, "table": 128}
"""Rows that go through a network at once on the CPU: about as fast as more, and little to fill up for a single one."""
MAX_LABEL_BYTES = 2**26
"""What all labels of a bundle take at most."""
_NOT_LEARNED_FROM = {"callbacks", "capture", "checkpoint", "checkpoint_every", "device", "verbose"}
"""Parameters that do not change what is learned."""
OF_THE_TRAINING_ALONE = ("callbacks", "checkpoint")
"""Parameters that a bundle does not hold: what is outside of the estimator while it is trained."""


@dataclass(frozen=True)
class TrainingSet:
    """The training data on the device.

    Attributes
    ----------
    inputs : Tensor of shape (n, ...)
        As the format encodes them; `prepare` makes a batch of them ready for a network.
    labels : integer Tensor of shape (n,)
        Class numbers 0..C-1.
    class_counts : integer Tensor of shape (C,)
    prepare : callable
    dtype : torch.dtype
        In which the passes run.
    generator : torch.Generator
    validation : (Tensor, Tensor) or None
        Inputs and labels that were set aside for early stopping.
    checkpoint : Checkpoint or None
        Where the training is kept while it runs.
    sample_weight : Tensor of shape (n,) or None
    rows : integer Tensor of shape (n,) or None
        The numbers that the inputs have in the user's data; None where none were set aside.
    """

    inputs: Tensor
    labels: Tensor
    class_counts: Tensor
    prepare: Callable[[Tensor], Tensor]
    dtype: torch.dtype
    generator: torch.Generator
    validation: tuple[Tensor, Tensor] | None = None
    checkpoint: Checkpoint | None = None
    sample_weight: Tensor | None = None
    rows: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self.inputs.device

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_counts)

    @cached_property
    def relative_weight(self) -> Tensor | None:
        """The samples' weights over their mean (n,), for losses: equal ones change nothing, whatever they are."""
        return None if self.sample_weight is None else (self.sample_weight / self.sample_weight.mean()).float()

    def weights_of(self, rows: Tensor) -> Tensor | None:
        """Return the `relative_weight` of rows, or None where samples have no weights."""
        return None if self.relative_weight is None else self.relative_weight[rows]

    def batches(self) -> Iterator[Tensor]:
        """Yield all inputs, batch by batch and ready for a network."""
        return (self.prepare(batch) for batch in self.inputs.split(PREDICT_BATCH))

    @torch.no_grad()
    def through(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what a function of network inputs (B, ...) makes of all of them."""
        return torch.cat([function(batch) for batch in self.batches()])


@dataclass(kw_only=True, eq=False, repr=False)
class BaseDataEstimator(BaseEstimator):
    """Data in and out, validation, device and seed: what all estimators share, with networks or without.

    Every class declares its own parameters once, as the fields of a dataclass: the constructor, with those of the
    classes it stands on, is made from them, and what is allowed stands in their annotations, see
    `latentover.estimators.parameters`. Fields that end in an underscore are learned in `fit`.

    Parameters
    ----------
    image_shape : (c, h, w), optional
        Says that the rows of a two-dimensional X are images; of a list of image files, what they are brought to.
    channels_last : bool, default=False
        Whether images come as (n, h, w, c).
    numbers : {"scores", "standard"}, default="standard"
        How the networks see numbers and times of a table: by learned quantiles, as normal scores, so that any
        distribution is kept, with point masses (zeros, caps, sentinels) as states of their own; or by mean and scale.
    categorical_features : "auto", list of names, list of numbers, or mask, default="auto"
        Of a table: columns of numbers that are categories. Text, categories and booleans of a frame always are.
    identifiers : "auto", "none" or list of names, default="auto"
        Of a frame: columns that name rows, of which nothing but the form is learned and no value is stored or given to
        a new row: those that look like it, which a warning names; none; or these.
    new_identifiers : {"fresh", "missing"}, default="fresh"
        What new rows have there: values of the same form that no training row has, or missing ones (whole numbers
        become pandas' nullable ones then).
    missing : {"error", "impute", "mask"}, default="error"
        What happens to missing values of a table: they are an error; the median or the most frequent level stands for
        them; or they are a state of their own, and what is generated has missing values too. Rows that come back come
        back as they were.
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one, otherwise the CPU.
    random_state : int, RandomState or None
        The same integer gives the same result on the same machine; the global generators stay untouched.
    verbose : {0, 1, 2}, default=0
        1 shows a progress bar with the time left and the score that matters: validation ACSA with
        ``early_stopping=True``, otherwise the first loss. 2 says all losses. Where stderr is neither a terminal nor a
        notebook, there are some lines instead.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    class_counts_ : ndarray of shape (C,)
        Training samples of each class.
    format_ : ImageFormat or TableFormat
        How X becomes tensors, and tensors become data of the same kind again.
    device_ : torch.device
    """

    image_shape: Annotated[
        tuple[PositiveInt, PositiveInt, PositiveInt] | None, Expected("(channels, height, width) or None")
    ] = None
    channels_last: bool = False
    numbers: Numbers = "standard"
    categorical_features: Any = "auto"
    identifiers: Any = "auto"
    new_identifiers: NewIdentifiers = "fresh"
    missing: Missing = "error"
    device: Annotated[str | torch.device, Expected("'auto', 'cpu' or a device of this machine such as 'cuda:0'")] = (
        "auto"
    )
    random_state: Any = None
    verbose: Annotated[NonNegativeInt | bool, Expected("a whole number at least 0")] = 0

    classes_: np.ndarray = field(init=False)
    class_counts_: np.ndarray = field(init=False)
    format_: Format = field(init=False)
    device_: torch.device = field(init=False)
    tensors_: dict[str, Tensor] = field(init=False)

    def _check_settings(self) -> list[str]:
        """Return what is wrong with parameters that do not go together, as "x to be ..., but got ..."."""
        return []

    def _check_classes(self) -> None:
        """Raise ValueError for `classes_` and `class_counts_` that the method cannot learn from."""
        check_class_count(self.classes_)

    def _learn_format(self, X: Any, **settings: Any) -> Format:
        """Return the format of validated data; raise ValueError for one that the method cannot work with."""
        return learn_format(
            X,
            image_shape=self.image_shape,
            channels_last=self.channels_last,
            numbers=self.numbers,
            categorical_features=self.categorical_features,
            identifiers=self.identifiers,
            new_identifiers=self.new_identifiers,
            missing=self.missing,
            **settings,
        )

    def _learn(self, data: TrainingSet) -> None:
        """Learn from the training set and fill `tensors_` with what generating needs."""
        raise TypeError(f"{type(self).__name__} has to define _learn.")

    def _train(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> TrainingSet:
        """Check parameters and classes, learn from validated data and return it."""
        check_parameters(self)
        self.classes_ = np.unique(y)
        labels = np.searchsorted(self.classes_, y)  # a third of the time of np.unique with the inverse
        self.class_counts_ = np.bincount(labels)
        self._check_classes()
        with naming("X", "a table or images that can be encoded"):
            # A rare class would be squeezed into a few ranks, and its few rows would decide where those are.
            weights = self.class_counts_[labels] ** -0.5 if self.numbers == "scores" else None
            self.format_ = self._learn_format(X, weights=weights, labels=self.classes_[labels])
        if isinstance(self.identifiers, str) and isinstance(self.format_, TableFormat) and self.format_.identifiers:
            names, fresh = self.format_.identifiers, self.new_identifiers == "fresh"
            warn_user(
                f"Expected columns that say something of their rows, but got what looks like identifiers: "
                f"{', '.join(map(repr, names[:10]))}{' ...' if len(names) > 10 else ''}. They are not learned, and new "
                f"rows have {'values of the same form' if fresh else 'missing values'} there; say by "
                "identifiers=[...] which columns are some."
            )
        self.device_ = resolve_device(self.device)
        with seeded(draw_seed(self.random_state), self.device_) as generator:
            data = self._training_set(X, torch.from_numpy(labels), sample_weight, generator)
            if isinstance(self.format_, ImageFormat):
                warn_of_transparency(data.inputs)
            self.tensors_ = {}
            self._learn(data)
        return data

    def _training_set(
        self, X: Any, labels: Tensor, sample_weight: np.ndarray | None, generator: torch.Generator
    ) -> TrainingSet:
        """Return validated data, encoded and on the device."""
        inputs, labels = self.format_.encode(X, of_fit=True).to(self.device_), labels.to(self.device_)
        return TrainingSet(
            inputs=inputs,
            labels=labels,
            class_counts=torch.bincount(labels, minlength=len(self.classes_)),
            prepare=self.format_.network_input,
            dtype=torch.float32,
            generator=generator,
            sample_weight=None if sample_weight is None else torch.tensor(sample_weight, device=self.device_),
        )

    def _check_input(self, X: Any, *, reset: bool) -> Any:
        """Return X as an array of numbers or a pandas frame; raise ValueError or TypeError naming what is wrong."""
        if is_picture(X):
            raise ValueError("Expected X to be a list of images, but got a single one; pass [X].")
        pictures = are_pictures(X)
        if pictures:
            X = self._read_pictures(X, reset=reset)
        with naming("X", "a table (n, d) or images (n, channels, height, width) of numbers"):
            if not (reset or pictures) and isinstance(self.format_, ImageFormat) and np.ndim(X) == 4:
                X = self.format_.arranged(np.asarray(X))
            X = self._checked_input(X, reset)
            if not reset:
                self.format_.check(X)
        return X

    def _read_pictures(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return the pixels of image files and images of Pillow, as the format has them; in fit as uint8.

        In fit they have to be of one size, or are brought to `image_shape`; later they are brought to what was learned.
        """
        shape = self.image_shape if reset else self.format_.shape
        if shape is not None and (len(shape) != 3 or shape[0] not in (1, 3)):
            what = f"images of {shape[0]} channels" if len(shape) == 3 else "rows of a table"
            raise ValueError(f"Expected X to be {what}, but got image files; read and convert them first.")
        files = open_images(X)[0] if shape is None else ImageFiles(X, shape)
        pixels = files[np.arange(len(files))]
        if not reset and isinstance(self.format_, ImageFormat):
            return self.format_.from_pixels(pixels)
        return np.moveaxis(pixels, 1, -1) if self.channels_last else pixels

    def _checked_input(self, X: Any, reset: bool) -> Any:
        if type(X).__module__.startswith("polars"):
            X = Container.of(X).frame
        if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
            twice = X.columns[X.columns.duplicated()][0]
            raise ValueError(
                f"Expected X to have a name of its own for each column, but got {twice!r} twice; rename it."
            )
        if isinstance(X, np.ndarray | list | tuple):
            check_plain_numbers(X)
        elif sp.issparse(X):
            check_dense_size(X.shape)
        elif isinstance(X, pd.DataFrame):
            X = _without_sparse(X)
        if isinstance(X, pd.DataFrame) and self.image_shape is None:
            validate_data(self, X, reset=reset, skip_check_array=True)
            if reset:
                check_table(X, "impute")  # what may be missing is for the format to say
            else:
                names = self.format_.identifiers if isinstance(self.format_, TableFormat) else []
                check_table(X.drop(columns=names), self.missing)
            return X
        finite: Any = True if self.missing == "error" else "allow-nan"
        with naming_values(images=len(getattr(X, "shape", ())) == 4 or self.image_shape is not None):
            numeric = validate_data(
                self, X, reset=reset, allow_nd=True, accept_sparse=["csr", "csc"], ensure_all_finite=finite
            )
        if sp.issparse(numeric):
            numeric = numeric.toarray()
        if numeric.ndim not in (2, 4):
            raise ValueError(
                "Expected X to be a table (n, d) or images (n, channels, height, width), but got an array of shape "
                f"{numeric.shape}; add a channel axis with X[:, None]."
            )
        if numeric.ndim == 4 or self.image_shape is not None:
            check_images(numeric)
        return numeric

    def _outputs_of(self, network: Callable[[Tensor], Tensor], X: Any) -> Tensor:
        """Return what a network makes (n, ...) of X, already validated.

        On the CPU every batch has one size, the last one filled up with zeros: products of matrices of another size
        round differently, and what is said of a row would depend on how many come with it.
        """
        on_cpu = self.device_.type == "cpu"
        size = _CPU_BATCH[self.format_.kind] if on_cpu else PREDICT_BATCH
        with naming("X", "a table or images as in fit"):
            inputs = self.format_.encode(X)
        outputs = []
        for rows in inputs.split(size):
            missing = size - len(rows) if on_cpu else 0
            batch = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])
            outputs.append(network(self.format_.network_input(batch.to(self.device_)))[: len(rows)])
        return torch.cat(outputs)

    def _class_numbers(self, y: Any) -> np.ndarray:
        """Return the numbers 0..C-1 of labels y (n,); raise ValueError for one that fit has not seen."""
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        labels = column_or_1d(without_nullable(y)).tolist()
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise ValueError(f"Expected y to be one of the classes {list(known)}, but got {unknown[0]!r}.")
        return np.array([known[label] for label in labels], dtype=np.int64)

    def _state(self) -> dict[str, Any]:
        """Return what was learned besides tensors, as JSON-able values."""
        return {
            "classes": labels_to_json(self.classes_),
            "classes_dtype": self.classes_.dtype.str if self.classes_.dtype.kind != "O" else "object",
            "class_counts": self.class_counts_.tolist(),
            "format": self.format_.to_dict(),
            "n_features_in": self.n_features_in_,
            "feature_names_in": getattr(self, "feature_names_in_", np.array([])).tolist(),
        }

    def _restore_state(self, state: dict[str, Any]) -> None:
        """Take back what `_state` returned, on the CPU."""
        dtype = np.dtype(state["classes_dtype"])
        if dtype.kind not in "biufmMUSO" or dtype.itemsize * len(state["classes"]) > MAX_LABEL_BYTES:
            raise ValueError(f"Expected labels of numbers, text or dates, but got the type {str(dtype)[:50]}.")
        self.classes_ = labels_from_json(state["classes"], state["classes_dtype"])
        self.class_counts_ = np.array(state["class_counts"], dtype=np.int64)
        self.format_ = format_from_dict(state["format"])
        self.n_features_in_ = state["n_features_in"]
        if state["feature_names_in"]:
            self.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
        self.device_ = torch.device("cpu")

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with everything on the CPU, so that the file opens anywhere."""
        state = dict(super().__getstate__())
        if "tensors_" in state and state["device_"].type != "cpu":
            state["tensors_"] = {name: tensor.cpu() for name, tensor in state["tensors_"].items()}
            state["device_"] = torch.device("cpu")
            if "networks_" in state:
                state["networks_"] = copy.deepcopy(state["networks_"]).cpu()
        return state

    def __sklearn_tags__(self) -> Any:
        """Say what input is understood."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = self.missing != "error"
        tags.non_deterministic = False
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class BaseDeepEstimator(BaseDataEstimator):
    """An estimator around trained networks.

    Parameters
    ----------
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `BaseDataEstimator`.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the training passes; ``"auto"`` is bfloat16 for images where the hardware computes in it.
    checkpoint : path, optional
        A file in which the training is kept while it runs. Where it is there, `fit` goes on from it and ends at the
        weights (on the CPU to the bit) that it would have ended at; a file of another training, or a damaged one, is
        an error. One that cannot be written is a warning. Removed when training is complete.
    checkpoint_every : int, default=1000
        Training steps between two writes of it.
    compile : bool, default=False
        Whether the networks run through `torch.compile`: slow to start, faster afterwards; worth it on a GPU.
    capture : {"auto", True, False}, default="auto"
        Whether the updates of a training are recorded as CUDA graphs and replayed, which launches all their kernels at
        once: on CUDA, and with ``"auto"`` where networks given by the user can be recorded; a warning says where not.
        With True that is an error, and so is another device.
    callbacks : Callback or list of them, optional
        Objects that are told of the training: of its begin, of every row of the history and of its end; they may end
        it. See `latentover.training.Callback`, and `latentover.callbacks` for ready ones. They are not part of what is
        learned, and neither recipes nor bundles hold them.

    Attributes
    ----------
    classes_, class_counts_, format_, device_
        See `BaseDataEstimator`.
    networks_ : nn.Module
    history_ : list of dict
        One row a report: step, seconds and mean losses.
    """

    precision: Precision = "auto"
    checkpoint: Annotated[str | os.PathLike[str] | None, Expected("the path of a file or None")] = None
    checkpoint_every: PositiveInt = 1000
    compile: bool = False
    capture: Literal["auto", True, False] = "auto"
    callbacks: Annotated[
        Any, Expected("None, a callback (an object with on_report or such) or a list of them", are_callbacks)
    ] = None

    networks_: Any = field(init=False)
    history_: History = field(init=False)

    _training_only: ClassVar[tuple[str, ...]] = ()
    """Networks that nothing needs after training; they are not saved."""
    predicts_while_trained: ClassVar[bool] = True
    """Whether predictions need the networks alone, and can be looked at before the training has ended."""

    def _build_networks(self) -> nn.Module:
        """Return untrained networks for `format_` and `classes_`."""
        raise TypeError(f"{type(self).__name__} has to define _build_networks.")

    def _initial_networks(self) -> nn.Module:
        """Return the networks that a training begins with."""
        return self._build_networks()

    def _program(self, data: TrainingSet) -> Program:
        """Return how `networks_` are trained."""
        raise TypeError(f"{type(self).__name__} has to define _program.")

    def _keep(self, data: TrainingSet, program: Program) -> None:
        """Fill `tensors_` with what generating needs, the networks being trained."""

    def _learn_format(self, X: Any, **settings: Any) -> Format:
        learned = super()._learn_format(X, **settings)
        check_input_shape(learned.shape)
        labels_to_json(self.classes_), learned.to_dict()  # what no bundle can keep is said now, not after training
        return learned

    def _learn(self, data: TrainingSet) -> None:
        self.networks_ = self._initial_networks().to(self.device_)
        if isinstance(self.format_, ImageFormat):
            self.networks_ = self.networks_.to(memory_format=torch.channels_last)
        self.networks_.train()
        program = self._program(data)
        told = Told(self, data.generator)
        engine = self._engine(program, data, observe=told.report, **self._scoring(data))
        self.networks_ = engine.trained
        with told.of_a_fit(program.n_steps):
            self.history_ = engine.run()
            parallel.average_buffers(self.networks_)
            self.networks_.eval()
            self._trained(engine)
            self._keep(data, program)
            self._after_training(data)

    def _engine(self, program: Program, data: TrainingSet, *, description: str = "", **watch: Any) -> Engine:
        """Return what runs a program as the parameters say; `watch` says what is looked at on the way."""
        return Engine(
            program,
            data.generator,
            dtype=data.dtype,
            capture=self.capture,
            checkpoint=data.checkpoint,
            verbose=self.verbose,
            description=description or type(self).__name__,
            **watch,
        )

    def _scoring(self, data: TrainingSet) -> dict[str, Any]:
        """Return how the networks are scored on the way, where rows were set aside for that."""
        if data.validation is None:
            return {}
        inputs, labels = (tensor.split(PREDICT_BATCH) for tensor in data.validation)

        def score(networks: nn.Module) -> float:
            pairs = zip(map(data.prepare, inputs), labels, strict=True)
            return validation_acsa(networks, self._logits, pairs)

        return {"score": score, "patience": self._patience()}

    def _trained(self, engine: Engine) -> None:
        """Look at how the training went."""

    def _training_set(
        self, X: Any, labels: Tensor, sample_weight: np.ndarray | None, generator: torch.Generator
    ) -> TrainingSet:
        images = isinstance(self.format_, ImageFormat)
        dtype = resolve_precision(self.precision, self.device_, images=images)
        data = replace(super()._training_set(X, labels, sample_weight, generator), dtype=dtype)
        if self.checkpoint is not None:
            fingerprint = self._fingerprint(data)
            data = replace(data, checkpoint=Checkpoint(self.checkpoint, self.checkpoint_every, fingerprint))
        if not (isinstance(self, StoppableTraining) and self._stops_early()):
            return data
        aside = validation_rows(data.labels, self.validation_fraction, generator)
        kept = torch.ones(len(data.labels), dtype=torch.bool, device=self.device_)
        kept[aside] = False
        return replace(
            data,
            inputs=data.inputs[kept],
            labels=data.labels[kept],
            class_counts=torch.bincount(data.labels[kept], minlength=len(self.classes_)),
            validation=(data.inputs[aside], data.labels[aside]),
            sample_weight=None if data.sample_weight is None else data.sample_weight[kept],
            rows=kept.nonzero().squeeze(1),
        )

    def _fingerprint(self, data: TrainingSet) -> str:
        """Return what tells one training from another: class, parameters and data."""
        digest = hashlib.sha256(type(self).__name__.encode())
        for name, value in sorted(self.get_params(deep=False).items()):
            if name not in _NOT_LEARNED_FROM:
                random_state = isinstance(value, np.random.RandomState | np.random.Generator)
                digest.update(f"{name}={type(value).__name__ if random_state else value!r};".encode())
        for tensor in (data.inputs, data.labels, *([] if data.sample_weight is None else [data.sample_weight])):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _after_training(self, data: TrainingSet) -> None:
        """Look at what has been learned."""

    def _fitted_tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, on the CPU, the networks' weights and the other tensors that a fitted estimator needs."""
        weights = {
            name: tensor.detach().cpu()
            for name, tensor in self.networks_.state_dict().items()
            if name.split(".")[0] not in self._training_only
        }
        return weights, {name: tensor.cpu() for name, tensor in self.tensors_.items()}

    def _restore(self, state: dict[str, Any], networks: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
        """Become the fitted estimator that `_state` and the tensors describe, on the CPU."""
        self._restore_state(state)
        if not any(isinstance(value, nn.Module) for value in self.get_params(deep=False).values()):
            with torch.device("meta"):  # where networks have shapes and take no memory
                expected = self._build_networks().state_dict()
            _check_weights({k: v for k, v in expected.items() if k.split(".")[0] not in self._training_only}, networks)
        labels, n_classes = tensors.get("labels", torch.zeros(0, dtype=torch.int64)), len(self.classes_)
        if labels.dtype != torch.int64 or labels.dim() != 1 or not ((labels >= 0) & (labels < n_classes)).all():
            raise ValueError(f"Expected the tensor labels to hold class numbers below {n_classes}, but got others.")
        with seeded(0):
            self.networks_ = self._build_networks()
        for name in self._training_only:
            setattr(self.networks_, name, None)
        self.networks_.load_state_dict(networks)
        if isinstance(self.format_, ImageFormat):
            self.networks_ = self.networks_.to(memory_format=torch.channels_last)
        self.networks_.eval()
        self.tensors_ = tensors


class BaseClassifier(ClassifierMixin, BaseDeepEstimator):
    """A scikit-learn classifier around trained networks; a method adds `_logits`."""

    def _logits(self, batch: Tensor) -> Tensor:
        """Map network inputs (B, ...) to logits (B, C)."""
        raise TypeError(f"{type(self).__name__} has to define _logits.")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : array of shape (n, d), (n, c, h, w), or (n, h, w, c) with ``channels_last=True``; or a pandas frame
            Or a list of image files and images of Pillow: of one size, or brought to `image_shape`.
        y : array-like of shape (n,)
            Labels of any type that scikit-learn accepts.
        sample_weight : array-like of shape (n,), optional
            How much each sample counts in training, 0 or more, and above 0 somewhere in every class; what counts is
            how the weights compare. Class counts, and all that follows from them, stay counts of samples, and so does
            the score that early stopping looks at.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data, the weights or a parameter cannot be trained on; nothing has been trained then.
        """
        X = self._check_input(X, reset=True)
        y, _ = check_labels(y, one_hot=False)
        check_lengths(X, y)
        self._train(X, y, check_sample_weight(sample_weight, y))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits (n, C); with two classes the difference (n,) of the second and the first."""
        logits = self._all_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _all_logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        with torch.inference_mode():
            logits = self._outputs_of(self._logits, X)
        return logits.double().cpu().numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities (n, C), columns in the order of ``classes_``.

        X is as in `fit`. Image files and images of Pillow are brought to the size, channels and range that were
        learned; arrays have to have them, with the channels on either side.
        """
        logits = self._all_logits(X)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return labels (n,)."""
        numbers = self._all_logits(X).argmax(axis=1)  # first, for it says so when there is nothing fitted
        return self.classes_[numbers]


def _without_sparse(X: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its sparse columns as dense ones of the type that they hold."""
    dense = {name: dtype.subtype for name, dtype in X.dtypes.items() if isinstance(dtype, pd.SparseDtype)}
    if dense:
        check_dense_size(X.shape)
    return X.astype(dense) if dense else X


def _check_weights(expected: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Raise RuntimeError, as `load_state_dict`, unless weights have the names, types and shapes that are expected."""
    described = [{name: (tuple(t.shape), t.dtype) for name, t in part.items()} for part in (expected, weights)]
    for name in sorted(expected.keys() | weights.keys()):
        wanted, got = (part.get(name, "none") for part in described)
        if wanted != got:
            raise RuntimeError(f"Expected the weights {name} of the networks to be {wanted}, but got {got}.")


def check_lengths(X: Any, y: np.ndarray) -> None:
    """Raise ValueError unless X and y have the same number of rows."""
    if len(X) != len(y):
        raise ValueError(
            f"Expected X and y to be of one length, but got inconsistent numbers: {len(X)} samples and {len(y)} labels."
        )
