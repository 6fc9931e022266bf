// From a pooled output of a stage back to the outputs of its convolution.
//
// Compiler options, all of the stage whose output is meant: BELOW_COLS pooling windows in a row,
// BELOW_POOL, BELOW_ACTIVATION before the pool, BELOW_SQUASH after it. None are given to a file whose
// kernels with `below` in their names are not wanted.

#ifndef BELOW_POOL
#define BELOW_COLS 1
#define BELOW_POOL 1
#define BELOW_ACTIVATION IDENTITY
#define BELOW_SQUASH IDENTITY
#endif

// A stage's arrays; dz is null where there is no stage.
struct Below {
    const REAL *activated, *y;
    REAL* dz;
};

// dz, the gradient before the activation, at all outputs of the convolution that one pooled output of
// image n averages. dy: the gradient of that pooled output; entry: its place in (channels, rows, cols).
// The kernel that computes dy calls this, so that dz is computed once and not by every block that
// reads it.
__device__ __forceinline__ void spread(REAL dy, Below below, int entry, int n, int count)
{
    const REAL share =
        BELOW_SQUASH == IDENTITY ? dy : dy * slope(BELOW_SQUASH, below.y[entry * count + n]);
    const int row = entry / BELOW_COLS * BELOW_POOL, col = entry % BELOW_COLS * BELOW_POOL;
#pragma unroll
    for (int a = 0; a < BELOW_POOL; a++)
#pragma unroll
        for (int b = 0; b < BELOW_POOL; b++) {
            const int at = ((row + a) * BELOW_COLS * BELOW_POOL + col + b) * count + n;
            below.dz[at] = share * ((REAL)1 / (BELOW_POOL * BELOW_POOL))
                           * slope(BELOW_ACTIVATION, below.activated[at]);
        }
}
