// All gradients of a stage in one launch. The first `input_blocks` blocks compute dx, the others sum
// the gradients of weights and biases. Neither waits for the other; the longer ones begin.
//
// dz (OUT_CHANNELS, ROWS * POOL, COLS * POOL, N), the gradient before the activation, see pool.cu.
// x is the stage's input.
// block (LANES, SLICES)

#include "common.cu"
#include "pool.cu"
#include "stage.cu"

#define SIDE 2  // a thread computes dx of SIDE x SIDE pixels
#define NEAR_H ((SIDE + KERNEL_H - 2) / STRIDE + 1)  // rows of outputs that any of them feeds
#define NEAR_W ((SIDE + KERNEL_W - 2) / STRIDE + 1)

// dz at output (h, w) of channel o
__device__ __forceinline__ REAL at(const REAL* dz, int o, int h, int w, int n, int count)
{
    return dz[((o * ROWS * POOL + h) * COLS * POOL + w) * count + n];
}

// Sum the gradients for TILE output channels and one input channel over some windows and images. The
// sums stay in registers: TILE * KERNEL for weights, TILE for biases. Which windows and images a warp
// sums depends on the sizes alone, so the sums are the same in every run and on every card.
// partial (chunks, OUT_CHANNELS * CHANNELS * KERNEL + OUT_CHANNELS): weights, then biases
__device__ __forceinline__ void weight_gradient(
    int block, const REAL* dz, const REAL* x, REAL* partial, int chunks, int count)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    const int chunk = block % chunks, c = block / chunks % CHANNELS;
    const int first = block / chunks / CHANNELS * TILE;

    REAL sums[TILE * KERNEL + TILE];
#pragma unroll
    for (int k = 0; k < TILE * KERNEL + TILE; k++) sums[k] = 0;
    const int units = ROWS * COLS * IMAGE_GROUPS;
    for (int unit = chunk * SLICES + slice; unit < units; unit += chunks * SLICES) {
        const int window = unit % (ROWS * COLS), n = unit / (ROWS * COLS) * LANES + lane;
        const int row = window / COLS, col = window % COLS;
        REAL patch[PATCH_H * PATCH_W];
        load_patch(patch, x, c, row, col, n, count);
#pragma unroll
        for (int t = 0; t < TILE; t++)
#pragma unroll
            for (int a = 0; a < POOL; a++)
#pragma unroll
                for (int b = 0; b < POOL; b++) {
                    const bool there = n < count && first + t < OUT_CHANNELS;
                    const REAL g = there ? at(dz, first + t, row * POOL + a, col * POOL + b, n, count)
                                         : (REAL)0;
                    sums[TILE * KERNEL + t] += g;
#pragma unroll
                    for (int i = 0; i < KERNEL_H; i++)
#pragma unroll
                        for (int j = 0; j < KERNEL_W; j++)
                            sums[t * KERNEL + i * KERNEL_W + j] +=
                                g * patch[(a * STRIDE + i) * PATCH_W + b * STRIDE + j];
                }
    }

    SHARED(REAL, total, (TILE * KERNEL + TILE) * (LANES + 1));  // + 1 avoids bank conflicts
    for (int s = 0; s < SLICES; s++) {
        if (slice == s)
#pragma unroll
            for (int k = 0; k < TILE * KERNEL + TILE; k++) {
                REAL* const so_far = total + k * (LANES + 1) + lane;
                *so_far = s ? *so_far + sums[k] : sums[k];
            }
        __syncthreads();
    }
    REAL* out = partial + chunk * (OUT_CHANNELS * CHANNELS * KERNEL + OUT_CHANNELS);
    for (int k = slice * LANES + lane; k < TILE * KERNEL + TILE; k += LANES * SLICES) {
        REAL sum = 0;
        for (int l = 0; l < LANES; l++) sum += total[k * (LANES + 1) + l];
        const bool is_bias = k >= TILE * KERNEL;
        const int o = first + (is_bias ? k - TILE * KERNEL : k / KERNEL);
        if (o >= OUT_CHANNELS) continue;
        if (!is_bias) out[(o * CHANNELS + c) * KERNEL + k % KERNEL] = sum;
        else if (c == 0) out[OUT_CHANNELS * CHANNELS * KERNEL + o] = sum;
    }
}

// dx of SIDE x SIDE pixels of one image in TILE channels: the sum, over all outputs that a pixel
// feeds, of the output's gradient times the weight between them. The warps divide the output channels
// among them.
__device__ __forceinline__ void input_gradient(
    int block, const REAL* dz, const REAL* weight, REAL* dx, Below below, int count)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    const int across = (WIDTH + SIDE - 1) / SIDE, squares = (HEIGHT + SIDE - 1) / SIDE * across;
    const int tiles = (CHANNELS + TILE - 1) / TILE;
    const int h0 = block % squares / across * SIDE, w0 = block % squares % across * SIDE;
    const int first = block / squares % tiles * TILE;
    const int n = block / squares / tiles * LANES + lane;

    SHARED(REAL, kernels, OUT_CHANNELS * TILE * KERNEL);
    for (int k = slice * LANES + lane; k < OUT_CHANNELS * TILE * KERNEL; k += LANES * SLICES) {
        const int o = k / (TILE * KERNEL), c = first + k / KERNEL % TILE;
        kernels[k] = c < CHANNELS ? weight[(o * CHANNELS + c) * KERNEL + k % KERNEL] : 0;
    }
    __syncthreads();

    // The first output whose kernel reaches the square, and the square's offset in that kernel. With
    // stride 1 it may lie before all outputs, but then the offset is a constant, and the loop below
    // becomes plain products.
    const int high = h0 + PADDING - KERNEL_H + 1, wide = w0 + PADDING - KERNEL_W + 1;
    const int top = STRIDE == 1 ? high : high > 0 ? (high + STRIDE - 1) / STRIDE : 0;
    const int left = STRIDE == 1 ? wide : wide > 0 ? (wide + STRIDE - 1) / STRIDE : 0;
    const int down = STRIDE == 1 ? KERNEL_H - 1 : h0 + PADDING - top * STRIDE;
    const int right = STRIDE == 1 ? KERNEL_W - 1 : w0 + PADDING - left * STRIDE;

    REAL sums[TILE * SIDE * SIDE];
#pragma unroll
    for (int k = 0; k < TILE * SIDE * SIDE; k++) sums[k] = 0;
    for (int o = slice; o < OUT_CHANNELS; o += SLICES) {
        REAL near[NEAR_H * NEAR_W];
#pragma unroll
        for (int i = 0; i < NEAR_H; i++)
#pragma unroll
            for (int j = 0; j < NEAR_W; j++) {
                const int h = top + i, w = left + j;
                const bool there =
                    h >= 0 && h < ROWS * POOL && w >= 0 && w < COLS * POOL && n < count;
                near[i * NEAR_W + j] = there ? at(dz, o, h, w, n, count) : (REAL)0;
            }
#pragma unroll
        for (int t = 0; t < TILE; t++)
#pragma unroll
            for (int i = 0; i < NEAR_H; i++)
#pragma unroll
                for (int j = 0; j < NEAR_W; j++)
#pragma unroll
                    for (int a = 0; a < SIDE; a++)
#pragma unroll
                        for (int b = 0; b < SIDE; b++) {
                            const int p = down + a - i * STRIDE, q = right + b - j * STRIDE;
                            if (p >= 0 && p < KERNEL_H && q >= 0 && q < KERNEL_W)
                                sums[(t * SIDE + a) * SIDE + b] +=
                                    near[i * NEAR_W + j] *
                                    kernels[(o * TILE + t) * KERNEL + p * KERNEL_W + q];
                        }
    }

    SHARED(REAL, parts, SLICES * TILE * SIDE * SIDE * LANES);
#pragma unroll
    for (int k = 0; k < TILE * SIDE * SIDE; k++)
        parts[(slice * TILE * SIDE * SIDE + k) * LANES + lane] = sums[k];
    __syncthreads();
    if (n >= count) return;
    for (int k = slice; k < TILE * SIDE * SIDE; k += SLICES) {
        const int c = first + k / (SIDE * SIDE);
        const int h = h0 + k / SIDE % SIDE, w = w0 + k % SIDE;
        if (c >= CHANNELS || h >= HEIGHT || w >= WIDTH) continue;
        REAL sum = 0;
        for (int s = 0; s < SLICES; s++)
            sum += parts[(s * TILE * SIDE * SIDE + k) * LANES + lane];
        const int entry = (c * HEIGHT + h) * WIDTH + w;
        dx[entry * count + n] = sum;
        if (below.dz) spread(sum, below, entry, n, count);
    }
}

extern "C" __global__ void stage_backward(
    const REAL* __restrict__ dz, const REAL* __restrict__ x, const REAL* __restrict__ weight,
    REAL* __restrict__ partial, REAL* __restrict__ dx, int input_blocks, int chunks, int count)
{
    const int block = blockIdx.x;
    if (block >= input_blocks) weight_gradient(block - input_blocks, dz, x, partial, chunks, count);
    else input_gradient(block, dz, weight, dx, Below{0, 0, 0}, count);
}

// The same, and the work of `stage_gradient` for the stage that computed x.
extern "C" __global__ void stage_backward_below(
    const REAL* __restrict__ dz, const REAL* __restrict__ x, const REAL* __restrict__ weight,
    REAL* __restrict__ partial, REAL* __restrict__ dx, int input_blocks, int chunks, int count,
    const REAL* __restrict__ below_dy, const REAL* __restrict__ activated,
    const REAL* __restrict__ y, REAL* __restrict__ below_dz, int below_size, int below_count)
{
    const int block = blockIdx.x;
    if (block >= input_blocks) weight_gradient(block - input_blocks, dz, x, partial, chunks, count);
    else input_gradient(block, dz, weight, dx, Below{activated, y, below_dz}, count);
}
