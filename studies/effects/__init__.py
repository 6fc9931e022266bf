"""Generated letters: what the distortion does to them, and how they compare with real ones."""
