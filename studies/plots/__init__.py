"""Pictures of the studies, drawn as those of `lenet_xp.plots`."""
