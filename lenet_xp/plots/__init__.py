"""Pictures of a run: each function takes data, draws, and returns a matplotlib `Figure`.

A notebook shows the figure at the end of a cell. `save(figure, path)` writes a PNG file, whole or
not at all; `figure.savefig(path)` any other. What is one diagram can be drawn into your own `ax`.
Importing this package loads matplotlib (about half a second), so import it where you plot.
"""

# An alias of the same name marks what is exported.
from lenet_xp.plots.canvas import save as save
from lenet_xp.plots.confusion import confusion_matrix as confusion_matrix
from lenet_xp.plots.curves import learning_curves as learning_curves
from lenet_xp.plots.letters import letter_sheet as letter_sheet
from lenet_xp.plots.letters import misclassified as misclassified
from lenet_xp.plots.network import feature_maps as feature_maps
from lenet_xp.plots.network import filters as filters
from lenet_xp.plots.network import saliency as saliency
from lenet_xp.plots.scores import confused_pairs as confused_pairs
from lenet_xp.plots.scores import per_class_scores as per_class_scores
from lenet_xp.plots.trust import per_group as per_group
from lenet_xp.plots.trust import rejection as rejection
from lenet_xp.plots.trust import reliability as reliability
