// Sums in a fixed order.

#include "common.cu"
#include "partials.cu"

// partial (chunks, weights + biases) -> dweight, dbias. block (LANES, SLICES)
extern "C" __global__ void sum_partials(
    const REAL* __restrict__ partial, REAL* __restrict__ dweight, REAL* __restrict__ dbias,
    int chunks, int weights, int biases)
{
    const int size = weights + biases, entry = blockIdx.x * LANES + threadIdx.x;
    const REAL sum = over_chunks(partial, entry, size, chunks);
    if (threadIdx.y > 0 || entry >= size) return;
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
