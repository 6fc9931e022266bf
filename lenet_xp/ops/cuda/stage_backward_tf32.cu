// `stage_backward` on tensor cores. Both gradients side by side in one launch, as there.
//
// block (LANES, SLICES)

#define TILES ((OUT_CHANNELS + HIGH - 1) / HIGH)  // of output channels

// Sums over some windows and images, for HIGH output channels and WIDE input channels: a tile for each
// kernel entry, and one for the biases, which are the weights of a pixel that is always 1.
__device__ __forceinline__ void weight_gradient(
    int block, const REAL* dy, const REAL* y, const REAL* activated, const REAL* x, REAL* partial,
    int chunks, int count)
{
    const int slice = threadIdx.y, thread = slice * LANES + threadIdx.x;
    const int chunk = block % chunks;
    const int first = block / chunks % TILES * HIGH, c0 = block / chunks / TILES * WIDE;

    REAL sums[(KERNEL + 1) * 4] = {};
    const int units = ROWS * COLS * ((count + DEEP - 1) / DEEP);
    for (int unit = chunk * SLICES + slice; unit < units; unit += chunks * SLICES) {
        const int window = unit % (ROWS * COLS), n0 = unit / (ROWS * COLS) * DEEP;
        const int row = window / COLS, col = window % COLS;
        LeftPart dz[PHASES];
#pragma unroll
        for (int phase = 0; phase < PHASES; phase++)
            dz[phase] = left_part([&](int o, int k) {
                const int h = row * POOL + phase / POOL, w = col * POOL + phase % POOL;
                const bool there = first + o < OUT_CHANNELS && n0 + k < count;
                return there ? output_gradient(dy, y, activated, first + o, h, w, n0 + k, count)
                             : (REAL)0;
            });
#pragma unroll
        for (int p = 0; p < PATCH_H; p++)
#pragma unroll
            for (int q = 0; q < PATCH_W; q++) {
                const int h = row * POOL * STRIDE + p - PADDING, w = col * POOL * STRIDE + q - PADDING;
                const bool inside = h >= 0 && h < HEIGHT && w >= 0 && w < WIDTH;
                const RightPart pixel = right_part([&](int k, int channel) {
                    const int c = c0 + channel, n = n0 + k;
                    const bool there = inside && c < CHANNELS && n < count;
                    return there ? x[((c * HEIGHT + h) * WIDTH + w) * count + n] : (REAL)0;
                });
#pragma unroll
                for (int phase = 0; phase < PHASES; phase++) {
                    const int i = p - phase / POOL * STRIDE, j = q - phase % POOL * STRIDE;
                    if (i >= 0 && i < KERNEL_H && j >= 0 && j < KERNEL_W)
                        multiply_add(sums + (i * KERNEL_W + j) * 4, dz[phase], pixel);
                }
            }
        const RightPart one = right_part([](int k, int channel) { return (REAL)(channel == 0); });
#pragma unroll
        for (int phase = 0; phase < PHASES; phase++) multiply_add(sums + KERNEL * 4, dz[phase], one);
    }

    SHARED(REAL, total, (KERNEL + 1) * HIGH * WIDE);
    for (int s = 0; s < SLICES; s++) {
        if (slice == s)
#pragma unroll
            for (int k = 0; k <= KERNEL; k++)
                each_sum(sums + k * 4, [&](int o, int c, REAL sum) {
                    REAL* at = total + (k * HIGH + o) * WIDE + c;
                    *at = s ? *at + sum : sum;
                });
        __syncthreads();
    }
    REAL* out = partial + chunk * (OUT_CHANNELS * CHANNELS * KERNEL + OUT_CHANNELS);
    for (int at = thread; at < (KERNEL + 1) * HIGH * WIDE; at += LANES * SLICES) {
        const int k = at / (HIGH * WIDE), o = first + at / WIDE % HIGH, c = c0 + at % WIDE;
        if (o >= OUT_CHANNELS || c >= CHANNELS) continue;
        if (k < KERNEL) out[(o * CHANNELS + c) * KERNEL + k] = total[at];
        else if (c == 0) out[OUT_CHANNELS * CHANNELS * KERNEL + o] = total[at];
    }
}

// dx of SIDE x SIDE pixels of HIGH images in WIDE channels: images x output channels @ output
// channels x input channels, for every output that saw a pixel. The warps share these outputs out.
__device__ __forceinline__ void input_gradient(
    int block, const REAL* dy, const REAL* y, const REAL* activated, const REAL* weight, REAL* dx,
    int count)
{
    const int slice = threadIdx.y, thread = slice * LANES + threadIdx.x;
    const int across = (WIDTH + SIDE - 1) / SIDE, squares = (HEIGHT + SIDE - 1) / SIDE * across;
    const int tiles = (CHANNELS + WIDE - 1) / WIDE;
    const int h0 = block % squares / across * SIDE, w0 = block % squares % across * SIDE;
    const int c0 = block / squares % tiles * WIDE, n0 = block / squares / tiles * HIGH;

    SHARED(REAL, kernels, KERNEL * OUT_CHANNELS * WIDE);
    for (int k = thread; k < KERNEL * OUT_CHANNELS * WIDE; k += LANES * SLICES) {
        const int o = k / (WIDE * KERNEL), c = k / KERNEL % WIDE, entry = k % KERNEL;
        kernels[(entry * OUT_CHANNELS + o) * WIDE + c] =
            c0 + c < CHANNELS ? weight[(o * CHANNELS + c0 + c) * KERNEL + entry] : 0;
    }
    __syncthreads();

    // The first output whose kernel reaches the square, and the square's place in that kernel
    const int high = h0 + PADDING - KERNEL_H + 1, wide = w0 + PADDING - KERNEL_W + 1;
    const int top = high > 0 ? (high + STRIDE - 1) / STRIDE : 0;
    const int left = wide > 0 ? (wide + STRIDE - 1) / STRIDE : 0;
    const int down = h0 + PADDING - top * STRIDE, right = w0 + PADDING - left * STRIDE;

    REAL sums[SIDE * SIDE * 4] = {};
    for (int near = slice; near < NEAR_H * NEAR_W; near += SLICES) {
        const int i = near / NEAR_W, j = near % NEAR_W, h = top + i, w = left + j;
        if (h >= ROWS * POOL || w >= COLS * POOL) continue;
#pragma unroll
        for (int o0 = 0; o0 < OUT_CHANNELS; o0 += DEEP) {
            const LeftPart dz = left_part([&](int image, int k) {
                const int o = o0 + k, n = n0 + image;
                const bool there = o < OUT_CHANNELS && n < count;
                return there ? output_gradient(dy, y, activated, o, h, w, n, count) : (REAL)0;
            });
#pragma unroll
            for (int a = 0; a < SIDE; a++)
#pragma unroll
                for (int b = 0; b < SIDE; b++) {
                    const int p = down + a - i * STRIDE, q = right + b - j * STRIDE;
                    if (p < 0 || p >= KERNEL_H || q < 0 || q >= KERNEL_W) continue;
                    multiply_add(sums + (a * SIDE + b) * 4, dz, right_part([&](int k, int c) {
                        const int entry = p * KERNEL_W + q, o = o0 + k;
                        return o < OUT_CHANNELS ? kernels[(entry * OUT_CHANNELS + o) * WIDE + c]
                                                : (REAL)0;
                    }));
                }
        }
    }

    SHARED(REAL, parts, SLICES * SIDE * SIDE * WIDE * HIGH);
#pragma unroll
    for (int k = 0; k < SIDE * SIDE; k++)
        each_sum(sums + k * 4, [&](int image, int c, REAL sum) {
            parts[((slice * SIDE * SIDE + k) * WIDE + c) * HIGH + image] = sum;
        });
    __syncthreads();
    for (int at = thread; at < SIDE * SIDE * WIDE * HIGH; at += LANES * SLICES) {
        const int k = at / (WIDE * HIGH), c = c0 + at / HIGH % WIDE, n = n0 + at % HIGH;
        const int h = h0 + k / SIDE, w = w0 + k % SIDE;
        if (c >= CHANNELS || h >= HEIGHT || w >= WIDTH || n >= count) continue;
        REAL sum = 0;
        for (int s = 0; s < SLICES; s++) sum += parts[s * SIDE * SIDE * WIDE * HIGH + at];
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
