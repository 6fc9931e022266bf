"""Data sources, preprocessing, augmentation, splits and the alphabet (NumPy and OpenCV only)."""
