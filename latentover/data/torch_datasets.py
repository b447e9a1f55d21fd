"""For one's own PyTorch loop: class-balanced batches of any map-style data set, and new samples made while it runs.

Labels are read where the data set keeps them; no image is decoded for that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from imblearn.utils import check_sampling_strategy
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    Subset,
    TensorDataset,
    get_worker_info,
)

from latentover.data.source import check_labels

_LABEL_ATTRIBUTES = ("targets", "labels")


def dataset_labels(dataset: Any, labels: ArrayLike | None = None) -> NDArray:
    """Return the label of every item without looking at the items; a ``target_transform`` is followed.

    Parameters
    ----------
    dataset : map-style torch Dataset
        A `TensorDataset` (its last tensor), a data set with ``targets`` or ``labels`` (those of torchvision,
        `ImageFolder`), or a `Subset` or `ConcatDataset` of such, however deep.
    labels : array-like of shape (n,), optional
        The labels, for a data set of another kind.

    Returns
    -------
    ndarray of shape (n,)
        A copy: loaders with workers move the memory of tensors.

    Raises
    ------
    TypeError
        If the data set is no map-style one.
    ValueError
        If it does not say its labels, there is not one for each item, or one is missing or no class.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import Subset, TensorDataset
    >>> dataset = TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 1, 2]))
    >>> dataset_labels(Subset(dataset, [3, 0])).tolist()
    [2, 0]
    """
    return check_labels(_labels_of(dataset, labels), "labels")


def _labels_of(dataset: Any, labels: ArrayLike | None = None) -> NDArray:
    """Return one label for each item, whether they are classes or not."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"Expected dataset to be a map-style torch Dataset, with a length, but got {type(dataset).__name__}; "
            "collect what it yields first."
        )
    found = _own_labels(dataset) if labels is None else _as_array(labels)
    if found is None:
        raise ValueError(
            f"Expected dataset to have targets or labels, but got {type(dataset).__name__} without; pass labels=, one "
            "for each item."
        )
    if found.shape != (len(dataset),):
        raise ValueError(
            f"Expected labels to be one for each of the {len(dataset)} items, but got shape {found.shape}; pass "
            "labels= in the order of the items."
        )
    return found


def _own_labels(dataset: Any) -> NDArray | None:
    if isinstance(dataset, Subset):
        return _labels_of(dataset.dataset)[np.asarray(dataset.indices, dtype=np.intp)]
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([_labels_of(part) for part in dataset.datasets])
    if isinstance(dataset, TensorDataset):
        return _as_array(dataset.tensors[-1])
    for name in _LABEL_ATTRIBUTES:
        if getattr(dataset, name, None) is not None:
            return _transformed(_as_array(getattr(dataset, name)), getattr(dataset, "target_transform", None))
    return None


def _as_array(data: Any) -> NDArray:
    """Return a copy as an array: memory of a tensor is freed when workers are given it, whoever still looks at it."""
    return np.array(data.cpu().numpy() if isinstance(data, torch.Tensor) else data)


def _transformed(labels: NDArray, transform: Callable[[Any], Any] | None) -> NDArray:
    """Return what a data set's ``target_transform`` makes of its labels (n,), as items have them."""
    if transform is None or labels.ndim != 1:
        return labels
    made = {}
    for label in dict.fromkeys(labels.tolist()):
        try:
            made[label] = _item(transform(label))
        except Exception as error:
            raise ValueError(
                f"Expected target_transform to take a label as the data set keeps it, {label!r}, but got "
                f"{type(error).__name__}: {error}; pass labels=, as items have them."
            ) from error
    return np.array([made[label] for label in labels.tolist()])


class ClassBalancedBatchSampler(Sampler[list[int]]):
    """A batch sampler: every batch has equally many items of each class, up to one.

    In a pass, which is one iteration, every class is drawn as often as the largest class has items: every item of the
    largest class comes once, and those of a smaller class equally often up to one, in ever new orders. A batch that is
    smaller than the number of classes holds each class at most once.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Of the data set's items; see `dataset_labels`.
    batch_size : int
        At least 1; the last batch of a pass may be smaller.
    random_state : int, default=0
        The same number gives the same batches, pass by pass.

    Attributes
    ----------
    epoch : int
        Of the next pass; rises by itself. Set it to repeat a pass or to go on after an interruption.

    Examples
    --------
    >>> from collections import Counter
    >>> labels = [0] * 6 + [1] * 2
    >>> batches = list(ClassBalancedBatchSampler(labels, batch_size=4))
    >>> [Counter(labels[row] for row in batch)[1] for batch in batches]
    [2, 2, 2]
    """

    def __init__(self, labels: ArrayLike, batch_size: int, *, random_state: int = 0) -> None:
        array = _as_array(labels)
        if array.ndim != 1 or len(array) == 0:
            raise ValueError(f"Expected labels to be of shape (n,) with n above 0, but got shape {array.shape}.")
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"Expected batch_size to be a whole number of at least 1, but got {batch_size!r}.")
        array = check_labels(array, "labels")
        order = np.argsort(array, kind="stable")
        starts = np.unique(array[order], return_index=True)[1]
        self._members = np.split(order, starts[1:])
        self._more = [range(0)] * len(self._members)
        self.batch_size, self.random_state, self.epoch = int(batch_size), _checked_seed(random_state), 0

    @property
    def _n_each(self) -> int:
        """How often each class is drawn in a pass."""
        return max(len(rows) + len(more) for rows, more in zip(self._members, self._more, strict=True))

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return -(-self._n_each * len(self._members) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row numbers of one batch after the other."""
        rng = np.random.default_rng([self.random_state, self.epoch])
        self.epoch += 1
        streams = [
            _interleaved(rows, more, child)
            for rows, more, child in zip(self._members, self._more, rng.spawn(len(self._members)), strict=True)
        ]
        # The classes take turns, always in the same order, so that any stretch of turns holds all equally up to one.
        turns = rng.permutation(len(streams))
        total = self._n_each * len(streams)
        for start in range(0, total, self.batch_size):
            end = min(start + self.batch_size, total)
            batch = [next(streams[turns[turn % len(turns)]]) for turn in range(start, end)]
            yield [batch[place] for place in rng.permutation(len(batch))]


def _interleaved(rows: NDArray[np.intp], more: range, rng: np.random.Generator) -> Iterator[int]:
    """Yield the rows in random order, mixed evenly with those of the range in their order; then anew, without end.

    As from an urn, but without a list of all that is in it: the memory is that of `rows` alone.
    """
    while True:
        order, following = rng.permutation(rows), iter(more)
        used, left = 0, len(rows) + len(more)
        while left:
            if rng.random() * left < len(rows) - used:
                yield int(order[used])
                used += 1
            else:
                yield next(following)
            left -= 1


def _checked_seed(random_state: Any) -> int:
    if not isinstance(random_state, int | np.integer) or isinstance(random_state, bool) or random_state < 0:
        raise ValueError(f"Expected random_state to be a whole number of at least 0, but got {random_state!r}.")
    return int(random_state)


class _LabelledItems(Dataset):
    """The items of a data set; one that is a pair (x, label) has to have the label that it is balanced by."""

    def __init__(self, dataset: Any, labels: NDArray) -> None:
        self.dataset, self.labels = dataset, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        many = getattr(self.dataset, "__getitems__", None)
        items = list(many(indices)) if many else [self.dataset[index] for index in indices]
        for index, item in zip(indices, items, strict=True):
            label = _item(item[1]) if isinstance(item, tuple | list) and len(item) == 2 else None
            if isinstance(label, int | float | str) and label != self.labels[index]:
                raise ValueError(
                    f"Expected items to have the labels that the data set says, {_item(self.labels[index])!r} for item "
                    f"{index}, but got {label!r}; pass those that items have as labels=."
                )
        return items


class OversampledDataset(Dataset):
    """A data set with synthetic items behind its own, made when they are asked for.

    Items 0..n-1 are those of `dataset`. The others, class after class, exist as numbers only: each stands for one new
    sample of its class, and what is asked for together, in a batch, is generated together. So the memory does not grow
    with their number.

    Parameters
    ----------
    dataset : map-style torch Dataset
        Whose items are pairs (x, label).
    generate : fitted sampler, or callable
        A sampler of latentover, or anything with ``sample(n, y=label, random_state=seed)``; or a function of (label,
        n, seed) that returns n samples of shape (n, ...).
    labels : array-like of shape (n,), optional
        Where `dataset_labels` does not find them.
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn: which classes are brought to how many items. ``"auto"`` brings every class to the size
        of the largest; a dict gives final totals.
    transform : callable, optional
        From one generated sample to what `dataset` has in its place; by default a tensor is made of it. Shape and type
        have to be those of the data set's own tensors.
    on_the_fly : bool, default=True
        False generates all items once, now, and keeps them: they then stay the same in all epochs.
    random_state : int, default=0
        The same number, epoch and batch give the same items, however many workers load them.

    Attributes
    ----------
    n_synthetic : dict of label to int
    epoch : int
        Other numbers give other synthetic items; see `set_epoch`.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> dataset = TensorDataset(torch.zeros(5, 3), torch.tensor([0, 0, 0, 0, 1]))
    >>> oversampled = OversampledDataset(dataset, lambda label, n, seed: torch.full((n, 3), float(label)))
    >>> len(oversampled), oversampled.n_synthetic, oversampled[7]
    (8, {1: 3}, (tensor([1., 1., 1.]), tensor(1)))
    """

    def __init__(
        self,
        dataset: Any,
        generate: Any,
        *,
        labels: ArrayLike | None = None,
        sampling_strategy: Any = "auto",
        transform: Callable[[Any], Any] | None = None,
        on_the_fly: bool = True,
        random_state: int = 0,
    ) -> None:
        own = dataset_labels(dataset, labels)
        if not hasattr(generate, "sample") and not callable(generate):
            raise TypeError(
                f"Expected generate to be a fitted sampler or a function of (label, n, seed), but got {generate!r}."
            )
        self.dataset, self.generate, self.transform = dataset, generate, transform
        self.random_state, self._own_labels = _checked_seed(random_state), own
        self._own_items = _LabelledItems(dataset, own)
        wanted = check_sampling_strategy(sampling_strategy, own, "over-sampling")
        self.n_synthetic = {_item(label): int(n) for label, n in wanted.items() if n > 0}
        self._check_classes()
        self._ends = len(own) + np.cumsum(list(self.n_synthetic.values()), dtype=np.int64)
        self._own_label: Any = None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # so that workers that live on see it change
        self._kept = None if on_the_fly else self._generate_all()

    def _check_classes(self) -> None:
        known = getattr(self.generate, "classes_", None)
        if known is not None and not self.n_synthetic.keys() <= set(known.tolist()):
            raise ValueError(
                f"Expected generate to have seen the classes {list(self.n_synthetic)}, but got a sampler of "
                f"{known.tolist()}; fit it with the labels of the data set."
            )

    def _synthetic_rows(self) -> dict[Any, range]:
        """Return the row numbers of each class's synthetic items."""
        ends = dict(zip(self.n_synthetic, self._ends.tolist(), strict=True))
        return {label: range(ends[label] - n, ends[label]) for label, n in self.n_synthetic.items()}

    @property
    def epoch(self) -> int:
        """The epoch that synthetic items are made for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Make other synthetic items from now on, also in workers that are running."""
        self._epoch.fill_(epoch)

    @property
    def targets(self) -> NDArray:
        """Labels (n + n_synthetic,) of all items."""
        new = [np.full(n, label, dtype=self._own_labels.dtype) for label, n in self.n_synthetic.items()]
        return np.concatenate([self._own_labels, *new])

    def __len__(self) -> int:
        """Return the number of items, real and synthetic."""
        return len(self._own_labels) + sum(self.n_synthetic.values())

    def __getitem__(self, index: int) -> Any:
        """Return one item; a synthetic one is a pair (x, label)."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the items of a batch, as PyTorch's loaders ask for them."""
        rows = [self._checked_index(index) for index in indices]
        n = len(self._own_labels)
        new = np.array([row for row in rows if row >= n], dtype=np.int64)
        synthetic = iter(self._synthetic(new))
        own = [row for row in rows if row < n]
        real = iter(self._own_items.__getitems__(own) if own else ())
        return [next(real if row < n else synthetic) for row in rows]

    def _checked_index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, but got {index}.")
        return int(index) % len(self)

    def _synthetic(self, rows: NDArray[np.int64]) -> list[Any]:
        """Return synthetic items by their row numbers, those of one class made together."""
        items: list[Any] = [None] * len(rows)
        classes = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(classes):
            places = np.flatnonzero(classes == number)
            label = list(self.n_synthetic)[number]
            if self._kept is None:
                seed = np.random.SeedSequence([self.random_state, self.epoch, *rows[places].tolist()])
                samples = self._samples(label, len(places), int(seed.generate_state(1)[0]) // 2)
            else:
                samples = self._kept[label][rows[places] - self._synthetic_rows()[label].start]
            for place, sample in zip(places, samples, strict=True):
                items[place] = self._item_like_own(sample, label)
        return items

    def _generate_all(self) -> dict[Any, Any]:
        seeds = np.random.SeedSequence([self.random_state]).generate_state(len(self.n_synthetic)) // 2
        return {
            label: _as_array(self._samples(label, n, int(seed)))
            for (label, n), seed in zip(self.n_synthetic.items(), seeds, strict=True)
        }

    def _samples(self, label: Any, n: int, seed: int) -> Any:
        if not hasattr(self.generate, "sample"):
            return self.generate(label, n, seed)
        if get_worker_info() is not None and getattr(self.generate, "device_", torch.device("cpu")).type != "cpu":
            raise RuntimeError(
                "Expected a sampler on the CPU where workers load the data, but got one on "
                f"{self.generate.device_}; pass num_workers=0, or a copy of it that latentover.load opened."
            )
        return np.asarray(self.generate.sample(n, y=label, random_state=seed))

    def _item_like_own(self, sample: Any, label: Any) -> tuple[Any, Any]:
        x = torch.as_tensor(sample) if self.transform is None else self.transform(sample)
        if self._own_label is None:  # once, and not before an item is needed, for it costs the decoding of one
            self._own_label = self._checked_own_item(x)[1]
        if isinstance(self._own_label, torch.Tensor):  # or collating them with real ones would fail
            return x, torch.tensor(label, dtype=self._own_label.dtype)
        return x, label

    def _checked_own_item(self, x: Any) -> Any:
        """Return the first item of the data set; raise ValueError unless a synthetic `x` can stand beside it."""
        own = self._own_items[0]
        if not isinstance(own, tuple | list) or len(own) != 2 or np.ndim(own[1]) != 0:
            raise ValueError(
                f"Expected items of the data set to be pairs (x, label) with one label each, but got {_kind(own)}; "
                "wrap it in one that gives pairs."
            )
        if _kind(own[0]) != _kind(x):
            raise ValueError(
                f"Expected synthetic samples to be like those of the data set, {_kind(own[0])}, but got {_kind(x)}; "
                "pass transform= that turns one into the other."
            )
        return own


def _kind(x: Any) -> str:
    if isinstance(x, tuple | list):
        return f"{type(x).__name__} of {', '.join(map(_kind, x))}"
    return f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__


def balanced_loader(
    dataset: Any,
    batch_size: int = 64,
    *,
    generate: Any = None,
    labels: ArrayLike | None = None,
    transform: Callable[[Any], Any] | None = None,
    random_state: int = 0,
    **options: Any,
) -> DataLoader:
    """Return a loader whose batches hold all classes equally often, up to one.

    Without `generate` the items of small classes are repeated, each equally often up to one in a pass. With it each
    comes once in a pass, and the rest of its class's places is filled with synthetic samples, new ones in every pass.

    Parameters
    ----------
    dataset : map-style torch Dataset
    batch_size : int, default=64
    generate, labels, transform
        See `OversampledDataset`.
    random_state : int, default=0
        The same number gives the same batches, pass by pass, with any number of workers.
    **options
        Of `torch.utils.data.DataLoader`: ``num_workers``, ``pin_memory``, ``collate_fn``, ...

    Returns
    -------
    DataLoader
        Its ``batch_sampler`` is a `ClassBalancedBatchSampler`, and so its length is exact. An item whose label is
        not the one that `dataset_labels` found for it is a ValueError when it is loaded.

    Raises
    ------
    TypeError, ValueError
        See `dataset_labels`, `OversampledDataset` and `ClassBalancedBatchSampler`.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> dataset = TensorDataset(torch.randn(100, 3), torch.arange(100).clamp(max=9))
    >>> x, y = next(iter(balanced_loader(dataset, batch_size=20)))
    >>> x.shape, y.bincount().tolist()
    (torch.Size([20, 3]), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    if generate is None:
        own = dataset_labels(dataset, labels)
        batches = ClassBalancedBatchSampler(own, batch_size, random_state=random_state)
        if labels is None:  # those that are given may be other ones than the items'
            dataset = _LabelledItems(dataset, own)
        return DataLoader(dataset, batch_sampler=batches, **options)
    oversampled = OversampledDataset(dataset, generate, labels=labels, transform=transform, random_state=random_state)
    return DataLoader(oversampled, batch_sampler=_OversampledBatches(oversampled, batch_size), **options)


class _OversampledBatches(ClassBalancedBatchSampler):
    """Balanced batches of an `OversampledDataset`: every item once in a pass, real and synthetic ones mixed."""

    def __init__(self, dataset: OversampledDataset, batch_size: int) -> None:
        super().__init__(dataset._own_labels, batch_size, random_state=dataset.random_state)
        self._dataset = dataset
        new = dataset._synthetic_rows()
        self._more = [new.get(_item(label), range(0)) for label in np.unique(dataset._own_labels)]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield batches; the synthetic items are those of this pass."""
        self._dataset.set_epoch(self.epoch)
        yield from super().__iter__()


def _item(label: Any) -> Any:
    """Return a label that NumPy or torch holds as the Python value that it is, and anything else as it is."""
    return label.item() if isinstance(label, np.generic | np.ndarray | torch.Tensor) and label.ndim == 0 else label
