r"""SMOTE and its family, by imbalanced-learn, with the promises that all samplers make.

A new sample of these methods is :math:`x_i + u (x_j - x_i)`, with a few rows deciding what i, j and u may be. So
imbalanced-learn is given the identity matrix in the place of the data: row i of it stands for training row i, and what
comes back are the weights of the training rows in each new one. That tells the parents, costs less than working on
the rows themselves, and with the same seed gives imbalanced-learn's own samples. What needs to know where the rows lie,
the search for neighbours, the support vector machine and the clusters, is handed in and looks them up.

SMOTE itself is no more than neighbours and two draws, which are made here: the same ones with the same seed.

KMeans-SMOTE measures by itself how dense the clusters are: it gets the rows, with the identity beside them made too
small to matter. The clusters are made before, so that an error of a user's clusterer is not taken for one of
imbalanced-learn, which says by them that it finds nothing to go by.

- SMOTE: Chawla, Bowyer, Hall and Kegelmeyer, JAIR 2002.
- ADASYN: He, Bai, Garcia and Li, IJCNN 2008.
- Borderline-SMOTE: Han, Wang and Mao, ICIC 2005.
- SVM-SMOTE: Nguyen, Cooper and Kamei, IJKESDP 2011.
- KMeans-SMOTE: Douzas, Bacao and Last, Information Sciences 2018.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
import torch
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC
from sklearn.utils._param_validation import InvalidParameterError

from latentover.estimators import BaseSampler
from latentover.estimators.generator import class_seed, joined
from latentover.estimators.parameters import PositiveInt
from latentover.estimators.validation import naming

SAMPLERS = {
    "smote": SMOTE,
    "adasyn": ADASYN,
    "borderline_smote": BorderlineSMOTE,
    "svm_smote": SVMSMOTE,
    "kmeans_smote": KMeansSMOTE,
}
_TINY = 1e-8
"""Size of the identity beside the rows, relative to them."""
_OURS = {"k_neighbors", "m_neighbors", "n_jobs", "n_neighbors", "random_state", "sampling_strategy", "svm_estimator"}
"""Parameters of imbalanced-learn's samplers that are not options."""
_AMPLE = 10
"""So many samples for each of the class are asked for where rounding has left some out."""
_SPARE = 4
"""So many times what is wanted is asked for where there are weights to choose by."""
_KMEANS_CLUSTERS = 8
"""Of imbalanced-learn's KMeans-SMOTE where nothing else is asked for."""
BLOCK_ELEMENTS = 2**19
"""Numbers that are mixed and turned into the user's type at once: 4 MiB of float64, which a cache holds."""


# ---- The identity in the place of the rows ---------------------------------------------------------------------------


class TrainingRows:
    """The training data (n, d), which scikit-learn's `clone` does not copy."""

    def __init__(self, X: np.ndarray) -> None:
        self.X = X

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def of(self, stand_ins: Any) -> np.ndarray:
        """Return the rows for which rows of the identity stand; it is in the last columns, of which each has one."""
        last = stand_ins.indices[stand_ins.indptr[1:] - 1]
        return self.X[last - (stand_ins.shape[1] - len(self.X))]


class RowNeighbors(NearestNeighbors):
    """Nearest neighbours among the training rows for which rows of the identity stand."""

    def __init__(self, rows: TrainingRows, n_neighbors: int) -> None:
        super().__init__(n_neighbors=n_neighbors)
        self.rows = rows

    def fit(self, X: Any, y: Any = None) -> Self:
        """Index the rows that X stands for."""
        return super().fit(self.rows.of(X))

    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Return the neighbours of the rows that X stands for."""
        return super().kneighbors(self.rows.of(X), n_neighbors, return_distance)


class RowSVC(SVC):
    """A support vector machine on the training rows for which rows of the identity stand."""

    def __init__(self, rows: TrainingRows, random_state: int) -> None:
        super().__init__(gamma="scale", random_state=random_state)
        self.rows = rows

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on the rows that X stands for."""
        return super().fit(self.rows.of(X), y, sample_weight)


class RowClusters(ClusterMixin, BaseEstimator):
    """The clusters (n,) that the training rows were found to be in."""

    def __init__(self, clusters: np.ndarray, n_clusters: int) -> None:
        self.clusters = clusters
        self.n_clusters = n_clusters

    @classmethod
    def of(cls, X: np.ndarray, clusterer: Any, seed: int) -> Self:
        """Cluster the rows (n, d) with an estimator, or into that many clusters, or imbalanced-learn's 8."""
        if clusterer is None:
            clusterer = min(_KMEANS_CLUSTERS, len(X))
        if isinstance(clusterer, int | np.integer):
            clusterer = MiniBatchKMeans(n_clusters=int(clusterer), random_state=seed)
        with naming("options", f"parameters with a kmeans_estimator that can cluster these {len(X)} rows"):
            clusterer = clone(clusterer)
            clusters = clusterer.fit_predict(X)
            return cls(clusters, getattr(clusterer, "n_clusters", int(clusters.max()) + 1))

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: the clusters are known."""
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return them."""
        return self.clusters

    fit_predict = predict


@dataclass(frozen=True)
class Mixtures:
    """New samples as mixtures of two training rows each, which may be the same one twice.

    Attributes
    ----------
    rows : integer array of shape (n, 2)
    weights : float64 array of shape (n, 2)
        Sum to 1.
    """

    rows: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_stand_ins(cls, weights: sp.csr_array) -> "Mixtures":
        """Return mixtures of which a sparse array (n, n_rows) has the weights, one or two in a row."""
        starts, ends = weights.indptr[:-1], weights.indptr[1:]
        rows = weights.indices[np.stack([starts, ends - 1], axis=1)].astype(np.int64)
        first = weights.data[starts]
        return cls(rows, np.stack([first, 1 - first], axis=1))

    @classmethod
    def of_copies(cls, rows: np.ndarray) -> "Mixtures":
        """Return copies of rows (n,)."""
        return cls(np.stack([rows, rows], axis=1), np.repeat([[1.0, 0.0]], len(rows), axis=0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> "Mixtures":
        return Mixtures(self.rows[chosen], self.weights[chosen])

    def of(self, X: np.ndarray) -> np.ndarray:
        """Return the samples (n, d) in the features of the training rows (n_rows, d)."""
        first, second = self.weights.astype(X.dtype).T[:, :, None]
        mixed = first * X.take(self.rows[:, 0], axis=0)  # a third of the time of X[...]
        mixed += second * X.take(self.rows[:, 1], axis=0)
        return mixed


# ---- Asking imbalanced-learn -----------------------------------------------------------------------------------------


def mixtures(
    X: np.ndarray,
    labels: np.ndarray,
    label: int,
    n: int,
    *,
    method: str = "smote",
    k_neighbors: int = 5,
    m_neighbors: int = 10,
    options: dict[str, Any] | None = None,
    row_weights: np.ndarray | None = None,
    bases: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[Mixtures, str | None]:
    """Return n new samples of a class, exactly and whatever its size; and why SMOTE made them, if it had to.

    Neighbours are as many as there are: a class of n samples has n - 1 for each, and the sample of a class of one is
    repeated. Where a method finds nothing to go by (no sample in danger, no cluster that is rare enough, ...) SMOTE
    takes its place.

    Parameters
    ----------
    X : ndarray of shape (n_rows, d)
    labels : integer ndarray of shape (n_rows,)
    label : int
        The class.
    n : int
    method, k_neighbors, m_neighbors, options
        See `ClassicalSampler`.
    row_weights : ndarray of shape (n_rows,), optional
        Of more samples than are wanted those are chosen with chances in proportion to their parents' weights.
    bases : integer ndarray of shape (n,), optional
        For SMOTE: the row of the class, of a weight above 0, that each new sample starts from.
    seed : int
    """
    members = np.flatnonzero(labels == label)
    chances = None if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    if chances is not None:
        members = members[chances[members] > 0]
    if len(members) == 1 or n == 0:
        return Mixtures.of_copies(np.resize(members, n)), None
    settings = {"k_neighbors": min(k_neighbors, len(members) - 1), "m_neighbors": min(m_neighbors, len(X) - 1)}
    if bases is not None:
        return _smote(X, members, n, settings["k_neighbors"], seed, bases, chances), None
    # ADASYN counts out samples for each row and rounds: too few now and then, or none. Then it is asked for more.
    ample = max(n if chances is None else _SPARE * n, _AMPLE * len(members))
    asked = n if chances is None else ample
    found, problem = Mixtures.of_copies(members[:0]), None
    while len(found) < n:
        if method == "smote":
            more, reason = _smote(X, np.flatnonzero(labels == label), asked, settings["k_neighbors"], seed), ""
        else:
            more, reason = _ask(X, labels, label, asked, method, settings, options or {}, seed)
        more = _chosen(more, n - len(found), chances, seed)
        if len(more) == 0 and asked == ample and method != "smote":
            method, options, problem = "smote", None, reason
        found = Mixtures(np.concatenate([found.rows, more.rows]), np.concatenate([found.weights, more.weights]))
        asked, seed = ample, seed + 1
    return found, problem


def _smote(
    X: np.ndarray,
    members: np.ndarray,
    n: int,
    k: int,
    seed: int,
    bases: np.ndarray | None = None,
    chances: np.ndarray | None = None,
) -> Mixtures:
    """Return n samples of a class, drawn as imbalanced-learn's SMOTE draws them; the base is the first parent.

    With bases (n,) each is mixed with a neighbour of its own, drawn in proportion to the chances (n_rows,) if given.
    """
    own = X[members]
    neighbors = NearestNeighbors(n_neighbors=k + 1).fit(own).kneighbors(own, return_distance=False)[:, 1:]
    random_state = np.random.RandomState(seed)
    if bases is None:
        drawn = random_state.randint(neighbors.size, size=n)
    else:
        first = np.searchsorted(members, bases)
        likely = np.ones(neighbors.shape) if chances is None else chances[members[neighbors]]
        ends = likely[first].cumsum(axis=1)
        drawn = first * k + (random_state.uniform(size=(n, 1)) * ends[:, -1:] >= ends[:, :-1]).sum(axis=1)
    shares = random_state.uniform(size=n)
    pairs = np.stack([drawn // k, neighbors.ravel()[drawn]], axis=1)
    return Mixtures(members[pairs], np.stack([1 - shares, shares], axis=1))


def _ask(
    X: np.ndarray,
    labels: np.ndarray,
    label: int,
    n: int,
    method: str,
    settings: dict[str, int],
    options: dict[str, Any],
    seed: int,
) -> tuple[Mixtures, str]:
    """Return about n samples from imbalanced-learn's sampler; if there are none, the reason."""
    rows = TrainingRows(X)
    stand_ins, scale = sp.csr_array(sp.identity(len(X), format="csr")), 1.0
    sampler = SAMPLERS[method](sampling_strategy={label: int((labels == label).sum()) + n}, random_state=seed)
    known = sampler.get_params(deep=False)
    for name, k in (*settings.items(), ("n_neighbors", settings["k_neighbors"])):
        if name in known:
            sampler.set_params(**{name: RowNeighbors(rows, k + 1)})
    if method == "svm_smote":
        sampler.set_params(svm_estimator=RowSVC(rows, seed))
    sampler.set_params(**options)
    if method == "kmeans_smote":
        scale = _TINY * float(np.abs(X).max() or 1.0)
        stand_ins = sp.hstack([sp.csr_array(X, dtype=np.float64), scale * stand_ins], format="csr")
        clusters = RowClusters.of(X.astype(np.float64), sampler.kmeans_estimator, seed)
        sampler.set_params(kmeans_estimator=clusters)
        if sampler.cluster_balance_threshold == "auto":
            sampler.set_params(cluster_balance_threshold=_balance_threshold(labels, label))
    reason = "no sample is where it looks."
    try:
        resampled, _ = sampler.fit_resample(stand_ins, labels)
        new = sp.csr_array(resampled[len(X) :, -len(X) :]) / scale
    except (RuntimeError, ValueError) as error:
        new, reason = stand_ins[:0, -len(X) :], str(error)
        if "NaN" in reason:  # of all things to say, that none can be converted
            reason = "its clusters have no densities to compare: rows coincide, or density_exponent is out of range."
    new.sum_duplicates()
    return Mixtures.of_stand_ins(new), reason


def _balance_threshold(labels: np.ndarray, label: int) -> float:
    """Return the share of a class that a cluster needs, by imbalanced-learn's rule for all classes together."""
    counts = np.bincount(labels)
    missing = counts.max() - counts
    return float(missing[label] / (2 * max(missing.sum(), 1)))


def _chosen(found: Mixtures, n: int, chances: np.ndarray | None, seed: int) -> Mixtures:
    """Return n of the samples, or all there are: at random, in proportion to the product of their parents' chances."""
    if chances is None and len(found) <= n:
        return found
    order = np.random.default_rng(seed).exponential(size=len(found))  # the smallest are drawn first
    if chances is not None:
        product = chances[found.rows].prod(axis=1)
        possible = product > 0
        found, order = found[possible], order[possible] / product[possible]
    if len(found) <= n:
        return found
    return found[np.sort(np.argsort(order)[:n])]


# ---- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False, repr=False)
class ClassicalSampler(BaseSampler):
    """Over-sampler: SMOTE or one of its family, by imbalanced-learn, for images and tables of all kinds.

    Classes of any size, exact totals, parents, columns of all types and `sample` come on top of what imbalanced-learn
    does. The columns of a table are standardised and categories become one-hot columns before neighbours are searched,
    so that no column's unit decides who is near; for images the samples are imbalanced-learn's own.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many samples; exactly, ADASYN's too.
    method : {"smote", "adasyn", "borderline_smote", "svm_smote", "kmeans_smote"}, default="smote"
        Where it finds nothing to go by in a class (no sample in danger, no cluster with enough of the class, support
        vectors that are all noise) SMOTE takes its place there, and a warning says so.
    k_neighbors : int, default=5
        Neighbours within the class that samples are mixed with; imbalanced-learn's own default for KMeans-SMOTE is 2.
        A class of n samples has n - 1 for each; of a single one it is repeated.
    m_neighbors : int, default=10
        Neighbours among all samples that tell Borderline-SMOTE and SVM-SMOTE which samples are in danger.
    options : dict, optional
        Other parameters of imbalanced-learn's class, such as ``{"kind": "borderline-2"}`` of Borderline-SMOTE,
        ``{"out_step": 0.5}`` of SVM-SMOTE, ``{"kmeans_estimator": 20}`` of KMeans-SMOTE.
    keep_index
        See `latentover.estimators.BaseSampler`.
    small_class, clip
        See `latentover.estimators.BaseGenerator`.
    base_selection : {"random", "even"} or array of int, default="random"
        See `latentover.estimators.BaseGenerator`. All but SMOTE choose by themselves from which samples new ones start
        and take ``"random"`` alone.
    image_shape, channels_last, numbers, categorical_features, identifiers, new_identifiers, missing, device,
    random_state, verbose
        See `latentover.estimators.BaseDataEstimator`; everything is computed on the CPU.

    Attributes
    ----------
    sampling_strategy_, synthetic_mask_, sample_origin_, parents_, mix_weights_, sample_weight_
        See `latentover.estimators.BaseSampler`. There are two parents; SVM-SMOTE's weights may be outside of [0, 1],
        for it also goes outwards, away from a neighbour.
    classes_, class_counts_, format_, device_
        See `latentover.estimators.BaseDataEstimator`.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(200, weights=[0.9], flip_y=0, random_state=0)
    >>> sampler = ClassicalSampler(method="adasyn", random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [(0, 181), (1, 181)]
    """

    method: Literal["smote", "adasyn", "borderline_smote", "svm_smote", "kmeans_smote"] = "smote"
    k_neighbors: PositiveInt = 5
    m_neighbors: PositiveInt = 10
    options: Any = None

    def _check_settings(self) -> list[str]:
        problems = super()._check_settings()
        if self.method != "smote" and not self._bases_are_random():
            problems.append(
                f"base_selection to be 'random', for method={self.method!r} chooses the bases by itself, but got "
                f"{self.base_selection!r}"
            )
        theirs = SAMPLERS[self.method]
        known = sorted(theirs().get_params(deep=False).keys() - _OURS)
        if not (self.options is None or (isinstance(self.options, dict) and self.options.keys() <= set(known))):
            problems.append(
                f"options to be None or a dict with keys among {known} for method={self.method!r}, but got "
                f"{self.options!r}"
            )
            return problems
        try:
            theirs(**(self.options or {}))._validate_params()
        except InvalidParameterError as error:
            problems.append(f"options to be parameters of {theirs.__name__}, but got {self.options!r}: {error}"[:-1])
        return problems

    def _rows_needed(self) -> int:
        return self.k_neighbors + 1

    def _sample(self, label: int, n: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
        # All at once: a search for neighbours every thousand samples would cost more than the samples.
        inputs = self.format_.network_input(self.tensors_["inputs"].cpu())
        weights = self.tensors_["sample_weight"].cpu().numpy() if "sample_weight" in self.tensors_ else None
        X = inputs.flatten(1).numpy()
        seed = class_seed(seed, label)
        bases = None
        if not self._bases_are_random():
            generator = torch.Generator(self.device_).manual_seed(seed)
            bases = self._parent_rows(label).draw(max(n, 1), 1, generator).squeeze(1).cpu().numpy()
        found, problem = mixtures(
            X,
            self.tensors_["labels"].cpu().numpy(),
            label,
            max(n, 1),
            method=self.method if n > 0 else "smote",  # one, for its type
            k_neighbors=self.k_neighbors,
            m_neighbors=self.m_neighbors,
            options=self.options,
            row_weights=weights,
            bases=bases,
            seed=seed,
        )
        if problem is not None:
            name = self.classes_.tolist()[label]
            warnings.warn(
                f"{SAMPLERS[self.method].__name__} finds nothing to go by in class {name!r}, so SMOTE takes its place "
                f"there: {problem}",
                UserWarning,
                stacklevel=3,
            )
        samples = []
        for start in range(0, max(n, 1), step := max(1, BLOCK_ELEMENTS // X.shape[1])):
            mixed = found[start : min(start + step, n)].of(X)
            outputs = torch.from_numpy(mixed).unflatten(1, self.format_.shape)
            samples.append(self._in_rows(outputs.clamp(0, 1) if self.format_.kind == "images" else outputs, label))
        return joined(samples), found.rows[:n], found.weights[:n]
