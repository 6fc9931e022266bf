"""From a recipe and a data set to trained weights and their record."""
