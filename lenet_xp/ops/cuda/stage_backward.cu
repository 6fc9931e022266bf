// All gradients of a stage in one launch. The first `weight_blocks` blocks sum the gradients of
// weights and biases, the others compute dx. Neither waits for the other.
//
// dy and y (OUT_CHANNELS, ROWS, COLS, N); y and activated are the results of `stage_forward`, x its
// input. block (LANES, SLICES)

#define SIDE 2  // a thread computes dx of SIDE x SIDE pixels
#define NEAR_H ((SIDE + KERNEL_H - 2) / STRIDE + 1)  // rows of outputs that any of them feeds
#define NEAR_W ((SIDE + KERNEL_W - 2) / STRIDE + 1)

// The gradient at output (h, w) of the convolution, before the activation.
__device__ __forceinline__ REAL output_gradient(
    const REAL* dy, const REAL* y, const REAL* activated, int o, int h, int w, int n, int count)
{
    const int at = ((o * ROWS + h / POOL) * COLS + w / POOL) * count + n;
    const REAL share = SQUASH == IDENTITY ? dy[at] : dy[at] * slope(SQUASH, y[at]);
    const REAL f = activated[((o * ROWS * POOL + h) * COLS * POOL + w) * count + n];
    return share * ((REAL)1 / PHASES) * slope(ACTIVATION, f);
}

// Sum the gradients for TILE output channels and one input channel over some windows and images. The
// sums stay in registers: TILE * KERNEL for weights, TILE for biases. Which windows and images a warp
// sums depends on the sizes alone, so the sums are the same in every run and on every card.
// partial (chunks, OUT_CHANNELS * CHANNELS * KERNEL + OUT_CHANNELS): weights, then biases
__device__ __forceinline__ void weight_gradient(
    int block, const REAL* dy, const REAL* y, const REAL* activated, const REAL* x, REAL* partial,
    int chunks, int count)
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
                    const REAL dz = there ? output_gradient(dy, y, activated, first + t, row * POOL + a,
                                                            col * POOL + b, n, count)
                                          : (REAL)0;
                    sums[TILE * KERNEL + t] += dz;
#pragma unroll
                    for (int i = 0; i < KERNEL_H; i++)
#pragma unroll
                        for (int j = 0; j < KERNEL_W; j++)
                            sums[t * KERNEL + i * KERNEL_W + j] +=
                                dz * patch[(a * STRIDE + i) * PATCH_W + b * STRIDE + j];
                }
    }

    SHARED(REAL, total, (TILE * KERNEL + TILE) * (LANES + 1));  // + 1 avoids bank conflicts
    for (int s = 0; s < SLICES; s++) {
        if (slice == s)
#pragma unroll
            for (int k = 0; k < TILE * KERNEL + TILE; k++) {
                REAL* at = total + k * (LANES + 1) + lane;
                *at = s ? *at + sums[k] : sums[k];
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
    int block, const REAL* dy, const REAL* y, const REAL* activated, const REAL* weight, REAL* dx,
    int count)
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

    // The first output whose kernel reaches the square, and the square's offset in that kernel
    const int high = h0 + PADDING - KERNEL_H + 1, wide = w0 + PADDING - KERNEL_W + 1;
    const int top = high > 0 ? (high + STRIDE - 1) / STRIDE : 0;
    const int left = wide > 0 ? (wide + STRIDE - 1) / STRIDE : 0;
    const int down = h0 + PADDING - top * STRIDE, right = w0 + PADDING - left * STRIDE;

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
                const bool there = h < ROWS * POOL && w < COLS * POOL && n < count;
                near[i * NEAR_W + j] =
                    there ? output_gradient(dy, y, activated, o, h, w, n, count) : (REAL)0;
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
        dx[((c * HEIGHT + h) * WIDTH + w) * count + n] = sum;
    }
}

extern "C" __global__ void stage_backward(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, const REAL* __restrict__ activated,
    const REAL* __restrict__ x, const REAL* __restrict__ weight, REAL* __restrict__ partial, REAL* __restrict__ dx,
    int weight_blocks, int chunks, int count)
{
    const int block = blockIdx.x;
    if (block < weight_blocks) weight_gradient(block, dy, y, activated, x, partial, chunks, count);
    else input_gradient(block - weight_blocks, dy, y, activated, weight, dx, count);
}
