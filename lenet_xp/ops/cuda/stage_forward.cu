// y = squash(average_pool(f(convolution(x)))) in one pass; f's outputs are kept for the backward pass.
//
// A thread computes one pooling window of one image in TILE output channels. It keeps the window's
// patch of an input channel in registers and uses each kernel entry POOL x POOL times on it. The warps
// of a block divide the input channels among them.
//
// x (CHANNELS, HEIGHT, WIDTH, N) -> y (OUT_CHANNELS, ROWS, COLS, N) and
// activated (OUT_CHANNELS, ROWS * POOL, COLS * POOL, N)
// grid (windows, tiles of output channels, groups of images), block (LANES, SLICES)

#include "common.cu"
#include "stage.cu"

extern "C" __global__ void stage_forward(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias,
    REAL* __restrict__ activated, REAL* __restrict__ y, int count)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    const int row = blockIdx.x / COLS, col = blockIdx.x % COLS;
    const int first = blockIdx.y * TILE, n = blockIdx.z * LANES + lane;

    SHARED(REAL, kernels, TILE * CHANNELS * KERNEL);
    for (int k = slice * LANES + lane; k < TILE * CHANNELS * KERNEL; k += LANES * SLICES) {
        const int at = first * CHANNELS * KERNEL + k;
        kernels[k] = at < OUT_CHANNELS * CHANNELS * KERNEL ? weight[at] : 0;
    }
    __syncthreads();

    REAL z[TILE * PHASES];
#pragma unroll
    for (int k = 0; k < TILE * PHASES; k++) z[k] = 0;
    for (int c = slice; c < CHANNELS; c += SLICES) {
        REAL patch[PATCH_H * PATCH_W];
        load_patch(patch, x, c, row, col, n, count);
#pragma unroll
        for (int t = 0; t < TILE; t++)
#pragma unroll
            for (int i = 0; i < KERNEL_H; i++)
#pragma unroll
                for (int j = 0; j < KERNEL_W; j++) {
                    const REAL w = kernels[(t * CHANNELS + c) * KERNEL + i * KERNEL_W + j];
#pragma unroll
                    for (int a = 0; a < POOL; a++)
#pragma unroll
                        for (int b = 0; b < POOL; b++)
                            z[t * PHASES + a * POOL + b] +=
                                w * patch[(a * STRIDE + i) * PATCH_W + b * STRIDE + j];
                }
    }

    SHARED(REAL, parts, SLICES * TILE * PHASES * LANES);
#pragma unroll
    for (int k = 0; k < TILE * PHASES; k++)
        parts[(slice * TILE * PHASES + k) * LANES + lane] = z[k];
    __syncthreads();
    if (n >= count) return;
    for (int t = slice; t < TILE && first + t < OUT_CHANNELS; t += SLICES) {
        REAL mean = 0;
#pragma unroll
        for (int a = 0; a < POOL; a++)
#pragma unroll
            for (int b = 0; b < POOL; b++) {
                const int k = t * PHASES + a * POOL + b;
                REAL sum = 0;
                for (int s = 0; s < SLICES; s++) sum += parts[(s * TILE * PHASES + k) * LANES + lane];
                const REAL f = activate(ACTIVATION, sum + bias[first + t]);
                const int h = row * POOL + a, w = col * POOL + b;
                activated[(((first + t) * ROWS * POOL + h) * COLS * POOL + w) * count + n] = f;
                mean += f;
            }
        y[(((first + t) * ROWS + row) * COLS + col) * count + n] =
            activate(SQUASH, mean * ((REAL)1 / PHASES));
    }
}
