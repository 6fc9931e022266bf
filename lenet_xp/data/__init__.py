"""Data sources, their splits and writers, and the distortion of training images."""
