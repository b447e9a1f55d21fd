"""Any over-sampler of imbalanced-learn in the latent space of an autoencoder.

Distances between images, or between rows of mixed columns, say little, and what lies between two of them is no image.
Samples are encoded, over-sampled where distances mean something, and decoded: the way of DeepSMOTE (Dablain, Krawczyk
and Chawla, IEEE TNNLS 2022) with any autoencoder and any over-sampler.
"""

import copy
import inspect
import math
import warnings
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import numpy as np
import torch
from imblearn.over_sampling import SMOTE
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from latentover.estimators import BaseSampler, Expected, PretrainedEncoder
from latentover.estimators.base import PREDICT_BATCH
from latentover.estimators.generator import NoBases, class_seed, joined
from latentover.methods.classical import SAMPLERS, mixtures
from latentover.methods.rae import RAESampler
from latentover.networks.autoencoder import EncoderName

_FAMILY = {cls: name for name, cls in SAMPLERS.items()}
"""Samplers whose new samples are mixtures of two, which are therefore known."""
_NEIGHBORS = {"k_neighbors", "m_neighbors", "n_neighbors"}
_OURS = {"n_jobs", "random_state", "sampling_strategy", "svm_estimator"}
_OF_DATA = ("image_shape", "channels_last", "categorical_features", "missing")
"""Parameters that say what the data is."""
_ROUNDS = 10
"""How often a sampler that gives too few is asked again."""


@dataclass(kw_only=True, eq=False, repr=False)
class LatentOversampler(PretrainedEncoder, BaseSampler):
    """Over-samples latents and decodes them.

    Parameters
    ----------
    sampler : over-sampler of imbalanced-learn or of latentover, default: imbalanced-learn's `SMOTE`
        What makes new latents of old ones. Which classes are brought to how many samples, and the seed, come from
        here: its own ``sampling_strategy`` has to be ``"auto"``, and its ``random_state`` is not used.
    autoencoder : estimator of latentover with ``encode`` and ``decode``, default: `RAESampler`
        A fitted one is used as it is; a clone of another one is fitted to X and y. As always in scikit-learn, `clone`,
        and with it a cross-validation, forgets what was fitted: wrap it in `sklearn.frozen.FrozenEstimator` to keep it,
        and only if it has not seen the test folds.
    encoder : str, default="auto"
        The name of the encoder of an autoencoder that is trained here, see `latentover.RAEClassifier`.
    encoder_weights, freeze_encoder, encoder_size
        Of that encoder, see `latentover.estimators.PretrainedEncoder`.
    encoder, decoder : nn.Module
        Trained networks in place of `autoencoder`, of which copies are used: from inputs (B, c, h, w) in [0, 1], or
        rows (B, d) as `latentover.estimators.learn_format` encodes them (standardised), to latents (B, m), and from
        latents back to inputs.
    sampling_strategy, keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, base_selection, clip, constraints
        See `latentover.estimators.BaseGenerator`. Which rows new samples start from is the sampler's own choice, so
        `base_selection` has to be ``"random"``; weights of samples are heeded by the SMOTE family.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`. What is said of the data here is said to an autoencoder that is
        trained too.

    Attributes
    ----------
    autoencoder_ : estimator, or None with networks
    latent_dim_ : int
    parents_, mix_weights_
        See `latentover.estimators.BaseSampler`. Two parents a row for the SMOTE family, of which the latents are
        mixtures; one for samplers that say which samples they repeat, such as `RandomOverSampler`; none for others.

    References
    ----------
    Dablain, Krawczyk, Chawla: DeepSMOTE: Fusing Deep Learning and SMOTE for Imbalanced Data, IEEE TNNLS 2022.

    Examples
    --------
    >>> from imblearn.over_sampling import BorderlineSMOTE
    >>> from sklearn.datasets import make_classification
    >>> from latentover import RAESampler
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> autoencoder = RAESampler(max_steps=20, hidden_units=32, random_state=0).fit(X, y)
    >>> sampler = LatentOversampler(sampler=BorderlineSMOTE(), autoencoder=autoencoder, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape, sampler.parents_.shape
    ((362, 20), (362, 2))
    """

    base_selection: NoBases = "random"
    sampler: Annotated[BaseOverSampler | None, Expected("an over-sampler such as SMOTE()")] = None
    autoencoder: BaseEstimator | None = None
    encoder: Annotated[
        EncoderName | nn.Module | str, Expected("the name of a network or an nn.Module, of two nn.Modules")
    ] = "auto"
    decoder: Annotated[Literal["auto"] | nn.Module, Expected("'auto' or an nn.Module, of two nn.Modules")] = "auto"

    autoencoder_: Any = field(init=False)
    networks_: Any = field(init=False)
    latent_dim_: int = field(init=False)

    def _check_settings(self) -> list[str]:
        problems = []
        sampler = self._base_sampler()
        if not isinstance(sampler, BaseOverSampler) or isinstance(sampler, type):
            problems.append(f"sampler to be an over-sampler such as SMOTE(), but got {sampler!r}")
        elif sampler.get_params(deep=False).get("sampling_strategy") != "auto":
            problems.append(
                "the sampler's sampling_strategy to be 'auto', for LatentOversampler's own decides, but got "
                f"{sampler.sampling_strategy!r}"
            )
        modules = [isinstance(network, nn.Module) for network in (self.encoder, self.decoder)]
        if not any(modules):
            problems += self._encoder_problems("encoder")
        elif self.encoder_weights is not None or self.freeze_encoder or self.encoder_size is not None:
            problems.append("encoder_weights, freeze_encoder and encoder_size to go with the name of an encoder")
        if not any(modules) and self._said_of_encoder() and not self._takes_encoder():
            problems.append(
                "autoencoder to be one that is not fitted yet and has an encoder, where encoder or encoder_weights say "
                f"which, but got {self.autoencoder!r}"
            )
        if not all(modules) and any(modules):
            problems.append(
                f"encoder and decoder to be two nn.Modules, but got {_short(self.encoder)} and {_short(self.decoder)}"
            )
        if any(modules) and self.autoencoder is not None:
            problems.append("either encoder and decoder or autoencoder, but got all of them")
        lacking = [name for name in ("fit", "encode", "decode") if not hasattr(self.autoencoder, name)]
        if self.autoencoder is not None and lacking:
            problems.append(
                f"autoencoder to be an estimator with encode and decode, such as RAESampler, but got "
                f"{self.autoencoder!r} without {' and '.join(lacking)}"
            )
        return problems

    def _said_of_encoder(self) -> dict[str, Any]:
        """Return what an autoencoder that is trained is told of its encoder."""
        names = ("encoder", *(known.name for known in fields(PretrainedEncoder) if known.init))
        default = {name: getattr(type(self), name) for name in names}
        return {name: getattr(self, name) for name in names if getattr(self, name) != default[name]}

    def _takes_encoder(self) -> bool:
        """Whether an autoencoder is trained here, and may be told of its encoder."""
        if self.autoencoder is None:
            return True
        known = self.autoencoder.get_params(deep=False) if hasattr(self.autoencoder, "get_params") else {}
        return self._said_of_encoder().keys() <= known.keys() and not hasattr(self.autoencoder, "classes_")

    def _base_sampler(self) -> Any:
        return SMOTE() if self.sampler is None else self.sampler

    def _rows_needed(self) -> int:
        """Return the fewest samples of a class whose neighbours are as many as the sampler wants."""
        sampler = self._base_sampler()
        k = getattr(sampler, "k_neighbors", getattr(sampler, "n_neighbors", None))
        return k + 1 if isinstance(k, int) else 1

    # ---- Encoding and decoding ---------------------------------------------------------------------------------------

    def _fit_generator(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        self.autoencoder_, self.networks_ = None, nn.ModuleDict()
        if isinstance(self.encoder, nn.Module):
            self.networks_ = self._own_networks()
            latents = self._encoded(inputs)
        else:
            # The rows as they are from here on: with missing values filled in, in the user's kind.
            X, y = self.format_.decode(self.format_.network_input(inputs)), self.classes_[labels.cpu().numpy()]
            self.autoencoder_ = self._fitted_autoencoder(X, y, generator)
            latents = np.asarray(self.autoencoder_.encode(X))
        finite = np.isfinite(latents).all()
        if latents.ndim != 2 or len(latents) != len(labels) or not finite:
            raise ValueError(
                f"Expected the encoder to give finite latents of shape ({len(labels)}, m), but got shape "
                f"{latents.shape}{'' if finite else ' with values that are not finite'}; one vector a sample."
            )
        self.latent_dim_ = latents.shape[1]
        self.tensors_ = {"latents": torch.from_numpy(latents), "labels": labels.cpu()}
        if self.autoencoder_ is None:
            self._decoded(latents[:1], 0)  # says now, and not when samples are wanted, if the two do not fit

    def _own_networks(self) -> nn.ModuleDict:
        """Return copies of the user's networks."""
        parts: dict[str, Any] = {"encoder": self.encoder, "decoder": self.decoder}
        return nn.ModuleDict(copy.deepcopy(parts)).to(self.device_).eval()

    def _fitted_autoencoder(self, X: Any, y: np.ndarray, generator: torch.Generator) -> Any:
        autoencoder = self.autoencoder
        if autoencoder is None:
            autoencoder = RAESampler(device=self.device, verbose=self.verbose)
        try:
            check_is_fitted(autoencoder)
        except NotFittedError:
            autoencoder = clone(autoencoder)
            known = autoencoder.get_params(deep=False)
            if known.get("random_state", 0) is None:
                seed = torch.randint(2**31 - 1, (), generator=generator, device=generator.device)
                autoencoder.set_params(random_state=int(seed))
            # What was said of the data holds for the autoencoder too, which gets the same data.
            said = {name: getattr(self, name) for name in _OF_DATA if name in known}
            default = {name: getattr(type(self), name) for name in said}
            autoencoder.set_params(**{name: value for name, value in said.items() if value is not default[name]})
            autoencoder.set_params(**self._said_of_encoder())
            names = getattr(self.format_, "identifiers", [])
            if names and "identifiers" in known:  # missing in X, which nothing is learned from
                autoencoder.set_params(identifiers=names)
                X = X.copy()
                for name in names:
                    X[name] = np.arange(len(X))
            with warnings.catch_warnings():
                if self.class_counts_.min() < self._rows_needed():  # once is enough
                    warnings.filterwarnings("ignore", "Expected every class to have at least")
                return autoencoder.fit(X, y)
        unknown = np.setdiff1d(self.classes_, autoencoder.classes_).tolist()
        if unknown:
            raise ValueError(
                f"Expected y to hold classes that the autoencoder was fitted to, {autoencoder.classes_.tolist()}, but "
                f"got {unknown} too; fit it to them."
            )
        return autoencoder

    @torch.inference_mode()
    def _encoded(self, inputs: Tensor) -> np.ndarray:
        prepare = self.format_.network_input
        batches = [self.networks_["encoder"](prepare(batch)) for batch in inputs.split(PREDICT_BATCH)]
        return torch.cat(batches).float().cpu().numpy()

    @torch.inference_mode()
    def _decoded(self, latents: np.ndarray, label: int, seed: int = 0) -> Any:
        """Return what latents (n, m) of class number `label` are decoded to, in the user's kind."""
        if self.autoencoder_ is not None:
            y = np.full(len(latents), self.classes_[label], dtype=self.classes_.dtype)
            takes = inspect.signature(self.autoencoder_.decode).parameters
            # A decoder that draws would give every batch the same numbers.
            options = {name: value for name, value in {"y": y, "random_state": seed}.items() if name in takes}
            # Once through the format, for the types and limits of the data that is over-sampled.
            rows = self.format_.encode(self.autoencoder_.decode(latents, **options))
            return self._in_rows(self.format_.network_input(rows), label)
        outputs = self.networks_["decoder"](torch.from_numpy(latents).to(self.device_))
        if outputs.shape != (len(latents), *self.format_.shape):
            raise ValueError(
                f"Expected the decoder to give samples of shape {tuple(self.format_.shape)}, but got shape "
                f"{tuple(outputs.shape[1:])}; it has to invert the encoder."
            )
        return self._in_rows(outputs.clamp(0, 1) if self.format_.kind == "images" else outputs, label)

    # ---- In bundles --------------------------------------------------------------------------------------------------

    def _keeps_rows(self) -> bool:
        """Whether latents may be rows: those of the user's own encoder may, unless it makes them shorter."""
        return len(self.networks_) > 0 and self.latent_dim_ >= math.prod(self.format_.shape)

    def _fitted_tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        weights = {name: tensor.detach().cpu() for name, tensor in self.networks_.state_dict().items()}
        return weights, self.tensors_

    def _fitted_parts(self) -> dict[str, Any]:
        """Return the estimators inside that were fitted."""
        if self.autoencoder_ is None:
            return {}
        frozen = isinstance(self.autoencoder_, FrozenEstimator)
        return {"autoencoder": self.autoencoder_.estimator if frozen else self.autoencoder_}

    def _state(self) -> dict[str, Any]:
        given = self.autoencoder_ is not None and self.autoencoder_ is self.autoencoder
        return {**super()._state(), "latent_dim": self.latent_dim_, "autoencoder_was_fitted": given}

    def _restore(self, state: dict[str, Any], networks: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
        self._restore_state(state)
        self.autoencoder_, self.networks_ = None, nn.ModuleDict()
        self.latent_dim_, self.tensors_ = state["latent_dim"], tensors
        self._autoencoder_was_fitted = state["autoencoder_was_fitted"]
        if isinstance(self.encoder, nn.Module):
            self.networks_ = self._own_networks()
            self.networks_.load_state_dict(networks)

    def _restore_part(self, name: str, part: Any) -> None:
        """Take back the autoencoder; where it came fitted, a new fit uses it again."""
        frozen = isinstance(self.autoencoder, FrozenEstimator)
        self.autoencoder_ = FrozenEstimator(part) if frozen else part
        if self._autoencoder_was_fitted:
            self.autoencoder = self.autoencoder_

    # ---- New latents -------------------------------------------------------------------------------------------------

    def _sample(self, label: int, n: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
        # All latents of a class at once: a sampler looks for neighbours each time that it is asked.
        own_seed = class_seed(seed, label) // 2
        latents, parents, weights = self._new_latents(label, max(n, 1), own_seed)
        batches = [latents[i : min(i + PREDICT_BATCH, n)] for i in range(0, max(n, 1), PREDICT_BATCH)]
        decoded = [self._decoded(batch, label, own_seed + i) for i, batch in enumerate(batches)]
        return joined(decoded), parents[:n], weights[:n]

    def _new_latents(self, label: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return n new latents of a class, their parents and weights."""
        latents, labels = (self.tensors_[name].numpy() for name in ("latents", "labels"))
        sampler = self._base_sampler()
        if not _is_mixing(sampler):
            return _asked(sampler, latents, labels, label, n, seed)
        row_weights = self.tensors_["sample_weight"].numpy() if "sample_weight" in self.tensors_ else None
        mixed, problem = mixtures(latents, labels, label, n, row_weights=row_weights, seed=seed, **_settings(sampler))
        if problem is not None:
            warnings.warn(
                f"{type(sampler).__name__} finds nothing to go by in class {self.classes_.tolist()[label]!r}, so "
                f"SMOTE takes its place there: {problem}",
                UserWarning,
                stacklevel=4,
            )
        return mixed.of(latents), mixed.rows, mixed.weights


# ---- The samplers of imbalanced-learn --------------------------------------------------------------------------------


def _is_mixing(sampler: Any) -> bool:
    """Return whether it is one of those whose new samples are known mixtures of two."""
    values = sampler.get_params(deep=False)
    return (
        type(sampler) in _FAMILY
        and all(isinstance(values[name], int) for name in _NEIGHBORS if name in values)
        and values.get("svm_estimator") is None
    )


def _settings(sampler: Any) -> dict[str, Any]:
    """Return the sampler's parameters as `latentover.methods.classical.mixtures` takes them."""
    values = sampler.get_params(deep=False)
    numbers = {
        ("k" if name == "n_neighbors" else name[0]) + "_neighbors": values[name] for name in _NEIGHBORS & set(values)
    }
    options = {name: value for name, value in values.items() if name not in _NEIGHBORS | _OURS}
    return {"method": _FAMILY[type(sampler)], "options": options, **numbers}


def _asked(
    sampler: Any, latents: np.ndarray, labels: np.ndarray, label: int, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return n new latents of a class from any sampler, and the row that each repeats where the sampler says so."""
    members = np.flatnonzero(labels == label)
    says_rows = get_tags(sampler).sampler_tags.sample_indices
    rows, found = np.empty(0, dtype=np.int64), latents[:0]
    if len(members) == 1:
        rows, found = np.repeat(members, n), np.repeat(latents[members], n, axis=0)
    for attempt in range(_ROUNDS):
        if len(found) >= n:
            break
        sampler = clone(sampler).set_params(sampling_strategy={label: len(members) + n})
        values = sampler.get_params(deep=False)
        if "random_state" in values:
            sampler.set_params(random_state=seed + attempt)
        k = values.get("k_neighbors")
        if isinstance(k, int):
            sampler.set_params(k_neighbors=min(k, len(members) - 1))
        elif hasattr(k, "n_neighbors"):  # an index of neighbours, which finds each row itself too
            sampler.set_params(k_neighbors=clone(k).set_params(n_neighbors=min(k.n_neighbors, len(members))))
        new = np.asarray(sampler.fit_resample(latents, labels)[0])[len(latents) :]
        found = np.concatenate([found, new.astype(latents.dtype, copy=False)])
        if says_rows:
            rows = np.concatenate([rows, sampler.sample_indices_[len(latents) :]])
    if len(found) < n:
        raise ValueError(
            f"Expected sampler to give {n} new samples of the class with number {label}, but got {len(found)} from "
            f"{sampler!r}; use another one, such as SMOTE."
        )
    t = int(says_rows)
    return found[:n], rows[:n, None][:, :t], np.ones((n, t))


def _short(value: Any) -> str:
    return type(value).__name__ if isinstance(value, nn.Module) else repr(value)
