// `stage_forward` on tensor cores: output channels x input channels @ input channels x images, for
// every kernel entry and output of the convolution.
//
// A block has one pooling window, HIGH output channels and TILE * WIDE images. Its warps share the
// rows of the window's patch out between them; a pixel, once loaded, meets all the kernel entries
// that see it.
// grid (windows, tiles of output channels, groups of images), block (LANES, SLICES)

#define IMAGES (TILE * WIDE)
#define ROW (HIGH + 8)  // of the kernels in shared memory: no two lanes in one bank

extern "C" __global__ void stage_forward(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias,
    REAL* __restrict__ activated, REAL* __restrict__ y, int count)
{
    const int slice = threadIdx.y, thread = slice * LANES + threadIdx.x;
    const int row = blockIdx.x / COLS, col = blockIdx.x % COLS;
    const int first = blockIdx.y * HIGH, n0 = blockIdx.z * IMAGES;

    SHARED(REAL, kernels, KERNEL * CHANNELS * ROW);
    for (int k = thread; k < KERNEL * CHANNELS * HIGH; k += LANES * SLICES) {
        const int entry = k % (KERNEL * CHANNELS), o = k / (KERNEL * CHANNELS);
        const int c = entry / KERNEL, at = (entry % KERNEL * CHANNELS + c) * ROW + o;
        kernels[at] =
            first + o < OUT_CHANNELS ? weight[(first + o) * CHANNELS * KERNEL + entry] : 0;
    }
    __syncthreads();

    REAL sums[PHASES * TILE * 4] = {};
    for (int p = slice; p < PATCH_H; p += SLICES)
        for (int c0 = 0; c0 < CHANNELS; c0 += DEEP)
#pragma unroll
            for (int q = 0; q < PATCH_W; q++) {
                const int h = row * POOL * STRIDE + p - PADDING, w = col * POOL * STRIDE + q - PADDING;
                const bool inside = h >= 0 && h < HEIGHT && w >= 0 && w < WIDTH;
                RightPart pixels[TILE];
#pragma unroll
                for (int t = 0; t < TILE; t++)
                    pixels[t] = right_part([&](int k, int image) {
                        const int c = c0 + k, n = n0 + t * WIDE + image;
                        const bool there = inside && c < CHANNELS && n < count;
                        return there ? x[((c * HEIGHT + h) * WIDTH + w) * count + n] : (REAL)0;
                    });
#pragma unroll
                for (int phase = 0; phase < PHASES; phase++) {
                    const int i = p - phase / POOL * STRIDE, j = q - phase % POOL * STRIDE;
                    if (i < 0 || i >= KERNEL_H || j < 0 || j >= KERNEL_W) continue;
                    const LeftPart seen_by = left_part([&](int o, int k) {
                        const int entry = i * KERNEL_W + j, c = c0 + k;
                        return c < CHANNELS ? kernels[(entry * CHANNELS + c) * ROW + o] : (REAL)0;
                    });
#pragma unroll
                    for (int t = 0; t < TILE; t++)
                        multiply_add(sums + (phase * TILE + t) * 4, seen_by, pixels[t]);
                }
            }

    SHARED(REAL, parts, SLICES * PHASES * HIGH * IMAGES);
#pragma unroll
    for (int phase = 0; phase < PHASES; phase++)
#pragma unroll
        for (int t = 0; t < TILE; t++)
            each_sum(sums + (phase * TILE + t) * 4, [&](int o, int image, REAL sum) {
                parts[((slice * PHASES + phase) * HIGH + o) * IMAGES + t * WIDE + image] = sum;
            });
    __syncthreads();
    for (int k = thread; k < HIGH * IMAGES; k += LANES * SLICES) {
        const int o = first + k / IMAGES, n = n0 + k % IMAGES;
        if (o >= OUT_CHANNELS || n >= count) continue;
        REAL mean = 0;
#pragma unroll
        for (int phase = 0; phase < PHASES; phase++) {
            REAL sum = 0;
            for (int s = 0; s < SLICES; s++) sum += parts[(s * PHASES + phase) * HIGH * IMAGES + k];
            const REAL f = activate(ACTIVATION, sum + bias[o]);
            const int h = row * POOL + phase / POOL, w = col * POOL + phase % POOL;
            activated[((o * ROWS * POOL + h) * COLS * POOL + w) * count + n] = f;
            mean += f;
        }
        y[((o * ROWS + row) * COLS + col) * count + n] =
            activate(SQUASH, mean * ((REAL)1 / PHASES));
    }
}
