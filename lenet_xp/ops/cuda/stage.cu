// The sizes of a stage (convolution, activation, average pool), for stage_forward and stage_backward.
//
// Compiler options: CHANNELS HEIGHT WIDTH of the input, OUT_CHANNELS KERNEL_H KERNEL_W STRIDE PADDING
// of the convolution, POOL, ACTIVATION before the pool, SQUASH after it, TILE output (or input)
// channels per thread, SLICES warps per block.

#define ROWS (((HEIGHT + 2 * PADDING - KERNEL_H) / STRIDE + 1) / POOL)  // of pooling windows
#define COLS (((WIDTH + 2 * PADDING - KERNEL_W) / STRIDE + 1) / POOL)
#define PHASES (POOL * POOL)  // outputs of the convolution in one window
#define PATCH_H (KERNEL_H + (POOL - 1) * STRIDE)  // pixels that feed one window
#define PATCH_W (KERNEL_W + (POOL - 1) * STRIDE)
#define KERNEL (KERNEL_H * KERNEL_W)
#define IMAGE_GROUPS ((count + LANES - 1) / LANES)

// Load the patch of channel c under window (row, col) of image n; zero outside the input.
__device__ __forceinline__ void load_patch(
    REAL* patch, const REAL* x, int c, int row, int col, int n, int count)
{
#pragma unroll
    for (int i = 0; i < PATCH_H; i++)
#pragma unroll
        for (int j = 0; j < PATCH_W; j++) {
            const int h = row * POOL * STRIDE + i - PADDING, w = col * POOL * STRIDE + j - PADDING;
            const bool inside = h >= 0 && h < HEIGHT && w >= 0 && w < WIDTH && n < count;
            patch[i * PATCH_W + j] = inside ? x[((c * HEIGHT + h) * WIDTH + w) * count + n] : 0;
        }
}
