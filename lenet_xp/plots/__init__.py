"""Pictures of a run: each function `name(data..., path)` draws one and writes it as a PNG file.

A file is written whole or not at all; InputError is raised if it cannot be written.
Importing this package loads matplotlib (about half a second), so import it where you plot.
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
