// The dense layers of dense.cu on tensor cores.
//
// Told by the compiler: TILE tiles of sums to a warp, side by side. block (LANES, SLICES)

#define SLICES 8
#define ACROSS (TILE * WIDE)

// left(row, k) @ right(k, col), HIGH x ACROSS; the block's warps take every SLICES-th step of the
// depth. Each warp's sums go to parts, which `added` makes whole.
template <class Left, class Right>
__device__ __forceinline__ void product(int depth, Left left, Right right, REAL* parts)
{
    const int slice = threadIdx.y;
    REAL sums[TILE * 4] = {};
    for (int start = slice * DEEP; start < depth; start += SLICES * DEEP) {
        const LeftPart a = left_part([&](int row, int k) {
            return start + k < depth ? left(row, start + k) : (REAL)0;
        });
#pragma unroll
        for (int t = 0; t < TILE; t++)
            multiply_add(sums + t * 4, a, right_part([&](int k, int col) {
                return start + k < depth ? right(start + k, t * WIDE + col) : (REAL)0;
            }));
    }
#pragma unroll
    for (int t = 0; t < TILE; t++)
        each_sum(sums + t * 4, [&](int row, int col, REAL sum) {
            parts[(slice * HIGH + row) * ACROSS + t * WIDE + col] = sum;
        });
    __syncthreads();
}

// store(row, col, sum) for all of the block's sums, shared out between its threads
template <class Store>
__device__ __forceinline__ void added(const REAL* parts, Store store)
{
    for (int k = threadIdx.y * LANES + threadIdx.x; k < HIGH * ACROSS; k += LANES * SLICES) {
        REAL sum = 0;
        for (int s = 0; s < SLICES; s++) sum += parts[s * HIGH * ACROSS + k];
        store(k / ACROSS, k % ACROSS, sum);
    }
}

// grid (tiles of outputs, groups of images)
extern "C" __global__ void dense_forward(
    const REAL* __restrict__ weight, const REAL* __restrict__ x, const REAL* __restrict__ bias,
    REAL* __restrict__ y, int activation, int outputs, int inputs, int count)
{
    const int first = blockIdx.x * HIGH, n0 = blockIdx.y * ACROSS;
    SHARED(REAL, parts, SLICES * HIGH * ACROSS);
    product(
        inputs,
        [&](int row, int k) {
            return first + row < outputs ? weight[(first + row) * inputs + k] : (REAL)0;
        },
        [&](int k, int col) { return n0 + col < count ? x[k * count + n0 + col] : (REAL)0; }, parts);
    added(parts, [&](int row, int col, REAL sum) {
        if (first + row < outputs && n0 + col < count)
            y[(first + row) * count + n0 + col] = activate(activation, sum + bias[first + row]);
    });
}

// The first `weight_blocks` blocks have tiles of dW = dz x^T, the others dx = W^T dz. The biases are
// the weights of one more input, which is always 1.
extern "C" __global__ void dense_backward(
    const REAL* __restrict__ dy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const REAL* __restrict__ weight, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    REAL* __restrict__ dx, int activation, int weight_blocks, int outputs, int inputs, int count)
{
    SHARED(REAL, parts, SLICES * HIGH * ACROSS);
    const auto dz = [&](int k, int n) {
        return dy[k * count + n] * slope(activation, y[k * count + n]);
    };
    int block = blockIdx.x;
    if (block < weight_blocks) {
        const int across = (inputs + 1 + ACROSS - 1) / ACROSS;
        const int m0 = block / across * HIGH, k0 = block % across * ACROSS;
        product(
            count, [&](int row, int n) { return m0 + row < outputs ? dz(m0 + row, n) : (REAL)0; },
            [&](int n, int col) {
                if (k0 + col < inputs) return x[(k0 + col) * count + n];
                return (REAL)(k0 + col == inputs);
            },
            parts);
        added(parts, [&](int row, int col, REAL sum) {
            if (m0 + row >= outputs) return;
            if (k0 + col < inputs) dweight[(m0 + row) * inputs + k0 + col] = sum;
            else if (k0 + col == inputs) dbias[m0 + row] = sum;
        });
        return;
    }
    block -= weight_blocks;
    const int tiles = (inputs + HIGH - 1) / HIGH;
    const int first = block % tiles * HIGH, n0 = block / tiles * ACROSS;
    product(
        outputs,
        [&](int row, int k) {
            return first + row < inputs ? weight[k * inputs + first + row] : (REAL)0;
        },
        [&](int k, int col) { return n0 + col < count ? dz(k, n0 + col) : (REAL)0; }, parts);
    added(parts, [&](int row, int col, REAL sum) {
        if (first + row < inputs && n0 + col < count)
            dx[(first + row) * count + n0 + col] = sum;
    });
}
