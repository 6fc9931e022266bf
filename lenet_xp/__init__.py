"""LeNet-5 from scratch, on NumPy or CuPy, reading handwritten Tifinagh."""

__version__ = "0.1.0"
