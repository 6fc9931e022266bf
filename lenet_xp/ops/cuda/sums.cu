// Sums in a fixed order.

#define SLICES 8

// The sums over the chunks of `stage_backward`: partial (chunks, weights + biases) -> dweight, dbias.
// A lane has one entry; the warps divide the chunks among them. block (LANES, SLICES)
extern "C" __global__ void sum_partials(
    const REAL* __restrict__ partial, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    int chunks, int weights, int biases)
{
    const int lane = threadIdx.x, slice = threadIdx.y;
    const int size = weights + biases, entry = blockIdx.x * LANES + lane;
    REAL sum = 0;
    if (entry < size)
        for (int chunk = slice; chunk < chunks; chunk += SLICES) sum += partial[chunk * size + entry];
    SHARED(REAL, parts, SLICES * LANES);
    parts[slice * LANES + lane] = sum;
    __syncthreads();
    if (slice > 0 || entry >= size) return;
    for (int s = 1; s < SLICES; s++) sum += parts[s * LANES + lane];
    if (entry < weights) dweight[entry] = sum;
    else dbias[entry - weights] = sum;
}

// The sum of each row of x (rows, length). One block per row. block (LANES, SLICES)
extern "C" __global__ void sum_rows(const REAL* __restrict__ x, REAL* __restrict__ sums, int length)
{
    const int thread = threadIdx.y * LANES + threadIdx.x;
    REAL sum = 0;
    for (int k = thread; k < length; k += LANES * SLICES)
        sum += x[(long long)blockIdx.x * length + k];
    SHARED(REAL, parts, SLICES * LANES);
    parts[thread] = sum;
    for (int half = LANES * SLICES / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) parts[thread] += parts[thread + half];
    }
    if (thread == 0) sums[blockIdx.x] = parts[0];
}
