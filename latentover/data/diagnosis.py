"""What an imbalance allows: before hours are spent on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from latentover.data.source import check_labels
from latentover.notebook import heading, items, note, page, table

STEPS = "What usually helps, in this order:"
EVIDENCE = "What helps on a table of yours, by its own cross-validation: latentover data advise FILE --target NAME"
IMAGE_EVIDENCE = "What helps on images of yours: latentover benchmark configs/photos --data.source FOLDER"
SIZES = ("class", "samples", "share", "1 : ratio", "to add")
SHOWN = 40
"""Classes in a notebook."""
FOLDS = 5
"""Of the cross-validation that is looked at."""
SMOTE_NEIGHBORS = 5
"""What SMOTE looks for by default; it needs one sample more in every class that it adds to."""
FEW = 30
"""With fewer test samples the recall of a class is known to no better than about 0.1 (one standard error)."""
FEW_IMAGES = 2000
"""Up to so many images, of all classes, are few to train a network on."""
ENOUGH_IMAGES = 100
"""With fewer of a class a network that begins with nothing mostly remembers them."""
BALANCED = 1.5
"""Below this ratio classes count as nearly balanced."""


@dataclass(frozen=True)
class Diagnosis:
    """The class sizes of a data set and what they allow; `print` shows it as a table.

    Attributes
    ----------
    classes : list
        Labels, largest class first.
    counts : list of int
        Samples of each.
    ratio : float
        Size of the largest class over that of the smallest.
    n_new : int
        New samples that bring every class to the size of the largest.
    max_neighbors : int
        Neighbours within its class that every sample has: the smallest size less one.
    max_folds : int
        Folds of a stratified cross-validation that all hold every class; 0 or 1 is none.
    smallest_in_fold : int
        Samples that the smallest class keeps in the training part of a stratified cross-validation with `FOLDS` folds.
    notes : list of str
        What follows from it.
    steps : list of str
        What usually helps, the simplest and most effective first; none where the classes are nearly balanced.
    images : bool
        Whether they are classes of images.
    """

    classes: list[Any]
    counts: list[int]
    ratio: float
    n_new: int
    max_neighbors: int
    max_folds: int
    smallest_in_fold: int
    notes: list[str]
    steps: list[str]
    images: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self.steps_text(), self.sizes_text()]))

    def steps_text(self) -> str:
        """Return what usually helps, numbered; empty where nothing is needed."""
        if not self.steps:
            return ""
        lines = [f"{number}. {step}" for number, step in enumerate(self.steps, start=1)]
        return "\n".join([STEPS, *lines, self._evidence()])

    def _evidence(self) -> str:
        """Return by which command one sees what helps."""
        return IMAGE_EVIDENCE if self.images else EVIDENCE

    def sizes_text(self) -> str:
        """Return the class sizes as a table, and what they allow."""
        width = max(len(str(label)) for label in ["class", *self.classes])
        lines = [
            f"{label:<{width}}  {samples:>9}  {share:>7}  {ratio:>9}  {new:>9}"
            for label, samples, share, ratio, new in [SIZES, *self._sizes()]
        ]
        return "\n".join([*lines, "", self._sentence(), *(f"- {note}" for note in self.notes)])

    def _sizes(self) -> list[tuple[str, ...]]:
        total, largest = sum(self.counts), self.counts[0]
        return [
            (str(label), f"{count:,}", f"{count / total:.2%}", f"{largest / count:.1f}", f"{largest - count:,}")
            for label, count in zip(self.classes, self.counts, strict=True)
        ]

    def _sentence(self) -> str:
        return (
            f"{sum(self.counts):,} samples, {len(self.classes)} classes, imbalance ratio {self.ratio:.1f}; "
            f"{self.n_new:,} new samples balance them."
        )

    def _repr_html_(self) -> str:
        steps = [heading(STEPS), items(self.steps, numbered=True), note(self._evidence())] if self.steps else []
        return page(*steps, *self._sizes_html())

    def _sizes_html(self) -> list[str]:
        """Return the class sizes and what they allow, as parts of a page."""
        sizes = self._sizes()
        return [table(SIZES, sizes[:SHOWN], more=len(sizes) - SHOWN), note(self._sentence()), items(self.notes)]


def diagnose(y: ArrayLike, *, images: bool = False) -> Diagnosis:
    """Say what usually helps, how imbalanced labels are, and what is feasible with so few samples.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels: integers, booleans or text; or a named pandas column of them.
    images : bool, default=False
        Whether they are labels of images, for which other advice holds where there are few.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        If there are no labels, some are missing, or they name no classes.

    Examples
    --------
    >>> found = diagnose(["ok"] * 1756 + ["fault"] * 111 + ["fire"] * 4)
    >>> print(found)
    What usually helps, in this order:
    1. Measure what matters: calling everything 'ok' is 93.9% accurate. Rank by average precision, ...
    2. Decide otherwise, by the same probabilities: tune the threshold ...
    3. Weigh the classes in training (class_weight="balanced").
    4. Resample last, ...
    What helps on a table of yours, by its own cross-validation: latentover data advise FILE --target NAME
    <BLANKLINE>
    class    samples    share  1 : ratio     to add
    ok         1,756   93.85%        1.0          0
    fault        111    5.93%       15.8      1,645
    fire           4    0.21%      439.0      1,752
    <BLANKLINE>
    1,871 samples, 3 classes, imbalance ratio 439.0; 3,397 new samples balance them.
    - 5-fold cross-validation leaves the smallest class out of some folds; it allows 4 folds.
    - SMOTE with its 5 neighbours needs 6 samples; class 'fire' has fewer, so fewer neighbours are used.
    - Fewer than 30 samples in class 'fire': its score is known roughly only; use more folds, repeats or seeds.
    >>> found.to_dict()["ratio"]
    439.0
    """
    labels = check_labels(_plain(y), "`y`")
    if len(labels) == 0:
        raise ValueError("Expected `y` to hold labels, but got none; pass one label a sample.")
    names, sizes = np.unique(labels, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    classes, counts = names[order].tolist(), sizes[order].tolist()
    smallest = counts[-1]
    return Diagnosis(
        classes=classes,
        counts=counts,
        ratio=counts[0] / smallest,
        n_new=counts[0] * len(counts) - sum(counts),
        max_neighbors=smallest - 1,
        max_folds=smallest,
        smallest_in_fold=_left_in_fold(smallest),
        notes=_notes(classes, counts) + (few_images(classes, counts) if images else []),
        steps=_steps(classes, counts, images=images),
        images=images,
    )


def few_images(classes: Sequence[Any], counts: Sequence[int]) -> list[str]:
    """Return what to do where there are few images of some class, in a sentence or two; nothing where there are enough.

    Parameters
    ----------
    classes : sequence of length C
    counts : sequence of int of length C
        Images of each class.

    Examples
    --------
    >>> few_images(["car", "truck"], [400, 36])[0][:81]
    "There are 36 images of class 'truck' and 436 in all, too few to learn a network f"
    """
    few = [(label, count) for label, count in zip(classes, counts, strict=True) if count < ENOUGH_IMAGES]
    if not few or sum(counts) > FEW_IMAGES:
        return []
    named = ", ".join(f"{count} of class {label!r}" for label, count in sorted(few, key=lambda each: each[1])[:5])
    if len(few) == 1:
        named = f"{few[0][1]} images of class {few[0][0]!r}"
    elif len(few) > 5:
        named = f"fewer than {ENOUGH_IMAGES} images of {len(few)} classes ({named} ...)"
    else:
        named = f"{named.replace(' of class', ' images of class', 1)}"
    return [
        f"There are {named} and {sum(counts)} in all, too few to learn a network from nothing: begin with one that "
        "has seen other images, encoder='resnet18' or another name (of a DeepClassifier its backbone) with "
        "encoder_weights='FILE' and, the fewer there are, freeze_encoder=True; and augment them, "
        "augment='flip_shift' or, where mirror images mean something else, augment='shift'."
    ]


def _plain(y: Any) -> Any:
    """Return pandas columns of types of its own (nullable, categories) as plain labels."""
    return np.asarray(y.tolist()) if hasattr(y, "tolist") and not isinstance(y, np.ndarray) else y


def _left_in_fold(n: int) -> int:
    return n - -(-n // FOLDS)


def _steps(classes: list[Any], counts: list[int], *, images: bool) -> list[str]:
    if len(classes) == 1 or counts[0] / counts[-1] < BALANCED:
        return []
    largest, total = counts[0] / sum(counts), sum(counts)
    named = f"a probability of {classes[-1]!r} above {counts[-1] / total:.2%} is enough" if len(classes) == 2 else ""
    return [
        f"Measure what matters: calling everything {classes[0]!r} is {largest:.1%} accurate. Rank by average "
        "precision, judge probabilities by the Brier score and calibrate them, judge decisions by balanced accuracy or "
        "costs.",
        "Decide otherwise, by the same probabilities: tune the threshold (TunedDecisionClassifier) or adjust by the "
        f"class shares (PriorAdjustedClassifier{': ' + named if named else ''}).",
        "Weigh the classes in training ("
        + ("DeepClassifier(loss='logit_adjusted')" if images else 'class_weight="balanced"')
        + ").",
        "Resample last, and only for what the steps before do not give; test at the natural ratio.",
    ]


def _notes(classes: list[Any], counts: list[int]) -> list[str]:
    if len(classes) == 1:
        return [f"There is 1 class, {classes[0]!r}: nothing can be learned or balanced."]
    smallest, notes = counts[-1], []

    def below(n: int) -> str:
        few = [repr(label) for label, count in zip(classes, counts, strict=True) if count < n]
        named = ", ".join(few[-5:])
        return f"class {named}" if len(few) == 1 else f"{len(few)} classes ({named})"

    if counts[0] / smallest < BALANCED:
        notes.append("The classes are nearly balanced: over-sampling has little to add.")
    if smallest == 1:
        notes.append(f"A single sample of {below(2)}: it cannot be both trained on and tested; collect more.")
    elif smallest < FOLDS:
        notes.append(
            f"{FOLDS}-fold cross-validation leaves the smallest class out of some folds; it allows {smallest} folds."
        )
    needed = SMOTE_NEIGHBORS + 1
    if smallest < needed:
        verb = "has" if sum(count < needed for count in counts) == 1 else "have"
        notes.append(
            f"SMOTE with its {SMOTE_NEIGHBORS} neighbours needs {needed} samples; {below(needed)} {verb} fewer, so "
            "fewer neighbours are used."
        )
    elif _left_in_fold(smallest) < needed:
        notes.append(
            f"In {FOLDS}-fold cross-validation the smallest class keeps {_left_in_fold(smallest)} samples for "
            f"training, fewer than the {needed} that SMOTE needs for {SMOTE_NEIGHBORS} neighbours."
        )
    if smallest < FEW:
        notes.append(
            f"Fewer than {FEW} samples in {below(FEW)}: its score is known roughly only; use more folds, repeats or "
            "seeds."
        )
    return notes
