"""From a recipe and a data set to trained weights and their record.

plan and recipes say what to do; batches and step are one training step; trainer and loop repeat it;
checkpoints, record and run are what reaches the disk.
"""

from lenet_xp.training.loop import EpochProgress, FitResult, TrainingDiverged, fit
from lenet_xp.training.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "EpochProgress", "FitResult", "Recipe", "TrainingDiverged", "fit"]
