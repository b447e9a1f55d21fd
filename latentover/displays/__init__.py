"""Pictures as scikit-learn has them: displays, made ``from_estimator``, ``from_predictions`` or ``from_runs``.

Each keeps its numbers, draws them with ``plot(ax=...)`` and has what it drew as attributes: ``ax_``, ``figure_``, and
the artists. The report draws by the same. matplotlib is imported when the first one is drawn.
"""

from latentover.displays.columns import ColumnQualityDisplay
from latentover.displays.curves import HistoryDisplay
from latentover.displays.latents import LatentMapDisplay
from latentover.displays.ranks import CriticalDifferenceDisplay
from latentover.displays.recall import RecallByClassDisplay
from latentover.displays.reliability import ReliabilityDisplay
from latentover.displays.samples import SampleGridDisplay

__all__ = [
    "ColumnQualityDisplay",
    "CriticalDifferenceDisplay",
    "HistoryDisplay",
    "LatentMapDisplay",
    "RecallByClassDisplay",
    "ReliabilityDisplay",
    "SampleGridDisplay",
]
