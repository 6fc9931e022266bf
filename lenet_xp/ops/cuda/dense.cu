// Dense layers: y = f(W x + b) and all three gradients. W (outputs, inputs), x (inputs, N).
//
// Compiler options: OUTPUTS INPUTS, the sizes of W, ACTIVATION, TILE rows per thread.
// block (LANES, SLICES)

#include "common.cu"
#include "pool.cu"

#define SLICES 8
#define EDGE 32  // side of a tile of dW

// The sums over k of matrix[row, k] * column(k) for TILE rows from `first` on. Each warp of the block
// sums every SLICES-th k. The total of row first + t is left in parts[t * LANES + lane].
// `column` is the vector of this lane's image: x, or the gradient before the activation.
template <class Column>
__device__ __forceinline__ void product(
    const REAL* matrix, int row_step, int depth_step, int first, int rows, int depth, Column column,
    REAL* parts)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    REAL sums[TILE];
#pragma unroll
    for (int t = 0; t < TILE; t++) sums[t] = 0;
#pragma unroll 4
    for (int k = slice; k < depth; k += SLICES) {
        const REAL value = column(k);
#pragma unroll
        for (int t = 0; t < TILE; t++)
            if (rows % TILE == 0 || first + t < rows)
                sums[t] += matrix[(first + t) * row_step + k * depth_step] * value;
    }
#pragma unroll
    for (int t = 0; t < TILE; t++) parts[(slice * TILE + t) * LANES + lane] = sums[t];
    __syncthreads();
    for (int t = slice; t < TILE; t += SLICES) {
        REAL sum = 0;
        for (int s = 0; s < SLICES; s++) sum += parts[(s * TILE + t) * LANES + lane];
        parts[t * LANES + lane] = sum;  // only this thread reads slice 0's entry
    }
}

struct Input {
    const REAL* x;
    int n, count;
    __device__ REAL operator()(int k) const { return n < count ? x[k * count + n] : (REAL)0; }
};

struct Gradient {  // at the input of the activation
    const REAL *dy, *y;
    int activation, n, count;
    __device__ REAL operator()(int k) const
    {
        return n < count ? dy[k * count + n] * slope(activation, y[k * count + n]) : (REAL)0;
    }
};

// grid (tiles of outputs, groups of images)
extern "C" __global__ void dense_forward(
    const REAL* __restrict__ weight, const REAL* __restrict__ x, const REAL* __restrict__ bias,
    REAL* __restrict__ y, int count)
{
    const int first = blockIdx.x * TILE, n = blockIdx.y * LANES + threadIdx.x;
    SHARED(REAL, parts, SLICES * TILE * LANES);
    product(weight, INPUTS, 1, first, OUTPUTS, INPUTS, Input{x, n, count}, parts);
    for (int t = threadIdx.y; t < TILE; t += SLICES)
        if (first + t < OUTPUTS && n < count)
            y[(first + t) * count + n] =
                activate(ACTIVATION, parts[t * LANES + threadIdx.x] + bias[first + t]);
}

// A tile of dW = dz x^T. Blocks of the first column of tiles also sum the rows of dz to db.
__device__ __forceinline__ void dense_weights(
    int block, Gradient dz, Input x, REAL* dweight, REAL* dbias, int outputs, int inputs)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    const int across = (inputs + EDGE - 1) / EDGE;
    const int m0 = block / across * EDGE, k0 = block % across * EDGE;
    SHARED(REAL, left, EDGE * (LANES + 1));  // + 1 avoids bank conflicts
    SHARED(REAL, right, EDGE * (LANES + 1));
    REAL sums[EDGE / SLICES], bias = 0;
#pragma unroll
    for (int r = 0; r < EDGE / SLICES; r++) sums[r] = 0;
    for (int start = 0; start < x.count; start += LANES) {
        dz.n = x.n = start + lane;
        for (int r = slice; r < EDGE; r += SLICES) {
            left[r * (LANES + 1) + lane] = m0 + r < outputs ? dz(m0 + r) : (REAL)0;
            right[r * (LANES + 1) + lane] = k0 + r < inputs ? x(k0 + r) : (REAL)0;
        }
        __syncthreads();
#pragma unroll 8
        for (int n = 0; n < LANES; n++) {
            const REAL value = right[lane * (LANES + 1) + n];
#pragma unroll
            for (int r = 0; r < EDGE / SLICES; r++)
                sums[r] += left[(slice + r * SLICES) * (LANES + 1) + n] * value;
        }
        if (k0 == 0 && slice == 0)
            for (int n = 0; n < LANES; n++) bias += left[lane * (LANES + 1) + n];
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < EDGE / SLICES; r++) {
        const int m = m0 + slice + r * SLICES;
        if (m < outputs && k0 + lane < inputs) dweight[m * inputs + k0 + lane] = sums[r];
    }
    if (k0 == 0 && slice == 0 && m0 + lane < outputs) dbias[m0 + lane] = bias;
}

// Rows of dx = W^T dz; below: the stage that computed x.
__device__ __forceinline__ void dense_input(
    int block, Gradient dz, const REAL* weight, REAL* dx, Below below)
{
    const int tiles = (INPUTS + TILE - 1) / TILE, first = block % tiles * TILE, count = dz.count;
    dz.n = block / tiles * LANES + threadIdx.x;
    SHARED(REAL, parts, SLICES * TILE * LANES);
    product(weight, 1, INPUTS, first, INPUTS, OUTPUTS, dz, parts);
    for (int t = threadIdx.y; t < TILE; t += SLICES)
        if (first + t < INPUTS && dz.n < count) {
            const REAL sum = parts[t * LANES + threadIdx.x];
            dx[(first + t) * count + dz.n] = sum;
            if (below.dz) spread(sum, below, first + t, dz.n, count);
        }
}

// The first `weight_blocks` blocks compute tiles of dW, the others dx.
extern "C" __global__ void dense_backward(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const REAL* __restrict__ weight, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    REAL* __restrict__ dx, int weight_blocks, int count)
{
    const int block = blockIdx.x;
    const Gradient dz = {dy, y, ACTIVATION, 0, count};
    if (block >= weight_blocks) dense_input(block - weight_blocks, dz, weight, dx, Below{0, 0, 0});
    else dense_weights(block, dz, Input{x, 0, count}, dweight, dbias, OUTPUTS, INPUTS);
}

// The same, and the work of `stage_gradient` for the stage that computed x.
extern "C" __global__ void dense_backward_below(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const REAL* __restrict__ weight, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    REAL* __restrict__ dx, int weight_blocks, int count, const REAL* __restrict__ below_dy,
    const REAL* __restrict__ activated, const REAL* __restrict__ below_y,
    REAL* __restrict__ below_dz, int below_size, int below_count)
{
    const int block = blockIdx.x;
    const Gradient dz = {dy, y, ACTIVATION, 0, count};
    const Below below = {activated, below_y, below_dz};
    if (block >= weight_blocks) dense_input(block - weight_blocks, dz, weight, dx, below);
    else dense_weights(block, dz, Input{x, 0, count}, dweight, dbias, OUTPUTS, INPUTS);
}
