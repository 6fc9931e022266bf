"""The search for a recipe, on writers that do not test it."""
