// c = a b + bias for matrices with any strides, in tiles of EDGE x EDGE. It serves layers that are
// not fused; a library must not be called while a graph is captured.
//
// a (rows, depth), b (depth, cols); strides in elements; bias (rows,) or null.
// grid (tiles of columns, tiles of rows), block (EDGE, EDGE)

#include "common.cu"

#define EDGE 16

extern "C" __global__ void matmul(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias,
    REAL* __restrict__ c, int rows, int cols, int depth, long long a_row, long long a_col,
    long long b_row, long long b_col, long long c_row, long long c_col)
{
    const int i = threadIdx.y, j = threadIdx.x;
    const int row = blockIdx.y * EDGE + i, col = blockIdx.x * EDGE + j;
    SHARED(REAL, left, EDGE * EDGE);
    SHARED(REAL, right, EDGE * EDGE);
    REAL sum = 0;
    for (int k = 0; k < depth; k += EDGE) {
        left[i * EDGE + j] = row < rows && k + j < depth ? a[row * a_row + (k + j) * a_col] : 0;
        right[i * EDGE + j] = k + i < depth && col < cols ? b[(k + i) * b_row + col * b_col] : 0;
        __syncthreads();
#pragma unroll
        for (int m = 0; m < EDGE; m++) sum += left[i * EDGE + m] * right[m * EDGE + j];
        __syncthreads();
    }
    if (row < rows && col < cols) c[row * c_row + col * c_col] = sum + (bias ? bias[row] : 0);
}
