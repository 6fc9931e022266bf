"""LeNet-5 from scratch, on NumPy or CuPy, reading handwritten Tifinagh."""

__version__ = "0.2.0"
