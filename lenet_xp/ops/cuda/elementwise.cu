// Activations that are not fused into another kernel.

#include "common.cu"

extern "C" __global__ void activation_forward(
    const REAL* __restrict__ x, REAL* __restrict__ y, int activation, long long size)
{
    const long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k < size) y[k] = activate(activation, x[k]);
}

extern "C" __global__ void activation_backward(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, REAL* __restrict__ dx, int activation,
    long long size)
{
    const long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k < size) dx[k] = dy[k] * slope(activation, y[k]);
}
