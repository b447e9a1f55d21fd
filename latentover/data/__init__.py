"""Named data sets, folders of images and tables; imbalance profiles; splits.

:func:`load_splits` reads what a :class:`DataConfig` describes. Importing this package imports numpy and nothing
heavier; pandas, Pillow, scikit-learn and torchvision are imported when data that needs them is read, and torch when
one of the classes for PyTorch's loaders is used.
"""

import lazy_loader

from latentover.data.diagnosis import Diagnosis, diagnose
from latentover.data.folders import FolderDescription, describe_folder
from latentover.data.imbalance import Imbalance, long_tailed_counts, step_counts, subsample
from latentover.data.named import ListedSet, data_root, list_named
from latentover.data.splits import DataConfig, Splits, load_splits, stratified_split
from latentover.data.tables import TableOptions

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "torch_datasets": ["ClassBalancedBatchSampler", "OversampledDataset", "balanced_loader", "dataset_labels"]
    },
)

__all__ = [
    "ClassBalancedBatchSampler",
    "DataConfig",
    "Diagnosis",
    "FolderDescription",
    "Imbalance",
    "ListedSet",
    "OversampledDataset",
    "Splits",
    "TableOptions",
    "balanced_loader",
    "data_root",
    "dataset_labels",
    "describe_folder",
    "diagnose",
    "list_named",
    "load_splits",
    "long_tailed_counts",
    "step_counts",
    "stratified_split",
    "subsample",
]
