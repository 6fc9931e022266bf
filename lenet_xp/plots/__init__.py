"""Pictures of a run, each drawn by one call `name(data..., path)` and written as a PNG file.

Importing this package loads matplotlib (about half a second): import it where you plot.
"""

from lenet_xp.plots.confusion import confusion_matrix
from lenet_xp.plots.curves import learning_curves
from lenet_xp.plots.letters import letter_sheet, misclassified
from lenet_xp.plots.network import feature_maps, filters
from lenet_xp.plots.scores import confused_pairs, per_class_scores
from lenet_xp.plots.trust import per_group, rejection, reliability

__all__ = [
    "confused_pairs",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "learning_curves",
    "letter_sheet",
    "misclassified",
    "per_class_scores",
    "per_group",
    "rejection",
    "reliability",
]
