// The gradient before a stage's activation, where the kernel that computed dy has not left it.
//
// dy and y (entries, N), entries = channels * rows * cols; activated and dz (channels, rows * POOL,
// cols * POOL, N). One thread for each number of dy.

#include "common.cu"
#include "pool.cu"

extern "C" __global__ void stage_gradient(
    const REAL* __restrict__ dy, const REAL* __restrict__ activated, const REAL* __restrict__ y,
    REAL* __restrict__ dz, int size, int count)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) spread(dy[k], Below{activated, y, dz}, k / count, k % count, count);
}
