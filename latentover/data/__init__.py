"""Named data sets, folders of images and tables; imbalance profiles; splits.

:func:`load_splits` reads what a :class:`DataConfig` describes. Importing this package imports numpy and nothing
heavier; pandas, Pillow, scikit-learn and torchvision are imported when data that needs them is read.
"""

from latentover.data.imbalance import Imbalance, long_tailed_counts, step_counts, subsample
from latentover.data.named import ListedSet, data_root, list_named
from latentover.data.splits import DataConfig, Splits, load_splits, stratified_split

__all__ = [
    "DataConfig",
    "Imbalance",
    "ListedSet",
    "Splits",
    "data_root",
    "list_named",
    "load_splits",
    "long_tailed_counts",
    "step_counts",
    "stratified_split",
    "subsample",
]
