"""What only a CUDA GPU needs: the operations on CuPy, their kernels and how they are launched."""
