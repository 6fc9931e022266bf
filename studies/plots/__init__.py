"""Pictures of the studies, in the style of `lenet_xp.plots`."""
